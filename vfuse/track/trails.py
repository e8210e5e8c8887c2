"""Where tracks went: centres thinned as they grow, so that memory stays small however long a video is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vfuse.track.boxes import Floats, Tracks

_MOST = 512  # points of one track; every other is forgotten when there would be more


@dataclass(frozen=True, eq=False)
class Trail:
    """The way of one track.

    Attributes:
        identity: number of the track.
        first, last: frames between which it was seen, from 0.
        points: (N, 2) centres in pixels, in order.
    """

    identity: int
    first: int
    last: int
    points: Floats


@dataclass
class _Way:
    first: int
    last: int = 0
    seen: int = 0
    step: int = 1
    points: list[tuple[float, float]] = field(default_factory=list)


class TrailCounter:
    """Gathers trails frame by frame."""

    def __init__(self) -> None:
        self._frame = 0
        self._ways: dict[int, _Way] = {}

    def add(self, tracks: Tracks) -> None:
        """Continue with the next frame."""
        centres = ((tracks.boxes[:, :2] + tracks.boxes[:, 2:]) / 2).tolist()
        for identity, (x, y) in zip(tracks.ids.tolist(), centres, strict=True):
            way = self._ways.setdefault(identity, _Way(self._frame))
            if way.seen % way.step == 0:
                way.points.append((x, y))
            if len(way.points) > _MOST:
                way.points, way.step = way.points[::2], way.step * 2
            way.seen, way.last = way.seen + 1, self._frame
        self._frame += 1

    def result(self) -> tuple[Trail, ...]:
        """The trails so far, by identity."""
        return tuple(
            Trail(identity, way.first, way.last, np.array(way.points))
            for identity, way in sorted(self._ways.items())
        )
