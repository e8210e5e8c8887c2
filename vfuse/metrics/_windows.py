"""Separable windowed means, which most of the structural metrics are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

import cv2
import numpy as np

from vfuse.metrics._shared import Field, Floats

STRIP = 64

Real = TypeVar("Real", Field, Floats)


@dataclass(frozen=True)
class Window:
    """A square window of odd side.

    Attributes:
        side: in pixels.
        weights: along each axis, (side, 1) of unit sum; None where all are equal.
    """

    side: int
    weights: Floats | None = None


def gaussian(side: int, *, sigma: float) -> Window:
    """Gaussian weights of unit sum."""
    weights = cv2.getGaussianKernel(side, sigma, cv2.CV_64F)
    return Window(side, np.asarray(weights, dtype=np.float64))


def box(side: int) -> Window:
    """Equal weights of unit sum: running sums, whatever the side."""
    return Window(side)


def mean(pixels: Real, window: Window, *, padded: bool = False) -> Real:
    """Windowed mean of pixels (H, W).

    Args:
        pixels: float32 or float64, and so is the mean.
        window: of side k.
        padded: keep (H, W) by repeating edge pixels; else only windows inside, (H - k + 1, W - k + 1).
    """
    border = cv2.BORDER_REPLICATE
    if window.weights is None:
        filtered = cv2.blur(pixels, (window.side, window.side), borderType=border)
    else:
        filtered = cv2.sepFilter2D(pixels, -1, window.weights, window.weights, borderType=border)
    means = cast("Real", np.asarray(filtered))
    rim = window.side // 2
    return means if padded else means[rim:-rim, rim:-rim]


def halve(pixels: Real) -> Real:
    """Mean of each 2 x 2 pixels, (H // 2, W // 2); an odd last row or column is dropped."""
    height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    even = pixels[:height, :width]
    pairs = even[::2] + even[1::2]
    return cast("Real", (pairs[:, ::2] + pairs[:, 1::2]) / 4)


def strips(height: int) -> Iterator[slice]:
    """Rows of an image, a few at a time: arithmetic on a strip stays in the processor's cache."""
    return (slice(start, start + STRIP) for start in range(0, height, STRIP))
