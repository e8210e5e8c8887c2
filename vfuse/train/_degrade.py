"""Degradations of a clip, one draw of the strengths per clip, as measured on real degraded pairs.

Infrared: a tone change (sensor output before contrast enhancement), column stripes that stay fixed over the
clip, noise that is new in every frame, sometimes a smooth bias field. Visible: Gaussian or motion blur with
one width per clip, a slightly brighter tone, sometimes noise. The family is that of the generator which the
VideoFusion paper cites; the ranges are those measured on the released frames of M3SVD.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Ranges at full strength, in grey levels of 255 unless said otherwise; drawn once per clip."""

    stripes: tuple[float, float] = (6.0, 12.0)
    noise: tuple[float, float] = (8.0, 15.0)
    gamma: tuple[float, float] = (0.5, 0.85)
    offset: tuple[float, float] = (0.0, 25.0)
    bias: tuple[float, float] = (0.0, 20.0)
    bias_chance: float = 0.2
    blur: tuple[float, float] = (0.9, 2.1)  # sigma, pixels
    motion: tuple[float, float] = (3.0, 9.0)  # length, pixels
    motion_chance: float = 0.1
    vis_gamma: tuple[float, float] = (0.86, 1.0)
    vis_offset: tuple[float, float] = (0.0, 8.0)
    vis_noise: tuple[float, float] = (1.0, 6.0)
    vis_noise_chance: float = 0.3


def degrade_infrared(ir: Tensor, strength: float, *, rng: Generator, ranges: Ranges = Ranges()) -> Tensor:
    """Degrade a clip (T, 1, H, W) in [0, 1]; strength 0 returns it unchanged, 1 equals the real data's.

    The result is rounded to 8 bits, as a camera delivers it.
    """
    if strength == 0:
        return ir
    height, width = ir.shape[-2:]
    gamma, offset = uniform(ranges.gamma, rng), uniform(ranges.offset, rng) / 255
    weight = min(strength, 1.0)
    y = (1 - weight) * ir + weight * (ir.clamp_min(1e-4) ** gamma * (1 - offset) + offset)
    stripes = torch.randn(1, 1, 1, width, generator=rng) * (strength * uniform(ranges.stripes, rng) / 255)
    noise = torch.randn(ir.shape, generator=rng) * (strength * uniform(ranges.noise, rng) / 255)
    y = y + stripes + noise
    if uniform((0, 1), rng) < ranges.bias_chance:
        y = y + strength * uniform(ranges.bias, rng) / 255 * smooth_field(height, width, rng=rng)
    return quantise(y)


def degrade_visible(vis: Tensor, strength: float, *, rng: Generator, ranges: Ranges = Ranges()) -> Tensor:
    """Degrade a clip (T, 3, H, W) in [0, 1]; strength 0 returns it unchanged, 1 equals the real data's."""
    if strength == 0:
        return vis
    gamma, offset = uniform(ranges.vis_gamma, rng), uniform(ranges.vis_offset, rng) / 255
    weight = min(strength, 1.0)
    y = (1 - weight) * vis + weight * (vis.clamp_min(1e-4) ** gamma * (1 - offset) + offset)
    if uniform((0, 1), rng) < ranges.motion_chance:
        y = motion_blur(y, strength * uniform(ranges.motion, rng), angle=uniform((0, math.pi), rng))
    else:
        y = gaussian_blur(y, strength * uniform(ranges.blur, rng))
    if uniform((0, 1), rng) < ranges.vis_noise_chance:
        y = y + torch.randn(y.shape, generator=rng) * (strength * uniform(ranges.vis_noise, rng) / 255)
    return quantise(y)


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Blur (T, C, H, W) with an isotropic Gaussian of 8 sigma, borders reflected."""
    radius = max(1, math.ceil(4 * sigma))
    n = torch.arange(-radius, radius + 1, dtype=x.dtype)
    kernel = torch.exp(-n.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.pad(x, (radius,) * 4, mode="reflect")
    x = F.conv2d(x, kernel, groups=x.shape[1])
    return F.conv2d(x, kernel.transpose(2, 3), groups=x.shape[1])


def motion_blur(x: Tensor, length: float, *, angle: float) -> Tensor:
    """Blur (T, C, H, W) along a straight line of `length` pixels at `angle` radians, borders reflected."""
    radius = max(1, math.ceil(length / 2))
    n = torch.arange(-radius, radius + 1, dtype=x.dtype)
    y, xx = torch.meshgrid(n, n, indexing="ij")
    along = xx * math.cos(angle) + y * math.sin(angle)
    across = -xx * math.sin(angle) + y * math.cos(angle)
    kernel = (1 - across.abs()).clamp_min(0) * (length / 2 + 0.5 - along.abs()).clamp(0, 1)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (radius,) * 4, mode="reflect"), kernel, groups=x.shape[1])


def smooth_field(height: int, width: int, *, rng: Generator) -> Tensor:
    """A smooth map (1, 1, H, W) in [-0.5, 0.5], fixed over a clip: lens heating and vignetting."""
    coarse = torch.rand(1, 1, 3, 3, generator=rng) - 0.5
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True).clamp(-0.5, 0.5)


def quantise(x: Tensor) -> Tensor:
    """Round to 8 bits inside [0, 1]."""
    return (x.clamp(0, 1) * 255).round() / 255


def uniform(bounds: tuple[float, float], rng: Generator) -> float:
    """One draw from [low, high)."""
    low, high = bounds
    return low + (high - low) * float(torch.rand((), generator=rng))
