"""Pair by time: for each visible frame the nearest infrared frame."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator
from dataclasses import dataclass

from vfuse.errors import PairError
from vfuse.io.probe import VideoInfo
from vfuse.io.reader import Frame, read_range
from vfuse.io.warp import Warp


@dataclass(frozen=True)
class PairLink:
    """How two inputs that do not agree belong together.

    Attributes:
        clocks: (offset, rate): a visible moment t is seen by the infrared at `offset + rate * t` seconds,
            counted from the first frame of each; None pairs frame by frame.
        warp: how the frames are brought onto one canvas; None takes them as they are.
    """

    clocks: tuple[float, float] | None = None
    warp: Warp | None = None


def nearest_frames(ir: VideoInfo, vis: VideoInfo, *, offset: float, rate: float) -> tuple[int, list[int]]:
    """The first visible frame that the infrared also shows, and from there the nearest infrared frames.

    Raises:
        PairError: the inputs have no moment in common.
    """
    times = ir.times or ()
    reach = 0.5 / float(ir.fps) + 1e-6
    first, indices = 0, list[int]()
    for index, time in enumerate(vis.times or ()):
        wanted = offset + rate * time
        if not times or not times[0] - reach <= wanted <= times[-1] + reach:
            continue
        if not indices:
            first = index
        after = min(bisect_left(times, wanted), len(times) - 1)
        before = max(after - 1, 0)
        indices.append(before if wanted - times[before] <= times[after] - wanted else after)
    if not indices:
        raise PairError(
            f"has no moment in common with {ir.path} when its first frame is infrared second {offset:g}",
            where=vis.path,
            todo="Check --sync",
        )
    return first, indices


def read_indices(info: VideoInfo, indices: tuple[int, ...], *, grey: bool) -> Generator[Frame]:
    """Decode the frames with these indices, which never fall; one wanted twice is given twice."""
    with read_range(info, grey=grey, first=indices[0], stop=indices[-1] + 1) as frames:
        at = indices[0] - 1
        frame: Frame | None = None
        for index in indices:
            while at < index:
                frame = next(frames)
                at += 1
            if frame is not None:
                yield frame
