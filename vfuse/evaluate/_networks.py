"""The networks that are part of a value: built in, or from a public checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vfuse.errors import UsageError, did_you_mean
from vfuse.metrics import Features, Flow
from vfuse.metrics._flow import DIS
from vfuse.metrics._shared import Bytes, Field, Floats
from vfuse.models._instruments import INSTRUMENTS, Instrument
from vfuse.models._load_instrument import load_instrument

KEPT = 32
"""Vectors kept: a frame is described once although two steps look at it."""


def flow_network(name: str, weights: Path | None = None) -> Flow:
    """The optical flow of a name; "dis" is built in.

    Args:
        name: see `vfuse.models._instruments`.
        weights: a checkpoint to use instead of the one that was pulled.

    Raises:
        UsageError: it is unknown, no flow, or needs no weights.
        WeightsError: its weights are not on this machine, cannot be read, or belong to another network.
    """
    if name == DIS.name:
        if weights is not None:
            raise UsageError("dis has no weights", todo="Leave out --flow-weights, or choose another --flow")
        return DIS
    entry = _known(name, gives="flow", builtin=(DIS.name,))
    network, digest = load_instrument(name, weights=weights)
    return Flow(name=entry.name, between=_between(network, entry), weights=digest)


def feature_network(name: str, weights: Path | None = None) -> Features:
    """The feature network of a name; see `flow_network`."""
    entry = _known(name, gives="features")
    network, digest = load_instrument(name, weights=weights)
    return Features(name=entry.name, of=_remembering(network), weights=digest)


def _known(name: str, *, gives: Literal["flow", "features"], builtin: tuple[str, ...] = ()) -> Instrument:
    able = [entry.name for entry in INSTRUMENTS if entry.gives == gives]
    if name not in able:
        known = (*builtin, *able)
        guess = did_you_mean(name, known)
        raise UsageError(f"unknown {gives} network {name!r}", todo=f"{guess}Known: {', '.join(known)}")
    return INSTRUMENTS[name]


def _planes(image: Bytes) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) float32, 0..255."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()


def _between(network: nn.Module, entry: Instrument) -> Callable[[Bytes, Bytes], Field]:
    """Flow between RGB frames; those of other sizes are padded on all sides by repeating their edge."""

    def between(first: Bytes, second: Bytes) -> Field:
        height, width = first.shape[:2]
        step = entry.multiple_of
        wanted = (max(entry.min_size, -(-side // step) * step) for side in (height, width))
        below, beside = (side - have for side, have in zip(wanted, (height, width), strict=True))
        top, left = below // 2, beside // 2
        rims = (left, beside - left, top, below - top)
        images = (pad(_planes(image) / 127.5 - 1, rims, mode="replicate") for image in (first, second))
        with torch.inference_mode():
            flow: Tensor = network(*images)[0, :, top : top + height, left : left + width]
        return np.ascontiguousarray(flow.permute(1, 2, 0).numpy())

    return between


def _remembering(network: nn.Module) -> Callable[[Bytes], Floats]:
    """Vectors of RGB frames in 0..255, neither scaled nor normalised, as TemCoCo does; the last are kept."""
    kept: OrderedDict[bytes, Floats] = OrderedDict()
    lock = Lock()

    def describe(rgb: Bytes) -> Floats:
        key = sha256(rgb.tobytes()).digest()
        with lock:
            if key in kept:
                return kept[key]
        with torch.inference_mode():
            vector: Floats = network(_planes(rgb))[0].double().numpy()
        with lock:
            kept[key] = vector
            while len(kept) > KEPT:
                kept.popitem(last=False)
        return vector

    return describe
