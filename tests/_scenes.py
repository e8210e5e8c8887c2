"""A small fused clip with its sources for the tests of scoring: arrays, files, and what metrics look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _media import write_video
from numpy.typing import NDArray

from vfuse.metrics import Features, Frame, Image, Sources, SourceStep, Step
from vfuse.metrics._flow import DIS

HEIGHT, WIDTH = 64, 96
RATE = 10


@dataclass(frozen=True)
class Scene:
    """Frames (H, W) of the infrared, (H, W, 3) of the visible and of their maximum, moving to the right."""

    ir: list[NDArray]
    vis: list[NDArray]
    fused: list[NDArray]

    def write(self, folder: Path, *, fused: str = "fused.mkv") -> dict[str, Path]:
        """ir.mkv, vis.mkv and the fused video, lossless."""
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "ir": write_video(folder / "ir.mkv", self.ir, rate=RATE),
            "vis": write_video(folder / "vis.mkv", self.vis, pix_fmt="bgr0", rate=RATE),
            "fused": write_video(folder / fused, self.fused, pix_fmt="bgr0", rate=RATE),
        }


def scene(count: int = 6, *, seed: int = 0) -> Scene:
    """A warm spot over a textured background; every frame differs from every other."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    noise = np.random.default_rng(seed).normal(0, 4, (count, HEIGHT, WIDTH))
    ir, vis = [], []
    for t in range(count):
        spot = 140 * np.exp(-((x - 30 - 3 * t) ** 2 + (y - 30) ** 2) / 60)
        ir.append(np.clip(50 + spot + noise[t], 0, 255).astype(np.uint8))
        grey = 120 + 50 * np.sin((x - 2 * t) / 5) * np.cos(y / 6) + noise[-t - 1]
        vis.append(np.clip(np.stack([grey, grey * 0.9, grey * 0.7], axis=-1), 0, 255).astype(np.uint8))
    fused = [np.maximum(a[..., None], b) for a, b in zip(ir, vis, strict=True)]
    return Scene(ir=ir, vis=vis, fused=fused)


def frame_of(ir: NDArray, vis: NDArray, fused: NDArray, **restored: NDArray) -> Frame:
    """What a metric of frames looks at; `restored_ir` and `restored_vis` are judged against the sources."""
    streams = {name: Image(pixels) for name, pixels in restored.items()}
    return Frame(Sources(Image(ir), Image(vis), **streams), Image(fused))


def step_of(
    before: tuple[NDArray, ...], after: tuple[NDArray, ...], *, features: Features | None = None
) -> Step:
    """What a metric of neighbours looks at, from (ir, vis, fused) twice."""
    (ir0, vis0, fused0), (ir1, vis1, fused1) = before, after
    sources = SourceStep(
        Sources(Image(ir0), Image(vis0)), Sources(Image(ir1), Image(vis1)), flow=DIS, features=features
    )
    return Step(sources, Image(fused0), Image(fused1))
