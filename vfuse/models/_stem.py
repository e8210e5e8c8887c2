"""What residual networks see at first: detail, local mean and column pattern, folded into channels.

Neighbouring pixels are almost equal, so pixels folded into channels are too, and no optimiser separates them
well: a network fed with plain folded pixels had learnt no deblurring after a thousand steps. Detail (a pixel
minus its surroundings, amplified) and local mean are the same information with the correlation taken out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

DETAIL_GAIN = 8.0  # brings detail, a few grey levels, to the scale of the local mean
EDGE = 0.15  # differences between columns above this (of 1) are content, not stripes


def visible_planes(vis: Tensor, sharp: Tensor | None = None, *, fold: int) -> Tensor:
    """(N, 3, H, W) in [0, 1] to (N, 3 * fold**2 + 3, H / fold, W / fold): detail, then local mean.

    Args:
        sharp: (N, K, H, W) of `sharp_planes`, which come last, K * fold**2 channels more.
    """
    planes = [folded(detail(vis), fold), F.avg_pool2d(vis, fold).permute(0, 2, 3, 1)]
    if sharp is not None:
        planes.append(folded(sharp, fold))
    return torch.cat(planes, dim=-1).permute(0, 3, 1, 2)


def infrared_planes(ir: Tensor, pattern: Tensor, fold: int) -> Tensor:
    """(N, 1, H, W) in [0, 1] to (N, fold**2 + 1 + fold, H / fold, W / fold): detail, mean, column pattern.

    Args:
        pattern: (N, 1, 1, W) from `column_pattern`.
    """
    columns = (DETAIL_GAIN * pattern).view(-1, 1, pattern.shape[-1] // fold, fold)  # (N, 1, W / fold, fold)
    columns = columns.expand(-1, ir.shape[-2] // fold, -1, -1)
    planes = [folded(detail(ir), fold), F.avg_pool2d(ir, fold).permute(0, 2, 3, 1), columns]
    return torch.cat(planes, dim=-1).permute(0, 3, 1, 2)


def folded(x: Tensor, fold: int) -> Tensor:
    """(N, C, H, W) to (N, H / fold, W / fold, C * fold**2): pixel-unshuffle, channels last from the start."""
    n, c, height, width = x.shape
    cells = x.reshape(n, c, height // fold, fold, width // fold, fold).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(n, height // fold, width // fold, c * fold**2)


def unfolded(x: Tensor, fold: int) -> Tensor:
    """(N, C * fold**2, h, w), channels last, to (N, C, h * fold, w * fold) plane by plane: pixel-shuffle.

    Torch's own leaves channels last, which makes everything that is done with planes after it slow.
    """
    n, _, height, width = x.shape
    cells = x.permute(0, 2, 3, 1).reshape(n, height, width, -1, fold, fold).permute(0, 3, 1, 4, 2, 5)
    return cells.reshape(n, -1, height * fold, width * fold)


def luma(rgb: Tensor) -> Tensor:
    """(N, 3, h, w) to (N, 1, h, w), BT.601."""
    return (rgb * rgb.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def detail(x: Tensor) -> Tensor:
    """How much each pixel of (N, C, H, W) differs from the mean of the 5x5 around it, amplified."""
    total = sliding_sum(sliding_sum(F.pad(x, (2, 2, 2, 2), mode="reflect"), 5, dim=-1), 5, dim=-2)
    return DETAIL_GAIN * (x - total / 25)


def sliding_sum(x: Tensor, count: int, *, dim: int) -> Tensor:
    """Sums of `count` neighbours along one axis, which gets shorter; pooling takes ten times as long."""
    size = x.shape[dim] - count + 1
    total = x.narrow(dim, 0, size) + x.narrow(dim, 1, size)
    for i in range(2, count):
        total += x.narrow(dim, i, size)
    return total


def column_pattern(ir: Tensor, *, frames: int) -> Tensor:
    """How much each column differs from the columns around it, averaged over all rows and frames.

    Uncooled sensors write column stripes that stay fixed over a clip. Their estimate needs the whole column
    of the whole clip, which no stack of small convolutions sees.

    Args:
        ir: (B * T, 1, H, W).
        frames: T.

    Returns:
        (B * T, 1, 1, W), the same for all frames of a clip.
    """
    difference = (ir.float() - running_mean(ir.float())).clamp(-EDGE, EDGE)
    pattern = difference.unflatten(0, (-1, frames)).mean((1, 3), keepdim=True)  # (B, 1, 1, 1, W)
    return pattern.expand(-1, frames, -1, -1, -1).flatten(0, 1).to(ir.dtype)


def running_mean(x: Tensor, radius: int = 15) -> Tensor:
    """Mean over 2 * radius + 1 pixels along the last axis, fewer at the borders; one pass, any radius."""
    width = x.shape[-1]
    total = F.pad(x.cumsum(-1), (1, 0))
    column = torch.arange(width, device=x.device)
    left, right = (column - radius).clamp_min(0), (column + radius + 1).clamp_max(width)
    return (total[..., right] - total[..., left]) / (right - left)
