"""Metrics of structural similarity: SSIM and multi-scale SSIM of the fused frame with each source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Field, Floats, Frame, Image, Pair
from vfuse.metrics._windows import Real, Window, box, gaussian, halve, mean, strips
from vfuse.metrics.correlation import total

SIDE = 11
LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, Wang et al. 2003."""


GAUSSIAN = gaussian(SIDE, sigma=1.5)
BOX = box(7)


@dataclass(frozen=True)
class Local:
    """Pixels of an image with their moments in each window.

    Attributes:
        pixels: grey levels minus `level`, float32 or float64.
        level: taken off, as no variance depends on it but rounding errors do.
        mean: of `pixels`, likewise.
        squared_mean: the square of the mean grey level, float32.
        variance: float32.
    """

    pixels: Field | Floats
    level: int
    mean: Field | Floats
    squared_mean: Field
    variance: Field


@dataclass(frozen=True)
class Common:
    """Of two images in each window: product of their means, and covariance, float32."""

    mean: Field
    covariance: Field


@dataclass(frozen=True)
class Terms:
    """Mean of the SSIM map, and of its contrast-structure part alone."""

    whole: float
    structure: float


def local(pixels: Real, window: Window, *, level: int = 0, padded: bool = False) -> Local:
    """Moments in each window; `level` is what was taken off the pixels."""
    average = mean(pixels, window, padded=padded)
    squares = mean(cast("Real", pixels * pixels), window, padded=padded)
    square, variance = _parted(average, average, squares, levels=(level, level))
    return Local(pixels, level, average, square, variance)


def common(x: Local, f: Local, window: Window, *, padded: bool = False) -> Common:
    """What two images have in common in each window."""
    products = mean(cast("Floats", x.pixels * f.pixels), window, padded=padded)
    return Common(*_parted(x.mean, f.mean, products, levels=(x.level, f.level)))


def covariance(x: Local, f: Local, window: Window) -> Field:
    """Of two images in each window."""
    products = mean(cast("Field", x.pixels * f.pixels), window)
    for rows in strips(len(products)):
        products[rows] -= x.mean[rows] * f.mean[rows]
    return products


def _parted(
    x: Field | Floats, f: Field | Floats, products: Field | Floats, *, levels: tuple[int, int]
) -> tuple[Field, Field]:
    """The product of both mean grey levels, and what the mean of products has beyond that of its factors."""
    of_means, beyond = (np.empty(products.shape, dtype=np.float32) for _ in range(2))
    for rows in strips(len(products)):
        np.subtract(products[rows], x[rows] * f[rows], out=beyond[rows], casting="same_kind")
        np.multiply(x[rows] + levels[0], f[rows] + levels[1], out=of_means[rows], casting="same_kind")
    return of_means, beyond


def mean_level(image: Image) -> int:
    """Mean grey level, rounded."""
    return round(image.once(total) / image.grey.size)


def centred(image: Image) -> Field:
    """Grey levels minus their mean one, exact in float32."""
    return image.grey.astype(np.float32) - image.once(mean_level)


def finer(image: Image) -> Local:
    """Moments in an 11 x 11 Gaussian window of sigma 1.5, windows inside the image only."""
    return local(image.once(centred), GAUSSIAN, level=image.once(mean_level))


def coarser(image: Image) -> list[Local]:
    """The same on scales 2 to 5, each the mean of 2 x 2 pixels of the one before, as far as a window fits."""
    pixels = image.once(centred)
    levels: list[Local] = []
    while len(levels) < len(LEVEL_WEIGHTS) - 1 and min(pixels.shape) >= 2 * SIDE:
        pixels = halve(pixels)
        levels.append(local(pixels, GAUSSIAN, level=image.once(mean_level)))
    return levels


def finer_common(pair: Pair) -> Common:
    """What source and fused have in common at full size."""
    return common(pair.source.once(finer), pair.fused.once(finer), GAUSSIAN)


def coarser_common(pair: Pair) -> list[Common]:
    """The same on scales 2 to 5."""
    levels = zip(pair.source.once(coarser), pair.fused.once(coarser), strict=True)
    return [common(x, f, GAUSSIAN) for x, f in levels]


def _similarity(x: Local, f: Local, both: Common, *, peak: float = 255, correction: float = 1) -> Terms:
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    whole = part = 0.0
    for rows in strips(len(both.mean)):
        structure = both.covariance[rows] * (2 * correction)
        structure += c2
        spread = x.variance[rows] + f.variance[rows]
        spread *= correction
        spread += c2
        structure /= spread
        part += cv2.sumElems(structure)[0]
        luminance = both.mean[rows] * 2
        luminance += c1
        np.add(x.squared_mean[rows], f.squared_mean[rows], out=spread)
        spread += c1
        luminance /= spread
        luminance *= structure
        whole += cv2.sumElems(luminance)[0]
    return Terms(whole=whole / both.mean.size, structure=part / both.mean.size)


def finest(pair: Pair) -> Terms:
    """SSIM at full size."""
    return _similarity(pair.source.once(finer), pair.fused.once(finer), pair.once(finer_common))


def multi_scale(pair: Pair) -> float:
    """Product over five scales of contrast-structure^weight, with the luminance on the coarsest; a negative
    mean counts as 0."""
    terms = [pair.once(finest)]
    levels = zip(pair.source.once(coarser), pair.fused.once(coarser), strict=True)
    for (x, f), both in zip(levels, pair.once(coarser_common), strict=True):
        terms.append(_similarity(x, f, both))
    factors = [term.structure for term in terms[:-1]] + [terms[-1].whole]
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
    return _sum_over_sources(frame, lambda pair: pair.once(finest).whole) / 2


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
    fused = local(frame.fused.values, GAUSSIAN, padded=True)

    def similarity(pair: Pair) -> float:
        source = local(pair.source.values, GAUSSIAN, padded=True)
        both = common(source, fused, GAUSSIAN, padded=True)
        return _similarity(source, fused, both, peak=1).whole

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
    fused = local(frame.fused.values, BOX)

    def similarity(pair: Pair) -> float:
        source = local(pair.source.values, BOX)
        both = common(source, fused, BOX)
        return _similarity(source, fused, both, peak=2, correction=49 / 48).whole

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
