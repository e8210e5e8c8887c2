"""`hot`: upright bright blobs against what surrounds them, for infrared and fused video.

A warm body is brighter than the wall or ground around it whatever the camera's range, so brightness is
compared with the mean of a wide neighbourhood, and the limit follows the spread of that difference over the
frame. What is wider than tall, tiny or huge is no standing or walking person and left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfuse.track.boxes import Detections, Pixels, detections
from vfuse.track.detectors._registry import DETECTORS, DetectorEntry, Request


@dataclass(frozen=True, kw_only=True)
class Hot:
    """Warm blobs of the shape of people; calling it detects them, see `Detector`.

    Attributes:
        surround: side of the neighbourhood over the height of the frame.
        spread: how many deviations above it a pixel must be.
        least: smallest such difference, in grey levels: the noise of a camera is below it.
        heights: least and most height of a blob over that of the frame.
        shapes: least and most height over width.
        filled: least share of its box that a blob fills.
    """

    surround: float = 0.2
    spread: float = 2.5
    least: float = 12.0
    heights: tuple[float, float] = (0.03, 0.7)
    shapes: tuple[float, float] = (1.2, 5.5)
    filled: float = 0.3

    labels = ("person",)
    in_threads = False  # it takes less time than to hand frames over

    def __call__(self, frame: Pixels) -> Detections:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        height = grey.shape[0]
        side = max(round(self.surround * height), 3)
        above = grey.astype(np.float32) - cv2.blur(grey, (side, side), borderType=cv2.BORDER_REFLECT)
        limit = max(self.spread * float(cv2.meanStdDev(above)[1][0, 0]), self.least)
        warm = (above > limit).astype(np.uint8)
        tall = max(round(height / 96) | 1, 3)  # joins a head with its body
        warm = cv2.morphologyEx(warm, cv2.MORPH_CLOSE, np.ones((tall, 3), np.uint8))
        _, marks, facts, _ = cv2.connectedComponentsWithStats(warm, connectivity=8)
        left, top, wide, high, area = facts[1:].T.astype(np.float64)
        fits = (high >= self.heights[0] * height) & (high <= self.heights[1] * height)
        fits &= (high >= self.shapes[0] * wide) & (high <= self.shapes[1] * wide)
        fits &= area >= self.filled * wide * high
        chosen = np.flatnonzero(fits)
        boxes = np.stack([left, top, left + wide, top + high], axis=1)[chosen]
        return detections(boxes, self._scores(above, marks, boxes, chosen + 1, limit))

    def _scores(
        self,
        above: np.ndarray,
        marks: np.ndarray,
        boxes: np.ndarray,
        numbers: np.ndarray,
        limit: float,
    ) -> list[float]:
        """One half where a blob is just bright enough, towards one the brighter it is."""
        scores: list[float] = []
        for (left, top, right, bottom), number in zip(boxes.astype(int), numbers, strict=True):
            there = slice(top, bottom), slice(left, right)
            excess = float(above[there][marks[there] == number].mean())
            scores.append(excess / (excess + limit))
        return scores


def build(request: Request) -> Hot:
    """The detector; nothing can be asked of it."""
    del request
    return Hot()


DETECTORS.add(
    DetectorEntry(
        name="hot",
        build=build,
        summary="upright warm blobs; for infrared and fused video, no download",
        origin="vfuse",
    )
)
