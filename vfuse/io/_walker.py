"""The people of the sample scene: walking silhouettes of thirteen limbs, warm where the skin is bare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vfuse.io._figure import Brush, Colour, Figure
from vfuse.io._street import Array, Camera, Class

_STRIDE = 1.45  # metres in a cycle of two steps
_SKIN, _HAIR, _SHOE = (0.42, 0.29, 0.22), (0.05, 0.04, 0.035), (0.05, 0.05, 0.05)
Point = tuple[float, float]


@dataclass(frozen=True)
class Walker:
    """A person on a straight way.

    Attributes:
        identity: number in the boxes.
        start: (X, Z) in metres at time 0.
        velocity: (X, Z) in metres a second; not both 0.
        height: in metres.
        coat, legs: colours of the clothes.
        phase: of the gait at time 0, in cycles.
        warmth: how much heat the clothes let through, from 0 to 1.
    """

    identity: int
    start: tuple[float, float]
    velocity: tuple[float, float]
    height: float
    coat: Colour
    legs: Colour
    phase: float
    warmth: float

    def place(self, time: float) -> tuple[float, float]:
        """(X, Z) in metres."""
        return self.start[0] + self.velocity[0] * time, self.start[1] + self.velocity[1] * time

    def cycle(self, time: float) -> float:
        """Position in the gait, in cycles of two steps; a heel strikes at every half."""
        return self.phase + float(np.hypot(*self.velocity)) * time / _STRIDE


class _Limb(NamedTuple):
    """A capsule; ends are (across, up) in body heights, radii too."""

    one: Point
    other: Point
    radii: tuple[float, float]
    colour: Colour
    heat: float


class _Pose:
    """The limbs at one moment. Limbs swing in the plane of walking; `forward` of it lies in the picture."""

    def __init__(self, walker: Walker, time: float) -> None:
        speed = float(np.hypot(*walker.velocity))
        self.walker = walker
        self.forward = walker.velocity[0] / speed
        self.sideways = -walker.velocity[1] / speed
        self.cycle = 2 * np.pi * walker.cycle(time)
        self.bob = 0.010 * float(np.cos(2 * self.cycle))
        self.trunk = 0.60 + 0.22 * walker.warmth

    def limbs(self) -> list[_Limb]:
        """From far to near."""
        far, near = self.cycle, self.cycle + np.pi
        return [*self.arm(1, near), *self.leg(1, far), *self.leg(-1, near), *self.body(), *self.arm(-1, far)]

    def hang(self, top: Point, length: float, angle: float) -> Point:
        """The lower end of a bone that swings forward by an angle."""
        return top[0] + self.forward * length * float(np.sin(angle)), top[1] - length * float(np.cos(angle))

    def leg(self, side: float, swing: float) -> list[_Limb]:
        warmth, cloth = self.walker.warmth, self.walker.legs
        thigh = 0.44 * float(np.sin(swing))
        shin = thigh - 0.12 - 0.95 * max(0.0, float(np.cos(swing))) ** 1.6  # the knee bends while swinging
        hip = (self.sideways * side * 0.052, 0.525 + self.bob)
        knee = self.hang(hip, 0.245, thigh)
        ankle = self.hang(knee, 0.235, shin)
        toe = (ankle[0] + self.forward * 0.085 + self.sideways * side * 0.012, ankle[1] - 0.022)
        return [
            _Limb(ankle, toe, (0.024, 0.020), _SHOE, 0.50),
            _Limb(knee, ankle, (0.040, 0.027), cloth, 0.50 + 0.20 * warmth),
            _Limb(hip, knee, (0.062, 0.042), cloth, 0.54 + 0.22 * warmth),
        ]

    def arm(self, side: float, swing: float) -> list[_Limb]:
        upper = 0.42 * float(np.sin(swing))
        fore = upper + 0.35 + 0.2 * float(np.sin(swing))
        shoulder = (self.sideways * side * 0.104 + self.forward * 0.005, 0.798 + self.bob)
        elbow = self.hang(shoulder, 0.165, upper)
        elbow = (elbow[0] + self.sideways * side * 0.02, elbow[1])
        wrist = self.hang(elbow, 0.15, fore)
        return [
            _Limb(shoulder, elbow, (0.036, 0.030), self.walker.coat, self.trunk - 0.02),
            _Limb(elbow, wrist, (0.030, 0.022), self.walker.coat, self.trunk - 0.05),
            _Limb(wrist, self.hang(wrist, 0.025, fore), (0.021, 0.018), _SKIN, 0.88),
        ]

    def body(self) -> list[_Limb]:
        lean, wide, bob = self.forward * 0.012, 0.066 + 0.030 * abs(self.sideways), self.bob
        head = (lean * 2 + self.forward * 0.010, 0.928 + bob)
        nape = head[0] - self.forward * 0.014
        coat = self.walker.coat
        return [
            _Limb((lean * 1.5, 0.84 + bob), (head[0], 0.89 + bob), (0.034, 0.036), _SKIN, 0.93),
            _Limb(
                (0.0, 0.555 + bob), (lean, 0.68 + bob), (wide * 0.95, wide * 0.90), coat, self.trunk - 0.03
            ),
            _Limb(
                (lean, 0.66 + bob), (lean * 1.5, 0.775 + bob), (wide * 0.92, wide * 1.04), coat, self.trunk
            ),
            _Limb((head[0], head[1] - 0.028), (head[0], head[1] + 0.018), (0.047, 0.054), _SKIN, 0.97),
            _Limb((nape, head[1] + 0.026), (head[0], head[1] + 0.032), (0.050, 0.048), _HAIR, 0.80),
        ]


def draw_walker(camera: Camera, walker: Walker, time: float, *, folds: Array) -> Figure:
    """Draw a walker at a time in seconds; `folds` is noise for the clothes."""
    x, z = walker.place(time)
    unit = camera.focal * walker.height / z  # pixels in a body height
    column, row = camera.project(x, 0.0, z)
    limbs = _Pose(walker, time).limbs()
    lowest = min(end[1] - radius for limb in limbs for end, radius in zip(limb[:2], limb.radii, strict=True))

    def pixel(point: Point) -> Point:
        return column + point[0] * unit, row - (point[1] - lowest) * unit

    brush = Brush(column - 0.42 * unit, row - 1.05 * unit, column + 0.42 * unit, row)
    texture = brush.stretched(folds[:96, :64])
    for limb in limbs:
        radii = (limb.radii[0] * unit, limb.radii[1] * unit)
        ends = pixel(limb.one), pixel(limb.other)
        brush.capsule(*ends, radii, colour=limb.colour, heat=limb.heat, texture=texture)
    return brush.figure(soft=0.0, place=(x, z), kind=Class.PERSON, identity=walker.identity)
