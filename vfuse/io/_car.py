"""The cars of the sample scene: panels from a side profile, with lights, hot at the engine and the tyres."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from vfuse.io._figure import NO_GLOW, Brush, Colour, Figure
from vfuse.io._street import Camera, Class

_GLASS, _RUBBER, _METAL = (0.03, 0.035, 0.04), (0.03, 0.03, 0.03), (0.25, 0.25, 0.26)
_COLD = 0.30  # heat of a body that has stood for hours; glass mirrors the sky and is colder still
# From the front bumper over the roof to the tail: forward, up, half width in metres, heat while running, and
# the share of paint in the panel that begins there (0: glass).
_PROFILE = (
    (2.10, 0.28, 0.80, 0.80, 0.25),
    (2.20, 0.48, 0.86, 0.88, 0.35),
    (2.12, 0.74, 0.86, 0.76, 1.0),
    (1.00, 0.98, 0.83, 0.52, 0.0),
    (0.25, 1.43, 0.62, 0.36, 1.0),
    (-1.10, 1.45, 0.62, 0.31, 0.0),
    (-1.75, 1.04, 0.80, 0.38, 1.0),
    (-2.10, 0.98, 0.84, 0.40, 1.0),
    (-2.18, 0.50, 0.86, 0.44, 0.35),
    (-2.08, 0.28, 0.80, 0.44, 0.2),
)
Corner = tuple[float, float, float]


@dataclass(frozen=True)
class Car:
    """A car on a straight lane.

    Attributes:
        identity: number in the boxes.
        start: (X, Z) of its middle in metres at time 0.
        speed: metres a second toward the camera; 0 when parked.
        toward: whether it faces the camera.
        running: whether the engine is hot and the lights are on.
        paint: its colour.
    """

    identity: int
    start: tuple[float, float]
    speed: float
    toward: bool
    running: bool
    paint: Colour

    def place(self, time: float) -> tuple[float, float]:
        """(X, Z) of its middle in metres."""
        return self.start[0], self.start[1] - self.speed * time

    def heat(self, running: float, *, cold: float = _COLD) -> float:
        """The heat of a part that has `running` when the engine runs."""
        return running if self.running else cold


class _Panel(NamedTuple):
    """A flat polygon; corners are (right, up, forward) in metres."""

    corners: list[Corner]
    colour: Colour
    heat: float
    relief: float = 1.0
    glow: Colour = NO_GLOW


def draw_car(camera: Camera, car: Car, time: float) -> Figure:
    """Draw a car at a time in seconds."""
    x, z = car.place(time)
    turn = -1.0 if car.toward else 1.0
    box = [
        camera.project(x + side, up, z + end) for side in (-1, 1) for up in (0, 1.6) for end in (-2.3, 2.3)
    ]
    columns, rows = zip(*box, strict=True)
    brush = Brush(min(columns), min(rows), max(columns), max(rows))

    def seen(panel: _Panel) -> list[tuple[float, float]]:
        return [
            camera.project(x + turn * right, up, z + turn * forward) for right, up, forward in panel.corners
        ]

    shell = [panel for panel in _shell(car) if _faces_us(seen(panel))]
    shell.sort(key=lambda panel: -turn * float(np.mean([corner[2] for corner in panel.corners])))
    # What the rest hides comes first: the treads, then the sides, of which the shell hides one.
    for panel in [*_treads(car), *_sides(car), *shell, *(_front(car) if car.toward else _rear(car))]:
        brush.polygon(seen(panel), colour=panel.colour, heat=panel.heat, relief=panel.relief, glow=panel.glow)
    return brush.figure(soft=0.5, place=(x, z), kind=Class.CAR, identity=car.identity)


def _faces_us(points: list[tuple[float, float]]) -> bool:
    """Whether the outside of a shell panel shows: its corners then run one way round in the picture."""
    return sum(u0 * v1 - u1 * v0 for (u0, v0), (u1, v1) in pairwise([*points, points[0]])) > 0


def _shell(car: Car) -> list[_Panel]:
    panels: list[_Panel] = []
    for (z0, y0, w0, warm, share), (z1, y1, w1, _, _) in pairwise(_PROFILE):
        corners = [(-w0, y0, z0), (w0, y0, z0), (w1, y1, z1), (-w1, y1, z1)]
        up = abs(z1 - z0) / float(np.hypot(z1 - z0, y1 - y0))
        red, green, blue = car.paint
        colour = (share * red, share * green, share * blue) if share else _GLASS
        panels.append(_Panel(corners, colour, car.heat(warm) if share else 0.22, 0.7 + 0.6 * up))
    return panels


def _treads(car: Car) -> list[_Panel]:
    """The tyres as seen from the front or the rear, below the bumper."""
    return [
        _Panel(
            [(side * right, up, end) for right, up in ((0.62, 0.0), (0.85, 0.0), (0.85, 0.5), (0.62, 0.5))],
            _RUBBER,
            car.heat(0.78, cold=0.29),
            0.5,
        )
        for side in (-1.0, 1.0)
        for end in (1.55, -1.55)
    ]


def _sides(car: Car) -> list[_Panel]:
    panels: list[_Panel] = []
    for side in (-1.0, 1.0):
        lower = [(side * 0.86, up, forward) for forward, up, _, _, _ in (*_PROFILE[:4], *_PROFILE[6:])]
        window = [(0.80, 0.98, 0.95), (0.63, 1.40, 0.25), (0.63, 1.42, -1.1), (0.80, 1.0, -1.7)]
        glass = [(side * right, up, forward) for right, up, forward in window]
        panels += [_Panel(lower, car.paint, car.heat(0.42), 0.75), _Panel(glass, _GLASS, 0.24, 0.9)]
        for axle in (1.35, -1.35):
            for radius, out, colour, heat in (
                (0.32, 0.87, _RUBBER, car.heat(0.74, cold=0.29)),
                (0.17, 0.88, _METAL, car.heat(0.86, cold=0.31)),
            ):
                rim = [(side * out, 0.32 + radius * up, axle + radius * along) for along, up in _circle()]
                panels.append(_Panel(rim, colour, heat, 0.7))
    return panels


def _front(car: Car) -> list[_Panel]:
    lamp = (46.0, 45.0, 40.0) if car.running else NO_GLOW
    lights = [
        _Panel(_disc(s * 0.64, 0.64, 0.13, 0.08, 2.2), (0.5, 0.5, 0.5), car.heat(0.72), glow=lamp)
        for s in (-1, 1)
    ]
    grille = _Panel(_disc(0, 0.52, 0.40, 0.09, 2.2), _RUBBER, car.heat(0.97))
    return [grille, _Panel(_disc(0, 0.38, 0.26, 0.055, 2.2), (0.6, 0.6, 0.55), car.heat(0.45)), *lights]


def _rear(car: Car) -> list[_Panel]:
    red = (1.6, 0.06, 0.03) if car.running else NO_GLOW
    lights = [
        _Panel(_disc(s * 0.68, 0.83, 0.14, 0.09, -2.2), (0.25, 0.02, 0.02), car.heat(0.42), glow=red)
        for s in (-1, 1)
    ]
    exhaust = _Panel(_disc(-0.5, 0.27, 0.07, 0.06, -2.2), (0.1, 0.1, 0.1), car.heat(1.0))
    return [*lights, _Panel(_disc(0, 0.72, 0.26, 0.07, -2.2), (0.6, 0.6, 0.5), car.heat(0.33)), exhaust]


def _disc(right: float, up: float, wide: float, high: float, forward: float) -> list[Corner]:
    return [(right + wide * along, up + high * rise, forward) for along, rise in _circle()]


def _circle() -> list[tuple[float, float]]:
    return [(float(np.cos(a)), float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 14, endpoint=False)]
