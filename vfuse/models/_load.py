"""A name or a weight file to a network that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vfuse.device import resolve_device, resolve_precision
from vfuse.download import Progress
from vfuse.errors import UsageError, WeightsError
from vfuse.models._rounding import PartlyExact, round_kernels
from vfuse.models._run import LoadedModel
from vfuse.models._weights import choose, named, obtain

SHOWN = 3  # keys of each kind in a message


def load_model(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    offline: bool = False,
    progress: Progress | None = None,
) -> LoadedModel:
    """Build a network, fill it with verified weights and put it on a device, in eval mode.

    Args:
        name: a network (`videofusion-s`), or a network and one of its weights (`videofusion-s.m3svd`).
        weights: a safetensors file to use instead of the listed ones.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "auto", "float32" or "bfloat16"; networks without parameters compute in float32.
        offline: open no connection; `VFUSE_OFFLINE` does the same.
        progress: told about the bytes of a download.

    Returns:
        The model, called as `model(ir, vis)` with ir (B, T, 1 or 3, H, W) and vis (B, T, 3, H, W) in [0, 1].

    Raises:
        UsageError: unknown name, device or precision; weights for a network without parameters.
        WeightsError: the weights are missing, damaged or of another network.
        DeviceError: the device is absent.
    """
    choice = choose(name)
    place = resolve_device(device)
    number_format = resolve_precision(precision, place)
    network = choice.entry.build()
    if not choice.entry.params:  # nothing to multiply faster: autocast would only cost time
        number_format = torch.float32
    label, sha256 = "", ""
    if network.state_dict():
        file = named(Path(weights)) if weights else obtain(choice, offline=offline, progress=progress)
        fill(network, file.path, model=choice.entry.name)
        label, sha256 = choice.name if file.weights else str(file.path), file.sha256
    elif weights:
        raise UsageError(f"model {name!r} has no parameters", todo="Leave --weights out")
    if number_format == torch.bfloat16 and isinstance(network, PartlyExact):
        round_kernels(network)
    return LoadedModel(choice.entry, network.to(place).eval(), place, number_format, label, sha256)


def fill(network: nn.Module, path: Path, *, model: str) -> None:
    """Load a safetensors file into a network, every name and shape exactly.

    Raises:
        WeightsError: the file is damaged or belongs to another network.
    """
    state = read_tensors(path)
    check_state(state, network, where=path, model=model)
    network.load_state_dict(state, strict=True)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Names to tensors of a safetensors file; raises WeightsError when it is not one or is damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"cannot be read as safetensors ({error})",
            where=path,
            todo="Download it again; a .pth checkpoint goes through: vfuse weights import",
        ) from error


def check_state(
    state: Mapping[str, Tensor],
    network: nn.Module,
    *,
    where: Path,
    model: str,
    todo: str = "Choose the network these weights were trained for with --model (vfuse models)",
) -> None:
    """Compare names, shapes and kinds of number with those of a network.

    Args:
        state: what a file holds.
        network: what it is meant for.
        where, model, todo: for the message: the file, the name of the network, what to do.

    Raises:
        WeightsError: they differ; the first of each kind of difference are listed.
    """
    wanted = network.state_dict()
    complaints = [
        listed("missing", [key for key in wanted if key not in state]),
        listed("unexpected", [key for key in state if key not in wanted]),
        listed(
            "different",
            [d for key in wanted if key in state and (d := _difference(key, state[key], wanted[key]))],
        ),
    ]
    if any(complaints):
        raise WeightsError(
            f"holds the weights of another network than {model!r}: {'; '.join(filter(None, complaints))}",
            where=where,
            todo=todo,
        )


def _difference(key: str, found: Tensor, wanted: Tensor) -> str:
    if found.shape != wanted.shape:
        return f"{key} {tuple(found.shape)} instead of {tuple(wanted.shape)}"
    if found.is_floating_point() != wanted.is_floating_point():
        return f"{key} {found.dtype} instead of {wanted.dtype}"
    return ""


def listed(kind: str, items: list[str]) -> str:
    """The first few items behind a word, for a message; empty without items."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{kind} {', '.join(items[:SHOWN])}{more}" if items else ""
