"""The ablations of the paper: each switch takes exactly its part out of the network or of the loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vfuse.errors import UsageError
from vfuse.models import MODELS
from vfuse.train._config import TrainConfig, override
from vfuse.train._recipe import RECIPES, Recipe, whole_network

RECIPE = RECIPES["videofusion-s"]
DEFAULT = RECIPE.presets["default"]
GONE = {"bicam": "bicam.", "cmdrm": ".reinforce_", "cmgf": ".cmgf."}


def names(config: TrainConfig) -> set[str]:
    with torch.device("meta"):
        return set(RECIPE.build(config).state_dict())


@pytest.mark.parametrize("part", sorted(GONE))
def test_a_part_left_out_is_gone_and_nothing_else(part: str) -> None:
    whole = names(DEFAULT)
    without = names(override(DEFAULT, [f"network.{part}=false"]))
    assert whole - without == {name for name in whole if GONE[part] in name}
    assert whole - without
    assert without < whole


def test_the_published_size_loses_its_parts_too() -> None:
    recipe = RECIPES["videofusion"]
    config = override(recipe.preset("paper"), [f"network.{part}=false" for part in GONE])
    with torch.device("meta"):
        left = set(recipe.build(config).state_dict())
    assert not [name for name in left if any(part in name for part in GONE.values())]


def test_an_ablated_network_still_fuses_and_restores() -> None:
    config = override(DEFAULT, [f"network.{part}=false" for part in GONE])
    torch.manual_seed(0)
    network = RECIPE.build(config).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 2, 1, 32, 32), torch.rand(1, 2, 3, 32, 32))
    assert [tuple(x.shape) for x in output] == [(1, 2, 3, 32, 32), (1, 2, 1, 32, 32), (1, 2, 3, 32, 32)]


def test_without_switches_the_registered_network_is_built() -> None:
    torch.manual_seed(3)
    expected = MODELS["videofusion-s"].build().state_dict()
    torch.manual_seed(3)
    built = RECIPE.build(DEFAULT).state_dict()
    assert all(torch.equal(built[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("weight", "terms"),
    [
        ("intensity", {"intensity"}),
        ("gradient", {"gradient"}),
        ("color", {"color"}),
        ("fidelity", {"fidelity_ir", "fidelity_vis"}),
        ("variation", {"variation_ir", "variation_vis", "variation_fused"}),
    ],
)
def test_a_loss_left_out_is_gone_and_nothing_else(weight: str, terms: set[str]) -> None:
    from vfuse.models import Output
    from vfuse.train._clips import Batch

    ir, vis = torch.rand(1, 2, 1, 24, 24), torch.rand(1, 2, 3, 24, 24)
    batch = Batch(ir, vis, ir.flip(-1), vis.flip(-1), torch.ones(1, 1))
    without = override(DEFAULT, [f"loss.{weight}=0"])
    found = [set(RECIPE.losses(Output(vis, ir, vis), batch, config)) for config in (DEFAULT, without)]
    assert found[0] - found[1] == terms


def test_a_network_without_such_parts_says_so() -> None:
    recipe = Recipe("average", {"default": replace(DEFAULT, model="average")}, RECIPE.losses)
    assert recipe.build is whole_network
    with pytest.raises(UsageError, match="no parts to leave out"):
        recipe.build(override(recipe.preset("default"), ["network.bicam=false"]))


def test_an_unknown_preset_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean 'official'"):
        RECIPES["videofusion"].preset("oficial")
