"""What ships must do: leave clean input alone, restore degraded input, and be in between in between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from vfuse.io._scene import Scene
from vfuse.models import Output
from vfuse.models._load import load_model
from vfuse.train._degrade import degrade_infrared, degrade_visible
from vfuse.train._validate import psnr

STRENGTHS = (0.0, 0.3, 0.6, 1.0)


@pytest.fixture(scope="module")
def clean() -> tuple[Tensor, Tensor]:
    """Three frames (1, T, C, H, W) of the rendered street, infrared and visible."""
    frames = list(Scene(width=320, height=240, seconds=1.0, seed=5).frames([0.4, 0.44, 0.48]))
    ir = torch.from_numpy(np.stack([f.ir[None] for f in frames]))
    vis = torch.from_numpy(np.stack([f.vis.transpose(2, 0, 1) for f in frames]))
    return ir[None].float(), vis[None].float()


@pytest.fixture(scope="module")
def by_strength(clean: tuple[Tensor, Tensor]) -> dict[float, tuple[tuple[Tensor, Tensor], Output]]:
    """Input and output of the default network for each strength of the same degradation."""
    model = load_model("videofusion-s", device="cpu", precision="float32")
    made = {}
    for strength in STRENGTHS:
        ir = degrade_infrared(clean[0][0], strength, rng=Generator().manual_seed(1))[None]
        vis = degrade_visible(clean[1][0], strength, rng=Generator().manual_seed(1))[None]
        made[strength] = (ir, vis), model(ir, vis)
    return made


def toned(x: Tensor, target: Tensor) -> Tensor:
    """x with the gain and offset that bring it nearest to the target: nobody can know them."""
    centred = x - x.mean()
    gain = (centred * (target - target.mean())).mean() / centred.square().mean()
    return target.mean() + gain * centred


def test_clean_sources_pass_nearly_unchanged(clean, by_strength) -> None:
    _, output = by_strength[0.0]
    assert psnr(output.ir[:, :, :1], clean[0]) > 40
    assert psnr(output.vis, clean[1]) > 36


def test_degraded_sources_come_back_better(clean, by_strength) -> None:
    (ir, vis), output = by_strength[1.0]
    restored = toned(output.ir[:, :, :1], clean[0])
    assert psnr(restored, clean[0]) > psnr(toned(ir, clean[0]), clean[0]) + 2.5
    assert psnr(output.vis, clean[1]) > psnr(vis, clean[1]) + 1


def test_strengths_in_between_lie_in_between(by_strength) -> None:
    best = by_strength[0.0][1]
    for stream in ("fused", "ir", "vis"):
        errors = [
            float((getattr(output, stream) - getattr(best, stream)).abs().mean())
            for _, output in by_strength.values()
        ]
        assert errors == sorted(errors), stream
        assert errors[1] < 0.6 * errors[-1]
