"""The two cameras of the sample scene: shake, glare, exposure and noise, and how the degraded ones fail."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.io._street import Array

_EXPOSURE = 2.1
_GAMMA = 1 / 2.2
_GRAINS = 8  # prepared noise fields; each frame takes one at a random shift


class Shake:
    """Hand-held motion: smooth, below a hertz and a bit above, the same in both cameras.

    Args:
        rng: generator.
        reach: largest usual shift in pixels.
    """

    def __init__(self, rng: np.random.Generator, *, reach: float) -> None:
        self._rates = rng.uniform(0.35, 3.2, (3, 5))
        self._phases = rng.uniform(0, 2 * np.pi, (3, 5))
        weights = rng.uniform(0.5, 1, (3, 5)) / self._rates
        self._weights = weights / weights.sum(axis=1, keepdims=True)
        self._reach = np.array([reach, reach * 0.8, 0.16])  # pixels, pixels, degrees

    def at(self, time: float, *, size: tuple[int, int], margin: int) -> NDArray[np.float64]:
        """(2, 3) affine map from the canvas to the picture of (width, height), which lies `margin` inside."""
        wave = (self._weights * np.sin(2 * np.pi * self._rates * time + self._phases)).sum(
            axis=1
        ) * self._reach
        centre = (size[0] / 2 + margin, size[1] / 2 + margin)
        matrix = cv2.getRotationMatrix2D(centre, float(wave[2]), 1.0)
        matrix[:, 2] += wave[:2] - margin
        return np.asarray(matrix, np.float64)


class Grain:
    """Noise fields of deviation 1, cheap to draw from.

    Args:
        rng: generator, also of the shifts.
        shape: of a frame.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self._rng = rng
        self._fields = rng.standard_normal((_GRAINS, *shape)).astype(np.float32)

    def draw(self) -> Array:
        """A fresh-looking field."""
        field = self._fields[self._rng.integers(_GRAINS)]
        return np.roll(field, tuple(self._rng.integers(0, field.shape[:2])), axis=(0, 1))


def glare(radiance: Array) -> Array:
    """Light that the lens scatters around lamps: a tight halo, a wide veil and a faint star."""
    small = cv2.resize(radiance, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    bright = np.maximum(small - 0.6, 0)
    unit = radiance.shape[0] / 512
    halo = 0.085 * cv2.GaussianBlur(bright, (0, 0), 1.6 * unit) + 0.045 * cv2.GaussianBlur(
        bright, (0, 0), 5 * unit
    )
    veil = 0.022 * cv2.GaussianBlur(bright, (0, 0), 22 * unit)
    star = 0.02 * cv2.GaussianBlur(bright, (0, 0), 11 * unit, sigmaY=0.5)
    size = (radiance.shape[1], radiance.shape[0])
    return np.asarray(cv2.resize(halo + veil + star, size, interpolation=cv2.INTER_LINEAR), np.float32)


def expose(radiance: Array, grain: Array) -> Array:
    """Radiance to (H, W, 3) picture values in [0, 1] of a small colour camera at night."""
    soft = cv2.GaussianBlur(radiance, (0, 0), 0.55 * max(radiance.shape[0] / 480, 0.5))
    exposed = 1 - np.exp(-_EXPOSURE * np.maximum(soft, 0))
    grey = exposed.mean(axis=2, keepdims=True)
    dim = np.exp(-grey * 14)  # colours fade where there is little light
    exposed += 0.55 * dim * (grey * np.array([0.94, 0.99, 1.10], np.float32) - exposed)
    exposed += grain * np.sqrt(0.000009 + 0.00022 * exposed)
    return np.clip(exposed, 0, 1) ** _GAMMA


def thermal(heat: Array, grain: Array, pattern: Array) -> Array:
    """Heat to (H, W) values in [0, 1] of an uncooled thermal camera: soft, a little noisy, fixed gain."""
    soft = cv2.GaussianBlur(heat, (0, 0), 0.9 * max(heat.shape[0] / 480, 0.5))
    return np.clip(soft + 0.006 * grain + 0.004 * pattern, 0, 1)


class Spoiler:
    """Makes the degraded twins, with the kind and strength measured on published degraded video.

    The infrared gets an offset, column stripes that stand still, a little row pattern and noise that is new
    in every frame; the visible a blur and a slight brightening.

    Args:
        rng: generator.
        size: (width, height).
    """

    def __init__(self, rng: np.random.Generator, *, size: tuple[int, int]) -> None:
        width, height = size
        self._offset = np.float32(rng.uniform(30, 47) / 255)
        columns = rng.standard_normal(width).astype(np.float32) * (9.5 / 255)
        rows = rng.standard_normal(height).astype(np.float32) * (2.0 / 255)
        self._stripes = columns[None] + rows[:, None]
        self._noise = np.float32(rng.uniform(11, 15) / 255)
        self._blur = float(rng.uniform(1.2, 1.5)) * height / 480
        self._lift = np.float32(rng.uniform(4, 7.5) / 255)

    def infrared(self, frame: Array, grain: Array) -> Array:
        """(H, W) in [0, 1]."""
        return np.clip(frame + self._offset + self._stripes + self._noise * grain, 0, 1)

    def visible(self, frame: Array) -> Array:
        """(H, W, 3) in [0, 1]."""
        return np.clip(cv2.GaussianBlur(frame, (0, 0), self._blur) + self._lift, 0, 1)
