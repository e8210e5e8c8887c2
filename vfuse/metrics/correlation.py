"""Metrics of correlation and error between the fused frame and its sources, exact by their histograms."""

from __future__ import annotations

import math

import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Frame, Image, Pair, Sources
from vfuse.metrics.information import Counts, histogram, joint, joint_histogram

LEVELS = np.arange(256)


def total(image: Image) -> int:
    """Sum of the grey levels."""
    return int((image.once(histogram) * LEVELS).sum())


def energy(image: Image) -> int:
    """Sum of the squared grey levels."""
    return int((image.once(histogram) * LEVELS**2).sum())


def product(pair: Pair) -> int:
    """Sum of source x fused."""
    return _product(pair.once(joint_histogram))


def between_sources(sources: Sources) -> int:
    """Sum of infrared x visible."""
    return _product(joint(sources.ir, sources.vis))


def _product(counts: Counts) -> int:
    return int((counts * LEVELS * LEVELS[:, None]).sum())


def _covariance(x: Image, y: Image, xy: int) -> int:
    """n² times the covariance: a whole number, so a constant image gives exactly 0."""
    return x.grey.size * xy - x.once(total) * y.once(total)


def _ratio(covariance: int, variance_x: int, variance_y: int) -> float | None:
    if variance_x == 0 or variance_y == 0:
        return None
    return covariance / (math.sqrt(variance_x) * math.sqrt(variance_y))


def variance(image: Image) -> int:
    """n² times the population variance."""
    return _covariance(image, image, image.once(energy))


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-1…1",
    source="Pearson correlation with each source, mean of both",
)
def cc(frame: Frame) -> float:
    """Correlation coefficient. A term with a constant image is 0 and flagged."""
    terms: list[float] = []
    for pair in frame.pairs:
        covariance = _covariance(pair.source, pair.fused, pair.once(product))
        r = _ratio(covariance, pair.source.once(variance), pair.fused.once(variance))
        terms.append(_settled(frame, "cc", r))
    return sum(terms) / 2


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-2…2",
    source="Aslantas & Bendes 2015: r(f - vis, ir) + r(f - ir, vis)",
)
def scd(frame: Frame) -> float:
    """Sum of the correlations of differences. Where the fused frame equals a source (plus a constant) the
    difference is constant, and the term is 0 and flagged."""
    shared = _covariance(frame.ir, frame.vis, frame.sources.once(between_sources))
    with_fused = [_covariance(pair.source, pair.fused, pair.once(product)) for pair in frame.pairs]
    result = 0.0
    for kept, other in ((0, 1), (1, 0)):
        source, taken = frame.pairs[kept].source, frame.pairs[other].source
        spread = frame.fused.once(variance) + taken.once(variance) - 2 * with_fused[other]
        result += _settled(frame, "scd", _ratio(with_fused[kept] - shared, spread, source.once(variance)))
    return result


def _settled(frame: Frame, name: str, r: float | None) -> float:
    if r is None:
        frame.flag(name)
        return 0.0
    return r


def _squared_error(frame: Frame) -> float:
    """Mean squared difference to each source, mean of both, on the 0..255 scale."""
    both = 0
    for pair in frame.pairs:
        both += pair.source.once(energy) + pair.fused.once(energy) - 2 * pair.once(product)
    return both / (2 * frame.fused.grey.size)


@metric(
    better="lower",
    over="frame",
    needs="sources",
    range="0…1",
    source="mean over both sources, pixels in [0, 1]",
)
def mse(frame: Frame) -> float:
    """Mean squared error against the sources."""
    return _squared_error(frame) / 255**2


@metric(
    better="lower",
    over="frame",
    needs="sources",
    range="0…65025",
    source="CDDFuse evaluator: pixels in 0..255",
    variant_of="mse",
)
def mse_255(frame: Frame) -> float:
    """`mse` on the 0..255 scale."""
    return _squared_error(frame)


def _decibel(ratio: float) -> float:
    return 10 * math.log10(ratio) if ratio > 0 else -math.inf


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="48.1…∞",
    unit="dB",
    source="as fusion papers print it: 20 log10(255 / √mse), pixels in [0, 1]; the true PSNR + 48.13 dB",
)
def psnr(frame: Frame) -> float:
    """Peak signal-to-noise ratio against the sources, in the fusion papers' scale; infinite when both sources
    equal the fused frame. `psnr_std` is the true one."""
    error = mse(frame)
    return _decibel(255**2 / error) if error else math.inf


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…∞",
    unit="dB",
    source="the usual definition: 10 log10(255² / MSE)",
    variant_of="psnr",
)
def psnr_std(frame: Frame) -> float:
    """Peak signal-to-noise ratio against the sources, peak and error on one scale."""
    error = _squared_error(frame)
    return _decibel(255**2 / error) if error else math.inf


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="-∞…∞",
    unit="dB",
    source="CDDFuse evaluator: peak is the fused frame's maximum",
    variant_of="psnr",
)
def psnr_peak(frame: Frame) -> float:
    """`psnr_std` with the brightest fused pixel for a peak; a black fused frame has minus infinity."""
    error = _squared_error(frame)
    return _decibel(float(frame.fused.grey.max()) ** 2 / error) if error else math.inf


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="> 0",
    unit="dB",
    source="VIFB: the error is the root of the summed squares over H x W",
    variant_of="psnr",
)
def psnr_vifb(frame: Frame) -> float:
    """10 log10(255² / e), e the mean over both sources of √Σ(f - x)² / (H W). Grows with the image's size."""
    size = frame.fused.grey.size
    error = 0.0
    for pair in frame.pairs:
        squares = pair.source.once(energy) + pair.fused.once(energy) - 2 * pair.once(product)
        error += math.sqrt(squares) / size / 2
    return _decibel(255**2 / error) if error else math.inf
