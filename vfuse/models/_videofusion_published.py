"""The published VideoFusion checkpoint under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

# Published name -> ours, in which m is the modality and s the scale, counted from 1 there and from 0 here.
RENAMES = (
    (r"conv3d_(?P<m>ir|vi)_(?P<s>\d)\.module\.0", "scales.{s}.encode_{m}.conv3d.0"),
    (r"conv3d_(?P<m>ir|vi)_(?P<s>\d)\.module\.2", "scales.{s}.encode_{m}.conv3d.1"),
    (r"(?P<m>ir|vi)_conv_enhance_(?P<s>\d)\.blocks\.0", "scales.{s}.encode_{m}.res"),
    (r"cross_modal_enhance_(?P<m>ir|vi)_(?P<s>\d)\.cross_transformer", "scales.{s}.reinforce_{m}.cross"),
    (r"CMA_(?P<m>ir|vi)_(?P<s>\d)\.conv", "scales.{s}.reinforce_{m}.contribution.score"),
    (r"CMA_(?P<m>ir|vi)_(?P<s>\d)", "scales.{s}.reinforce_{m}.contribution"),
    (r"fusion_enhance_(?P<s>\d)\.transformer", "scales.{s}.enhance"),
    (r"fusion_(?P<s>\d)\.cross_transformer", "scales.{s}.cmgf"),
    (r"down_(?P<m>ir|vi)_(?P<s>\d)\.body\.0", "down_{m}.{s}.conv"),
    (r"up(?P<s>\d)\.body\.0", "up.{s}.reduce"),
    (r"up(?P<s>\d)\.body\.2", "up.{s}.refine"),
    (r"co_attention_(?P<s>\d)\.layers\.(?P<i>\d)\.co_transformer", "bicam.{s}.layers.{i}"),
    (r"decomposition\.(?P<part>channel|spatial)_attention_(?P<m>ir|vi)", "unmix_{m}.{part}_attention"),
    (r"decoder_(?P<d>fusion|ir|vi)\.decoder", "decoders.{d}.blocks"),
    (r"decoder_(?P<d>fusion|ir|vi)\.conv\.0", "decoders.{d}.conv1"),
    (r"decoder_(?P<d>fusion|ir|vi)\.conv\.2", "decoders.{d}.conv2"),
)
DECODERS = {"fusion": 0, "ir": 1, "vi": 2}
INNER_RENAMES = (
    (".norm1.body.", ".norm1."),
    (".norm2.body.", ".norm2."),
    (".ChannelAttention.", ".channel_attention."),
    (".SpatialAttention.", ".spatial_attention."),
)
UNUSED = ".attn.norm.body."  # layer norms that every published cross-attention owns and never applies


def convert_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint under our names; unknown names pass, for the strict load to report."""
    return {rename_published(key): tensor for key, tensor in state.items() if UNUSED not in key}


def rename_published(key: str) -> str:
    """One published parameter name under our name."""
    key = key.removeprefix("module.")
    for pattern, ours in RENAMES:
        if match := re.match(pattern, key):
            part = match.groupdict()
            if "m" in part:
                part["m"] = {"ir": "ir", "vi": "vis"}[part["m"]]
            if "s" in part:
                part["s"] = int(part["s"]) - 1
            if "d" in part:
                part["d"] = DECODERS[part["d"]]
            key = ours.format(**part) + key[match.end() :]
            break
    for published, ours in INNER_RENAMES:
        key = key.replace(published, ours)
    return key
