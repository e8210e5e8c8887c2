"""Degradations of a clip: drawn once into a record of what stays, then applied to a clip or frame by frame.

Infrared: a tone change (sensor output before contrast enhancement), column stripes that stay fixed over the
clip, noise that is new in every frame, sometimes a smooth bias field, row patterns, line noise. Visible:
Gaussian or motion blur with one width per clip, a slightly brighter tone, sometimes noise or low light.
Either may have been compressed after that. The family is that of the generator which the VideoFusion paper
cites; the ranges are those measured on the released frames of M3SVD, and what those frames do not show (rows,
lines, low light, compression) has the chance 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vfuse.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Ranges at full strength, in grey levels of 255 unless said otherwise; drawn once per clip."""

    stripes: tuple[float, float] = (6.0, 12.0)
    noise: tuple[float, float] = (8.0, 15.0)
    gamma: tuple[float, float] = (0.5, 0.85)
    offset: tuple[float, float] = (0.0, 25.0)
    bias: tuple[float, float] = (0.0, 20.0)
    bias_chance: float = 0.2
    rows: tuple[float, float] = (2.0, 12.0)
    rows_chance: float = 0.0
    lines: tuple[float, float] = (2.0, 12.0)
    lines_chance: float = 0.0
    blur: tuple[float, float] = (0.9, 2.1)  # sigma, pixels
    motion: tuple[float, float] = (3.0, 9.0)  # length, pixels
    motion_chance: float = 0.1
    vis_gamma: tuple[float, float] = (0.86, 1.0)
    vis_offset: tuple[float, float] = (0.0, 8.0)
    vis_noise: tuple[float, float] = (1.0, 6.0)
    vis_noise_chance: float = 0.3
    dark: tuple[float, float] = (0.15, 0.5)  # share of the light that is left
    dark_chance: float = 0.0
    quality: tuple[float, float] = (30.0, 95.0)  # of a JPEG, percent
    compressed_chance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """What happens to every frame of one clip, in this order: tone, light, blur, pattern, noise, compression.

    Attributes:
        tone: share of the changed tone x**gamma * (1 - offset) + offset, its gamma and its offset in [0, 1].
        light: factor on the brightness.
        sigma: of a Gaussian blur, in pixels; 0 is none.
        motion: length of a straight motion blur in pixels (0 is none) and its angle in radians.
        pattern: what is added to every frame alike, broadcast to (1, H, W): stripes, rows, bias; or None.
        noise, lines: standard deviation of what is new in every frame, for each value and for each row.
        quality: of the JPEG that every frame becomes, in percent; 0 leaves it as it is.
    """

    tone: tuple[float, float, float] = (0.0, 1.0, 0.0)
    light: float = 1.0
    sigma: float = 0.0
    motion: tuple[float, float] = (0.0, 0.0)
    pattern: Tensor | None = None
    noise: float = 0.0
    lines: float = 0.0
    quality: int = 0


def draw_infrared(
    size: tuple[int, int], strength: float, *, rng: Generator, ranges: Ranges = Ranges()
) -> Degradation:
    """What the real infrared of M3SVD suffers, for frames of (height, width); strength 1 is as strong."""
    tone = _tone(ranges.gamma, ranges.offset, strength, rng)
    pattern = _stripes(size, strength, rng, ranges)
    noise = strength * uniform(ranges.noise, rng) / 255
    if happens(ranges.bias_chance, rng):
        pattern = pattern + _bias(size, strength, rng, ranges)
    if happens(ranges.rows_chance, rng):
        pattern = pattern + _rows(size, strength, rng, ranges)
    lines = strength * uniform(ranges.lines, rng) / 255 if happens(ranges.lines_chance, rng) else 0.0
    quality = _quality(strength, rng, ranges) if happens(ranges.compressed_chance, rng) else 0
    return Degradation(tone=tone, pattern=pattern, noise=noise, lines=lines, quality=quality)


