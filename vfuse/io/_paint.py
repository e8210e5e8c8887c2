"""Paint the empty street of the sample scene: every pixel's ray is cast onto ground, walls and lamp posts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.io._street import (
    BIN,
    FAR_WALL,
    LAMPS,
    LEFT_WALL,
    MOON,
    POSTS,
    RIGHT_WALL,
    ROAD,
    ZEBRA,
    Array,
    Camera,
    Class,
    Street,
    irradiance,
    noise,
    sample,
)

Masks = NDArray[np.bool_]
_FLOOR = 3.1  # metres


class _Canvas:
    """The layers while they are painted; becomes a `Street`."""

    def __init__(self, camera: Camera) -> None:
        shape = (camera.height, camera.width)
        columns = np.arange(camera.width, dtype=np.float32)[None] + np.zeros(shape, np.float32)
        rows = np.arange(camera.height, dtype=np.float32)[:, None] + np.zeros(shape, np.float32)
        self.across = (columns - camera.centre) / camera.focal  # X / Z of the ray
        self.down = (rows - camera.horizon) / camera.focal
        self.camera = camera
        self.albedo = np.zeros((*shape, 3), np.float32)
        self.light = np.zeros((*shape, 3), np.float32)
        self.glow = np.zeros((*shape, 3), np.float32)
        self.heat = np.zeros(shape, np.float32)
        self.depth = np.full(shape, 1e4, np.float32)
        self.classes = np.zeros(shape, np.uint8)
        self.ground = np.full((*shape, 2), np.nan, np.float32)
        self.wet = np.zeros(shape, np.float32)

    def paint(
        self,
        where: Masks,
        depth: Array | float,
        kind: Class,
        *,
        albedo: Array,
        light: Array,
        heat: Array | float,
    ) -> None:
        self.albedo[where] = albedo
        self.light[where] = light
        self.heat[where] = heat
        self.depth[where] = depth
        self.glow[where] = 0
        self.classes[where] = kind


def build_street(camera: Camera, rng: np.random.Generator, *, supersample: int = 2) -> Street:
    """Paint the street as seen by a camera; edges are smoothed by supersampling."""
    canvas = _Canvas(camera.scaled(supersample))
    coarse, fine = noise(rng), noise(rng, roughness=1.7)
    _paint_sky(canvas, coarse)
    _paint_far_wall(canvas, rng, coarse)
    _paint_ground(canvas, coarse, fine)
    for side in (LEFT_WALL, RIGHT_WALL):
        _paint_facades(canvas, rng, coarse, fine, side)
    _paint_posts(canvas)
    _paint_bin(canvas)
    size = (camera.width, camera.height)

    def small(layer: Array) -> Array:
        return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), dtype=np.float32)

    step = slice(supersample // 2, None, supersample)
    return Street(
        albedo=small(canvas.albedo),
        light=small(canvas.light),
        glow=small(canvas.glow),
        heat=small(canvas.heat),
        depth=canvas.depth[step, step].copy(),
        classes=canvas.classes[step, step].copy(),
        ground=canvas.ground[step, step].copy(),
        wet=small(canvas.wet),
    )


def _paint_sky(canvas: _Canvas, coarse: Array) -> None:
    up = np.clip(-canvas.down, 0, 0.5)
    cloud = sample(coarse, canvas.across * 300 / (up + 0.25), 90 / (up + 0.25))
    glow = np.exp(-up * 7)[..., None] * np.array([0.030, 0.022, 0.016], np.float32)
    canvas.glow[:] = (glow + np.array([0.0035, 0.0045, 0.0085], np.float32)) * (1 + 0.25 * cloud)[..., None]
    canvas.heat[:] = 0.05 + 0.10 * np.exp(-up * 5) + 0.012 * cloud


def _paint_far_wall(canvas: _Canvas, rng: np.random.Generator, coarse: Array) -> None:
    x, y = canvas.across * FAR_WALL, canvas.camera.above - canvas.down * FAR_WALL
    roof = 9 + 3.5 * (np.floor(x / 9) * 2.7 % 1) + 2 * (np.floor(x / 4) % 2)
    where = (y > 0) & (y < roof)
    lit = (rng.random((64, 64)) < 0.3)[(y // _FLOOR).astype(int) % 64, (x // 2.4).astype(int) % 64]
    pane = lit & (np.abs(x % 2.4 - 1.2) < 0.5) & (np.abs(y % _FLOOR - 1.7) < 0.6) & where
    grain = sample(coarse, x * 8, y * 8)
    wall = np.clip(0.16 + 0.03 * grain, 0.02, 1)[..., None] * np.array([1.0, 0.92, 0.85], np.float32)
    light = irradiance(x[where], y[where], FAR_WALL, (0, 0, -1.0))
    canvas.paint(
        where,
        np.full_like(x, FAR_WALL)[where],
        Class.BUILDING,
        albedo=wall[where],
        light=light,
        heat=(0.27 + 0.02 * grain)[where],
    )
    canvas.glow[pane] = np.array([0.16, 0.11, 0.055], np.float32)


def _paint_ground(canvas: _Canvas, coarse: Array, fine: Array) -> None:
    where = canvas.down > canvas.camera.above / FAR_WALL
    z = np.where(where, canvas.camera.above / np.maximum(canvas.down, 1e-4), FAR_WALL).astype(np.float32)
    x = canvas.across * z
    far = np.clip(12 / z, 0, 1)  # texture too fine for the pixels fades away
    road = (x > ROAD[0]) & (x < ROAD[1])
    worn = sample(coarse, x * 22, z * 9)
    grit = sample(fine, x * 90, z * 90) * far
    tone = np.where(road, 0.075 + 0.012 * worn + 0.016 * grit, 0.15 + 0.02 * worn + 0.014 * grit)
    slabs = (np.abs(x % 0.8 - 0.4) > 0.385) | (np.abs(z % 0.8 - 0.4) > 0.385)
    tone = np.where(~road & slabs, tone * (1 - 0.35 * far), tone)
    kerb = (np.abs(x - ROAD[0]) < 0.11) | (np.abs(x - ROAD[1]) < 0.11)
    tone = np.where(kerb, 0.24 + 0.02 * worn, tone)
    paint = _markings(x, z, road) & (grit + 0.8 * worn > -1.9)
    tone = np.where(paint, 0.50 + 0.05 * grit + 0.04 * worn, tone)
    albedo = np.clip(tone, 0.02, 1)[..., None] * np.array([1.0, 0.98, 0.96], np.float32)
    heat = np.where(road, 0.40, 0.335) + 0.012 * worn + 0.010 * grit - 0.035 * paint + 0.02 * kerb
    heat = heat + 0.030 * road * np.exp(-((np.abs(x - ROAD[1] / 2) - 0.75) ** 2) / 0.12)  # wheel tracks
    canvas.paint(
        where,
        z[where],
        Class.ROAD,
        albedo=albedo[where],
        light=irradiance(x[where], 0.0, z[where], (0, 1.0, 0)),
        heat=heat[where],
    )
    canvas.classes[where & ~road] = Class.PAVEMENT
    canvas.ground[where] = np.stack([x, z], axis=-1)[where]
    puddles = np.clip(sample(coarse, x * 14 + 200, z * 5) * 0.9 - 0.2, 0, 1)
    canvas.wet[where] = ((0.25 + 0.75 * puddles) * np.where(road, 1.0, 0.35) * (1 + 0.25 * grit))[where]


def _markings(x: Array, z: Array, road: Masks) -> Masks:
    dashes = (np.abs(x + 0.2) < 0.07) & (z % 6 < 3) & ((z < ZEBRA[0] - 1.5) | (z > ZEBRA[1] + 1.5))
    zebra = (z > ZEBRA[0]) & (z < ZEBRA[1]) & ((x - ROAD[0]) % 1.0 < 0.5)
    edges = (np.abs(x - ROAD[0] - 0.35) < 0.05) | (np.abs(x - ROAD[1] + 0.35) < 0.05)
    stop = (np.abs(z - ZEBRA[1] - 1.3) < 0.2) & (x > -0.2)
    return road & (dashes | zebra | edges | stop)


def _paint_facades(
    canvas: _Canvas, rng: np.random.Generator, coarse: Array, fine: Array, side: float
) -> None:
    toward = np.where(canvas.across * side > 1e-4, canvas.across, side * 1e-3)
    z = np.clip(side / toward, 0.5, 500).astype(np.float32)
    y = canvas.camera.above - canvas.down * z
    edges = np.cumsum(np.concatenate([[2.0], rng.uniform(9, 15, 8)]))
    house = np.clip(np.searchsorted(edges, z) - 1, 0, 7)
    tall = (np.array([3, 4, 3, 5, 4, 3, 4, 3])[rng.permutation(8)] * _FLOOR + rng.uniform(0.6, 1.4, 8))[house]
    where = (y > 0) & (y < tall) & (z < FAR_WALL)
    tint = np.array(
        [[0.32, 0.20, 0.15], [0.30, 0.28, 0.25], [0.36, 0.31, 0.22], [0.24, 0.24, 0.26]], np.float32
    )
    fade = np.clip(14 / z, 0, 1)
    grain = sample(coarse, z * 16, y * 16)
    grit = sample(fine, z * 70, y * 70) * fade
    course = np.floor(y / 0.085)
    joints = ((y % 0.085 < 0.014) | ((z + course % 2 * 0.12) % 0.24 < 0.014)) & (z < 24)
    tone = (1 + 0.13 * grain + 0.10 * grit) * (1 - 0.30 * joints * fade)
    ledge = (y % _FLOOR < 0.12) | (tall - y < 0.3)
    tone = np.where(ledge, tone * 1.35, tone)
    albedo = np.clip(tint[(house + int(side > 0)) % 4] * tone[..., None], 0.01, 1)
    light = irradiance(side, y[where], z[where], (-float(np.sign(side)), 0, 0))
    heat = 0.30 + 0.018 * grain + 0.014 * grit + 0.025 * ledge + 0.03 * np.sin(house * 2.1)
    heat = heat + 0.05 * np.exp(-np.maximum(y, 0) / 1.2)  # the street warms the foot of the wall
    canvas.paint(where, z[where], Class.BUILDING, albedo=albedo[where], light=light, heat=heat[where])
    _paint_windows(canvas, rng, where, z, y, house, np.abs(grain))


def _paint_windows(
    canvas: _Canvas,
    rng: np.random.Generator,
    wall: Masks,
    z: Array,
    y: Array,
    house: NDArray[np.int64],
    grain: Array,
) -> None:
    pitch = np.array([2.1, 2.5, 1.9, 2.3])[house % 4]
    along, floor = z / pitch, np.floor(y / _FLOOR)
    u, v = (along % 1) * pitch, y - floor * _FLOOR
    shop = floor == 0
    half = np.where(shop, pitch * 0.40, 0.55)
    inside = wall & (np.abs(u - pitch / 2) < half) & (v > np.where(shop, 0.55, 0.85)) & (v < 2.45)
    bars = (np.abs(u - pitch / 2) < 0.035) | (np.abs(v - 1.95) < 0.03)
    frame = inside & ((np.abs(u - pitch / 2) > half - 0.07) | (v > 2.38) | bars & ~shop)
    draw = rng.random((16, 256))[floor.astype(int) % 16, along.astype(int) % 256]
    lit = inside & ~frame & (draw < np.where(shop, 0.16, 0.13))
    warm = np.where(
        (draw * 977 % 1 < 0.7)[..., None], np.array([1.0, 0.66, 0.30]), np.array([0.62, 0.80, 1.0])
    )
    curtain = 0.45 + 0.55 * np.clip(np.abs(np.sin(u * 9 + draw * 50)) + 0.3 * grain, 0, 1)
    canvas.albedo[inside] = np.array([0.035, 0.04, 0.045], np.float32)
    canvas.albedo[frame] = np.array([0.34, 0.33, 0.31], np.float32)
    canvas.glow[lit] = (0.42 * curtain * (0.5 + draw * 3))[lit][:, None] * warm[lit]
    canvas.heat[inside] = (0.215 + 0.01 * grain)[inside]  # glass mirrors the cold sky
    canvas.heat[lit] = (0.36 + 0.04 * curtain)[lit]
    canvas.heat[frame] = 0.31
    sill = wall & ~shop & (np.abs(u - pitch / 2) < 0.7) & (v > 0.66) & (v < 0.85)
    canvas.heat[sill & (draw < 0.45)] += 0.10  # a radiator behind the wall
    canvas.albedo[sill] *= 1.2


def _paint_posts(canvas: _Canvas) -> None:
    camera = canvas.camera
    for x, z, reach in POSTS:
        shape = np.zeros(canvas.heat.shape, np.uint8)
        thick = max(round(0.14 * camera.focal / z), 1)
        foot, top = camera.project(x, 0, z), camera.project(x, 5.5, z)
        arm = camera.project(x + reach, 5.75, z)
        for one, other, width in ((foot, top, thick), (top, arm, max(thick // 2, 1))):
            cv2.line(shape, _pixel(one), _pixel(other), 255, width, cv2.LINE_AA)
        where = (shape > 100) & (canvas.depth > z)
        light = irradiance(x, 2.0, z - 1, (0, 0.3, -1.0)) * 0.5 + MOON
        albedo, heat = np.full(3, 0.22, np.float32), 0.26
        canvas.paint(where, z, Class.POLE, albedo=albedo, light=light, heat=heat)
    for lamp in LAMPS:
        shape = np.zeros(canvas.heat.shape, np.uint8)
        size = (max(int(0.33 * camera.focal / lamp.z), 2), max(int(0.10 * camera.focal / lamp.z), 1))
        cv2.ellipse(
            shape, _pixel(camera.project(lamp.x, lamp.y, lamp.z)), size, 0, 0, 360, 255, -1, cv2.LINE_AA
        )
        where = shape > 100
        canvas.glow[where] = np.asarray(lamp.colour, np.float32) * 0.5
        canvas.heat[where] = 0.80
        canvas.depth[where] = lamp.z
        canvas.classes[where] = Class.POLE


def _paint_bin(canvas: _Canvas) -> None:
    x, z = BIN
    left, top = canvas.camera.project(x - 0.28, 0.95, z)
    right, bottom = canvas.camera.project(x + 0.28, 0.0, z)
    shape = np.zeros(canvas.heat.shape, np.uint8)
    cv2.rectangle(shape, _pixel((left, top)), _pixel((right, bottom)), 255, -1)
    where = shape > 0
    high = (bottom - np.arange(canvas.heat.shape[0], dtype=np.float32)) / (bottom - top)
    high = np.broadcast_to(high[:, None], canvas.heat.shape)
    light = irradiance(x, 0.6, z, (0, 0.3, -1.0))
    albedo = np.array([0.05, 0.07, 0.05], np.float32)
    canvas.paint(where, z, Class.BIN, albedo=albedo, light=light, heat=(0.45 + 0.4 * high**2)[where])
    embers = where & (high > 0.93)
    canvas.glow[embers] = np.array([0.9, 0.28, 0.05], np.float32)
    canvas.heat[embers] = 1.0


def _pixel(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])
