"""Offset, rate and drift between two motion curves, with the confidence they deserve."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from vfuse.sync.motion import Curve, Floats, Thumbnails, freezes, motion_curve

_STEP = 1 / 60  # seconds: spacing of the common time grid
_TREND_SECONDS = 4.0  # slower changes of the energy say nothing about the moment
_LEAST_OVERLAP = 3.0  # seconds, or half of the shorter stream if that is less
_NEAR = 0.4  # seconds around a peak that belong to it
_SEGMENT_SECONDS = 2.5
_RATES = tuple(
    Fraction(a, b) for a, b in ((1, 1), (25, 30), (30, 25), (24, 25), (25, 24), (24, 30), (30, 24))
)
_LEAST_SCORE = 0.1  # correlation of a piece that has found its place
_OTHER_RATE = 1.3  # a clock that runs at another rate must explain the motion so much better
_SIGNIFICANT = 3.5  # peak over the spread of all other lags ...
_WITNESSES = 6  # ... or so many pieces that agree; chance gives a piece one time in ten
_DISTINCT = 1.12  # peak over the next one: steps and wheels repeat themselves
_AGREEING = 0.6  # share of the pieces that lie within one frame of the line


@dataclass(frozen=True)
class SyncFit:
    """How the clocks relate: a visible moment t is seen by the infrared at `offset + rate * t` seconds.

    Attributes:
        offset: infrared seconds at the first visible frame.
        rate: infrared seconds for one visible second.
        significance: height of the correlation peak over the spread of all other lags.
        distinct: the same over the next peak.
        segments, agreeing: pieces of the clip matched on their own, and those within one frame of the line.
        common: seconds that both streams show.
        freezes_ir, freezes_vis: (start, end) seconds of still stretches.
        problems: why the fit is not confident, in words; empty when it is.
    """

    offset: float
    rate: float
    significance: float
    distinct: float
    segments: int
    agreeing: int
    common: float
    freezes_ir: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    freezes_vis: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    problems: tuple[str, ...] = ()

    @property
    def confident(self) -> bool:
        """Whether the motion leaves no other reading."""
        return not self.problems


def match_streams(ir: Thumbnails, vis: Thumbnails) -> SyncFit:
    """Relate the clocks of two streams.

    Every usual rate ratio is tried on the whole clip; then pieces of a few seconds are matched on their own
    around the best offset, and a robust line through them gives offset and drift.
    """
    still = freezes(ir), freezes(vis)
    a, b = ir.without_repeats(), vis.without_repeats()
    if min(len(a.times), len(b.times)) < 12:
        return _nothing("too few different frames", still)
    interval = max(a.interval, b.interval)
    curves = motion_curve(a, interval=interval), motion_curve(b, interval=interval)
    return match_curves(*curves, frame=interval, still=still)


Still = tuple[list[tuple[float, float]], list[tuple[float, float]]]


def match_curves(ir: Curve, vis: Curve, *, frame: float, still: Still = ([], [])) -> SyncFit:
    """Relate two motion curves; `frame` is the longer frame interval in seconds."""
    tried = [(_global(ir, vis, float(rate)), float(rate)) for rate in _RATES]
    found = [(peak, rate) for peak, rate in tried if peak is not None]
    if not found:
        return _nothing("no common motion", still)
    peak, rate = found[0]
    for other, other_rate in found[1:]:
        if other.height > max(peak.height, _OTHER_RATE * found[0][0].height):
            peak, rate = other, other_rate
    lines = _segments(ir, vis, offset=peak.lag, rate=rate)
    offset, slope, agreeing = _line(lines, offset=peak.lag, frame=frame)
    total_rate = rate + slope
    start = max(float(vis.times[0]), (float(ir.times[0]) - offset) / total_rate)
    end = min(float(vis.times[-1]), (float(ir.times[-1]) - offset) / total_rate)
    return SyncFit(
        offset=offset,
        rate=total_rate,
        significance=peak.significance,
        distinct=peak.distinct,
        segments=len(lines),
        agreeing=agreeing,
        common=max(0.0, end - start),
        freezes_ir=tuple(still[0]),
        freezes_vis=tuple(still[1]),
        problems=tuple(_problems(peak, len(lines), agreeing)),
    )


def _nothing(reason: str, still: Still) -> SyncFit:
    return SyncFit(0.0, 1.0, 0.0, 0.0, 0, 0, 0.0, tuple(still[0]), tuple(still[1]), (reason,))


@dataclass(frozen=True)
class _Peak:
    lag: float
    height: float
    significance: float
    distinct: float


def _problems(peak: _Peak, segments: int, agreeing: int) -> list[str]:
    problems: list[str] = []
    if peak.significance < _SIGNIFICANT and agreeing < _WITNESSES:
        problems.append(
            f"the common motion is weak ({peak.significance:.1f} sigma, {_SIGNIFICANT:g} needed, "
            f"or {_WITNESSES} pieces of the clip that agree, not {agreeing})"
        )
    if peak.distinct < _DISTINCT:
        problems.append(f"another offset fits nearly as well (x{peak.distinct:.2f}, x{_DISTINCT:g} needed)")
    if agreeing < max(2, _AGREEING * segments):
        problems.append(f"only {agreeing} of {segments} pieces of the clip agree on the offset")
    return problems


def _signal(curve: Curve, *, start: float, count: int, rate: float) -> tuple[Floats, Floats]:
    """(N, cells) high-passed energy at equal weight of the cells, and (N,) weight, on the common grid.

    Grid point k is the curve's time `(start + k * step) * rate`.
    """
    wanted = (start + np.arange(count) * _STEP) * rate
    level = np.log1p(curve.energy / (np.median(curve.energy[curve.known], axis=0, keepdims=True) + 1e-5))
    signal = np.stack([np.interp(wanted, curve.times, cell) for cell in level.T], 1)
    near = np.interp(wanted, curve.times, curve.known.astype(np.float32), left=0, right=0)
    weight = (near > 0.99).astype(np.float32)
    width = max(3, min(round(_TREND_SECONDS / _STEP), count // 2))
    kernel = np.hanning(width + 2)[1:-1]
    share = np.maximum(np.convolve(weight, kernel, "same"), 1e-6)
    trend = np.stack([np.convolve(cell * weight, kernel, "same") / share for cell in signal.T], 1)
    clean = np.clip(signal - trend, -2.0, 2.0) * weight[:, None]
    return clean.astype(np.float32), weight


def _global(ir: Curve, vis: Curve, rate: float) -> _Peak | None:
    """The best lag over the whole clip at a fixed rate: infrared time = lag + rate * visible time."""
    if not (ir.known.any() and vis.known.any()):
        return None
    length = [float(c.times[-1] - c.times[0]) / r for c, r in ((ir, rate), (vis, 1.0))]
    counts = [max(2, int(seconds / _STEP)) for seconds in length]
    starts = float(ir.times[0]) / rate, float(vis.times[0])
    a, wa = _signal(ir, start=starts[0], count=counts[0], rate=rate)
    b, wb = _signal(vis, start=starts[1], count=counts[1], rate=1.0)
    least = min(_LEAST_OVERLAP, min(length) / 2) / _STEP
    score, lags = _correlation(a, wa, b, wb, least=least)
    shift = starts[0] - starts[1]
    return _peak(score, (lags.astype(np.float64) * _STEP + shift) * rate) if (score > 0).any() else None


def _correlation(
    a: Floats, wa: Floats, b: Floats, wb: Floats, *, least: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Masked correlation for every lag (a is later by the lag), times the root of the common share."""
    size = 1 << (len(a) + len(b) - 1).bit_length()

    def correlate(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
        product = np.fft.rfft(x, size, axis=0) * np.conj(np.fft.rfft(y, size, axis=0))
        return np.fft.irfft(product if product.ndim == 1 else product.sum(1), size)

    joint, common = correlate(a, b), correlate(wa, wb)
    energy = correlate((a * a).sum(1), wb) * correlate(wa, (b * b).sum(1))
    floor = 1e-3 * float((a * a).sum() * (b * b).sum()) / max(float(wa.sum() * wb.sum()), 1) * least**2
    score = joint / np.sqrt(np.maximum(energy, max(floor, 1e-9)))
    score = score * np.sqrt(np.clip(common / min(len(a), len(b)), 0, 1))
    score[common < least] = 0
    lags = np.arange(size)
    lags[lags > size // 2] -= size
    order = np.argsort(lags)
    return score[order], lags[order]


def _peak(score: NDArray[np.float64], lags: NDArray[np.float64]) -> _Peak:
    index = int(score.argmax())
    height = float(score[index])
    step = float(lags[1] - lags[0])
    shift = 0.0
    if 0 < index < len(score) - 1:
        bend = score[index - 1] - 2 * height + score[index + 1]
        shift = 0.5 * float((score[index - 1] - score[index + 1]) / bend) if bend < 0 else 0.0
    far = score[(np.abs(lags - lags[index]) > _NEAR) & (score != 0)]
    if len(far) < 30:
        return _Peak(float(lags[index]) + shift * step, height, 0.0, 0.0)
    spread = 1.4826 * float(np.median(np.abs(far - np.median(far)))) + 1e-9
    rival = max(float(far.max()), 1e-3)
    return _Peak(
        float(lags[index]) + shift * step,
        height,
        (height - float(np.median(far))) / spread,
        height / rival,
    )


def _segments(ir: Curve, vis: Curve, *, offset: float, rate: float) -> NDArray[np.float64]:
    """(K, 3) rows of visible time, extra lag in infrared seconds, weight: pieces matched on their own.

    A piece that finds nothing near the offset has no weight and counts as one that disagrees.
    """
    rows: list[tuple[float, float, float]] = []
    count, reach = int(_SEGMENT_SECONDS / _STEP), round(_NEAR / _STEP)
    start, whole = float(vis.times[0]), int((vis.times[-1] - vis.times[0]) / _STEP)
    b, wb = _signal(vis, start=start, count=whole, rate=1.0)
    a, wa = _signal(ir, start=offset / rate + start - reach * _STEP, count=whole + 2 * reach, rate=rate)
    for first in range(0, whole - count + 1, count // 2):
        centre = start + (first + count / 2) * _STEP
        piece = np.s_[first : first + count]
        scores = np.array(
            [
                _agreement(a[k : k + count], wa[k : k + count], b[piece], wb[piece])
                for k in range(first, first + 2 * reach + 1)
            ]
        )
        best = int(scores.argmax())
        if not scores.any():
            continue  # a freeze, a gap, or nothing moves
        if not 0 < best < 2 * reach or scores[best] < _LEAST_SCORE:
            rows.append((float(centre), _NEAR * rate, 0.0))
            continue
        bend = scores[best - 1] - 2 * scores[best] + scores[best + 1]
        shift = 0.5 * (scores[best - 1] - scores[best + 1]) / bend if bend < 0 else 0.0
        rows.append((float(centre), float((best - reach + shift) * _STEP * rate), float(scores[best]) ** 2))
    return np.array(rows).reshape(-1, 3)


def _agreement(a: Floats, wa: Floats, b: Floats, wb: Floats) -> float:
    both = (wa * wb)[:, None]
    if both.sum() < 0.5 * len(b):
        return 0.0
    energy = float((a * a * both).sum()) * float((b * b * both).sum())
    return float((a * b * both).sum()) / sqrt(max(energy, 1e-9))


def _line(lines: NDArray[np.float64], *, offset: float, frame: float) -> tuple[float, float, int]:
    """Offset, drift and the number of pieces within a frame of it; reweighted least squares."""
    found = lines[lines[:, 2] > 0]
    if len(found) < 3:
        return offset, 0.0, int((np.abs(found[:, 1]) <= frame).sum())
    times, lags, weights = found.T
    slope, centre = 0.0, float(np.average(times, weights=weights))
    base = float(np.median(lags))
    for _ in range(10):
        left = lags - base - slope * (times - centre)
        robust = weights / (1 + (left / (0.5 * frame)) ** 2)
        centre = float(np.average(times, weights=robust))
        spread = float(np.average((times - centre) ** 2, weights=robust))
        base = float(np.average(lags, weights=robust))
        slope = float(np.average((times - centre) * (lags - base), weights=robust)) / (spread + 1.0)
    left = lags - base - slope * (times - centre)
    agreeing = int((np.abs(left) <= frame).sum())
    if np.ptp(times) < 6.0 or abs(slope) < 2e-4:  # too short, or too little to tell from noise
        slope = 0.0
    return offset + base - slope * centre, slope, agreeing
