"""From the numbers that a network gives to its classes to places in a list of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfuse.track.boxes import Detections, detections


@dataclass(frozen=True, eq=False)
class Places:
    """The classes of a network that mean something; it may have numbers for nothing or for unused ones.

    Attributes:
        labels: their names, in the order of their numbers.
        numbers: (N,) ascending, the number of each.
    """

    labels: tuple[str, ...]
    numbers: NDArray[np.int64]

    @classmethod
    def of(cls, names: Mapping[int, str]) -> Places:
        """Places of the classes with these numbers."""
        order = sorted(names)
        return cls(tuple(names[number] for number in order), np.array(order, np.int64))

    def detections(self, boxes: object, scores: object, numbers: object, *, weakest: float) -> Detections:
        """Boxes (N, 4), scores (N,) and numbers (N,) without the weak, the empty and the meaningless."""
        told = np.asarray(numbers, np.int64).reshape(-1)
        places = np.searchsorted(self.numbers, told).clip(max=len(self.numbers) - 1)
        found = detections(boxes, scores, places)
        kept = (found.scores >= weakest) & (self.numbers[places] == told)
        return found[kept & (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)]
