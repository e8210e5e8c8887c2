"""MEF-SSIM (Ma, Zeng & Wang 2015): is the fused patch the strongest structure the two sources offer?"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._elementwise import exp, log, tan
from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Field, Frame, Sources
from vfuse.metrics._windows import strips
from vfuse.metrics.structure import (
    GAUSSIAN,
    SIDE,
    Common,
    Local,
    coarser,
    coarser_common,
    covariance,
    finer,
    finer_common,
)

Whole = NDArray[np.int32]

STABILISER = (0.03 * 255) ** 2
STEEPEST = np.arctan(10.0)
"""Angle whose tangent is the greatest power."""
LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001)
RIM = SIDE // 2
FLOOR = 0.001 / SIDE
"""Added to the strength of every patch, which is its standard deviation here; in the paper its norm."""


@dataclass(frozen=True)
class Desired:
    """The patch that is wanted around each pixel, as factors of both sources without their mean.

    Attributes:
        of_ir: factor of the infrared's patch.
        of_vis: factor of the visible's patch.
        variance: of the wanted patch in the Gaussian window.
    """

    of_ir: Field
    of_vis: Field
    variance: Field


def desired(sources: Sources) -> list[Desired]:
    """Wanted patches on three scales, which depend on the sources alone."""
    levels = ([image.once(finer), *image.once(coarser)] for image in (sources.ir, sources.vis))
    scales = range(len(LEVEL_WEIGHTS))
    return [_desired(a, b, 4**scale) for a, b, scale in zip(*levels, scales, strict=False)]


def _desired(a: Local, b: Local, pixels: int) -> Desired:
    """At the scale whose grey levels are means of so many pixels."""
    ir, vis = (((image.pixels + image.level) * pixels).astype(np.int32) for image in (a, b))
    sums = [_box_sum(plane) for plane in (ir, vis, ir * ir, vis * vis, ir * vis)]
    gaussian = covariance(a, b, GAUSSIAN)
    found = Desired(*(np.empty_like(gaussian) for _ in range(3)))
    for rows in strips(len(gaussian)):
        of_ir, of_vis = _factors(*_box_moments([total[rows] for total in sums], pixels))
        found.of_ir[rows], found.of_vis[rows] = of_ir, of_vis
        variance = of_ir * of_ir * a.variance[rows]
        variance += of_vis * of_vis * b.variance[rows]
        of_ir *= of_vis
        of_ir *= 2
        of_ir *= gaussian[rows]
        variance += of_ir
        found.variance[rows] = variance
    return found


def _box_sum(numbers: Whole) -> Whole:
    """Sum over the box at every place where it lies inside: exact, and in half the time of floats."""
    found = cv2.boxFilter(numbers, cv2.CV_32S, (SIDE, SIDE), normalize=False)
    return np.asarray(found, dtype=np.int32)[RIM:-RIM, RIM:-RIM]


def _box_moments(sums: list[Whole], pixels: int) -> list[Field]:
    """Variances and covariance in a box from the sums of x, y, xx, yy and xy, exact until rounded."""
    x, y, *products = (total.astype(np.float64) for total in sums)
    size = SIDE * SIDE
    moments: list[Field] = []
    for product, of_sums in zip(products, (x * x, y * y, x * y), strict=True):
        product *= size
        product -= of_sums
        product *= (size * pixels) ** -2
        moments.append(product.astype(np.float32))
    return moments


def _factors(aa: Field, bb: Field, ab: Field) -> tuple[Field, Field]:
    """From the sources' variances and covariance in a box to the factors of the wanted patch.

    It points along the weighted mean of the two unit patches and is as strong as the stronger one; the weight
    of a strong patch grows with the consistency of both.
    """
    twice = 2 * ab
    a, b = np.sqrt(aa), np.sqrt(bb)
    a += FLOOR
    b += FLOOR
    consistency = np.sqrt(np.maximum(aa + bb + twice, 0))
    consistency /= a + b
    consistency *= np.pi / 2
    power = tan(np.minimum(consistency, STEEPEST, out=consistency))
    # A common factor of both weights cancels: the stronger patch has 1. exp of log is faster than **.
    stronger, weaker = np.maximum(a, b), np.minimum(a, b)
    weaker /= stronger
    weight = exp(log(weaker) * power)
    along_a, along_b = np.where(a < b, weight, 1), np.where(b < a, weight, 1)
    along_a /= a
    along_b /= b
    squared = along_a * along_a * aa
    squared += along_b * along_b * bb
    squared += along_a * along_b * twice
    length = np.sqrt(np.maximum(squared, 0))
    length[length == 0] = np.inf
    stronger /= length
    along_a *= stronger
    along_b *= stronger
    return along_a, along_b


def _quality(wanted: Desired, fused: Local, with_ir: Common, with_vis: Common) -> float:
    """Mean similarity of the fused patches with the wanted ones at one scale."""
    total = 0.0
    for rows in strips(len(wanted.variance)):
        both = wanted.of_ir[rows] * with_ir.covariance[rows]
        both += wanted.of_vis[rows] * with_vis.covariance[rows]
        both *= 2
        both += STABILISER
        spread = wanted.variance[rows] + fused.variance[rows]
        spread += STABILISER
        both /= spread
        total += cv2.sumElems(both)[0]
    return total / wanted.variance.size


def qualities(frame: Frame) -> list[float]:
    """The quality on each of three scales."""
    fused = [frame.fused.once(finer), *frame.fused.once(coarser)]
    with_ir, with_vis = ([pair.once(finer_common), *pair.once(coarser_common)] for pair in frame.pairs)
    levels = zip(frame.sources.once(desired), fused, with_ir, with_vis, strict=False)
    return [_quality(*level) for level in levels]


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-1…1",
    source="Ma, Zeng & Wang 2015, structure only, one scale",
    variant_of="mef_ssim",
    min_side=SIDE,
)
def mef_ssim_single(frame: Frame) -> float:
    """`mef_ssim` at full size only."""
    return frame.once(qualities)[0]


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…1",
    source="Ma, Zeng & Wang 2015, structure only, three scales; printed as MS-SSIM in some fusion tables",
    min_side=SIDE * 4,
)
def mef_ssim(frame: Frame) -> float:
    """Similarity of the fused patches with the strongest, consistently weighted structure of both sources."""
    powers = zip(frame.once(qualities), LEVEL_WEIGHTS, strict=True)
    return float(np.prod([max(quality, 0) ** (weight / sum(LEVEL_WEIGHTS)) for quality, weight in powers]))
