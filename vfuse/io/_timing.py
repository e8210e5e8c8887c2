"""Presentation times of a video from the timestamps of its packets: exact, or spaced evenly when unusable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

# Frames leave a decoder in another order than they are stored in; no codec reorders further than this.
MAX_REORDER = 32
# A camera that rounds to milliseconds still has a constant rate.
_ROUNDING_SECONDS = 0.001
_NTSC_DENOMINATOR = 1001
_FALLBACK_RATE = Fraction(25)


@dataclass(frozen=True)
class Timing:
    """When the frames of a video are shown.

    Attributes:
        times: seconds from the first frame, rising strictly, one per frame; exactly even when not `vfr`.
        fps: the constant rate, or the mean rate when `vfr`.
        vfr: whether the distances differ by more than rounding.
        origin: timestamp of the first frame in seconds; None when the timestamps are missing, repeat or jump
            back, so that frames are taken to be spaced evenly.
    """

    times: tuple[float, ...]
    fps: Fraction
    vfr: bool
    origin: float | None


def timing(pts: Sequence[int | None], *, time_base: Fraction, rates: Sequence[Fraction | None]) -> Timing:
    """Work out frame times.

    Args:
        pts: timestamps of the shown frames in stored order, in units of `time_base`.
        rates: the rates the file claims, most trusted first; None and 0 are skipped.
    """
    claimed = [rate for rate in rates if rate and rate > 0]
    known = [stamp for stamp in pts if stamp is not None]
    shown = sorted(known)
    if len(known) < len(pts) or not _usable(known, shown):
        fps = claimed[0] if claimed else _FALLBACK_RATE
        return Timing(tuple(k / float(fps) for k in range(len(pts))), fps, vfr=False, origin=None)
    tick = float(time_base)
    times = [(stamp - shown[0]) * tick for stamp in shown]
    origin = shown[0] * tick
    mean = _mean_rate(len(shown), (shown[-1] - shown[0]) * time_base, claimed)
    tolerance = max(tick, _ROUNDING_SECONDS) + 1e-9
    for rate in [*claimed, mean]:
        even = [k / float(rate) for k in range(len(times))]
        if all(abs(time - k) <= tolerance for time, k in zip(times, even, strict=True)):
            return Timing(tuple(even), rate, vfr=False, origin=origin)
    return Timing(tuple(times), mean, vfr=True, origin=origin)


def _usable(known: Sequence[int], shown: Sequence[int]) -> bool:
    if any(later == earlier for earlier, later in pairwise(shown)):
        return False
    place = {stamp: index for index, stamp in enumerate(shown)}
    return all(abs(place[stamp] - index) <= MAX_REORDER for index, stamp in enumerate(known))


def _mean_rate(count: int, span: Fraction, claimed: Sequence[Fraction]) -> Fraction:
    if count < 2:
        return claimed[0] if claimed else _FALLBACK_RATE
    exact = (count - 1) / span
    return exact.limit_denominator(_NTSC_DENOMINATOR) or exact  # 0 when a frame lasts half an hour
