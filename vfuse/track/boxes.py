"""The records of tracking: what a detector found in a frame, and what carries an identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one frame.

    Attributes:
        boxes: (N, 4) left, top, right, bottom in pixels from the top left corner of the picture.
        scores: (N,) how sure the detector is, in [0, 1].
        classes: (N,) index into the labels of the detector.
    """

    boxes: Floats
    scores: Floats
    classes: Integers

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or self.classes.shape != (count,):
            raise ValueError(f"{count} scores, boxes {self.boxes.shape}, classes {self.classes.shape}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: NDArray[np.bool_] | Integers) -> Detections:
        return Detections(self.boxes[chosen], self.scores[chosen], self.classes[chosen])


@dataclass(frozen=True, eq=False)
class Tracks(Detections):
    """Detections of one frame that belong to a track.

    Attributes:
        ids: (N,) number of the track, from 1.
    """

    ids: Integers


def detections(boxes: object = (), scores: object = (), classes: object | None = None) -> Detections:
    """A record from anything that numpy understands; without classes all are of class 0."""
    found = np.asarray(scores, np.float64).reshape(-1)
    kinds = np.zeros(len(found)) if classes is None else np.asarray(classes)
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    return Detections(corners, found, kinds.astype(np.int64).reshape(-1))


def overlaps(first: Floats, second: Floats) -> Floats:
    """(N, M) intersection over union of every box of the first (N, 4) with every one of the second (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)
