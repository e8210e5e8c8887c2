"""The sound of the sample scene: a humming lamp, a distant town, the walkers' footsteps, the car."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfuse.io._car import Car
from vfuse.io._walker import Walker

_RATE = 48_000  # samples a second
_STEP = 0.09  # seconds that a footstep rings
Samples = NDArray[np.float64]


def write_sound(
    path: Path, *, seconds: float, walkers: Iterable[Walker], cars: Iterable[Car], seed: int
) -> None:
    """Write the sound track as a 16-bit mono WAV file."""
    rng = np.random.default_rng((seed, 1))
    time = np.arange(round(seconds * _RATE)) / _RATE
    hum = sum(
        level * np.sin(2 * np.pi * pitch * time)
        for pitch, level in ((100, 0.012), (200, 0.006), (300, 0.004))
    )
    sound = hum + 0.05 * _rumble(rng, len(time), slope=1.6)
    for walker in walkers:
        sound += _footsteps(walker, time, rng)
    for car in cars:
        if car.running:
            distance = np.maximum(car.start[1] - car.speed * time, 4.0)
            engine = sum(np.sin(2 * np.pi * 31 * n * time + n * n) / n for n in range(1, 7))
            sound += (0.35 * _rumble(rng, len(time), slope=0.9) + 0.10 * engine) * 3 / distance
    levels = np.clip(sound * 0.8, -0.98, 0.98) * 32767
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(np.round(levels).astype("<i2").tobytes())


def _footsteps(walker: Walker, time: Samples, rng: np.random.Generator) -> Samples:
    """A thud at every half cycle of the gait, quieter with distance."""
    sound = np.zeros_like(time)
    ring = np.arange(round(_STEP * _RATE)) / _RATE
    half = np.floor(2 * np.array([walker.cycle(float(t)) for t in time[:: _RATE // 200]]))
    for index in np.flatnonzero(np.diff(half) > 0):
        begin = (int(index) + 1) * (_RATE // 200)
        thud = np.sin(2 * np.pi * 95 * ring) + 0.5 * rng.standard_normal(len(ring)) * np.exp(-ring * 160)
        thud *= np.exp(-ring * 55) * 2.2 / max(walker.place(float(time[begin]))[1], 3.0)
        room = min(len(ring), len(time) - begin)
        sound[begin : begin + room] += thud[:room]
    return sound


def _rumble(rng: np.random.Generator, count: int, *, slope: float) -> Samples:
    """Noise of deviation 1 whose power falls with frequency."""
    pitch = np.fft.rfftfreq(count, 1 / _RATE)
    spectrum = np.fft.rfft(rng.standard_normal(count)) / np.maximum(pitch, 25) ** slope
    rumble = np.fft.irfft(spectrum, n=count)
    return rumble / rumble.std()