def draw_visible(strength: float, *, rng: Generator, ranges: Ranges = Ranges()) -> Degradation:
    """What the real visible of M3SVD suffers, and rarely motion blur and noise; strength 1 is as strong."""
    tone = _tone(ranges.vis_gamma, ranges.vis_offset, strength, rng)
    light = uniform(ranges.dark, rng) ** strength if happens(ranges.dark_chance, rng) else 1.0
    moved = happens(ranges.motion_chance, rng)
    motion = (strength * uniform(ranges.motion, rng), uniform((0, math.pi), rng)) if moved else (0.0, 0.0)
    sigma = 0.0 if moved else strength * uniform(ranges.blur, rng)
    noisy = happens(ranges.vis_noise_chance, rng)
    noise = strength * uniform(ranges.vis_noise, rng) / 255 if noisy else 0.0
    quality = _quality(strength, rng, ranges) if happens(ranges.compressed_chance, rng) else 0
    return Degradation(tone=tone, light=light, motion=motion, sigma=sigma, noise=noise, quality=quality)


def _tone(
    gamma: tuple[float, float], offset: tuple[float, float], strength: float, rng: Generator
) -> tuple[float, float, float]:
    return min(strength, 1.0), uniform(gamma, rng), uniform(offset, rng) / 255


def _stripes(size: tuple[int, int], strength: float, rng: Generator, ranges: Ranges) -> Tensor:
    return torch.randn(1, 1, size[1], generator=rng) * (strength * uniform(ranges.stripes, rng) / 255)


def _rows(size: tuple[int, int], strength: float, rng: Generator, ranges: Ranges) -> Tensor:
    return torch.randn(1, size[0], 1, generator=rng) * (strength * uniform(ranges.rows, rng) / 255)


def _bias(size: tuple[int, int], strength: float, rng: Generator, ranges: Ranges) -> Tensor:
    return strength * uniform(ranges.bias, rng) / 255 * smooth_field(*size, rng=rng)


def _quality(strength: float, rng: Generator, ranges: Ranges) -> int:
    return max(1, round(100 - strength * (100 - uniform(ranges.quality, rng))))


Draw = Callable[[tuple[int, int], float, Generator, Ranges], Degradation]

KINDS: dict[str, Draw] = {
    "ir": lambda size, s, rng, r: draw_infrared(size, s, rng=rng, ranges=r),
    "vis": lambda size, s, rng, r: draw_visible(s, rng=rng, ranges=r),
    "stripes": lambda size, s, rng, r: Degradation(pattern=_stripes(size, s, rng, r)),
    "rows": lambda size, s, rng, r: Degradation(pattern=_rows(size, s, rng, r)),
    "bias": lambda size, s, rng, r: Degradation(pattern=_bias(size, s, rng, r)),
    "noise": lambda size, s, rng, r: Degradation(noise=s * uniform(r.noise, rng) / 255),
    "lines": lambda size, s, rng, r: Degradation(lines=s * uniform(r.lines, rng) / 255),
    "tone": lambda size, s, rng, r: Degradation(tone=_tone(r.gamma, r.offset, s, rng)),
    "dark": lambda size, s, rng, r: Degradation(light=uniform(r.dark, rng) ** s),
    "blur": lambda size, s, rng, r: Degradation(sigma=s * uniform(r.blur, rng)),
    "compression": lambda size, s, rng, r: Degradation(quality=_quality(s, rng, r)),
    "motion": lambda size, s, rng, r: Degradation(
        motion=(s * uniform(r.motion, rng), uniform((0, math.pi), rng))
    ),
}
"""What a user can ask for by name: the mixtures of the real data, and each component alone."""


