"""Relate the clocks of two video files."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vfuse.errors import PairError, UsageError
from vfuse.io.probe import VideoInfo
from vfuse.io.reader import read_frames
from vfuse.io.thermal import Thermal, ThermalOptions, displayer, look
from vfuse.sync.match import SyncFit, match_streams
from vfuse.sync.motion import Thumbnails, View, thumbnails

_LONGEST_RATIO = 20  # times: beyond it, one of the two inputs is the wrong file


def watch(info: VideoInfo, *, thermal: Thermal | None = None, view: View | None = None) -> Thumbnails:
    """Decode a video once and keep its thumbnails; about 5 MB for a minute of 60 fps.

    Args:
        info: the video.
        thermal: how to read an infrared one, so that 16-bit counts and palettes show what moves.
        view: how its frames lie in those of the other video, if they do not show the same.
    """
    display = displayer(thermal or Thermal())
    with read_frames(info, grey=thermal is None or thermal.grey) as frames:
        shown = ((frame.time, np.asarray(display(frame.pixels)[0])) for frame in frames)
        return thumbnails(shown, view=view)


def check_syncable(ir: VideoInfo, vis: VideoInfo) -> None:
    """Refuse inputs that no motion can relate.

    Raises:
        UsageError: an input has no times of its own (images, standard input).
        PairError: one input is far longer than the other.
    """
    for info in (ir, vis):
        if info.kind != "video":
            raise UsageError(
                "has no times to synchronise", where=info.path, todo="Give the offset with --sync SECONDS"
            )
    lengths = sorted([(ir.duration or 0.0, ir.path), (vis.duration or 0.0, vis.path)])
    if lengths[1][0] > _LONGEST_RATIO * max(lengths[0][0], 1.0):
        raise PairError(
            f"lasts {lengths[1][0]:.0f} s, but {lengths[0][1]} only {lengths[0][0]:.1f} s",
            where=lengths[1][1],
            todo="Cut the longer one to about the right part first",
        )


def sync_videos(ir: VideoInfo, vis: VideoInfo, *, matrix: NDArray[np.float64] | None = None) -> SyncFit:
    """Decode both videos and relate their clocks by what moves; ask `problems` whether to trust it.

    Args:
        ir, vis: the inputs.
        matrix: (3, 3) homography from visible to infrared pixels, where it is known: motion is then compared
            place by place.
    """
    check_syncable(ir, vis)
    thermal = look(ir, ThermalOptions(), first=0, stop=None)
    view = None if matrix is None else View(matrix, (vis.width, vis.height))
    return match_streams(watch(ir, thermal=thermal, view=view), watch(vis))


def require_confident(fit: SyncFit, *, ir: VideoInfo, vis: VideoInfo) -> SyncFit:
    """Pass a confident fit on.

    Raises:
        PairError: it is not, with the numbers.
    """
    if fit.problems:
        raise PairError(
            f"not confident about the offset ({fit.offset:+.3f} s at best): {_listed(fit.problems)}",
            where=f"{ir.path} and {vis.path}",
            todo="Give the offset with --sync SECONDS, or take equal clocks with --sync none",
        )
    return fit


def _listed(problems: Iterable[str]) -> str:
    return "; ".join(problems)
