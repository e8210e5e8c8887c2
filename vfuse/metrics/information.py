"""Metrics of information: entropy, mutual information and cross entropy of grey-level histograms."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Bytes, Frame, Image, Pair

Counts = NDArray[np.int64]
EXACT = 1 << 24
"""Pixels that OpenCV counts exactly at a time: its counts are float32."""


def histogram(image: Image) -> Counts:
    """Pixels at each of the 256 grey levels."""
    return _counts(image.grey)


def joint_histogram(pair: Pair) -> Counts:
    """Pixels at each (source, fused) combination of grey levels, (256, 256)."""
    return joint(pair.source, pair.fused)


def joint(x: Image, y: Image) -> Counts:
    """Pixels at each combination of the grey levels of two images, (256, 256)."""
    return _counts(x.grey, y.grey)


def _counts(*planes: Bytes) -> Counts:
    """Pixels at each combination of the planes' levels, one axis of 256 for each plane."""
    height, width = planes[0].shape
    axes = len(planes)
    counts = np.zeros((256,) * axes, dtype=np.int64)
    rows = max(1, EXACT // width)
    for start in range(0, height, rows):
        parts = [plane[start : start + rows] for plane in planes]
        found = cv2.calcHist(parts, range(axes), None, [256] * axes, [0, 256] * axes)
        counts += found.astype(np.int64).reshape(counts.shape)
    return counts


def bits(counts: Counts) -> float:
    """Shannon entropy in bits of a distribution given as counts."""
    seen = counts[counts > 0]
    p = seen / seen.sum()
    return max(0.0, -float((p * np.log2(p)).sum()))


def image_bits(image: Image) -> float:
    """Entropy of the grey levels of an image."""
    return bits(image.once(histogram))


def mutual_bits(pair: Pair) -> float:
    """I(source; fused) = H(source) + H(fused) - H(source, fused) in bits, never negative."""
    together = bits(pair.once(joint_histogram))
    return max(0.0, pair.source.once(image_bits) + pair.fused.once(image_bits) - together)


@metric(
    better="higher",
    over="frame",
    needs="fused",
    range="0…8",
    unit="bit",
    source="Shannon 1948; 256 grey levels",
)
def en(frame: Frame) -> float:
    """Entropy of the fused frame's grey levels. A constant frame has 0."""
    return frame.fused.once(image_bits)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…16",
    unit="bit",
    source="Qu et al. 2002; 256 x 256 joint histogram, log base 2, sum over both sources",
)
def mi(frame: Frame) -> float:
    """Mutual information between the fused frame and each source, added. Constant frames have 0."""
    return sum(pair.once(mutual_bits) for pair in frame.pairs)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…11.1",
    unit="nat",
    source="CDDFuse evaluator, VIFB: natural logarithm",
    variant_of="mi",
)
def mi_nats(frame: Frame) -> float:
    """`mi` with the natural logarithm."""
    return mi(frame) * math.log(2)


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…16",
    unit="bit",
    source="MATLAB evaluation in circulation: index arithmetic on uint8 saturates",
    variant_of="mi",
)
def mi_saturating(frame: Frame) -> float:
    """`mi` with grey levels 254 and 255 sharing one bin of the joint histogram, but not of the others."""
    total = 0.0
    for pair in frame.pairs:
        merged = pair.once(joint_histogram).copy()
        merged[254] += merged[255]
        merged[:, 254] += merged[:, 255]
        merged[255] = merged[:, 255] = 0
        total += pair.source.once(image_bits) + pair.fused.once(image_bits) - bits(merged)
    return total


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…2",
    source="Hossny et al. 2008: each mutual information over the sum of the two entropies",
)
def nmi(frame: Frame) -> float:
    """Normalised mutual information: 2 Σ I(x; f) / (H(x) + H(f)). A term of two constant images is 0."""
    total = 0.0
    for pair in frame.pairs:
        both = pair.source.once(image_bits) + pair.fused.once(image_bits)
        total += 2 * pair.once(mutual_bits) / both if both else 0.0
    return total


@metric(
    better="lower",
    over="frame",
    needs="sources",
    range="≥ 0 in practice",
    unit="bit",
    source="VIFB (Zhang et al. 2020): mean over both sources, bins empty in either histogram left out",
)
def ce(frame: Frame) -> float:
    """Cross entropy: how far the fused histogram is from each source's, Σ p_x log2(p_x / p_f)."""
    q = frame.fused.once(histogram) / frame.fused.grey.size
    total = 0.0
    for pair in frame.pairs:
        p = pair.source.once(histogram) / pair.source.grey.size
        both = (p > 0) & (q > 0)
        total += float((p[both] * np.log2(p[both] / q[both])).sum())
    return total / 2
