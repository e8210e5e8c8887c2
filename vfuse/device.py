"""Where a network runs: "auto" to a device, the precision it really supports, the memory free there."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches

import torch

from vfuse.errors import DeviceError, UsageError, did_you_mean

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(name: str = "auto") -> torch.device:
    """The device behind a name: "auto" takes CUDA, then MPS, then the CPU; "cuda:1" takes the second GPU.

    Raises:
        UsageError: the name is none of `DEVICES`.
        DeviceError: the device is not in this machine.
    """
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and (kind != "cuda" or not number.isdecimal())):
        suggestion = did_you_mean(name, DEVICES)
        raise UsageError(f"unknown device {name!r}", todo=f"{suggestion}Known: {', '.join(DEVICES)}, cuda:N")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(
            f"device {name!r} asked for, but torch {torch.__version__} sees {count} CUDA devices",
            todo="Use --device cpu, or install a torch with CUDA for this GPU",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' asked for, but torch sees none", todo="Use --device cpu")
    return torch.device(f"{kind}:{number}" if number else kind)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The number format to compute in: "auto" takes bfloat16 where the device has instructions for it.

    An explicit "bfloat16" is honoured anywhere torch can compute it, even where it is slower.

    Raises:
        UsageError: the name is none of `PRECISIONS`.
    """
    if name not in PRECISIONS:
        close = get_close_matches(name, (*PRECISIONS, "bf16", "fp32"), n=1)
        meant = {"bf16": "bfloat16", "fp32": "float32"}.get(*close * 2) if close else None
        suggestion = f"Did you mean {meant or close[0]!r}? " if close else ""
        raise UsageError(f"unknown precision {name!r}", todo=f"{suggestion}Known: {', '.join(PRECISIONS)}")
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: AMX or AVX512-BF16, Ampere or newer on CUDA."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public name for them
        return any(_ask_cpu(check) for check in checks)
    return False


def _ask_cpu(check: str) -> bool:
    ask: Callable[[], bool] | None = getattr(torch.cpu, check, None)
    return bool(ask()) if ask is not None else False


@contextmanager
def threads_of_torch(count: int) -> Generator[None, None, None]:
    """Let torch use `count` CPU threads inside the block; its own setting returns afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores_left_free(*, when: bool) -> AbstractContextManager[None]:
    """Keep torch to one CPU thread inside a block, when asked to.

    Torch's threads spin while they wait for each other. Around a network that computes next to nothing that
    takes the cores away from decoding and encoding: measured ten times slower on two busy cores.
    """
    return threads_of_torch(1 if when else torch.get_num_threads())


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be allocated on the device, or None where nobody can say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, whichever allocator speaks."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            text in str(error) for text in ("DefaultCPUAllocator", "can't allocate memory", "out of memory")
        )
    )
