"""Metrics of contrast: spread and steepness of the fused frame's grey levels."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Field, Frame, Image
from vfuse.metrics._windows import strips
from vfuse.metrics.correlation import variance


def slope_sum(image: Image) -> float:
    """Sum over all pixels of sqrt((gx² + gy²) / 2), g being central differences, one-sided at the border."""
    x, y = (_differences(image, *order) for order in ((1, 0), (0, 1)))
    x[:, [0, -1]] *= 2  # one-sided where central differences span two pixels
    y[[0, -1]] *= 2
    return _length_sum(x, y) / math.sqrt(8)


def _differences(image: Image, dx: int, dy: int, *, side: int = 1) -> Field:
    """Whole numbers, which float32 holds exactly; their squares too."""
    found = cv2.Sobel(image.grey, cv2.CV_32F, dx, dy, ksize=side, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(found, dtype=np.float32)


def _length_sum(x: Field, y: Field) -> float:
    squares = (x[rows] * x[rows] + y[rows] * y[rows] for rows in strips(len(x)))
    return sum(float(np.sqrt(square, dtype=np.float64).sum()) for square in squares)


def squared_steps(image: Image) -> tuple[float, float]:
    """Sums of squared differences between neighbours, down the columns and along the rows."""
    grey = image.grey
    down = cv2.norm(grey[1:], grey[:-1], cv2.NORM_L2SQR)
    along = cv2.norm(grey[:, 1:], grey[:, :-1], cv2.NORM_L2SQR)
    return down, along


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…127.5",
    unit="grey level",
    source="population standard deviation on the 0..255 scale",
)
def sd(frame: Frame) -> float:
    """Standard deviation of the fused frame. A constant frame has 0."""
    return math.sqrt(frame.fused.once(variance)) / frame.fused.grey.size


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="6…12 in practice",
    source="fusion tables of 2021-22: uint8 arithmetic saturates",
    variant_of="sd",
)
def sd_u8(frame: Frame) -> float:
    """`sd` of uint8 arrays: negative deviations become 0 and squares stop at 255."""
    values = frame.fused.values
    deviation = np.clip(np.floor(values - values.mean() + 0.5), 0, 255)
    return float(np.sqrt(np.minimum(deviation * deviation, 255).mean()))


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…360",
    unit="grey level",
    source="Eskicioglu & Fisher 1995; each mean over its own number of differences",
    min_side=2,
)
def sf(frame: Frame) -> float:
    """Spatial frequency: root of the mean squared row step plus the mean squared column step."""
    height, width = frame.fused.size
    down, along = frame.fused.once(squared_steps)
    return math.sqrt(down / ((height - 1) * width) + along / (height * (width - 1)))


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…360",
    unit="grey level",
    source="VIFB: both sums divided by H x W",
    variant_of="sf",
    min_side=2,
)
def sf_hw(frame: Frame) -> float:
    """`sf` with both sums divided by the number of pixels."""
    down, along = frame.fused.once(squared_steps)
    return math.sqrt((down + along) / frame.fused.grey.size)


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…1.41",
    source="fusion tables of 2021-22: pixels in [0, 1]",
    variant_of="sf",
    min_side=2,
)
def sf_unit(frame: Frame) -> float:
    """`sf` of an image scaled to [0, 1]."""
    return sf(frame) / 255


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…255",
    unit="grey level per pixel",
    source="Cui et al. 2015; sum over all pixels divided by (H-1)(W-1)",
    min_side=2,
)
def ag(frame: Frame) -> float:
    """Average gradient of the fused frame. A constant frame has 0."""
    height, width = frame.fused.size
    return frame.fused.once(slope_sum) / ((height - 1) * (width - 1))


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…255",
    unit="grey level per pixel",
    source="CDDFuse evaluator: mean over all pixels",
    variant_of="ag",
    min_side=2,
)
def ag_hw(frame: Frame) -> float:
    """`ag` divided by the number of pixels."""
    return frame.fused.once(slope_sum) / frame.fused.grey.size


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…1442",
    unit="grey level",
    source="VIFB (Zhang et al. 2020): unnormalised Sobel, border replicated",
)
def ei(frame: Frame) -> float:
    """Edge intensity: mean length of the fused frame's Sobel gradient. A constant frame has 0."""
    x, y = (_differences(frame.fused, *order, side=3) for order in ((1, 0), (0, 1)))
    return _length_sum(x, y) / x.size
