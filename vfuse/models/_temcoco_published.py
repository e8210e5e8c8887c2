# pyright: basic
"""The published TemCoCo checkpoint under our names: 365 parameters renamed, 3-D kernels flattened."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from vfuse.errors import WeightsError
from vfuse.models._temcoco_blocks import relative_position_index

# Published name -> ours. Index 1 is the visible, 2 the infrared branch there; orders of neighbours agree.
RENAMES = (
    (r"^Enc_(ir|vis)\.conv0", r"encode_\1.stem"),
    (r"^Enc_(ir|vis)\.conv1", r"encode_\1.at_full"),
    (r"^Enc_(ir|vis)\.conv2", r"encode_\1.at_half"),
    (r"^Enc_(ir|vis)\.conv3", r"encode_\1.at_quarter"),
    (r"^SegBranchCombine\.", ""),
    (r"^Branch_(s|v)1", r"Branch_\1_vis"),
    (r"^Branch_(s|v)2", r"Branch_\1_ir"),
    (r"^Branch_s_(ir|vis)\.conv1\.0", r"semantic_\1.before"),
    (r"^Branch_s_(ir|vis)\.conv2\.0", r"semantic_\1.after"),
    (r"^Branch_s_", "semantic_"),
    (r"^Branch_v_(ir|vis)\.conv1", r"visual_\1.widen"),
    (r"^Branch_v_(ir|vis)\.conv2", r"visual_\1.narrow"),
    (r"^combine_seg", "cross_semantic"),
    (r"^combine_vis", "cross_visual"),
    (r"^SegVisAttn", "cross_both"),
    (r"^attn_temp", "attend"),
    (r"\.to_out\.0", ".to_out"),
    (r"^DCN_1", "cooperate_half"),
    (r"^DCN_2", "cooperate_full"),
    (r"\.ConvTrans", ".reduce"),
    (r"\.cross_frame\.0", ".describe.0"),
    (r"\.cross_frame2\.0", ".describe.1"),
    (r"\.cross_modality\.0", ".describe.2"),
    (r"\.temporary_cat\.0", ".pair.0"),
    (r"\.temporary_cat2\.0", ".pair.1"),
    (r"\.before_offsets\.", ".before.0."),
    (r"\.before_offsets2\.", ".before.1."),
    (r"\.off2d_1", ".offsets.0"),
    (r"\.off2d_2", ".offsets.1"),
    (r"\.dconv_1\.weight", ".align.0"),
    (r"\.dconv_2\.weight", ".align.1"),
    (r"\.fuse_neighb\.0", ".merge"),
    (r"\.fuse_feature", ".fuse"),
    (r"^dec\.conv0", "reconstruct"),
    (r"\.spatial_conv\.conv3d", ".spatial"),
    (r"\.depth_conv\.conv3d", ".temporal"),
    (r"\.main_branch\.0", ".body"),
    (r"\.blocks_CAx", ".first"),
    (r"\.blocks_CAy", ".second"),
    (r"\.norm1y", ".norm_context"),
    (r"\.norm1", ".norm_query"),
    (r"\.norm2", ".norm_mlp"),
    (r"\.attn\.relative_position_bias_table", ".bias_table"),
    (r"\.attn\.proj", ".project"),
    (r"\.attn\.", "."),
    (r"\.mlp\.", "."),
)
INDEX = ".attn.relative_position_index"  # a constant that the published network keeps among its weights


def convert_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint under our names; unknown names pass, for the strict load to report.

    Raises:
        WeightsError: its window attention numbers positions differently, so its tables would be misread.
    """
    converted: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if not key.endswith(INDEX):
            converted[rename_published(key)] = flat_kernel(tensor)
        elif not torch.equal(tensor.cpu(), relative_position_index()):
            raise WeightsError(
                f"{key} is not that of a 2 x 8 x 8 window", todo="Use the published checkpoint"
            )
    return converted


def rename_published(key: str) -> str:
    """One published parameter name under our name."""
    key = key.removeprefix("module.")
    for pattern, ours in RENAMES:
        key = re.sub(pattern, ours, key)
    return key


def flat_kernel(weight: Tensor) -> Tensor:
    """A 3-D kernel that is one frame long, or one pixel wide, as the 2-D kernel that we use."""
    if weight.ndim != 5:
        return weight
    return weight.squeeze(2) if weight.shape[2] == 1 else weight.squeeze(4)
