"""`load_model`: the right network, filled exactly, on the asked device, or one clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from _tiny import STATE, add_tiny, isolate, tiny_file

import vfuse
from vfuse.errors import DeviceError, UsageError, WeightsError
from vfuse.models._load import load_model
from vfuse.models._rounding import keep_sums


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolate(tmp_path, monkeypatch)


def test_a_loaded_model_computes_with_its_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tiny_file(home / "shipped" / "tiny.safetensors")
    entry = add_tiny(monkeypatch, {"test": weights})
    model = vfuse.load_model("tiny", device="cpu", precision="float32")
    assert (model.entry, model.weights, model.sha256) == (entry, "tiny.test", weights.sha256)
    assert (model.device, model.precision) == (torch.device("cpu"), torch.float32)
    assert not model.network.training
    vis = torch.rand(2, 3, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    out = model(vis[:, :, :1], vis)
    wanted = vis * STATE["gain"].view(3, 1, 1) + STATE["bias"].view(3, 1, 1)
    torch.testing.assert_close(out.fused, wanted.clamp(0, 1))
    assert not out.fused.requires_grad


def test_precision_is_recorded_and_results_stay_float32(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch, {"test": tiny_file(home / "shipped" / "tiny.safetensors")})
    model = load_model("tiny", device="cpu", precision="bfloat16")
    assert model.precision == torch.bfloat16
    assert model(torch.rand(1, 1, 1, 4, 4), torch.rand(1, 1, 3, 4, 4)).fused.dtype == torch.float32


def test_a_network_without_parameters_computes_in_float32() -> None:
    assert load_model("average", device="cpu", precision="bfloat16").precision == torch.float32


def test_bfloat16_rounds_kernels_when_they_are_loaded() -> None:
    exact, rounded = (
        load_model("videofusion-s", device="cpu", precision=name).network.state_dict()
        for name in ("float32", "bfloat16")
    )
    kernels = [name for name, value in exact.items() if value.ndim >= 4 and value[0, 0].numel() > 1]
    assert kernels
    for name in kernels:
        assert torch.equal(rounded[name], keep_sums(exact[name]))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"gain": STATE["gain"], "steps": STATE["steps"]}, "missing bias"),
        ({**STATE, "a": torch.ones(1), "b": torch.ones(1)}, "unexpected a, b"),
        ({**STATE, "gain": torch.ones(4)}, r"different gain \(4,\) instead of \(3,\)"),
        ({f"layer{i}.weight": torch.ones(1) for i in range(5)}, r"missing gain, bias, steps; .*and 2 more"),
    ],
)
def test_weights_of_another_network_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, torch.Tensor], message: str
) -> None:
    add_tiny(monkeypatch)
    tiny_file(home / "other.safetensors", state)
    with pytest.raises(
        WeightsError, match=rf"other\.safetensors: .*another network than 'tiny': .*{message}"
    ):
        load_model("tiny", weights=home / "other.safetensors")


def test_every_cut_of_a_file_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    path = home / "cut.safetensors"
    tiny_file(path)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match=r"cut\.safetensors: cannot be read as safetensors"):
            load_model("tiny", weights=path)
    path.write_bytes(content)
    load_model("tiny", weights=path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.safetensors", "does not exist"),
        ("net.pth", "may hold code.*vfuse weights import"),
        (".", "is a folder"),
    ],
)
def test_what_is_no_weight_file(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    add_tiny(monkeypatch)
    torch.save(STATE, home / "net.pth")
    with pytest.raises(WeightsError, match=message):
        load_model("tiny", weights=home / name)


def test_a_network_without_parameters_needs_no_weights(home: Path) -> None:
    tiny_file(home / "w.safetensors")
    model = load_model("average")
    assert (model.weights, model.sha256) == ("", "")
    with pytest.raises(UsageError, match="has no parameters"):
        load_model("average", weights=home / "w.safetensors")


def test_requests_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'averge'.*'average'"):
        load_model("averge")
    with pytest.raises(UsageError, match="unknown device"):
        load_model("average", device="gpu")
    with pytest.raises(UsageError, match="unknown precision"):
        load_model("average", precision="int8")
    with pytest.raises(DeviceError, match="CUDA devices"):
        load_model("average", device="cuda:99")
