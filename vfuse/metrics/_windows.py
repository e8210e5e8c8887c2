"""Separable windowed means, which most of the structural metrics are made of."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from vfuse.metrics._shared import Floats

STRIP = 32


def gaussian(side: int, *, sigma: float) -> Floats:
    """Gaussian weights of unit sum, (side, 1)."""
    return np.asarray(cv2.getGaussianKernel(side, sigma, cv2.CV_64F), dtype=np.float64)


def box(side: int) -> Floats:
    """Equal weights of unit sum, (side, 1)."""
    return np.full((side, 1), 1 / side)


def mean(pixels: Floats, kernel: Floats, *, padded: bool = False) -> Floats:
    """Windowed mean of pixels (H, W).

    Args:
        pixels: float64.
        kernel: weights of odd length k, applied along both axes.
        padded: keep (H, W) by repeating edge pixels; else only windows inside, (H - k + 1, W - k + 1).
    """
    filtered = cv2.sepFilter2D(pixels, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    means = np.asarray(filtered, dtype=np.float64)
    rim = len(kernel) // 2
    return means if padded else means[rim:-rim, rim:-rim]


def halve(pixels: Floats) -> Floats:
    """Mean of each 2 x 2 pixels, (H // 2, W // 2); an odd last row or column is dropped."""
    height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    even = pixels[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def strips(height: int) -> Iterator[slice]:
    """Rows of an image, a few at a time: arithmetic on a strip stays in the processor's cache."""
    return (slice(start, start + STRIP) for start in range(0, height, STRIP))
