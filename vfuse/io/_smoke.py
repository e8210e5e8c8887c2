"""The smoke of the sample scene: puffs drift from a smouldering bin, thick for the eye and thin for heat."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from vfuse.io._street import BIN, Array, Camera, irradiance, noise

_COARSE = 3  # smoke is soft: it is computed on a grid this much coarser
_LIFE = 7.5  # seconds
_RATE = 11  # puffs a second
_WIND, _RISE = 0.66, 0.17  # metres a second
_SPRITE = 96  # pixels
_SPRITES = 6
_REFLECTANCE = 0.34


class Veil(NamedTuple):
    """Smoke over the whole picture.

    Attributes:
        alpha: (H, W) how much of the visible light behind it is lost.
        warm: (H, W) the part of it that is still hot from the fire.
    shade: (H, W) how much of the lamp's light reaches it through the smoke above.
    """

    alpha: Array
    warm: Array
    shade: Array


class _Puff(NamedTuple):
    born: float
    sprite: int
    angle: float
    spin: float
    drift: float
    rise: float
    away: float


class Smoke:
    """Drifting smoke, the same for the same generator.

    Attributes:
        light: (H, W, 3) radiance of thick smoke at each pixel.
        distance: metres; what is nearer is in front of it.
    """

    def __init__(self, camera: Camera, rng: np.random.Generator, *, seconds: float) -> None:
        self.distance = BIN[1]
        self._camera = camera
        self._size = (-(-camera.width // _COARSE), -(-camera.height // _COARSE))
        self._sprites = [_sprite(rng) for _ in range(_SPRITES)]
        births = np.arange(-_LIFE, seconds, 1 / _RATE)
        self._puffs = [
            _Puff(
                float(born),
                int(rng.integers(_SPRITES)),
                float(rng.uniform(0, 360)),
                float(rng.normal(0, 14)),
                float(rng.normal(1, 0.16)),
                float(rng.normal(1, 0.55)),
                float(rng.normal(0, 0.35)),
            )
            for born in births
        ]
        self.light = self._light()

    def at(self, time: float) -> Veil:
        """The smoke at a time in seconds."""
        thick, warm = np.zeros(self._size[::-1], np.float32), np.zeros(self._size[::-1], np.float32)
        for puff in self._puffs:
            age = time - puff.born
            if 0 < age < _LIFE:
                layer = self._spread(puff, age) * (min(age / 0.4, 1) * min((_LIFE - age) / 2.5, 1) * 1.35)
                thick += layer
                warm += layer * max(0.0, 1 - age / 1.6)
        alpha = np.minimum(1 - np.exp(-thick), 0.985)
        above = np.roll(thick, max(self._size[1] // 34, 1), axis=0)
        shade = 0.62 + 0.50 * np.exp(-0.45 * above)
        return Veil(self._large(alpha), self._large(1 - np.exp(-0.5 * warm)), self._large(shade))

    def _spread(self, puff: _Puff, age: float) -> Array:
        """One puff on the coarse grid: carried by the wind, growing, turning, thinning."""
        x = BIN[0] + _WIND * puff.drift * age
        y = 0.80 + _RISE * puff.rise * age
        column, row = self._camera.project(x, y, BIN[1] + puff.away)
        radius = (0.26 + 0.155 * age) * self._camera.focal / BIN[1]
        scale = 2 * radius / (_SPRITE * 0.62) / _COARSE
        turn = cv2.getRotationMatrix2D((_SPRITE / 2, _SPRITE / 2), puff.angle + puff.spin * age, scale)
        turn[:, 2] += (column / _COARSE - _SPRITE / 2, row / _COARSE - _SPRITE / 2)
        thin = 0.9 / (1 + 0.10 * age)
        return np.asarray(cv2.warpAffine(self._sprites[puff.sprite], turn, self._size), np.float32) * thin

    def _large(self, layer: Array) -> Array:
        size = (self._size[0] * _COARSE, self._size[1] * _COARSE)
        grown = np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_CUBIC), np.float32)
        return np.clip(grown[: self._camera.height, : self._camera.width], 0, 1.2)

    def _light(self) -> Array:
        camera = self._camera
        x = (np.arange(camera.width, dtype=np.float32) - camera.centre)[None] * self.distance / camera.focal
        y = (
            camera.above
            - (np.arange(camera.height, dtype=np.float32) - camera.horizon)[:, None]
            * self.distance
            / camera.focal
        )
        x, y = np.broadcast_arrays(x, y)
        lamps = irradiance(x, y, self.distance, None)
        fire = np.exp(-((x - BIN[0]) ** 2 + (y - 1.0) ** 2) / 0.35)[..., None] * np.array([0.35, 0.10, 0.02])
        return np.asarray(lamps * _REFLECTANCE + fire, np.float32)


def _sprite(rng: np.random.Generator) -> Array:
    """(S, S) a ball of cloud with ragged edges."""
    ramp = np.linspace(-1, 1, _SPRITE, dtype=np.float32)
    away = np.hypot(ramp[None], ramp[:, None])
    cloud = noise(rng, _SPRITE, roughness=0.9)
    ball = np.clip(1 - (away / 0.78) ** 2 + 0.22 * cloud, 0, 1) * np.clip((1 - away) / 0.25, 0, 1)
    return np.asarray(ball * np.clip(0.72 + 0.28 * cloud, 0.1, 1.6) * 0.42, np.float32)
