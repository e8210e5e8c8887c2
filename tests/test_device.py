"""Device and precision names, and what "auto" makes of them on machines we can only imitate."""

import pytest
import torch

from vfuse import device
from vfuse.device import free_memory, has_fast_bfloat16, is_out_of_memory, resolve_device, resolve_precision
from vfuse.errors import DeviceError, UsageError

CPU = torch.device("cpu")


def imitate(monkeypatch, *, cuda=0, mps=False, cpu_features=()):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    for check in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, check, lambda check=check: check in cpu_features, raising=False)


@pytest.mark.parametrize(
    ("machine", "chosen"), [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": 1, "mps": True}, "cuda")]
)
def test_auto_takes_the_fastest_device_present(monkeypatch, machine, chosen):
    imitate(monkeypatch, **machine)
    assert resolve_device("auto").type == chosen


def test_a_gpu_can_be_named_by_its_number(monkeypatch):
    imitate(monkeypatch, cuda=2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_an_absent_device_is_a_device_error(monkeypatch, name):
    imitate(monkeypatch)
    with pytest.raises(DeviceError, match="--device cpu"):
        resolve_device(name)


@pytest.mark.parametrize(
    ("name", "meant"), [("cudda", "cuda"), ("CPU", "cpu"), ("cpu:1", "cpu"), ("cuda:x", "cuda")]
)
def test_an_unknown_device_is_answered_with_a_suggestion(name, meant):
    with pytest.raises(UsageError, match="Known: auto") as caught:
        resolve_device(name)
    assert meant in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"), [("bf16", "bfloat16"), ("fp32", "float32"), ("float3", "float32")]
)
def test_an_unknown_precision_is_answered_with_a_suggestion(name, meant):
    with pytest.raises(UsageError, match=f"Did you mean '{meant}'"):
        resolve_precision(name, CPU)


@pytest.mark.parametrize(
    ("features", "chosen"),
    [
        ((), torch.float32),
        (("_is_amx_tile_supported",), torch.bfloat16),
        (("_is_avx512_bf16_supported",), torch.bfloat16),
    ],
)
def test_auto_precision_follows_the_cpu(monkeypatch, features, chosen):
    imitate(monkeypatch, cpu_features=features)
    assert resolve_precision("auto", CPU) == chosen


def test_a_torch_that_cannot_tell_means_float32(monkeypatch):
    for check in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, check, raising=False)
    assert not has_fast_bfloat16(CPU)


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_auto_precision_follows_the_gpu(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert has_fast_bfloat16(torch.device("cuda")) is fast


def test_an_explicit_precision_is_kept(monkeypatch):
    imitate(monkeypatch)
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16
    assert resolve_precision("float32", CPU) == torch.float32


def test_free_memory_is_a_plausible_number_of_bytes():
    before = free_memory(CPU)
    if before is None:
        pytest.skip("this system does not tell its free memory")
    assert 10 * 2**20 < before < 2**50


def test_without_any_source_free_memory_is_unknown(monkeypatch):
    monkeypatch.setattr("builtins.open", _refuse)
    monkeypatch.setattr(device.os, "sysconf", _refuse)
    assert free_memory(CPU) is None


def _refuse(*_, **__):
    raise OSError


def test_out_of_memory_is_recognised_from_the_real_allocator():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))
