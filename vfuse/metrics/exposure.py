"""MEF-SSIM (Ma, Zeng & Wang 2015): is the fused patch the strongest structure the two sources offer?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Floats, Frame
from vfuse.metrics._windows import box, gaussian, halve, mean

SIDE = 11
STABILISER = (0.03 * 255) ** 2
POWER_LIMIT = 10.0
LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001)


BOX = box(SIDE)
GAUSSIAN = gaussian(SIDE, sigma=1.5)
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Moments:
    """Variances of two images in each window, and their covariance."""

    aa: Floats
    bb: Floats
    ab: Floats


def _moments(a: Floats, b: Floats, kernel: Floats) -> Moments:
    mean_a, mean_b = mean(a, kernel), mean(b, kernel)
    return Moments(
        aa=np.maximum(mean(a * a, kernel) - mean_a * mean_a, 0),
        bb=np.maximum(mean(b * b, kernel) - mean_b * mean_b, 0),
        ab=mean(a * b, kernel) - mean_a * mean_b,
    )


def _desired(box: Moments) -> tuple[Floats, Floats]:
    """Factors of a and b, both without their mean, that make up the desired patch around each pixel.

    It points along the weighted mean of the two unit patches and is as strong as the stronger one; the weight
    of a strong patch grows with the consistency of both.
    """
    a, b = (np.sqrt(variance) * SIDE + 0.001 for variance in (box.aa, box.bb))
    together = np.sqrt(np.maximum(box.aa + box.bb + 2 * box.ab, 0)) * SIDE
    consistency = np.clip((together + EPS) / (a + b + EPS), EPS, 1 - EPS)
    power = np.minimum(np.tan(np.pi / 2 * consistency), POWER_LIMIT)
    weight_a, weight_b = (a / SIDE) ** power + EPS, (b / SIDE) ** power + EPS
    whole = weight_a + weight_b
    along_a, along_b = weight_a / whole / a, weight_b / whole / b
    squared = along_a**2 * box.aa + along_b**2 * box.bb + 2 * along_a * along_b * box.ab
    length = np.sqrt(np.maximum(squared, 0)) * SIDE
    scale = np.where(length == 0, 0, np.maximum(a, b) / np.where(length == 0, 1, length))
    return scale * along_a, scale * along_b


def _quality(a: Floats, b: Floats, f: Floats) -> float:
    """Mean similarity of the fused patches with the desired ones at one scale: made in a box window, compared
    in a Gaussian one."""
    of_a, of_b = _desired(_moments(a, b, BOX))
    sources, mean_f = _moments(a, b, GAUSSIAN), mean(f, GAUSSIAN)
    variance_f = mean(f * f, GAUSSIAN) - mean_f * mean_f
    variance = of_a**2 * sources.aa + of_b**2 * sources.bb + 2 * of_a * of_b * sources.ab
    with_a, with_b = (mean(x * f, GAUSSIAN) - mean(x, GAUSSIAN) * mean_f for x in (a, b))
    covariance = of_a * with_a + of_b * with_b
    return float(np.mean((2 * covariance + STABILISER) / (variance + variance_f + STABILISER)))


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
    return _quality(frame.ir.values, frame.vis.values, frame.fused.values)


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
    images = [image.values for image in (frame.ir, frame.vis, frame.fused)]
    result = 1.0
    for weight in LEVEL_WEIGHTS:
        result *= max(_quality(*images), 0) ** (weight / sum(LEVEL_WEIGHTS))
        images = [halve(image) for image in images]
    return result
