"""The warp loss: nothing for what moves with the scene, much for what flickers or swims."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vfuse.train._losses import LossWeights, fusion_losses
from vfuse.train._warp import warping_error


def panned(shift: int, frames: int = 3) -> Tensor:
    """A textured scene that a camera pans over, (1, T, 3, 64, 96); it moves `shift` pixels left a frame."""
    noise = np.random.default_rng(0).random((64, 160)).astype(np.float32)
    scene = torch.from_numpy(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 1, cv2.NORM_MINMAX))
    return torch.stack([scene[:, t * shift :][:, :96].expand(3, -1, -1) for t in range(frames)])[None]


def test_what_moves_with_the_scene_costs_little_and_what_swims_much() -> None:
    clip = panned(3)
    moving = float(warping_error(clip, clip))
    assert moving < 0.25 * float((clip[:, 1:] - clip[:, :-1]).abs().mean())
    backwards = panned(3).flip(1)  # the same frames, against the motion
    assert float(warping_error(backwards, clip)) > 4 * moving


def test_flicker_costs_what_it_measures() -> None:
    flicker = torch.tensor([0.0, 0.1, 0.0]).view(1, 3, 1, 1, 1)
    flat = torch.full((1, 3, 1, 64, 96), 0.5)
    assert float(warping_error(flat, panned(2))) == pytest.approx(0, abs=1e-6)
    assert float(warping_error(flat + flicker, panned(2))) == pytest.approx(0.1, abs=1e-6)


def test_one_frame_and_tiny_frames_cost_nothing() -> None:
    assert float(warping_error(torch.rand(1, 1, 3, 32, 32), torch.rand(1, 1, 3, 32, 32))) == 0
    assert float(warping_error(torch.rand(1, 2, 3, 8, 8), torch.rand(1, 2, 3, 8, 8))) == 0


def test_it_is_a_term_that_its_weight_switches_on_and_it_teaches() -> None:
    clip = panned(2)
    fused = (clip + 0.05 * torch.randn_like(clip)).requires_grad_()
    streams = {"ir": clip[:, :, :1], "vis": clip, "clean_ir": clip[:, :, :1], "clean_vis": clip}
    assert "warp" not in fusion_losses(fused, weights=LossWeights(), **streams)
    term = fusion_losses(fused, weights=LossWeights(warp=600.0), **streams)["warp"]
    assert float(term.detach()) == pytest.approx(600 * float(warping_error(fused, clip).detach()))
    term.backward()
    assert fused.grad is not None
    assert float(fused.grad.abs().sum()) > 0
