"""Align two video files: sample simultaneous frames over the clip, fit one homography, refuse a bad one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vfuse.align._structure import Array
from vfuse.align.fit import Fit, fit_views
from vfuse.align.matchers import Matcher
from vfuse.errors import PairError, UsageError
from vfuse.io.probe import VideoInfo
from vfuse.io.reader import read_range
from vfuse.io.thermal import Thermal, ThermalOptions, displayer, look

SAMPLES = 5


@dataclass(frozen=True)
class Moments:
    """Frames both cameras took at the same moments.

    Attributes:
        ir: each (H, W) float32 in [0, 1].
        vis: luma, each (H', W') float32 in [0, 1].
    """

    ir: tuple[Array, ...]
    vis: tuple[Array, ...]


def sample_moments(
    ir: VideoInfo, vis: VideoInfo, *, offset: float = 0.0, rate: float = 1.0, samples: int = SAMPLES
) -> Moments:
    """Decode frames spread over the common part of two inputs.

    Args:
        offset, rate: a visible moment t is seen by the infrared at `offset + rate * t` seconds.
        samples: most frames of each.

    Raises:
        UsageError: an input is a stream, which can be read only once.
        PairError: the inputs have no moment in common.
    """
    pairs = _moments(_times(ir), _times(vis), offset=offset, rate=rate)
    if not pairs:
        raise PairError("the two have no moment in common", where=f"{ir.path} and {vis.path}")
    chosen = [pairs[round(k)] for k in np.linspace(0, len(pairs) - 1, min(samples, len(pairs)) + 2)[1:-1]]
    chosen = sorted(set(chosen))
    thermal = look(ir, ThermalOptions(), first=0, stop=None)
    return Moments(_frames(ir, [a for a, _ in chosen], thermal), _frames(vis, [b for _, b in chosen], None))


def align_videos(
    ir: VideoInfo,
    vis: VideoInfo,
    *,
    offset: float = 0.0,
    rate: float = 1.0,
    matcher: Matcher | None = None,
) -> tuple[Fit, Moments]:
    """Fit the homography of a clip; ask `problems` whether to trust it. The frames are for a preview."""
    moments = sample_moments(ir, vis, offset=offset, rate=rate)
    return fit_views(moments.ir, moments.vis, matcher=matcher), moments


def require_trusted(fit: Fit, *, ir: VideoInfo, vis: VideoInfo, picture: Path | None = None) -> Fit:
    """Pass a trusted fit on.

    Args:
        fit: of the two inputs.
        ir, vis: the inputs, for the message.
        picture: an overlay of it, if one was written.

    Raises:
        PairError: it is not, with the numbers.
    """
    if fit.problems:
        raise PairError(
            f"cannot be aligned with confidence: {'; '.join(fit.problems)}",
            where=f"{ir.path} and {vis.path}",
            todo=f"Look at {picture or 'the picture that vfuse align writes'}; use another moment of the "
            "rig, or --align none for a registered pair",
        )
    return fit


def _times(info: VideoInfo) -> tuple[float, ...]:
    if info.times is None:
        raise UsageError("standard input cannot be aligned", todo="Use a file, or --align none")
    return info.times


def _moments(
    ir: Sequence[float], vis: Sequence[float], *, offset: float, rate: float
) -> list[tuple[int, int]]:
    """Index pairs (infrared, visible) of the nearest frames wherever both streams show something."""
    pairs: list[tuple[int, int]] = []
    step = (ir[-1] - ir[0]) / max(len(ir) - 1, 1) if len(ir) > 1 else 1.0
    for index, time in enumerate(vis):
        wanted = offset + rate * time
        if not ir[0] - step / 2 <= wanted <= ir[-1] + step / 2:
            continue
        after = min(bisect_left(ir, wanted), len(ir) - 1)
        near = min({after, max(after - 1, 0)}, key=lambda i: abs(ir[i] - wanted))
        pairs.append((near, index))
    return pairs


def _frames(info: VideoInfo, indices: Sequence[int], thermal: Thermal | None) -> tuple[Array, ...]:
    """Luma of the chosen frames; of an infrared video what it displays, whatever its depth and palette."""
    frames: list[Array] = []
    display, grey = displayer(thermal or Thermal()), thermal is None or thermal.grey
    for index in indices:
        with read_range(info, grey=grey, first=index, stop=index + 1) as found:
            frames.extend(np.asarray(display(frame.pixels)[0]) for frame in found)
    return tuple(frames)
