"""Motion-energy curves: how much changes where, from frame to frame, in a form both cameras share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

THUMB = (32, 24)  # width, height of what is kept of a frame
CELLS = (16, 12)  # columns, rows of the energy grid
_REPEAT = 0.12  # times the usual change: less counts as the same frame shown again
_LEAST_CHANGE = 2e-5  # mean change in [0, 1] of a frame that is not a repeat, whatever is usual
_GAP_INTERVALS, _GAP_SECONDS = 2.5, 0.12  # a longer step between different frames leaves the motion unknown
_FREEZE_SECONDS = 0.4  # a longer still picture between moving ones is a freeze


@dataclass(frozen=True)
class Thumbnails:
    """All frames of a stream at 32 x 24.

    Attributes:
        times: (N,) float64 seconds from the first frame.
        pictures: (N, 24, 32) float16 luma in [0, 1].
    """

    times: NDArray[np.float64]
    pictures: NDArray[np.float16]

    @property
    def interval(self) -> float:
        """Median seconds from frame to frame."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0

    def without_repeats(self) -> Thumbnails:
        """Only the first of each run of equal frames (shutter freezes, 15 to 30 fps doubling)."""
        keep = ~repeats(self)
        return Thumbnails(self.times[keep], self.pictures[keep])


@dataclass(frozen=True)
class View:
    """How the frames of one camera lie in those of the other.

    Attributes:
        matrix: (3, 3) homography from the other's pixels to this camera's.
        size: (width, height) of the other's frames.
    """

    matrix: NDArray[np.float64]
    size: tuple[int, int]

    def seen(self, frame: Floats) -> Floats:
        """The (H, W) frame in the other's view at four times the size of a thumbnail, black where unseen."""
        size = 4 * THUMB[0], 4 * THUMB[1]
        fine = np.diag([self.size[0] / size[0], self.size[1] / size[1], 1.0])
        shrink = min(1.0, 2 * size[0] / frame.shape[1])
        small = cv2.resize(frame, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        matrix = np.diag([shrink, shrink, 1.0]) @ self.matrix @ fine
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpPerspective(small, matrix, size, flags=flags), np.float32)


@dataclass(frozen=True)
class Curve:
    """Motion energy over time.

    Attributes:
        times: (M,) float64 seconds: midway between the two frames compared.
        energy: (M, 192) float32 mean absolute change in each cell, without the change of the whole frame.
        known: (M,) bool: False across a freeze or a gap.
    """

    times: NDArray[np.float64]
    energy: Floats
    known: NDArray[np.bool_]


def thumbnails(frames: Iterable[tuple[float, Floats]], *, view: View | None = None) -> Thumbnails:
    """Shrink a stream of (seconds, (H, W) luma in [0, 1]); 1.5 kB a frame are kept.

    Args:
        frames: the stream.
        view: how the frames lie in those of the other stream; None where both show the same.
    """
    times: list[float] = []
    pictures: list[NDArray[np.float16]] = []
    for time, frame in frames:
        times.append(time)
        seen = frame if view is None else view.seen(frame)
        pictures.append(cv2.resize(seen, THUMB, interpolation=cv2.INTER_AREA).astype(np.float16))
    stack = np.stack(pictures) if pictures else np.zeros((0, THUMB[1], THUMB[0]), np.float16)
    return Thumbnails(np.array(times, np.float64), stack)


def repeats(stream: Thumbnails) -> NDArray[np.bool_]:
    """(N,) bool: True for a frame that shows the one before it again."""
    if len(stream.times) < 3:
        return np.zeros(len(stream.times), bool)
    pictures = stream.pictures.astype(np.float32)
    change = np.abs(np.diff(pictures, axis=0)).mean((1, 2))
    usual = float(np.percentile(change, 75))
    same = change < max(_REPEAT * usual, _LEAST_CHANGE)
    return np.concatenate([[False], same])


def freezes(stream: Thumbnails) -> list[tuple[float, float]]:
    """(start, end) in seconds of each still stretch longer than 0.4 s."""
    moving = np.flatnonzero(~repeats(stream))
    stops = np.append(moving[1:], len(stream.times)) - 1
    spans = [(float(stream.times[a]), float(stream.times[b])) for a, b in zip(moving, stops, strict=True)]
    return [(start, end) for start, end in spans if end - start > _FREEZE_SECONDS]


def motion_curve(stream: Thumbnails, *, interval: float) -> Curve:
    """Compare frames about `interval` seconds apart, so that streams of different rates show alike.

    Args:
        stream: without repeats.
        interval: seconds; at least the stream's own.
    """
    pictures, times = stream.pictures.astype(np.float32), stream.times
    if len(times) < 2:
        empty = np.zeros(0)
        return Curve(empty, np.zeros((0, CELLS[0] * CELLS[1]), np.float32), empty.astype(bool))
    later = np.arange(1, len(times))
    ideal = np.searchsorted(times, times[later] - interval * 0.75, side="right") - 1
    earlier = np.clip(ideal, 0, later - 1)
    change = pictures[later] - pictures[earlier]
    change = np.abs(
        change - np.median(change, axis=(1, 2), keepdims=True)
    )  # gain control changes all at once
    height, width = THUMB[1] // CELLS[1], THUMB[0] // CELLS[0]
    cells = (
        change.reshape(len(change), CELLS[1], height, CELLS[0], width).mean((2, 4)).reshape(len(change), -1)
    )
    span = times[later] - times[earlier]
    return Curve(
        times=(times[later] + times[earlier]) / 2,
        energy=(cells * (interval / span)[:, None]).astype(np.float32),
        known=span < max(_GAP_INTERVALS * interval, _GAP_SECONDS),
    )
