"""What infrared and visible share: maps of edge orientation, blind to contrast and polarity.

The maps follow CFOG (Ye et al., "Fast and robust matching for multimodal remote sensing image registration",
TGRS 2019), written with circular harmonics: an orientation histogram smoothed over its bins is a short
Fourier series over the double angle, so four numbers a pixel carry what nine orientation channels do, and
their sum over the bins is zero, which keeps plain "there is an edge" from matching everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # float32; what cv2 returns is typed no closer

_BLACK = 2 / 255  # brightest value of a black bar, after compression
_CONVEX = 0.97  # share of its convex hull that a picture between bars fills
_SMALLEST = 0.1  # share of the frame such a picture has at least
_SMOOTH = 1.0  # pixels: scale of the derivative
_SPREAD = 1.2  # pixels: tolerance to a small misfit of matching edges
_WINDOW = 10.0  # pixels: neighbourhood whose contrast is made equal
_FLOOR = 1.0  # times the median gradient: below it an edge counts as noise
_CAP = 2.5  # times the local contrast: one bright edge may not outvote a region


@dataclass(frozen=True)
class Structure:
    """Structure maps of one frame.

    Attributes:
        maps: (4, H, W) float32: real and imaginary part of the second and fourth angular harmonic.
        mask: (H, W) float32 in {0, 1}: where the frame shows something and the maps hold.
    """

    maps: Array
    mask: Array


def visible_area(frame: Array) -> Array:
    """(H, W) float32 in {0, 1}: 0 on black bars and on the black corners of a frame that was warped.

    Black that touches the border counts as a bar only where what remains is convex; a black sky stays.

    Args:
        frame: (H, W) float32 in [0, 1].
    """
    black = (frame <= _BLACK).astype(np.uint8)
    _, labels = cv2.connectedComponents(black, connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    shown = (~np.isin(labels, edge[edge > 0])).astype(np.uint8)
    shown = cv2.morphologyEx(shown, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    points = cast("Array | None", cv2.findNonZero(shown))
    if points is None:
        return np.ones_like(frame)
    hull = cv2.fillConvexPoly(np.zeros_like(shown), cv2.convexHull(points), 1)
    picture = shown.sum() >= _CONVEX * hull.sum() and hull.sum() >= _SMALLEST * hull.size
    return (hull if picture else np.ones_like(hull)).astype(np.float32)


def structure(frame: Array, mask: Array) -> Structure:
    """The structure maps of a frame.

    Args:
        frame: (H, W) float32 in [0, 1].
        mask: (H, W) float32 in [0, 1]: 1 where the frame shows something.
    """
    smooth = cv2.GaussianBlur(frame, (0, 0), _SMOOTH)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    inner = cv2.erode((mask > 0.99).astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0).astype(
        np.float32
    )
    strength = np.sqrt(gx * gx + gy * gy) * inner
    energy = cv2.GaussianBlur(strength * strength, (0, 0), _WINDOW)
    share = cv2.GaussianBlur(inner, (0, 0), _WINDOW)
    local = np.sqrt(energy / np.maximum(share, 1e-3))
    floor = _FLOOR * float(np.median(strength[inner > 0])) if inner.any() else 1.0
    weight = np.minimum(strength / (local + floor + 1e-6), _CAP)
    unit = (gx + 1j * gy) / np.maximum(strength, 1e-9)
    double = unit * unit
    maps = np.stack(
        [f * weight for f in (double.real, double.imag, (double * double).real, (double * double).imag)]
    )
    maps = np.stack([cv2.GaussianBlur(m.astype(np.float32), (0, 0), _SPREAD) for m in maps])
    return Structure(maps=maps * inner, mask=inner)
