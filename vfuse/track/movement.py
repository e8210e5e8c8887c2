"""What can be said of tracks without knowing the truth: how many, how long, how often broken, how smooth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vfuse.track.boxes import Detections, Floats, Tracks

_ORDER = 3  # a jerk is the third difference of positions


@dataclass(frozen=True, kw_only=True)
class Movement:
    """Tracks of one video in numbers.

    Attributes:
        frames: how many were looked at.
        detections: in all of them, before tracking.
        tracked: detections that belong to a track.
        tracks: how many there are.
        mean_length: frames in which a track was seen, on average; None without tracks.
        fragmentations: how often a track was lost and found again.
        jerk: mean length of the third difference of the centre of a box, px/frame³, over four consecutive
            frames of a track; None where no track is that long. Zero is a steady acceleration.
    """

    frames: int
    detections: int
    tracked: int
    tracks: int
    mean_length: float | None
    fragmentations: int
    jerk: float | None

    @property
    def detections_per_frame(self) -> float:
        return self.detections / max(self.frames, 1)


@dataclass
class _Track:
    """One track so far."""

    length: int = 0
    last: int = -1
    centres: list[Floats] = field(default_factory=list)


class MovementCounter:
    """Gathers `Movement` frame by frame; memory grows with the number of tracks, not of frames."""

    def __init__(self) -> None:
        self._frames = self._detections = self._tracked = self._breaks = 0
        self._jerk = 0.0
        self._jerks = 0
        self._tracks: dict[int, _Track] = {}

    def add(self, found: Detections, tracks: Tracks) -> None:
        """Count the next frame."""
        centres = (tracks.boxes[:, :2] + tracks.boxes[:, 2:]) / 2
        for identity, centre in zip(tracks.ids.tolist(), centres, strict=True):
            self._continue(self._tracks.setdefault(identity, _Track()), centre)
        self._frames += 1
        self._detections += len(found)
        self._tracked += len(tracks)

    def _continue(self, track: _Track, centre: Floats) -> None:
        if track.length and track.last != self._frames - 1:
            self._breaks += 1
            track.centres.clear()
        track.length += 1
        track.last = self._frames
        track.centres = [*track.centres[-_ORDER:], centre]
        if len(track.centres) > _ORDER:
            self._jerk += float(np.linalg.norm(np.diff(track.centres, n=_ORDER, axis=0)))
            self._jerks += 1

    def result(self) -> Movement:
        """The numbers so far."""
        return Movement(
            frames=self._frames,
            detections=self._detections,
            tracked=self._tracked,
            tracks=len(self._tracks),
            mean_length=self._tracked / len(self._tracks) if self._tracks else None,
            fragmentations=self._breaks,
            jerk=self._jerk / self._jerks if self._jerks else None,
        )
