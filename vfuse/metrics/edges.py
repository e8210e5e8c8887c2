"""Metrics of edge transfer: Qabf, and the artefacts that Nabf counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._elementwise import arctan, exp
from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Field, Floats, Frame, Image, Pair
from vfuse.metrics._windows import strips

Real = TypeVar("Real", Field, Floats)
CERTAIN = 2
"""From here on Qabf's sigmoid of strengths is 1 in float32; far beyond, powers take a slow way around."""


@dataclass(frozen=True)
class Edges:
    """Sobel gradient of an image, in float32, which holds every possible value of x and y exactly.

    Attributes:
        x: derivative along the rows, (H, W).
        y: derivative down the columns, (H, W).
        strength: its length.
    """

    x: Field
    y: Field
    strength: Field


def edges(image: Image) -> Edges:
    """Unnormalised Sobel with zeros beyond the border."""
    return _edges(image, border=cv2.BORDER_CONSTANT)


def mirrored_edges(image: Image) -> Edges:
    """Unnormalised Sobel, the image mirrored at its border; an eighth is in grey levels per pixel."""
    return _edges(image, border=cv2.BORDER_REFLECT_101)


def _edges(image: Image, *, border: int) -> Edges:
    x, y = (
        np.asarray(cv2.Sobel(image.grey, cv2.CV_32F, *order, borderType=border), dtype=np.float32)
        for order in ((1, 0), (0, 1))
    )
    return Edges(x=x, y=y, strength=np.sqrt(x * x + y * y))


def angle(image: Image) -> Field:
    """Direction of the edges without sign, y upwards, in (-π/2, π/2]; π/2 where x is 0, flat pixels too."""
    return _angle(image.once(edges).x, image.once(edges).y)


def _angle(x: Real, y: Real) -> Real:
    upright = x == 0
    angles = arctan(cast("Real", -y / np.where(upright, 1, x)))
    angles[upright] = np.pi / 2
    return angles


def _both(
    first: Real, second: Real, *, height: float, slopes: tuple[float, float], middles: tuple[float, float]
) -> Real:
    """Product of a sigmoid of each, their heights multiplied: height / (1 + e^a) / (1 + e^b)."""
    whole, other = (
        exp(cast("Real", (middle - x) * slope))
        for x, slope, middle in zip((first, second), slopes, middles, strict=True)
    )
    whole += 1
    other += 1
    whole *= other
    return cast("Real", np.divide(height, whole, out=whole))


def _ratio(x: Real, f: Real) -> Real:
    strongest = np.maximum(x, f)
    np.maximum(strongest, 1, out=strongest)  # a gradient is 0 or at least 1
    return cast("Real", np.minimum(x, f) / strongest)


def transfer(pair: Pair) -> float:
    """Sum over the pixels of the source's edge strength times how well it is kept, 0…0.987."""
    x, f = pair.source.once(edges).strength, pair.fused.once(edges).strength
    x_angle, f_angle = pair.source.once(angle), pair.fused.once(angle)
    total = 0.0
    for rows in strips(len(x)):
        # As in use: where both are equally strong, the strength itself stands in place of the ratio.
        kept = _ratio(x[rows], f[rows])
        np.copyto(kept, f[rows], where=x[rows] == f[rows])
        np.minimum(kept, CERTAIN, out=kept)
        aligned = cv2.absdiff(x_angle[rows], f_angle[rows])
        aligned *= -2 / np.pi
        aligned += 1
        quality = _both(kept, aligned, height=0.9994 * 0.9879, slopes=(15, 22), middles=(0.5, 0.8))
        quality *= x[rows]
        total += cv2.sumElems(quality)[0]
    return total


def edge_weight(image: Image) -> float:
    """Sum of the strengths."""
    return float(image.once(edges).strength.sum(dtype=np.float64))


@metric(
    better="higher",
    over="frame",
    needs="sources",
    range="0…0.975",
    source="Xydeas & Petrović 2000, L = 1",
    min_side=2,
)
def qabf(frame: Frame) -> float:
    """Edge information transferred from the sources, weighted by their edge strength. Where neither source
    has an edge it is 0 and flagged."""
    kept = sum(pair.once(transfer) for pair in frame.pairs)
    weight = sum(pair.source.once(edge_weight) for pair in frame.pairs)
    if weight == 0:
        frame.flag("qabf")
        return 0.0
    return kept / weight


def artefact_weight(image: Image) -> Field:
    """Perceptual weight of each pixel: strength^1.5 from 2 grey levels per pixel on, else 0.001."""
    strength = image.once(mirrored_edges).strength
    weights = np.empty_like(strength)
    for rows in strips(len(strength)):
        slope = strength[rows] / 8
        weights[rows] = np.where(slope >= 2, slope * np.sqrt(slope), np.float32(0.001))
    return weights


def artefact_weight_sum(image: Image) -> float:
    """Sum of these weights."""
    return float(image.once(artefact_weight).sum(dtype=np.float64))


def _loss(source: Edges, fused: Edges, where: NDArray[np.intp]) -> Floats:
    """1 - how well each of the pixels `where` keeps the source's edge, in float64: most are close to 0."""
    (sx, sy), (fx, fy) = (
        (edge.x.ravel()[where].astype(np.float64), edge.y.ravel()[where].astype(np.float64))
        for edge in (source, fused)
    )
    source_strength: Floats = np.sqrt(sx * sx + sy * sy)
    fused_strength: Floats = np.sqrt(fx * fx + fy * fy)
    ratio = _ratio(source_strength, fused_strength)
    aligned: Floats = np.abs(np.abs(_angle(sx, sy) - _angle(fx, fy)) - np.pi / 2) * (2 / np.pi)
    quality = _both(ratio, aligned, height=0.9999 * 0.9995, slopes=(19, 22), middles=(0.5, 0.5))
    return 1 - np.sqrt(quality)


def _artefacts(a: Image, b: Image, fused: Image) -> float:
    f = fused.once(mirrored_edges)
    strongest = np.maximum(a.once(mirrored_edges).strength, b.once(mirrored_edges).strength)
    new = np.flatnonzero(f.strength > strongest)
    lost = whole = 0.0
    for image in (a, b):
        weights = image.once(artefact_weight).ravel()[new]
        lost += float((_loss(image.once(mirrored_edges), f, new) * weights).sum())
        whole += image.once(artefact_weight_sum)
    return lost / whole


@metric(
    better="lower",
    over="frame",
    needs="sources",
    range="0…1",
    source="Petrović & Xydeas 2005 as modified by Kumar 2013",
    min_side=2,
)
def nabf(frame: Frame) -> float:
    """Edges of the fused frame that neither source has. A frame equal to a source has 0."""
    return _artefacts(frame.ir, frame.vis, frame.fused)


@metric(
    better="lower",
    over="frame",
    needs="sources",
    range="0…1",
    source="evaluation in circulation: arguments in the wrong order",
    variant_of="nabf",
    min_side=2,
)
def nabf_swapped(frame: Frame) -> float:
    """`nabf` with the infrared taken for the fused frame, as published tables have it. Meaningless."""
    return _artefacts(frame.vis, frame.fused, frame.ir)
