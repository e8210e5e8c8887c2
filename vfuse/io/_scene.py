"""The sample scene in motion: who walks where, and every frame as both cameras see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vfuse.io._car import Car, draw_car
from vfuse.io._figure import Figure
from vfuse.io._paint import build_street
from vfuse.io._sensor import Grain, Shake, Spoiler, expose, glare, thermal
from vfuse.io._smoke import Smoke, Veil
from vfuse.io._street import LAMPS, Array, Camera, Class, Labels, irradiance, noise
from vfuse.io._walker import Walker, draw_walker

HIDDEN = 2  # identity of the walker behind the smoke
_HEAT_OF_SMOKE = 0.10  # share of the infrared that smoke takes: its wavelength is longer than the droplets
_NEAREST = 3.0  # metres: who comes nearer has left the picture
_HEADLAMP = np.array([15.0, 14.5, 13.0], np.float32)


@dataclass(frozen=True)
class Box:
    """Where somebody is.

    Attributes:
        identity: number of the object.
        kind: its class.
        left, top, width, height: of the whole object in pixels, clipped to the picture.
        visibility: share of the object that nothing solid hides.
        clearness: share of its visible light that passes the smoke.
    """

    identity: int
    kind: Class
    left: float
    top: float
    width: float
    height: float
    visibility: float
    clearness: float


@dataclass(frozen=True)
class SceneFrame:
    """One moment; pictures are (H, W) or (H, W, 3) float32 in [0, 1].

    Attributes:
        ir, vis: what good cameras record.
        ir_degraded, vis_degraded: what bad ones do.
        classes: (H, W) members of `Class`.
        boxes: all objects in the picture.
    """

    ir: Array
    vis: Array
    ir_degraded: Array
    vis_degraded: Array
    classes: Labels
    boxes: tuple[Box, ...]


def cast_of(rng: np.random.Generator) -> tuple[list[Walker], list[Car]]:
    """Who is on the street; the generator varies clothes, pace and gait."""

    def cloth(bright: float) -> tuple[float, float, float]:
        red, green, blue = rng.uniform(0.3, 1.0, 3) * bright
        return float(red), float(green), float(blue)

    ways = (
        ((3.3, 14.2), (-0.85, -0.03), 0.55),  # over the zebra crossing, in the lamp's light
        ((-6.7, 13.3), (1.02, -0.02), 0.3),  # into the smoke
        ((6.3, 16.5), (-0.10, -1.15), 0.08),  # towards us in the dark on the right
        ((-6.4, 24.0), (0.05, 1.2), 0.3),  # away on the left
        ((5.6, 9.4), (0.14, 1.05), 0.06),  # away in the dark, near
        ((6.6, 31.0), (-0.35, -0.9), 0.3),  # towards us, far
    )
    walkers = [
        Walker(
            identity=number,
            start=start,
            velocity=(way[0] * float(rng.uniform(0.94, 1.06)), way[1] * float(rng.uniform(0.94, 1.06))),
            height=float(rng.uniform(1.62, 1.86)),
            coat=cloth(brightness),
            legs=cloth(0.07),
            phase=float(rng.random()),
            warmth=float(rng.uniform(0.35, 0.75)),
        )
        for number, (start, way, brightness) in enumerate(ways, 1)
    ]
    cars = [
        Car(7, (0.95, 43.0), 5.2, True, True, (0.10, 0.13, 0.20)),
        Car(8, (-3.1, 21.0), 0.0, False, True, (0.30, 0.05, 0.05)),
        Car(9, (2.95, 22.5), 0.0, True, False, (0.22, 0.23, 0.24)),
    ]
    return walkers, cars


class Scene:
    """The street with everybody on it.

    Args:
        width, height: of the pictures in pixels.
        seconds: how long it will play.
        seed: makes another evening on the same street.
    """

    def __init__(self, *, width: int, height: int, seconds: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.size = (width, height)
        self._margin = 4 + round(height * 0.025)
        self._camera = Camera(
            width + 2 * self._margin,
            height + 2 * self._margin,
            focal=1.2 * height,
            centre=0.53 * width + self._margin,
            horizon=0.44 * height + self._margin,
        )
        self.walkers, self.cars = cast_of(rng)
        self._folds = noise(rng, 128, roughness=0.6)
        self._street = build_street(self._camera, rng)
        self._empty = self._street.albedo * self._street.light + self._street.glow + self._wet_lamps()
        self._smoke = Smoke(self._camera, rng, seconds=seconds)
        self._shake = Shake(rng, reach=height / 480 * 2.6)
        self._grain = Grain(rng, (height, width, 3))
        self._pattern = rng.standard_normal((height, width)).astype(np.float32)
        self._spoiler = Spoiler(rng, size=self.size)

    def frames(self, times: list[float]) -> Iterator[SceneFrame]:
        """Render the moments, in seconds, in order; equal scenes give equal frames."""
        for time in times:
            yield self._frame(time)

    def _frame(self, time: float) -> SceneFrame:
        walkers = [walker for walker in self.walkers if walker.place(time)[1] > _NEAREST]
        cars = [car for car in self.cars if car.place(time)[1] > 2 * _NEAREST]
        figures = [draw_walker(self._camera, walker, time, folds=self._folds) for walker in walkers]
        figures += [draw_car(self._camera, car, time) for car in cars]
        figures.sort(key=lambda figure: -figure.place[1])
        veil = self._smoke.at(time)
        radiance, heat = self._empty.copy(), self._street.heat.copy()
        classes, owners = self._street.classes.copy(), np.zeros(heat.shape, np.uint8)
        for car in cars:
            if car.running and car.toward:
                self._shine(radiance, car.place(time))
        smoked = False
        for figure in figures:
            if not smoked and figure.place[1] < self._smoke.distance:
                self._cover(radiance, heat, veil)
                smoked = True
            self._lay(figure, radiance, heat, classes, owners)
        if not smoked:
            self._cover(radiance, heat, veil)
        matrix = self._shake.at(time, size=self.size, margin=self._margin)
        boxes = [self._box(figure, matrix, owners, veil) for figure in figures]
        return self._record(radiance + glare(radiance), heat, classes, matrix, boxes)

    def _record(
        self, radiance: Array, heat: Array, classes: Labels, matrix: np.ndarray, boxes: list[Box | None]
    ) -> SceneFrame:
        soft = np.asarray(cv2.warpAffine(radiance, matrix, self.size), np.float32)
        warm = np.asarray(cv2.warpAffine(heat, matrix, self.size), np.float32)
        vis = expose(soft, self._grain.draw())
        ir = thermal(warm, self._grain.draw()[..., 0], self._pattern)
        return SceneFrame(
            ir=ir,
            vis=vis,
            ir_degraded=self._spoiler.infrared(ir, self._grain.draw()[..., 1]),
            vis_degraded=self._spoiler.visible(vis),
            classes=np.asarray(cv2.warpAffine(classes, matrix, self.size, flags=cv2.INTER_NEAREST), np.uint8),
            boxes=tuple(sorted((box for box in boxes if box), key=lambda box: box.identity)),
        )

    def _lay(self, figure: Figure, radiance: Array, heat: Array, classes: Labels, owners: Labels) -> None:
        """Put a figure over what is farther away."""
        self._contact(figure, radiance, heat)
        there, patch = self._overlap(figure)
        x, z = figure.place
        cover = figure.alpha[patch] * (self._street.depth[there] > z - 0.4)
        light = irradiance(x, 1.0, z - 0.3, None)
        seen = figure.albedo[patch] * light * figure.relief[patch][..., None] + figure.glow[patch]
        radiance[there] += cover[..., None] * (seen - radiance[there])
        heat[there] += cover * (figure.heat[patch] - heat[there])
        solid = cover > 0.5
        classes[there][solid] = figure.kind
        owners[there][solid] = figure.identity

    def _contact(self, figure: Figure, radiance: Array, heat: Array) -> None:
        """The ground under a figure: dark, and warm below an engine."""
        x, z = figure.place
        wide, long = (1.05, 2.4) if figure.kind is Class.CAR else (0.30, 0.30)
        ground = self._street.ground
        column, row = self._camera.project(x, 0, max(z - long * 1.5, 1.0))
        reach = int(2.2 * wide * self._camera.focal / z) + 2
        top = max(int(self._camera.project(x, 0, z + long * 2)[1]), 0)
        there = (slice(top, int(row) + 2), slice(max(int(column) - reach, 0), int(column) + reach))
        away = ((ground[there][..., 0] - x) / wide) ** 2 + ((ground[there][..., 1] - z) / long) ** 2
        shade = np.nan_to_num(np.exp(-away * 0.9), nan=0.0)
        radiance[there] *= 1 - 0.7 * shade[..., None]
        if figure.kind is Class.CAR:
            heat[there] += 0.16 * shade * float(figure.heat.max() > 0.6)

    def _shine(self, radiance: Array, place: tuple[float, float]) -> None:
        """Head lamps on the road and in its puddles."""
        street, camera = self._street, self._camera
        front = place[1] - 2.2
        for side in (-0.64, 0.64):
            x = place[0] + side
            ahead = front - street.ground[..., 1]
            across = street.ground[..., 0] - x
            square = ahead**2 + across**2 + 0.4
            beam = (
                np.exp(-((across / (0.25 * np.abs(ahead) + 0.3)) ** 2)) * 0.65 * np.abs(ahead) / square**1.5
            )
            beam = np.nan_to_num(np.where(ahead > 0, beam, 0), nan=0.0).astype(np.float32)
            radiance += street.albedo * beam[..., None] * (_HEADLAMP * 4)
            radiance += self._streak(camera, (x, 0.64, front), _HEADLAMP * 0.022)

    def _wet_lamps(self) -> Array:
        total = np.zeros_like(self._street.albedo)
        for lamp in LAMPS:
            total += self._streak(
                self._camera, (lamp.x, lamp.y, lamp.z), np.asarray(lamp.colour, np.float32) * 0.009
            )
        return total

    def _streak(self, camera: Camera, source: tuple[float, float, float], colour: Array) -> Array:
        """The long mirror image of a light in the wet ground."""
        x, y, z = source
        column, row = camera.project(x, -y, z)
        tall = 0.42 * (row - camera.horizon) + 3
        u = (np.arange(camera.width, dtype=np.float32) - column) / (0.22 * camera.focal / z + 2)
        v = (np.arange(camera.height, dtype=np.float32) - row) / tall
        image = np.exp(-(v**2))[:, None] * np.exp(-(u**2))[None] * self._street.wet * (self._street.depth < z)
        return image[..., None] * colour

    def _cover(self, radiance: Array, heat: Array, veil: Veil) -> None:
        radiance += veil.alpha[..., None] * (self._smoke.light * veil.shade[..., None] - radiance)
        heat += _HEAT_OF_SMOKE * veil.alpha * (0.42 - heat) + 0.25 * veil.warm * (0.85 - heat)

    def _overlap(self, figure: Figure) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where the patch lies in the canvas, and the part of the patch that does."""
        height, width = figure.alpha.shape
        top, left = max(figure.top, 0), max(figure.left, 0)
        bottom = max(min(figure.top + height, self._camera.height), top)
        right = max(min(figure.left + width, self._camera.width), left)
        there = (slice(top, bottom), slice(left, right))
        patch = (slice(top - figure.top, bottom - figure.top), slice(left - figure.left, right - figure.left))
        return there, patch

    def _box(self, figure: Figure, matrix: np.ndarray, owners: Labels, veil: Veil) -> Box | None:
        solid = figure.alpha > 0.5
        rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
        if not len(rows):
            return None
        x0, x1 = figure.left + columns[0], figure.left + columns[-1] + 1
        y0, y1 = figure.top + rows[0], figure.top + rows[-1] + 1
        corners = np.array([[x0, y0, 1], [x1, y0, 1], [x0, y1, 1], [x1, y1, 1]]) - (0.5, 0.5, 0)
        moved = corners @ matrix.T + 0.5
        low, high = np.maximum(moved.min(axis=0), 0), np.minimum(moved.max(axis=0), self.size)
        mine = owners == figure.identity
        seen = cv2.warpAffine(mine.astype(np.uint8), matrix, self.size, flags=cv2.INTER_NEAREST)
        if not seen.any() or (high - low).min() <= 0:
            return None
        behind = figure.place[1] > self._smoke.distance
        clear = 1 - float(veil.alpha[mine].mean()) if behind else 1.0
        share = min(float(seen.sum()) / float(solid.sum()), 1.0)
        left, top, width, height = (round(float(v), 2) for v in (*low, *(high - low)))
        return Box(figure.identity, figure.kind, left, top, width, height, round(share, 3), round(clear, 3))
