"""Metrics of edge transfer: Qabf, and the artefacts that Nabf counts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Floats, Frame, Image, Pair


@dataclass(frozen=True)
class Edges:
    """Sobel gradient of an image.

    Attributes:
        x: derivative along the rows, (H, W).
        y: derivative down the columns, (H, W).
        strength: its length.
        angle: its direction without sign, y upwards, in (-π/2, π/2]; π/2 wherever x is 0, flat pixels too.
    """

    x: Floats
    y: Floats
    strength: Floats
    angle: Floats


def edges(image: Image) -> Edges:
    """Unnormalised Sobel with zeros beyond the border."""
    return _edges(image, border=cv2.BORDER_CONSTANT, scale=1)


def mirrored_edges(image: Image) -> Edges:
    """Sobel divided by 8, so in grey levels per pixel, the image mirrored at its border."""
    return _edges(image, border=cv2.BORDER_REFLECT_101, scale=1 / 8)


def _edges(image: Image, *, border: int, scale: float) -> Edges:
    x, y = (
        cv2.Sobel(image.grey, cv2.CV_16S, *order, borderType=border).astype(np.float64) * scale
        for order in ((1, 0), (0, 1))
    )
    upright = x == 0
    angle = np.arctan(-y / np.where(upright, 1, x))
    angle[upright] = np.pi / 2
    return Edges(x=x, y=y, strength=np.sqrt(x * x + y * y), angle=angle)


def _sigmoid(x: Floats, *, height: float, slope: float, middle: float) -> Floats:
    return height / (1 + np.exp(-slope * (x - middle)))


def transfer(pair: Pair) -> Floats:
    """How well the fused frame keeps the source's edge at each pixel, 0…0.987."""
    x, f = pair.source.once(edges), pair.fused.once(edges)
    strongest = np.maximum(x.strength, f.strength)
    ratio = np.minimum(x.strength, f.strength) / np.where(strongest == 0, 1, strongest)
    # The definition in use: where both are equally strong, the strength itself stands in place of the ratio.
    kept = np.where(x.strength == f.strength, f.strength, ratio)
    aligned = 1 - np.abs(x.angle - f.angle) / (np.pi / 2)
    strength = _sigmoid(kept, height=0.9994, slope=15, middle=0.5)
    return strength * _sigmoid(aligned, height=0.9879, slope=22, middle=0.8)


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
    kept = weight = 0.0
    for pair in frame.pairs:
        strength = pair.source.once(edges).strength
        kept += float(np.dot(pair.once(transfer).ravel(), strength.ravel()))
        weight += float(strength.sum())
    if weight == 0:
        frame.flag("qabf")
        return 0.0
    return kept / weight


def _loss(source: Edges, fused: Edges) -> Floats:
    strongest = np.maximum(source.strength, fused.strength)
    ratio = np.minimum(source.strength, fused.strength) / np.where(strongest == 0, 1, strongest)
    aligned = np.abs(np.abs(source.angle - fused.angle) - np.pi / 2) * (2 / np.pi)
    strength = _sigmoid(ratio, height=0.9999, slope=19, middle=0.5)
    return 1 - np.sqrt(strength * _sigmoid(aligned, height=0.9995, slope=22, middle=0.5))


def artefact_weight(image: Image) -> Floats:
    """Perceptual weight of each source pixel: strength^1.5 from 2 grey levels per pixel on, else 0.001."""
    strength = image.once(mirrored_edges).strength
    return np.where(strength >= 2, strength * np.sqrt(strength), 0.001)


def _artefacts(a: Image, b: Image, fused: Image) -> float:
    f = fused.once(mirrored_edges)
    new = np.ones(f.strength.shape, dtype=np.bool_)
    for image in (a, b):
        new &= f.strength > image.once(mirrored_edges).strength
    lost = whole = 0.0
    for image in (a, b):
        weight = image.once(artefact_weight)
        lost += float((_loss(image.once(mirrored_edges), f) * weight)[new].sum())
        whole += float(weight.sum())
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
