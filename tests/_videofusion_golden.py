"""Weights and inputs of the VideoFusion golden numbers: a hash of integers, the same on every machine.

`golden/videofusion_names.txt` lists the 464 published parameters; tensor i of the sorted names is filled from
mixed 32-bit integers. `golden/videofusion.npz` holds what the published network makes of them in float64.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[1].parent / "shared" / "spec" / "videofusion"
CASES = {"A": (1, 5, 32, 40), "B": (1, 3, 48, 64), "C": (2, 4, 64, 64)}  # B, T, H, W


@cache
def published_shapes() -> dict[str, tuple[int, ...]]:
    lines = (GOLDEN / "videofusion_names.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines)
    return {name: tuple(int(size) for size in shape.split("x")) for name, shape in pairs}


def mixed(i: int, count: int) -> np.ndarray:
    """Float64 values in [-1, 1) for tensor number i."""
    x = np.arange(count, dtype=np.uint32) + np.uint32((i + 1) * 0x9E3779B9 % 2**32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x / 2.0**31 - 1


def golden_tensor(i: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    u = mixed(i, math.prod(shape)).reshape(shape)
    if name.endswith("temperature"):
        return 4 + u
    if len(shape) == 1:
        return 1 + 0.2 * u if ".body." in name and name.endswith(".weight") else 0.1 * u
    scale = math.sqrt(3 / math.prod(shape[1:]))
    return scale * u * (0.5 if name.endswith(".conv.2.weight") else 1)


def golden_state(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """All published parameters, in the published order."""
    shapes = published_shapes()
    number = {name: i for i, name in enumerate(sorted(shapes))}
    return {
        name: torch.from_numpy(golden_tensor(number[name], name, shape)).to(dtype)
        for name, shape in shapes.items()
    }


def golden_inputs(
    b: int, t: int, h: int, w: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """ir (three equal channels) and vis, (B, T, 3, H, W), inside (0.03, 0.93)."""
    sizes = (b, t, 3, h, w)
    b_, t_, c, y, x = np.meshgrid(*map(np.arange, sizes), indexing="ij")
    sin, cos = np.sin, np.cos
    ir = (
        0.5
        + 0.2 * sin(0.21 * y + 0.05 * x + 0.6 * t_ + 0.4 * b_)
        + 0.15 * cos(0.13 * x - 0.09 * y + 0.3 * t_)
    )
    ir = ir + 0.08 * sin(1.7 * x + 2.3 * y + 0.9 * t_ + 0.2 * b_)
    vis = 0.45 + 0.18 * sin(0.11 * x + 0.17 * y + 1.1 * c - 0.5 * t_ + 0.3 * b_)
    vis = vis + 0.14 * cos(0.29 * y - 0.07 * x + 0.4 * c + 0.2 * t_)
    vis = vis + 0.10 * sin(1.3 * x - 1.9 * y + 0.7 * t_ + 0.5 * c)
    return torch.from_numpy(ir).to(dtype), torch.from_numpy(vis).to(dtype)
