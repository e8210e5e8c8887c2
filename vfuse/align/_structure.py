"""What infrared and visible share: maps of edge orientation, blind to contrast and polarity.

The maps follow CFOG (Ye et al., "Fast and robust matching for multimodal remote sensing image registration",
TGRS 2019), written with circular harmonics: an orientation histogram smoothed over its bins is a short
Fourier series over the double angle, so a handful of numbers a pixel carry what nine orientation channels do.

The constants were chosen on training pairs of MSRS and M3SVD by the information that a patch gives about its
place (the mean log likelihood of the true shift): at 160 x 120, 0.75 nats for a patch with the customary
smoothing, linear strength and two harmonics, 1.5 with what is here.
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
_SPREAD = 1.0  # pixels: tolerance to a small misfit of matching edges
_WINDOW = 5.0  # pixels: neighbourhood whose contrast is made equal
_FLOOR = 1.0  # times the median gradient: below it an edge counts as noise
_CAP = 1.5  # times the local contrast: one bright edge may not outvote a region
_FINE = 0.6  # weight of the fourth harmonic: finer in direction, and noisier
_SURROUND = 8.0  # pixels: edge density is taken relative to this neighbourhood


@dataclass(frozen=True)
class Structure:
    """Structure maps of one frame.

    Attributes:
        maps: (5, H, W) float32: real and imaginary part of the second and fourth angular harmonic, and the
            edge density.
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
    gx = cv2.Scharr(frame, cv2.CV_32F, 1, 0, scale=1 / 32)
    gy = cv2.Scharr(frame, cv2.CV_32F, 0, 1, scale=1 / 32)
    inner = cv2.erode((mask > 0.99).astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0)
    inner = inner.astype(np.float32)
    strength = cv2.magnitude(gx, gy) * inner
    weight = np.sqrt(np.minimum(strength / (_usual(strength, inner) + 1e-6), _CAP))
    unit = (gx + 1j * gy) / np.maximum(strength, 1e-9)
    double = unit * unit
    quadruple = _FINE * double * double
    parts = (double.real * weight, double.imag * weight, quadruple.real * weight, quadruple.imag * weight)
    maps = [cv2.GaussianBlur(part, (0, 0), _SPREAD) for part in (*parts, weight)]
    maps[-1] = maps[-1] - cv2.GaussianBlur(maps[-1], (0, 0), _SURROUND)
    return Structure(maps=np.stack(maps) * inner, mask=inner)


def _usual(strength: Array, inner: Array) -> Array:
    """(H, W) gradient strength to expect at each place: of its neighbourhood, and of the noise."""
    energy = cv2.GaussianBlur(strength * strength, (0, 0), _WINDOW)
    share = cv2.GaussianBlur(inner, (0, 0), _WINDOW)
    noise = _FLOOR * float(np.median(strength[inner > 0])) if inner.any() else 1.0
    return np.sqrt(energy / np.maximum(share, 1e-3)) + noise
