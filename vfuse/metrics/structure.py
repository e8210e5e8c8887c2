"""Metrics of structural similarity: SSIM and multi-scale SSIM of the fused frame with each source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Floats, Frame, Image, Pair
from vfuse.metrics._windows import box, gaussian, halve, mean

SIDE = 11
LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, Wang et al. 2003."""


GAUSSIAN = gaussian(SIDE, sigma=1.5)
BOX = box(7)


@dataclass(frozen=True)
class Local:
    """Pixels of an image with their mean and variance in each window."""

    pixels: Floats
    mean: Floats
    variance: Floats


def _local(pixels: Floats, kernel: Floats, *, padded: bool = False) -> Local:
    average = mean(pixels, kernel, padded=padded)
    square = mean(pixels * pixels, kernel, padded=padded)
    return Local(pixels=pixels, mean=average, variance=square - average * average)


def finer(image: Image) -> Local:
    """Moments in an 11 x 11 Gaussian window of sigma 1.5, windows inside the image only."""
    return _local(image.values, GAUSSIAN)


def coarser(image: Image) -> list[Local]:
    """The same on scales 2 to 5, each the mean of 2 x 2 pixels of the one before."""
    pixels = image.values
    levels: list[Local] = []
    for _ in LEVEL_WEIGHTS[1:]:
        pixels = halve(pixels)
        levels.append(_local(pixels, GAUSSIAN))
    return levels


def _similarity(
    x: Local, f: Local, kernel: Floats, *, peak: float = 255, correction: float = 1, padded: bool = False
) -> tuple[float, float]:
    """Mean SSIM, and mean of its contrast-structure part; `correction` turns into sample moments."""
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    means = x.mean * f.mean
    covariance = (mean(x.pixels * f.pixels, kernel, padded=padded) - means) * correction
    structure = (2 * covariance + c2) / ((x.variance + f.variance) * correction + c2)
    luminance = (2 * means + c1) / (x.mean * x.mean + f.mean * f.mean + c1)
    return float(np.mean(luminance * structure)), float(structure.mean())


def finest(pair: Pair) -> tuple[float, float]:
    """SSIM and its contrast-structure part at full size."""
    return _similarity(pair.source.once(finer), pair.fused.once(finer), GAUSSIAN)


def multi_scale(pair: Pair) -> float:
    """Product over five scales of contrast-structure^weight, with the luminance on the coarsest; a negative
    mean counts as 0."""
    terms = [pair.once(finest)]
    for x, f in zip(pair.source.once(coarser), pair.fused.once(coarser), strict=True):
        terms.append(_similarity(x, f, GAUSSIAN))
    factors = [structure for _, structure in terms[:-1]] + [terms[-1][0]]
    powers = zip(factors, LEVEL_WEIGHTS, strict=True)
    return float(np.prod([max(factor, 0) ** weight for factor, weight in powers]))


def _sum_over_sources(frame: Frame, similarity: Callable[[Pair], float]) -> float:
    return sum(similarity(pair) for pair in frame.pairs)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-1…1",
    source="Wang et al. 2004: 11 x 11 Gaussian, sigma 1.5, L = 255, windows inside; mean of both",
    min_side=SIDE,
)
def ssim(frame: Frame) -> float:
    """Structural similarity with the sources. Equal images, constant ones too, have 1."""
    return _sum_over_sources(frame, lambda pair: pair.once(finest)[0]) / 2


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-2…2",
    source="VIFB: summed over the sources",
    variant_of="ssim",
    min_side=SIDE,
)
def ssim_sum(frame: Frame) -> float:
    """Twice `ssim`."""
    return 2 * ssim(frame)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-1…1",
    source="evaluation in circulation: L = 1 on pixels in 0..255, border replicated",
    variant_of="ssim",
    min_side=SIDE,
)
def ssim_l1(frame: Frame) -> float:
    """`ssim` with the constants of [0, 1] images on 0..255, so that rounding rules in flat areas."""
    fused = _local(frame.fused.values, GAUSSIAN, padded=True)

    def similarity(pair: Pair) -> float:
        source = _local(pair.source.values, GAUSSIAN, padded=True)
        return _similarity(source, fused, GAUSSIAN, peak=1, padded=True)[0]

    return _sum_over_sources(frame, similarity) / 2


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-2…2",
    source="CDDFuse evaluator: 7 x 7 box, L = 2, sample covariance, summed",
    variant_of="ssim",
    min_side=7,
)
def ssim_cdd(frame: Frame) -> float:
    """`ssim` in the CDDFuse evaluator's convention."""
    fused = _local(frame.fused.values, BOX)

    def similarity(pair: Pair) -> float:
        return _similarity(_local(pair.source.values, BOX), fused, BOX, peak=2, correction=49 / 48)[0]

    return _sum_over_sources(frame, similarity)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…1",
    source="Wang et al. 2003: five scales, L = 255; mean of both sources",
    min_side=SIDE * 16,
)
def ms_ssim(frame: Frame) -> float:
    """Multi-scale structural similarity with the sources."""
    return _sum_over_sources(frame, lambda pair: pair.once(multi_scale)) / 2
