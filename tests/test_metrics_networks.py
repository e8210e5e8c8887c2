"""The networks of the temporal metrics: torchvision's numbers from generated weights, files, scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from _scenes import scene
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from vfuse.cli._networks import feature_network, flow_network
from vfuse.cli.main import app
from vfuse.errors import UsageError, WeightsError
from vfuse.metrics._raft import Raft, raft_flow
from vfuse.metrics._resnet import ResNet18, resnet18_features

# torchvision 0.29.1 with `generated` weights and `picture` inputs: mean, standard deviation, some values.
RESNET = (2.189103, 55.14308, -117.5007, -79.86005, -15.31024, 46.58906)
RAFT = (6.544667, 3.824313, 2.379952, 2.684952, -0.01948094, 4.188211)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The pictures are tiny: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def generated(network: nn.Module) -> dict[str, Tensor]:
    """Weights by a closed rule: a sine over each tensor's elements, as wide as its fan-in asks for."""
    state: dict[str, Tensor] = {}
    for number, (key, like) in enumerate(network.state_dict().items()):
        if not like.is_floating_point():
            state[key] = like
            continue
        wave = torch.sin(0.7 * torch.arange(like.numel(), dtype=torch.float64) ** 1.1 + number).reshape(
            like.shape
        )
        if key.endswith("running_var") or (like.ndim == 1 and key.endswith("weight")):
            state[key] = (1 + 0.3 * wave).float()
        elif like.ndim > 1:
            state[key] = (wave * 1.6 / like[0].numel() ** 0.5).float()
        else:
            state[key] = (0.1 * wave).float()
    return state


def picture(height: int, width: int, *, shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x = x - shift
    planes = [128 + 100 * np.sin(x / (5 + k)) * np.cos(y / (7 - k)) for k in range(3)]
    return np.floor(np.stack(planes, axis=-1)).astype(np.uint8)


def facts(values: np.ndarray) -> list[float]:
    flat = values.ravel().astype(np.float64)
    return [flat.mean(), flat.std(), *flat[:: flat.size // 4][:4]]


def filled(network: nn.Module) -> nn.Module:
    network.load_state_dict(generated(network), strict=True)
    return network


def test_resnet18_gives_torchvisions_numbers():
    network = ResNet18()
    assert sum(p.numel() for p in network.parameters()) == 11_689_512
    described = resnet18_features(filled(network)).of(picture(60, 72))
    assert facts(described) == pytest.approx(RESNET, rel=1e-4)


def test_raft_gives_torchvisions_numbers():
    network = Raft()
    assert sum(p.numel() for p in network.parameters()) == 5_257_536
    flow = raft_flow(filled(network)).between(picture(128, 136), picture(128, 136, shift=3))
    assert flow.shape == (128, 136, 2)
    assert facts(flow) == pytest.approx(RAFT, rel=1e-3, abs=1e-3)


def test_raft_takes_frames_of_any_size():
    assert raft_flow(filled(Raft())).between(picture(50, 61), picture(50, 61)).shape == (50, 61, 2)


def test_a_frame_is_described_once():
    network = filled(ResNet18())
    calls: list[int] = []
    network.register_forward_hook(lambda *_: calls.append(1))
    describe = resnet18_features(network).of
    first, other = picture(40, 40), picture(40, 40, shift=2)
    vectors = [describe(first), describe(other), describe(first.copy())]
    assert len(calls) == 2
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


def test_checkpoints_load_strictly(tmp_path: Path):
    state = generated(ResNet18())
    plain, old = tmp_path / "a.pth", tmp_path / "b.safetensors"
    torch.save(state, plain)
    save_file({k: v for k, v in state.items() if "num_batches" not in k}, old)
    image = picture(40, 40)
    assert np.array_equal(feature_network(plain).of(image), feature_network(old).of(image))
    torch.save({k: v for k, v in state.items() if k != "fc.bias"}, plain)
    with pytest.raises(WeightsError, match=r"fc\.bias"):
        feature_network(plain)
    with pytest.raises(WeightsError, match="does not exist"):
        flow_network("raft", tmp_path / "none.pth")
    with pytest.raises(UsageError, match="needs its weights"):
        flow_network("raft", None)
    with pytest.raises(UsageError, match="dis has no weights"):
        flow_network("dis", old)


def test_the_networks_are_part_of_the_names(tmp_path: Path):
    paths = scene(3).write(tmp_path)
    torch.save(generated(Raft()), tmp_path / "raft.pth")
    torch.save(generated(ResNet18()), tmp_path / "resnet.pth")
    arguments = [
        "score",
        paths["fused"],
        "--ir",
        paths["ir"],
        "--vis",
        paths["vis"],
        "--json",
        "--baselines",
        "0",
    ]
    arguments += ["--metrics", "feacd_cos,feacd_sign,flowd", "--flow", "raft"]
    arguments += ["--flow-weights", tmp_path / "raft.pth", "--feature-weights", tmp_path / "resnet.pth"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)["methods"]["fused"]["scores"]
    assert list(scores) == ["feacd_cos[resnet18]", "feacd_sign[resnet18]", "flowd[raft]"]
    assert 0 <= scores["feacd_sign[resnet18]"]["mean"] <= 4