def draw(
    kinds: Sequence[str],
    size: tuple[int, int],
    strength: float,
    *,
    rng: Generator,
    ranges: Ranges = Ranges(),
) -> tuple[Degradation, ...]:
    """One draw for each kind, to be applied one after the other.

    Raises:
        UsageError: an unknown kind; lists those there are.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"unknown degradation {unknown[0]!r}", todo=f"Known: {', '.join(KINDS)}")
    return tuple(KINDS[kind](size, strength, rng, ranges) for kind in kinds) if strength else ()


def apply(degradation: Degradation, clip: Tensor, *, rng: Generator) -> Tensor:
    """Degrade (T, C, H, W) in [0, 1] and round it to 8 bits, as a camera delivers it.

    The noise is drawn frame by frame: a clip gives what its frames give one by one with the same generator.
    """
    d, (share, gamma, offset) = degradation, degradation.tone
    y = clip
    if share:
        y = (1 - share) * y + share * (y.clamp_min(1e-4) ** gamma * (1 - offset) + offset)
    y = y * d.light
    if d.motion[0]:
        y = motion_blur(y, d.motion[0], angle=d.motion[1])
    if d.sigma:
        y = gaussian_blur(y, d.sigma)
    if d.pattern is not None:
        y = y + d.pattern
    if d.noise or d.lines:
        y = y + torch.stack([_fresh(d, frame.shape, rng) for frame in clip])
    y = quantise(y)
    return torch.stack([compressed(frame, d.quality) for frame in y]) if d.quality else y


def _fresh(degradation: Degradation, shape: torch.Size, rng: Generator) -> Tensor:
    """What is new in one frame (C, H, W)."""
    noise = torch.randn(shape, generator=rng) * degradation.noise if degradation.noise else torch.zeros(shape)
    if not degradation.lines:
        return noise
    return noise + torch.randn(1, shape[1], 1, generator=rng) * degradation.lines


def degrade_infrared(ir: Tensor, strength: float, *, rng: Generator, ranges: Ranges = Ranges()) -> Tensor:
    """Degrade a clip (T, 1, H, W) in [0, 1]; strength 0 returns it unchanged, 1 equals the real data's."""
    if strength == 0:
        return ir
    height, width = ir.shape[-2:]
    return apply(draw_infrared((height, width), strength, rng=rng, ranges=ranges), ir, rng=rng)


def degrade_visible(vis: Tensor, strength: float, *, rng: Generator, ranges: Ranges = Ranges()) -> Tensor:
    """Degrade a clip (T, 3, H, W) in [0, 1]; strength 0 returns it unchanged, 1 equals the real data's."""
    if strength == 0:
        return vis
    return apply(draw_visible(strength, rng=rng, ranges=ranges), vis, rng=rng)


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Blur (T, C, H, W) with an isotropic Gaussian of 8 sigma, borders reflected."""
    radius = min(max(1, math.ceil(4 * sigma)), min(x.shape[-2:]) - 1)
    n = torch.arange(-radius, radius + 1, dtype=x.dtype)
    kernel = torch.exp(-n.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.pad(x, (radius,) * 4, mode="reflect")
    x = F.conv2d(x, kernel, groups=x.shape[1])
    return F.conv2d(x, kernel.transpose(2, 3), groups=x.shape[1])


def motion_blur(x: Tensor, length: float, *, angle: float) -> Tensor:
    """Blur (T, C, H, W) along a straight line of `length` pixels at `angle` radians, borders reflected."""
    radius = min(max(1, math.ceil(length / 2)), min(x.shape[-2:]) - 1)
    n = torch.arange(-radius, radius + 1, dtype=x.dtype)
    y, xx = torch.meshgrid(n, n, indexing="ij")
    along = xx * math.cos(angle) + y * math.sin(angle)
    across = -xx * math.sin(angle) + y * math.cos(angle)
    kernel = (1 - across.abs()).clamp_min(0) * (length / 2 + 0.5 - along.abs()).clamp(0, 1)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (radius,) * 4, mode="reflect"), kernel, groups=x.shape[1])


def compressed(frame: Tensor, quality: int) -> Tensor:
    """(1 or 3, H, W) in [0, 1] after a JPEG, whose blocks stand for those of a video codec."""
    pixels = (frame * 255).round().byte().permute(1, 2, 0).numpy()
    _, jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    grey = frame.shape[0] == 1
    read = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    assert read is not None, "what was just written can be read"
    planes = read[None] if grey else read[..., ::-1].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes)).float() / 255


def smooth_field(height: int, width: int, *, rng: Generator) -> Tensor:
    """A smooth map (1, H, W) in [-0.5, 0.5], fixed over a clip: lens heating and vignetting."""
    coarse = torch.rand(1, 1, 3, 3, generator=rng) - 0.5
    field = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    return field[0].clamp(-0.5, 0.5)


def quantise(x: Tensor) -> Tensor:
    """Round to 8 bits inside [0, 1]."""
    return (x.clamp(0, 1) * 255).round() / 255


def uniform(bounds: tuple[float, float], rng: Generator) -> float:
    """One draw from [low, high)."""
    low, high = bounds
    return low + (high - low) * float(torch.rand((), generator=rng))


def happens(chance: float, rng: Generator) -> bool:
    """Whether an event of this chance happens; draws a number either way."""
    return uniform((0, 1), rng) < chance
