"""A target that flickers where its sensor does not teaches no flicker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vfuse.io.cache import CachedClip, cache_clip
from vfuse.io.datasets import list_clips
from vfuse.train._clips import batches
from vfuse.train._config import Optim, Sampling, TrainConfig
from vfuse.train._flicker import steady_pairs
from vfuse.train._losses import variation
from vfuse.train._recipe import RECIPES

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "m3svd" / "lossless" / "train"
JUMPS = [0, 0, 30, 0, 0, -20, -20, 0]  # of the target, grey levels


def flickering(count: int = 8, *, jumps: list[int] = JUMPS) -> CachedClip:
    ir = np.stack([np.full((1, 40, 40), 60 + jump, np.uint8) for jump in jumps[:count]])
    sensor = np.full((count, 1, 40, 40), 100, np.uint8)
    vis = np.full((count, 3, 40, 40), 90, np.uint8)
    means = {"ir": ir.mean((1, 2, 3), np.float32), "degraded_ir": sensor.mean((1, 2, 3), np.float32)}
    streams = {"ir": ir, "vis": vis, "degraded_ir": sensor, "degraded_vis": vis}
    return CachedClip("a", False, streams, means)


def test_jumps_of_the_target_alone_are_found() -> None:
    assert steady_pairs(flickering()).tolist() == [1, 0, 0, 1, 0, 1, 0]


def test_what_the_sensor_sees_too_is_no_flicker() -> None:
    clip = flickering()
    both = replace(clip, means={"ir": clip.means["ir"], "degraded_ir": clip.means["ir"] * 0.8})
    assert steady_pairs(both).tolist() == [1] * 7
    alone = replace(clip, means={})
    assert steady_pairs(alone).tolist() == [1] * 7


def test_a_crop_carries_the_pairs_of_its_own_frames() -> None:
    sampling = Sampling(frames=4, height=32, width=32, batch=1, stored=1.0, clean=0.0, weak=0.0)
    config = TrainConfig(model="videofusion-s", sampling=sampling)
    stream = batches([flickering()], config, first=0)
    for _ in range(12):
        batch = next(stream)
        jumps = batch.clean_ir.mean((2, 3, 4)).diff(dim=1).abs() > 0.01
        assert torch.equal(batch.steady, 1 - jumps.float())


@pytest.mark.parametrize("preset", ["default", "paper", "official"])
def test_only_our_preset_leaves_flicker_out(preset: str) -> None:
    config = RECIPES["videofusion"].presets[preset]
    assert config.steady == (preset == "default")


def taught(target: Tensor, steady: Tensor | None) -> Tensor:
    """The brightness curve that a free output takes under the temporal loss alone, started steady."""
    curve = torch.zeros(target.shape[1], requires_grad=True)
    optimizer = torch.optim.SGD([curve], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        variation(curve.view(1, -1, 1, 1, 1).expand_as(target), target, steady).backward()
        optimizer.step()
    return curve.detach()


def test_the_temporal_loss_teaches_flicker_only_when_it_is_asked_to() -> None:
    clip = flickering()
    target = torch.from_numpy(clip.streams["ir"][None]).float() / 255
    naive = taught(target, None)
    steady = taught(target, steady_pairs(clip)[None])
    assert float(naive.diff().abs().max()) > 0.08  # 20 to 30 levels of 255
    assert float(steady.diff().abs().max()) < 0.01


def test_the_losses_of_the_recipe_obey_the_switch() -> None:
    sampling = Sampling(frames=8, height=32, width=32, batch=1, stored=1.0, clean=0.0, weak=0.0)
    config = TrainConfig(model="videofusion-s", sampling=sampling, optim=Optim())
    batch = next(batches([flickering()], config, first=0))
    recipe = RECIPES["videofusion-s"]
    output = recipe.build(config).eval()(batch.ir, batch.vis)
    steady = output._replace(ir=batch.clean_ir.mean(1, keepdim=True).expand_as(batch.clean_ir))
    on = recipe.losses(steady, batch, config)["variation_ir"]
    off = recipe.losses(steady, batch, replace(config, steady=False))["variation_ir"]
    assert float(on) == pytest.approx(0, abs=1e-6)
    assert float(off) > 0.3


@pytest.mark.skipif(not SHARED.is_dir(), reason="the M3SVD training clips are not here")
def test_the_real_clip_that_flickers_is_found_and_teaches_no_flicker(tmp_path: Path) -> None:
    files = {clip.name: clip for clip in list_clips("m3svd", SHARED.parents[1], "train")}
    calm, wild = (cache_clip(files[name], tmp_path) for name in ("0114_1551", "0114_1611"))
    assert int((1 - steady_pairs(calm)).sum()) == 0
    assert int((1 - steady_pairs(wild)).sum()) == 6  # of 19
    target = torch.from_numpy(wild.means["ir"]).view(1, -1, 1, 1, 1) / 255
    naive, steady = (255 * taught(target, pairs).diff() for pairs in (None, steady_pairs(wild)[None]))
    assert float(naive.abs().max()) > 30  # grey levels between two frames
    assert float(steady.abs().max()) < 15  # which is what the sensor itself shows, when its gain changes
    assert torch.equal(steady_pairs(cache_clip(files["0114_1611"], tmp_path)), steady_pairs(wild))
