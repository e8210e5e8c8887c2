"""Boundary F: how well the outlines of a prediction follow those of the truth.

F measure of DAVIS (Perazzi et al., CVPR 2016): a boundary pixel counts as right when the other mask has one
within 0.8 % of the diagonal of the frame. Per class and frame, then the mean over the frames where either
mask has the class. As in DAVIS, a mask has a boundary where a pixel differs from its right, lower or lower
right neighbour.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.segment.classes import IGNORED, Labels

_REACH = 0.008  # of the diagonal (DAVIS)
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1))

Marks = NDArray[np.bool_]


class BoundaryF:
    """Gathers the measure frame by frame.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._sums = np.zeros(classes)
        self._frames = np.zeros(classes, np.int64)

    def add(self, truth: Labels, found: Labels) -> None:
        """Compare another frame; both (H, W)."""
        valid = truth != IGNORED
        reach = math.ceil(_REACH * math.hypot(*truth.shape))
        present = np.union1d(truth, found[valid])
        for place in present[present < len(self._sums)]:
            true_edge, found_edge = outline(truth == place, valid), outline(found == place, valid)
            self._sums[place] += f_measure(true_edge, found_edge, reach=reach)
            self._frames[place] += 1

    def result(self) -> NDArray[np.float64]:
        """(K,) mean of each class; NaN for one that was never there."""
        nothing = np.full(len(self._sums), np.nan)
        return np.divide(self._sums, self._frames, out=nothing, where=self._frames > 0)


def outline(mask: NDArray[np.bool_ | np.uint8], valid: Marks) -> Marks:
    """Pixels of (H, W) that differ from their right, lower or lower right neighbour, where both are valid."""
    edge = np.zeros(mask.shape, bool)
    height, width = mask.shape
    for down, right in _NEIGHBOURS:
        here = slice(0, height - down), slice(0, width - right)
        there = slice(down, height), slice(right, width)
        edge[here] |= (mask[here] != mask[there]) & valid[here] & valid[there]
    return edge


def f_measure(truth: Marks, found: Marks, *, reach: float) -> float:
    """Harmonic mean of the shares of both boundaries (H, W) that lie within `reach` pixels of the other.

    1 when both are empty, 0 when one is.
    """
    if not truth.any() or not found.any():
        return float(truth.any() == found.any())
    precision = float((_distance(truth)[found] <= reach).mean())
    recall = float((_distance(found)[truth] <= reach).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _distance(marks: Marks) -> NDArray[np.float32]:
    """Pixels from each place to the nearest mark, exactly."""
    away = cv2.distanceTransform((~marks).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away, np.float32)
