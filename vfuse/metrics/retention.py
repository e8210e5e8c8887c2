"""What the other metrics miss: do warm things still stand out, is the sharper source's detail kept?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Bytes, Frame, Image
from vfuse.metrics._windows import strips
from vfuse.metrics.edges import mirrored_edges
from vfuse.metrics.information import Counts, histogram

WARMEST = 97
"""Percentile of the infrared above which a pixel is warm."""
SPECK, GAP, SURROUND = 5, 7, 31
"""Sides of the squares that remove specks, leave a rim out, and reach into the surroundings."""
MIN_CONTRAST = 10.0
"""Grey levels by which the warm regions must stand out in the infrared for the question to make sense."""


@dataclass(frozen=True)
class Targets:
    """Warm regions of the infrared and the ring around them, each 1 inside and 0 outside."""

    warm: Bytes
    ring: Bytes


def targets(ir: Image) -> Targets | None:
    """The warm regions, or None where there are none, or none that stand out."""
    warm = (ir.grey > _percentile(ir.once(histogram), WARMEST)).astype(np.uint8)
    warm = cv2.morphologyEx(warm, cv2.MORPH_OPEN, _square(SPECK))
    near, far = cv2.dilate(warm, _square(GAP)), cv2.dilate(warm, _square(SURROUND))
    found = Targets(warm=np.asarray(warm, np.uint8), ring=np.asarray(far - near, np.uint8))
    if not found.warm.any() or not found.ring.any() or _contrast(ir, found) < MIN_CONTRAST:
        return None
    return found


def _percentile(counts: Counts, percent: float) -> float:
    """Of the grey levels behind a histogram, interpolated between the two nearest pixels."""
    seen = np.cumsum(counts)
    place = percent / 100 * (seen[-1] - 1)
    below, above = np.searchsorted(seen, [math.floor(place), math.ceil(place)], side="right")
    return float(below + (above - below) * (place - math.floor(place)))


def _square(side: int) -> NDArray[np.uint8]:
    return np.ones((side, side), dtype=np.uint8)


def _contrast(image: Image, where: Targets) -> float:
    return cv2.mean(image.grey, where.warm)[0] - cv2.mean(image.grey, where.ring)[0]


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="about -1…1.2; 1 = as in the infrared",
    source="vfuse: contrast of the warmest regions against their surroundings, relative to the infrared",
)
def hot_target(frame: Frame) -> float | None:
    """Hot-target retention. Warm is above the infrared's 97th percentile, opened by 5 x 5; the surroundings
    reach 15 pixels and start 4 away. Undefined where nothing warm stands out by 10 grey levels."""
    where = frame.ir.once(targets)
    if where is None:
        return None
    return _contrast(frame.fused, where) / _contrast(frame.ir, where)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…1",
    source="vfuse: gradient of the sharper source that the fused frame has in the same direction",
    min_side=2,
)
def detail(frame: Frame) -> float | None:
    """Detail retention. At each pixel the source with the longer Sobel gradient g sets the mark; the fused
    gradient counts by its part along g, at least 0 and at most |g|; Σ of that over Σ |g|. Noise and halos add
    nothing. Undefined where neither source has a gradient."""
    a, b, f = (image.once(mirrored_edges) for image in (frame.ir, frame.vis, frame.fused))
    kept = whole = 0.0
    for rows in strips(len(f.x)):
        first = a.strength[rows] >= b.strength[rows]
        x, y = np.where(first, a.x[rows], b.x[rows]), np.where(first, a.y[rows], b.y[rows])
        strength = np.maximum(a.strength[rows], b.strength[rows])
        along = (f.x[rows] * x + f.y[rows] * y) / np.maximum(strength, 1)  # a gradient is 0 or at least 1
        kept += float(np.clip(along, 0, strength).sum(dtype=np.float64))
        whole += float(strength.sum(dtype=np.float64))
    return kept / whole if whole else None
