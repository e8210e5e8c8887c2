"""Deformable 3x3 convolution (Dai et al., ICCV 2017, without modulation) in plain PyTorch.

Every tap of every offset group reads its input at its own shifted, bilinearly interpolated place. The
samples, nine times the size of the input, exist only for a band of rows at a time. Where a torchvision with a
working operator is installed and wins a short race on the device in use, that operator does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from vfuse.extras import quietly_imported

TAPS = 9
# Samples held at a time. On a CPU a band that stays in the cache is twice as fast as the whole map; a GPU
# wants large launches.
BAND = {"cpu": 1 << 20, "other": 1 << 26}

Operator = Callable[[Tensor, Tensor, Tensor], Tensor]


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """Deformable convolution, stride 1, zero padding 1; differentiable in all three arguments.

    Positions and samples are float32 at least, also under autocast and for bfloat16 inputs.

    Args:
        x: (N, C, H, W).
        offset: (N, 18 * G, H, W) in pixels for G offset groups: per group, per tap (row by row), the vertical
            shift, then the horizontal one. C must be a multiple of G.
        weight: (C_out, C / groups, 3, 3).

    Returns:
        (N, C_out, H, W) in the type of `x`; places outside the image count as zero.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        y = _operator(x.device.type)(x.to(wide), offset.to(wide), weight.to(wide))
    return y.to(x.dtype)


def sampled_conv2d(x: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """`deform_conv2d` by bilinear sampling, for equal floating types."""
    n, c, h, w = x.shape
    groups = offset.shape[1] // (2 * TAPS)
    image = x.reshape(n * groups, c // groups, h, w)  # contiguous planes, as sampling wants them
    shifts = offset.unflatten(1, (groups, TAPS, 2))
    rows, columns = _places(h, w, like=x)
    limit = BAND["cpu" if x.device.type == "cpu" else "other"]
    band = max(1, limit // (n * c * TAPS * w))
    kernel = weight.reshape(c // weight.shape[1], -1, weight.shape[1] * TAPS)
    out: list[Tensor] = []
    for top in range(0, h, band):
        part = slice(top, top + band)
        across = torch.add(columns, shifts[:, :, :, 1, part], alpha=2 / w)
        down = torch.add(rows[:, part], shifts[:, :, :, 0, part], alpha=2 / h)
        height = across.shape[-2]
        # (N G, 2, 9 * band, W) seen with the coordinate last: the layout that sampling reads without a copy.
        grid = torch.stack([across, down], dim=2).view(n * groups, 2, TAPS * height, w).permute(0, 2, 3, 1)
        samples = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        samples = samples.view(n, kernel.shape[0], kernel.shape[2], height * w)
        out.append((kernel @ samples).view(n, -1, height, w))
    return torch.cat(out, dim=2)


def _places(h: int, w: int, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """Unshifted tap positions (9, H, 1) and (9, 1, W) in grid coordinates, where a pixel is 2 / size wide."""
    tap = torch.arange(TAPS, device=like.device).view(TAPS, 1, 1)
    row = torch.arange(h, device=like.device).view(1, h, 1) - 1 + tap // 3
    column = torch.arange(w, device=like.device).view(1, 1, w) - 1 + tap % 3
    return (2 * row + 1).to(like.dtype) / h - 1, (2 * column + 1).to(like.dtype) / w - 1


@cache
def _operator(device: str) -> Operator:
    """The operator for a kind of device; decided once per process."""
    other = torchvision_operator(device)
    return (
        other
        if other is not None and _seconds(other, device) < _seconds(sampled_conv2d, device)
        else sampled_conv2d
    )


def torchvision_operator(device: str) -> Operator | None:
    """torchvision's operator if it is installed, runs on this device and agrees with ours, else None."""
    try:
        package = quietly_imported("torchvision.ops")
        operator: Operator = partial(package.deform_conv2d, padding=1)
        agrees = torch.allclose(operator(*_sample(device)), sampled_conv2d(*_sample(device)), atol=1e-4)
    except (ImportError, AttributeError, RuntimeError, NotImplementedError):
        return None  # absent, or built for another torch or without this device
    return operator if agrees else None


def _sample(device: str) -> tuple[Tensor, Tensor, Tensor]:
    """A small, smooth problem of the network's kind: 32 channels, 8 offset groups, 4 weight groups."""
    place = torch.arange(32 * 64 * 64, device=device, dtype=torch.float32)
    x = (0.37 * place).sin().view(1, 32, 64, 64)
    offset = 3 * (0.011 * torch.arange(144 * 64 * 64, device=device)).cos().view(1, 144, 64, 64)
    return x, offset, (0.7 * place[: 32 * 72]).sin().view(32, 8, 3, 3)


def _seconds(operator: Operator, device: str, *, runs: int = 3) -> float:
    """Best time of a few runs; the first, which sets things up, does not count."""
    arguments = _sample(device)
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(runs + 1):
            start = perf_counter()
            operator(*arguments).sum().item()  # .item() waits for the device
            times.append(perf_counter() - start)
    return min(times[1:])
