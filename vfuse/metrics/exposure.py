"""MEF-SSIM (Ma, Zeng & Wang 2015): is the fused patch the strongest structure the two sources offer?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Floats, Frame, Sources
from vfuse.metrics._windows import box, strips
from vfuse.metrics.structure import (
    GAUSSIAN,
    SIDE,
    Local,
    coarser,
    coarser_covariances,
    covariance,
    finer,
    finer_covariance,
    local,
)

STABILISER = (0.03 * 255) ** 2
POWER_LIMIT = 10.0
LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001)
BOX = box(SIDE)
EPS = float(np.finfo(np.float64).eps)
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

    of_ir: Floats
    of_vis: Floats
    variance: Floats


def desired(sources: Sources) -> list[Desired]:
    """Wanted patches on three scales, which depend on the sources alone."""
    levels = ([image.once(finer), *image.once(coarser)] for image in (sources.ir, sources.vis))
    return [_desired(a, b) for a, b, _ in zip(*levels, LEVEL_WEIGHTS, strict=False)]


def _desired(a: Local, b: Local) -> Desired:
    ir, vis = local(a.pixels, BOX), local(b.pixels, BOX)
    shared, gaussian = covariance(ir, vis, BOX), covariance(a, b, GAUSSIAN)
    found = Desired(*(np.empty_like(shared) for _ in range(3)))
    for rows in strips(len(shared)):
        of_ir, of_vis = _factors(ir.variance[rows], vis.variance[rows], shared[rows])
        found.of_ir[rows], found.of_vis[rows] = of_ir, of_vis
        found.variance[rows] = of_ir**2 * a.variance[rows] + of_vis**2 * b.variance[rows]
        found.variance[rows] += 2 * of_ir * of_vis * gaussian[rows]
    return found


def _factors(aa: Floats, bb: Floats, ab: Floats) -> tuple[Floats, Floats]:
    """From the sources' variances and covariance in a box to the factors of the wanted patch.

    It points along the weighted mean of the two unit patches and is as strong as the stronger one; the weight
    of a strong patch grows with the consistency of both.
    """
    aa, bb = np.maximum(aa, 0), np.maximum(bb, 0)
    a, b = np.sqrt(aa) + FLOOR, np.sqrt(bb) + FLOOR
    twice = 2 * ab
    together = np.sqrt(np.maximum(aa + bb + twice, 0))
    consistency = np.clip((together + EPS) / (a + b + EPS), EPS, 1 - EPS)
    power = np.minimum(np.tan(np.pi / 2 * consistency), POWER_LIMIT)
    # the weights' sum would divide both and so cancels; exp of log is ten times faster than **
    along_a, along_b = ((np.exp(power * np.log(x)) + EPS) / x for x in (a, b))
    squared = along_a * along_a * aa + along_b * along_b * bb + along_a * along_b * twice
    length = np.sqrt(np.maximum(squared, 0))
    scale = np.maximum(a, b) / np.where(length == 0, np.inf, length)
    return scale * along_a, scale * along_b


def _quality(wanted: Desired, fused: Local, with_ir: Floats, with_vis: Floats) -> float:
    """Mean similarity of the fused patches with the wanted ones at one scale."""
    total = 0.0
    for rows in strips(len(with_ir)):
        shared = wanted.of_ir[rows] * with_ir[rows] + wanted.of_vis[rows] * with_vis[rows]
        shared *= 2
        shared += STABILISER
        shared /= wanted.variance[rows] + fused.variance[rows] + STABILISER
        total += float(shared.sum())
    return total / with_ir.size


def qualities(frame: Frame) -> list[float]:
    """The quality on each of three scales."""
    fused = [frame.fused.once(finer), *frame.fused.once(coarser)]
    with_ir, with_vis = (
        [pair.once(finer_covariance), *pair.once(coarser_covariances)] for pair in frame.pairs
    )
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
