"""What was taken for what, counted over a video: IoU and accuracy of every class, exact in whole numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vfuse.segment.classes import NO_CLASS, Labels

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


class Confusion:
    """Pixels by true and predicted class; memory does not depend on the length of the video.

    IoU of a class is TP / (TP + FP + FN) and its accuracy TP / (TP + FN), of sums over all frames, as in the
    PASCAL VOC and Cityscapes benchmarks. Pixels that the truth ignores do not take part; one to which the
    prediction gives no class is a miss of the true class and no false alarm of another.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._counts = np.zeros((256, 256), np.int64)

    def add(self, truth: Labels, found: Labels) -> None:
        """Count another frame; both (H, W)."""
        joint = truth.astype(np.uint16) << 8 | found
        self._counts += np.bincount(joint.ravel(), minlength=1 << 16).reshape(256, 256)

    @property
    def matrix(self) -> Counts:
        """(K, K + 1): pixels of each true class by predicted class, in the last column those of none."""
        square = self._counts[: self._classes, : self._classes]
        return np.concatenate([square, self._counts[: self._classes, NO_CLASS, None]], axis=1)

    def iou(self) -> Shares:
        """(K,) intersection over union; NaN for a class of neither truth nor prediction."""
        matrix = self.matrix
        hits = np.diagonal(matrix)
        from_none = self._counts[NO_CLASS, : self._classes]
        found = matrix[:, : self._classes].sum(axis=0) + from_none
        return _ratio(hits, matrix.sum(axis=1) + found - hits)

    def accuracy(self) -> Shares:
        """(K,) share of a class's pixels that were found; NaN for a class that the truth does not have."""
        matrix = self.matrix
        return _ratio(np.diagonal(matrix), matrix.sum(axis=1))

    def overall(self) -> float | None:
        """Share of all pixels that were found; None when none takes part."""
        matrix = self.matrix
        total = int(matrix.sum())
        return int(np.trace(matrix)) / total if total else None


def mean(shares: Shares) -> float | None:
    """Mean of what is defined; None when nothing is."""
    defined = shares[~np.isnan(shares)]
    return float(defined.mean()) if len(defined) else None


def _ratio(part: Counts, whole: Counts) -> Shares:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
