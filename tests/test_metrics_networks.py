"""The networks of the temporal metrics: public implementations' numbers from generated weights, pulls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from _scenes import scene
from _server import serve
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from vfuse.checkpoints import CHECKPOINTS
from vfuse.cli.main import app
from vfuse.errors import UsageError, WeightsError
from vfuse.evaluate import feature_network, flow_network
from vfuse.evaluate._networks import _between, _remembering
from vfuse.models._instruments import INSTRUMENTS, Instrument
from vfuse.models._resnet import ResNet18

# With `generated` weights and `picture` inputs: mean, standard deviation, some values.
REFERENCES = {
    "resnet18": (2.189103, 55.14308, -117.5007, -79.86005, -15.31024, 46.58906),  # torchvision 0.29.1
    "raft": (6.544667, 3.824313, 2.379952, 2.684952, -0.01948094, 4.188211),  # torchvision 0.29.1
    "sea-raft": (-8.867637, 35.647692, 15.965971, 2.427942, -5.635827, 4.793523),  # ptlflow 0.4.2
    "sea-raft-s": (2.201064, 2.730981, 1.345258, -1.217898, 1.117504, -0.1441746),  # ptlflow 0.4.2
}
# How far mean and spread may be off, relatively, and a single value. SEA-RAFT's flow of 36 pixels by such
# weights blows rounding up: a value is 0.1 away from the reference in float64, on a CPU with AVX2 only 0.5.
EXACT, ROUNDING = (1e-3, 1e-3), {"sea-raft": (3e-3, 0.8)}


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
    seen: dict[int, str] = {}
    for number, (key, like) in enumerate(network.state_dict().items()):
        first = seen.setdefault(like.data_ptr(), key)
        if first != key or not like.is_floating_point():
            state[key] = state.get(first, like)  # a layer with two names, or a counter
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


def published(folder: Path, name: str, *, suffix: str = ".pth") -> Path:
    """A checkpoint with the names of the public ones and generated weights."""
    state, path = generated(INSTRUMENTS[name].build()), folder / f"{name}{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file({key: tensor.clone() for key, tensor in state.items()}, path)
    return path


@pytest.mark.parametrize("entry", INSTRUMENTS, ids=lambda entry: entry.name)
def test_each_network_gives_the_numbers_of_its_public_implementation(entry: Instrument, tmp_path: Path):
    assert sum(p.numel() for p in entry.build().parameters()) == entry.params
    file, first = published(tmp_path, entry.name), picture(128, 136)
    if entry.gives == "flow":
        found = flow_network(entry.name, file).between(first, picture(128, 136, shift=3))
        assert found.shape == (128, 136, 2)
    else:
        found = feature_network(entry.name, file).of(picture(60, 72))
    whole, single = ROUNDING.get(entry.name, EXACT)
    mean, spread, *values = facts(found)
    assert [mean, spread] == pytest.approx(REFERENCES[entry.name][:2], rel=whole, abs=1e-3)
    assert values == pytest.approx(REFERENCES[entry.name][2:], rel=1e-3, abs=single)


@pytest.mark.parametrize("name", ["raft", "sea-raft-s"])
def test_a_flow_takes_frames_of_any_size(name: str, tmp_path: Path):
    flow = flow_network(name, published(tmp_path, name))
    assert flow.between(picture(50, 61), picture(50, 61)).shape == (50, 61, 2)


def test_padding_is_taken_off_where_it_was_put_on(monkeypatch: pytest.MonkeyPatch):
    class Columns(nn.Module):
        """The first image itself, as a flow."""

        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            assert first.shape[-2:] == (128, 136)
            return first[:, :2]

    first = picture(121, 135)
    flow = _between(Columns(), INSTRUMENTS["raft"])(first, first)
    assert flow == pytest.approx(first[..., :2] / 127.5 - 1, abs=1e-6)


def test_a_frame_is_described_once():
    network = ResNet18().eval()
    network.load_state_dict(generated(network))
    calls: list[int] = []
    network.register_forward_hook(lambda *_: calls.append(1))
    describe = _remembering(network)
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
    vectors = [feature_network("resnet18", path).of(image) for path in (plain, old)]
    assert np.array_equal(*vectors)
    torch.save({k: v for k, v in state.items() if k != "fc.bias"}, plain)
    with pytest.raises(WeightsError, match=r"fc\.bias"):
        feature_network("resnet18", plain)
    with pytest.raises(WeightsError, match="does not exist"):
        flow_network("raft", tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="another network than 'sea-raft'"):
        flow_network("sea-raft", published(tmp_path, "sea-raft-s"))
    with pytest.raises(UsageError, match="dis has no weights"):
        flow_network("dis", old)
    with pytest.raises(UsageError, match="Did you mean 'sea-raft'"):
        flow_network("searaft")
    with pytest.raises(UsageError, match="Known: resnet18"):
        feature_network("raft")


@pytest.mark.parametrize("left_out", [".bn3.", ".downsample.1."])
def test_sea_raft_loads_files_that_name_a_shared_layer_once(left_out: str, tmp_path: Path):
    state = generated(INSTRUMENTS["sea-raft-s"].build())
    once = {key: tensor for key, tensor in state.items() if left_out not in key}
    assert len(once) == len(state) - 20  # five tensors of two shortcuts in each of two encoders
    save_file(once, tmp_path / "once.safetensors")
    flow = flow_network("sea-raft-s", tmp_path / "once.safetensors")
    found = flow.between(picture(128, 136), picture(128, 136, shift=3))
    assert facts(found) == pytest.approx(REFERENCES["sea-raft-s"], rel=1e-3, abs=1e-3)


def vfuse(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_pulled_networks_are_used_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VFUSE_DATA_DIR", str(tmp_path / "data"))
    paths = scene(3).write(tmp_path)
    score = ("score", paths["fused"], "--ir", paths["ir"], "--vis", paths["vis"], "--baselines", "0")
    score += ("--metrics", "feacd_cos,feacd_sign,flowd", "--flow", "sea-raft-s", "--features", "resnet18")
    result = vfuse(*score)
    assert result.exit_code == 5
    assert "vfuse weights pull resnet18" in result.stderr
    with serve() as host:
        for name in ("sea-raft-s", "resnet18"):
            content = published(tmp_path, name, suffix=Path(CHECKPOINTS[name].file).suffix).read_bytes()
            known = replace(CHECKPOINTS[name], sha256=hashlib.sha256(content).hexdigest()[:16])
            monkeypatch.setitem(CHECKPOINTS._entries, name, known)
            host.files[f"/{known.file}"] = content
            pulled = vfuse("weights", "pull", name, "--mirror", host.url)
            assert pulled.exit_code == 0, pulled.output
    result = vfuse(*score, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    scores = facts["methods"]["fused"]["scores"]
    assert list(scores) == ["feacd_cos[resnet18]", "feacd_sign[resnet18]", "flowd[sea-raft-s]"]
    assert 0 <= scores["feacd_sign[resnet18]"]["mean"] <= 4
    assert facts["settings"]["flow_weights"].startswith(CHECKPOINTS["sea-raft-s"].sha256)


def test_a_checkpoint_is_used_without_pulling_it(tmp_path: Path):
    paths = scene(2).write(tmp_path)
    score = (
        "score",
        paths["fused"],
        "--ir",
        paths["ir"],
        "--vis",
        paths["vis"],
        "--baselines",
        "0",
        "--json",
    )
    score += ("--metrics", "flowd,feacd_cos", "--flow", "raft", "--flow-weights", published(tmp_path, "raft"))
    result = vfuse(*score, "--json", "--feature-weights", published(tmp_path, "resnet18"))
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)["metrics"]) == ["flowd[raft]", "feacd_cos[resnet18]"]


def test_every_network_has_its_checkpoint():
    assert {entry.name for entry in INSTRUMENTS} <= set(CHECKPOINTS.names())
