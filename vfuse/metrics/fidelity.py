"""Visual information fidelity (Sheikh & Bovik 2006, pixel domain), from separable windows, moments shared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Floats, Frame, Image, Pair
from vfuse.metrics._windows import Real, gaussian, mean, strips

WINDOWS = (17, 9, 5, 3)
"""Side of the Gaussian window at each scale; its sigma is a fifth of it."""
NOISE = 2.0
"""Variance of the visual noise, for pixels in 0..255."""
TINY = 1e-10
FACTORS = 16
"""Factors up to 1e15 whose product is below float64's limit."""
MIN_SIDE = 41
"""Below this the fourth scale is smaller than its window."""


@dataclass(frozen=True)
class Scale:
    """One image at one scale: its pixels, and its mean and variance in every window that lies inside."""

    pixels: Floats
    mean: Floats
    variance: Floats


def smooth(pixels: Real, window: int) -> Real:
    """Gaussian average over every window that lies inside the image."""
    return mean(pixels, gaussian(window, sigma=window / 5))


def halved(pixels: Floats, window: int) -> Floats:
    """Every second of these averages along each axis. They enter no difference of nearly equal numbers, so
    float32 does."""
    return smooth(pixels.astype(np.float32), window)[::2, ::2].astype(np.float64)


def _scale(pixels: Floats, window: int, square: Floats) -> Scale:
    average = smooth(pixels, window)
    variance = smooth(square, window)
    for rows in strips(len(average)):
        variance[rows] -= average[rows] ** 2
    seen = cv2.threshold(variance, TINY, 0, cv2.THRESH_TOZERO)[1]
    return Scale(pixels=pixels, mean=average, variance=np.asarray(seen, dtype=np.float64))


def scales(image: Image) -> list[Scale]:
    """The image at four scales, each smoothed and halved from the one before."""
    return _pyramid(image, saturate=False)


def scales_u8(image: Image) -> list[Scale]:
    """The same with squares saturating at 255 on the first scale, as uint8 arithmetic does."""
    return _pyramid(image, saturate=True)


def _pyramid(image: Image, *, saturate: bool) -> list[Scale]:
    pixels = image.values
    levels: list[Scale] = []
    for window in WINDOWS:
        if levels:
            pixels = halved(pixels, window)
        square = np.minimum(pixels * pixels, 255) if saturate and not levels else pixels * pixels
        levels.append(_scale(pixels, window, square))
    return levels


def _information(source: list[Scale]) -> float:
    return sum(
        _log_sum(1 + level.variance[rows] / NOISE) for level in source for rows in strips(len(level.variance))
    )


def _log_sum(values: Floats) -> float:
    """Sum of the logarithms of values in 1…1e15, (H, W): as many rows as float64 can hold are multiplied."""
    pieces = (values[start : start + FACTORS] for start in range(0, len(values), FACTORS))
    return sum(float(np.log(np.multiply.reduce(piece, axis=0)).sum()) for piece in pieces)


def source_information(image: Image) -> float:
    """What the eye can extract from the source alone, in nats."""
    return _information(image.once(scales))


def _kept(x: Scale, f: Scale, cross: Floats) -> float:
    """Information of x that survives in f at one scale; `cross` is the windowed mean of their product."""
    return sum(_kept_in(x, f, cross, rows) for rows in strips(len(cross)))


def _kept_in(x: Scale, f: Scale, cross: Floats, rows: slice) -> float:
    shared = cross[rows] - x.mean[rows] * f.mean[rows]
    np.maximum(shared, 0, out=shared)
    shared *= shared
    shared /= x.variance[rows] + TINY  # what of f's variance x explains; nothing where either is flat
    rest = f.variance[rows] - shared
    np.maximum(rest, TINY, out=rest)
    rest += NOISE
    shared /= rest
    shared += 1
    return _log_sum(shared)


def fidelity(pair: Pair) -> float:
    """VIF of one source in the fused frame; 1 for a source without any variance, flagged."""
    whole = pair.source.once(source_information)
    if whole == 0:
        pair.flag("vif")
        return 1.0
    levels = zip(pair.source.once(scales), pair.fused.once(scales), WINDOWS, strict=True)
    return sum(_kept(x, f, smooth(x.pixels * f.pixels, window)) for x, f, window in levels) / whole


def fidelity_u8(pair: Pair) -> float:
    """The same from uint8 products that saturate at 255 on the first scale."""
    source, fused = pair.source.once(scales_u8), pair.fused.once(scales_u8)
    whole = _information(source)
    if whole == 0:
        pair.flag("vif_u8")
        return 1.0
    kept = 0.0
    for number, (x, f, window) in enumerate(zip(source, fused, WINDOWS, strict=True)):
        product = x.pixels * f.pixels
        kept += _kept(x, f, smooth(np.minimum(product, 255) if number == 0 else product, window))
    return kept / whole


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…2, more when contrast is raised",
    source="Sheikh & Bovik 2006, pixel domain, four scales; the source is the reference, summed over both",
    min_side=MIN_SIDE,
)
def vif(frame: Frame) -> float:
    """Visual information fidelity. A constant source counts 1 and is flagged."""
    return sum(pair.once(fidelity) for pair in frame.pairs)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…2",
    source="fusion tables of 2021-22: uint8 products saturate at 255",
    variant_of="vif",
    min_side=MIN_SIDE,
)
def vif_u8(frame: Frame) -> float:
    """`vif` from uint8 products. Not comparable with any other VIF."""
    return sum(pair.once(fidelity_u8) for pair in frame.pairs)
