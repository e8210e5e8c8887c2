"""The street of the sample scene: where things stand, how the camera looks at them, what the lamps light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Labels = NDArray[np.uint8]


class Class(IntEnum):
    """What a pixel of the masks shows."""

    SKY = 0
    ROAD = 1
    PAVEMENT = 2
    BUILDING = 3
    POLE = 4
    PERSON = 5
    CAR = 6
    BIN = 7


LEFT_WALL, RIGHT_WALL = -8.6, 8.2  # metres to the side of the camera
ROAD = (-4.3, 3.9)
FAR_WALL = 82.0  # metres ahead, where the street turns
ZEBRA = (12.6, 15.4)
BIN = (-5.3, 11.6)  # (X, Z) of the smouldering bin
MOON = np.array([0.007, 0.010, 0.018], np.float32)  # radiance of the night sky's light on a white wall


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera above the street.

    Attributes:
        width, height: of the picture in pixels.
        focal: in pixels.
        centre: column of the vanishing point.
        horizon: its row.
        above: metres above the ground.
    """

    width: int
    height: int
    focal: float
    centre: float
    horizon: float
    above: float = 2.7

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Column and row of the point `x` metres to the right, `y` above the ground, `z` ahead."""
        return self.centre + self.focal * x / z, self.horizon + self.focal * (self.above - y) / z

    def scaled(self, factor: int) -> Camera:
        """The same view with more pixels."""
        shift = (factor - 1) / 2
        return Camera(
            self.width * factor,
            self.height * factor,
            self.focal * factor,
            self.centre * factor + shift,
            self.horizon * factor + shift,
            self.above,
        )


@dataclass(frozen=True)
class Lamp:
    """A street lamp: where its light comes from, in metres, and its colour times strength."""

    x: float
    y: float
    z: float
    colour: tuple[float, float, float]


LAMPS = (
    Lamp(-3.5, 5.6, 11.5, (30.0, 20.0, 10.5)),
    Lamp(3.0, 5.6, 31.0, (26.0, 18.5, 10.5)),
    Lamp(-3.5, 5.6, 35.0, (30.0, 20.0, 10.5)),
    Lamp(3.0, 5.6, 50.0, (30.0, 20.0, 10.5)),
    Lamp(-3.5, 5.6, 62.0, (30.0, 20.0, 10.5)),
)
POSTS = ((-5.0, 11.5, 1.5), (4.5, 31.0, -1.5), (-5.0, 35.0, 1.5), (4.5, 50.0, -1.5), (-5.0, 62.0, 1.5))


@dataclass(frozen=True)
class Street:
    """The empty street as the camera sees it.

    Attributes:
        albedo: (H, W, 3) reflectance in [0, 1].
        light: (H, W, 3) what the lamps and the sky send; radiance is albedo times light plus glow.
        glow: (H, W, 3) light that a point sends out itself, such as lit windows.
        heat: (H, W) grey level of the thermal camera in [0, 1].
        depth: (H, W) metres.
        classes: (H, W) members of `Class`.
        ground: (H, W, 2) the X and Z of ground points, NaN elsewhere.
        wet: (H, W) how much the ground mirrors, 0 elsewhere.
    """

    albedo: Array
    light: Array
    glow: Array
    heat: Array
    depth: Array
    classes: Labels
    ground: Array
    wet: Array


def noise(rng: np.random.Generator, size: int = 512, *, roughness: float = 1.0) -> Array:
    """(size, size) tileable cloud of mean 0 and deviation 1; a higher roughness has finer grains."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / np.maximum(frequency, 1) ** (2.2 - roughness)
    spectrum[0, 0] = 0
    cloud = np.fft.irfft2(spectrum, s=(size, size))
    return (cloud / cloud.std()).astype(np.float32)


def sample(cloud: Array, u: Array, v: Array) -> Array:
    """The cloud at texture coordinates in pixels, repeating."""
    size = cloud.shape[0]
    return np.asarray(
        cv2.remap(cloud, np.mod(u, size - 1), np.mod(v, size - 1), cv2.INTER_LINEAR), dtype=np.float32
    )


def irradiance(
    x: Array | float, y: Array | float, z: Array | float, normal: tuple[float, float, float] | None
) -> Array:
    """Light from the lamps on surfaces of one orientation, or from all around: (..., 3)."""
    total = np.zeros(1, np.float32)
    for lamp in LAMPS:
        dx, dy, dz = lamp.x - x, lamp.y - y, lamp.z - z
        square = dx * dx + dy * dy + dz * dz
        distance = np.sqrt(square)
        down = np.maximum(dy, 0) / distance  # shades keep the light from going up
        facing = (
            0.5
            if normal is None
            else np.maximum(dx * normal[0] + dy * normal[1] + dz * normal[2], 0) / distance
        )
        strength = np.asarray(facing * down**0.6 / (square + 1.0), np.float32)
        total = total + strength[..., None] * np.asarray(lamp.colour, np.float32)
    return np.asarray(total, dtype=np.float32) + MOON
