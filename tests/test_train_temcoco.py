"""TemCoCo's recipe: presets as published, ablations, teachers, a few steps of training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("accelerate", reason="training is an extra: pip install 'vfuse[train]'")

from test_train import clip

from vfuse.errors import UsageError
from vfuse.models import MODELS, Output
from vfuse.models.temcoco import AS_DESCRIBED, SMALL, Config
from vfuse.train import temcoco
from vfuse.train._clips import Batch
from vfuse.train._config import override
from vfuse.train._export import export
from vfuse.train._loop import fit, learning_rate
from vfuse.train._recipe import RECIPES

RECIPE = RECIPES["temcoco-s"]
DEFAULT = RECIPE.presets["default"]
GONE = {"temporal_attention": "attend.", "cross_attention": "cross_"}


class Teacher(nn.Module):
    """Sees a constant everywhere."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.channels, self.scale = channels, scale

    def forward(self, frames: Tensor) -> Tensor:
        assert frames.shape[1] == 3
        size = (side // self.scale for side in frames.shape[-2:])
        return torch.full((len(frames), self.channels, *size), float(frames.mean() > 0.5))


GUIDED = {"visual": (SMALL.visual, 4), "semantic": (SMALL.semantic, 16)}  # channels and scale of features


def names(*assignments: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = RECIPE.build(override(DEFAULT, assignments)).state_dict()
    return {name: tuple(x.shape) for name, x in state.items()}


def test_the_learning_rate_of_the_released_code_falls_in_steps() -> None:
    optim = RECIPES["temcoco"].presets["official"].optim
    rates = [learning_rate(optim, step, 0.0) for step in (0, 199, 200, 400)]
    assert rates == pytest.approx([5e-4, 5e-4, 5e-4 * 0.95, 5e-4 * 0.95**2])
    paper = RECIPES["temcoco"].presets["paper"].optim
    assert learning_rate(paper, 100, 0.0) == pytest.approx(5e-4 * 0.95)


@pytest.mark.parametrize("part", ["temporal_attention", "cross_attention", "deformable", "temporal_convs"])
def test_each_part_left_out_changes_the_network(part: str) -> None:
    whole, without = names(), names(f"network.{part}=false")
    assert whole != without
    if part in GONE:
        assert set(whole) - set(without) == {name for name in whole if name.startswith(GONE[part])}


def test_only_the_released_preset_trains_the_released_network() -> None:
    presets = RECIPES["temcoco"].presets
    models = {name: preset.model for name, preset in presets.items()}
    assert models == {"default": "temcoco-paper", "paper": "temcoco-paper", "official": "temcoco"}
    with torch.device("meta"):
        built = {name: RECIPES["temcoco"].build(preset).config for name, preset in presets.items()}
    assert built == {"default": AS_DESCRIBED, "paper": AS_DESCRIBED, "official": Config()}


TABLE_5 = {  # the names of the paper, the settings here, and what goes
    "wo_TLoss": ("loss.temporal=0", {"temporal"}),
    "no_Dino": ("loss.distill=vgg", {"semantic"}),
    "no_Dino_VGG": ("loss.distill=none", {"semantic", "visual"}),
}


@pytest.mark.parametrize("name", TABLE_5)
def test_each_loss_left_out_leaves_the_graph(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its term goes, and the gradients change."""
    small = replace(SMALL, unshuffle=1, residual=False)
    monkeypatch.setattr(temcoco, "teacher", lambda kind, device: Teacher(*GUIDED[kind]))
    torch.manual_seed(0)
    student = temcoco.Student(small).train()
    nn.init.constant_(student.reconstruct.temporal.bias, 0.5)  # where losses on brightness have a slope
    ir, vis = torch.rand(1, 2, 1, 32, 32), torch.rand(1, 2, 3, 32, 32)
    batch = Batch(ir, vis, ir, vis, torch.ones(1, 1))
    setting, gone = TABLE_5[name]
    found, slopes = [], []
    for config in (
        override(DEFAULT, ["loss.distill=both"]),
        override(DEFAULT, ["loss.distill=both", setting]),
    ):
        lesson = student(ir, vis)
        if config.loss.distill == "none":
            lesson = Output(lesson.fused)
        terms = RECIPE.losses(lesson, batch, config)
        (slope,) = torch.autograd.grad(sum(terms.values()), [student.encode_vis.stem.spatial.weight])
        found.append(set(terms))
        slopes.append(slope)
    assert found[0] - found[1] == gone
    assert not torch.allclose(slopes[0], slopes[1])


def test_the_temporal_loss_can_be_left_out() -> None:
    ir, vis = torch.rand(1, 3, 1, 32, 32), torch.rand(1, 3, 3, 32, 32)
    batch = Batch(ir, vis, ir.flip(-1), vis.flip(-1), torch.ones(1, 2))
    without = override(DEFAULT, ["loss.temporal=0"])
    found = [set(RECIPE.losses(Output(vis), batch, config)) for config in (DEFAULT, without)]
    assert found[0] - found[1] == {"temporal"}
    assert found[0] >= {"intensity", "gradient", "color", "ssim", "temporal"}


def test_a_few_steps_are_trained_and_exported(tmp_path: Path) -> None:
    config = replace(
        DEFAULT,
        precision="float32",
        sampling=replace(DEFAULT.sampling, frames=2, height=64, width=64, batch=1),
        optim=replace(DEFAULT.optim, steps=2, warmup=0),
    )
    network = fit(RECIPE, config, [clip(size=72)], tmp_path, cpu=True)
    assert export(tmp_path, tmp_path / "w.safetensors") == "temcoco-s"
    assert set(network.state_dict()) == set(MODELS["temcoco-s"].build().state_dict())
    assert (tmp_path / "log.jsonl").read_text().count("temporal") == 2
    assert json.loads((tmp_path / "config.json").read_text())["loss"]["distill"] == "none"


def test_teachers_guide_the_features_they_see(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SMALL, unshuffle=1, residual=False)
    monkeypatch.setattr(temcoco, "teacher", lambda kind, device: Teacher(*GUIDED[kind]))
    torch.manual_seed(0)
    student = temcoco.Student(small).train()
    ir, vis = torch.zeros(1, 2, 1, 32, 32), torch.ones(1, 2, 3, 32, 32)
    batch = Batch(ir, vis, ir, vis, torch.ones(1, 1))
    config = override(DEFAULT, ["loss.distill=both"])
    lesson = student(ir, vis)
    terms = RECIPE.losses(lesson, batch, config)
    seen = [getattr(lesson.features, f"{m}_visual") - float(m == "vis") for m in ("ir", "vis")]
    expected = seen[0].square().mean() + seen[1].square().mean()
    assert float(terms["visual"].detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    assert float(terms["semantic"].detach()) > 0
    assert "semantic" not in RECIPE.losses(lesson, batch, override(DEFAULT, ["loss.distill=vgg"]))
    assert isinstance(student.eval()(ir, vis), Output)


def test_teachers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="no teacher fits"):
        RECIPE.build(override(DEFAULT, ["loss.distill=both"]))
    with pytest.raises(UsageError, match="one of none, vgg, dino, both"):
        override(DEFAULT, ["loss.distill=clip"])
    with torch.device("meta"):
        guided = RECIPES["temcoco"].build(
            override(RECIPES["temcoco"].preset("official"), ["loss.distill=both"])
        )
        assert set(guided.state_dict()) == set(MODELS["temcoco"].build().state_dict())
