"""A moving thing as a patch of pixels, and the brush that paints it finely and smooths it down."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfuse.io._street import Array, Class

_FINE = 3  # supersampling
Colour = tuple[float, float, float]
NO_GLOW: Colour = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Figure:
    """A patch to lay over the street.

    Attributes:
        left, top: of the patch in the picture; may lie outside.
        alpha: (h, w) how much of each pixel it covers.
        albedo: (h, w, 3) reflectance.
        relief: (h, w) how much the surface faces the light, around 1.
        glow: (h, w, 3) light of its own.
        heat: (h, w) thermal grey level.
        place: (X, Z) in metres.
        kind: its class in the masks.
        identity: its number in the boxes, from 1.
    """

    left: int
    top: int
    alpha: Array
    albedo: Array
    relief: Array
    glow: Array
    heat: Array
    place: tuple[float, float]
    kind: Class
    identity: int


class Brush:
    """Paints shapes over each other at several times the resolution of the patch.

    Args:
        left, top, right, bottom: of the patch in the picture, in pixels.
    """

    def __init__(self, left: float, top: float, right: float, bottom: float) -> None:
        self.left, self.top = int(np.floor(left)) - 2, int(np.floor(top)) - 2
        self._size = (int(np.ceil(right)) + 2 - self.left, int(np.ceil(bottom)) + 2 - self.top)
        shape = (self._size[1] * _FINE, self._size[0] * _FINE)
        self._alpha = np.zeros(shape, np.float32)
        # Relief, heat, albedo and glow side by side, so that one blend serves all; premultiplied by alpha.
        self._layers = np.zeros((*shape, 8), np.float32)

    def capsule(
        self,
        one: tuple[float, float],
        other: tuple[float, float],
        radii: tuple[float, float],
        *,
        colour: Colour,
        heat: float,
        texture: Array,
    ) -> None:
        """A rounded limb between two picture points, its surface bent away at the rim."""
        reach = max(radii) + 1
        area = self._area(
            min(one[0], other[0]) - reach,
            min(one[1], other[1]) - reach,
            max(one[0], other[0]) + reach,
            max(one[1], other[1]) + reach,
        )
        rows, columns = area
        u = (
            (np.arange(columns.start, columns.stop, dtype=np.float32)[None] + 0.5) / _FINE
            + self.left
            - one[0]
        )
        v = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5) / _FINE + self.top - one[1]
        du, dv = np.float32(other[0] - one[0]), np.float32(other[1] - one[1])
        along = np.clip((u * du + v * dv) / (du * du + dv * dv + 1e-6), 0, 1)
        radius = np.float32(radii[0]) + np.float32(radii[1] - radii[0]) * along
        side = u - along * du
        off = np.hypot(side, v - along * dv) / radius
        cover = np.clip((1 - off) * radius * _FINE + 0.5, 0, 1)
        bulge = np.sqrt(np.clip(1 - off * off, 0, 1))
        cloud = (
            texture[rows, columns] if texture.shape == self._alpha.shape else self.stretched(texture)[area]
        )
        relief = 0.62 + 0.38 * bulge - 0.22 * side / radius + 0.10 * cloud
        self._lay(area, cover, relief, heat * (0.86 + 0.14 * bulge) + 0.02 * cloud, colour, NO_GLOW)

    def polygon(
        self, corners: list[tuple[float, float]], *, colour: Colour, heat: float, relief: float, glow: Colour
    ) -> None:
        """A flat panel with picture points as corners."""
        points = np.asarray(corners, np.float32)
        low, high = points.min(axis=0) - 1, points.max(axis=0) + 1
        area = self._area(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        rows, columns = area
        stencil = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        if stencil.size == 0:
            return
        places = (points - (self.left, self.top)) * _FINE - (columns.start, rows.start)
        cv2.fillPoly(stencil, [np.round(places * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
        self._lay(area, stencil.astype(np.float32) / 255, relief, heat, colour, glow)

    def stretched(self, texture: Array) -> Array:
        """A texture pulled over the whole patch."""
        return np.asarray(cv2.resize(texture, self._alpha.shape[::-1]), np.float32)

    def figure(self, *, soft: float, place: tuple[float, float], kind: Class, identity: int) -> Figure:
        """The patch at the picture's resolution, blurred by `soft` pixels."""
        spread = soft * _FINE
        alpha = self._alpha if soft == 0 else cv2.GaussianBlur(self._alpha, (0, 0), spread)
        weighted = self._layers if soft == 0 else cv2.GaussianBlur(self._layers, (0, 0), spread)
        alpha = np.asarray(cv2.resize(alpha, self._size, interpolation=cv2.INTER_AREA), np.float32)
        layers = np.dstack(
            [
                cv2.resize(weighted[..., part], self._size, interpolation=cv2.INTER_AREA)
                for part in (slice(0, 4), slice(4, 8))
            ]
        )
        layers = np.asarray(layers, np.float32) / np.maximum(alpha, 1e-3)[..., None]
        return Figure(
            self.left,
            self.top,
            alpha,
            albedo=layers[..., 2:5],
            relief=layers[..., 0],
            glow=layers[..., 5:8],
            heat=layers[..., 1],
            place=place,
            kind=kind,
            identity=identity,
        )

    def _area(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        height, width = self._alpha.shape

        def bound(low: float, high: float, origin: int, size: int) -> slice:
            start = min(max(int((low - origin) * _FINE), 0), size)
            return slice(start, max(min(int((high - origin) * _FINE) + 1, size), start))

        return bound(top, bottom, self.top, height), bound(left, right, self.left, width)

    def _lay(
        self,
        area: tuple[slice, slice],
        cover: Array,
        relief: Array | float,
        heat: Array | float,
        colour: Colour,
        glow: Colour,
    ) -> None:
        self._alpha[area] += cover * (1 - self._alpha[area])
        layers = self._layers[area]
        fresh = np.empty_like(layers)
        fresh[..., 0], fresh[..., 1] = relief, heat
        fresh[..., 2:5], fresh[..., 5:8] = colour, glow
        layers += cover[..., None] * (fresh - layers)
