"""Temporal stability: does a mask move as its video does?

The mask of a frame is carried into the next one along the video's optical flow and compared with the mask
there, as the temporal consistency of Liu et al. (ECCV 2020) does: IoU of each class, of sums over all pairs
of frames. 1 is a mask that moves with the picture. The flow is estimated, so the truth itself stays below 1;
its value beside that of a prediction tells how far.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._flow import DIS, FLOW_SIDE, inside
from vfuse.segment.classes import IGNORED, Labels
from vfuse.segment.confusion import Confusion, Shares

Field = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Motion:
    """Optical flow (DIS) from every frame of a video back to the one before."""

    def __init__(self) -> None:
        self._before: Pixels | None = None

    def __call__(self, frame: Pixels) -> Field | None:
        """(H, W, 2) pixels to where each of (H, W, 3) RGB came from; None for a first or a tiny frame."""
        before, self._before = self._before, frame
        if before is None or min(frame.shape[:2]) < FLOW_SIDE:
            return None
        return np.asarray(DIS.between(frame, before), np.float32)


class Stability:
    """Gathers the measure frame by frame; holds one mask.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._counts = Confusion(classes)
        self._before: Labels | None = None

    def add(self, labels: Labels, flow: Field | None) -> None:
        """Compare the next mask (H, W) with the one before, carried along `flow`; None only remembers it."""
        before, self._before = self._before, labels
        if before is not None and flow is not None:
            earlier = carried(before, flow)
            self._counts.add(np.where(labels == IGNORED, labels, earlier), labels)

    def result(self) -> Shares:
        """(K,) IoU of each class; NaN for one that was never there, or without two frames."""
        return self._counts.iou()


def carried(before: Labels, flow: Field) -> Labels:
    """The mask (H, W) at each pixel + flow, the nearest pixel; `IGNORED` where that is outside the frame."""
    height, width = before.shape
    column = np.clip(np.rint(flow[..., 0] + np.arange(width)), 0, width - 1).astype(np.intp)
    row = np.clip(np.rint(flow[..., 1] + np.arange(height)[:, None]), 0, height - 1).astype(np.intp)
    return np.where(inside(flow), before[row, column], IGNORED)
