"""Checkpoints to safetensors: read without running anything in them, renamed, checked, recorded."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from vfuse.download import Digest
from vfuse.errors import UsageError, WeightsError
from vfuse.models._load import check_state, listed, read_tensors
from vfuse.models._registry import MODELS, GitFile, ModelEntry, Weights
from vfuse.models._weights import SUFFIX, WeightFile, record_of, user_dir, weights_of

NO_LICENCE = "none stated"
CONTAINERS = ("params", "params_ema", "state_dict", "model")  # keys under which checkpoints keep the tensors
COUNTER = ".num_batches_tracked"
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def import_checkpoint(source: Path, name: str, *, overwrite: bool = False) -> WeightFile:
    """Convert a checkpoint to safetensors in the user data directory, to be used as `name`.

    Nothing in the file is executed. A name that stands for a published file takes that very file only.

    Args:
        source: a `.pth` file, or safetensors.
        name: `model.tag`, with a tag of your own or one of published weights.
        overwrite: replace weights imported under this name before.

    Raises:
        UsageError: the name is unknown, incomplete or taken.
        WeightsError: the file is unreadable, holds more than tensors, or belongs to another network.
    """
    entry, tag = _destination(name, overwrite=overwrite)
    known = weights_of(entry).get(tag)
    if known and known.git:
        _require_blob(source, known.git, entry.name)
    state = read_fitting(source, entry.build(), model=entry.name)
    weights = known or Weights(
        file="",
        sha256="",
        bytes=0,
        licence=NO_LICENCE,
        source=f"imported from {source.name}",
        trained_on="unknown",
    )
    return _store(state, replace(weights, file=f"{entry.name}.{tag}{SUFFIX}"), model=entry.name)


def _destination(name: str, *, overwrite: bool) -> tuple[ModelEntry, str]:
    model, _, tag = name.partition(".")
    entry = MODELS[model]
    if not TAG.fullmatch(tag):
        raise UsageError(
            f"{name!r} is not a place to import to", todo=f"Give a network and a tag, such as {model}.mine"
        )
    known = weights_of(entry).get(tag)
    imported = record_of(user_dir() / f"{entry.name}.{tag}{SUFFIX}").exists()
    if known and not known.git and not imported:
        raise UsageError(f"{name!r} names weights that are listed already", todo="Choose another tag")
    if imported and not overwrite:
        raise UsageError(f"{name!r} was imported before", todo="Choose another tag, or replace it with -y")
    return entry, tag


def _require_blob(source: Path, git: GitFile, model: str) -> None:
    require_file(source)
    found = Digest.of(source, "git blob").value
    if found != git.blob:
        raise WeightsError(
            f"is not {git.path} of {git.repository}: git blob {found} instead of {git.blob}",
            where=source,
            todo=f"Import it under a tag of your own, such as {model}.mine",
        )


def require_file(path: Path) -> None:
    """Raises WeightsError where there is no file."""
    if not path.is_file():
        raise WeightsError("does not exist or is not a file", where=path)


def read_fitting(path: Path, network: nn.Module, *, model: str) -> dict[str, Tensor]:
    """The tensors of a `.pth` checkpoint or a safetensors file, under the network's names, in its formats.

    Raises:
        WeightsError: the file is missing, unreadable, holds more than tensors, or belongs to another network.
    """
    return _fitted(_translated(read_weights(path), network, where=path), network, where=path, model=model)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Names to tensors of a safetensors file, by its suffix, or else of a checkpoint.

    Raises:
        WeightsError: the file is missing, damaged, or holds more than tensors.
    """
    require_file(path)
    return read_tensors(path) if path.suffix == SUFFIX else read_checkpoint(path)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Names to tensors of a file written by `torch.save`, without executing anything in it.

    The tensors may lie under one of `CONTAINERS`; a "module." before every name (parallel training) is cut.

    Raises:
        WeightsError: not such a file, damaged, or holding anything but tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks about the format; what counts is checked below
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file fails in any way it likes
        refused = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks to run {refused[1]}: refused" if refused else "is damaged or no torch checkpoint"
        raise WeightsError(what, where=path, todo="Get the file from its authors again") from error
    for key in CONTAINERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if (
        not isinstance(loaded, dict)
        or not loaded
        or not all(map(_is_parameter, *zip(*loaded.items(), strict=True)))
    ):
        raise WeightsError("holds no plain table of names and tensors", where=path)
    state = cast("dict[str, Tensor]", loaded)
    parallel = all(key.startswith("module.") for key in state)
    return {key.removeprefix("module.") if parallel else key: tensor for key, tensor in state.items()}


def _is_parameter(key: object, value: object) -> bool:
    if not isinstance(key, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and not value.is_quantized and not value.is_complex()


def _translated(state: dict[str, Tensor], network: nn.Module, *, where: Path) -> dict[str, Tensor]:
    """Through `convert_published` of the file that the network stands in, where there is one.

    Old checkpoints lack the batch counters of batch normalisation, which only training uses.
    """
    file = sys.modules[type(network).__module__]
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] = getattr(
        file, "convert_published", dict[str, Tensor]
    )
    counters = {key: value for key, value in network.state_dict().items() if key.endswith(COUNTER)}
    try:
        return {**counters, **convert(state)}
    except WeightsError as error:  # the network does not know the file's name
        raise WeightsError(error.what, where=where, todo=error.todo) from error


def _fitted(state: dict[str, Tensor], network: nn.Module, *, where: Path, model: str) -> dict[str, Tensor]:
    """The tensors in the network's number formats, each with memory of its own."""
    check_state(state, network, where=where, model=model)  # before anything is copied
    broken = [key for key, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise WeightsError(f"holds values that are not finite, {listed('in', broken)}", where=where)
    return {key: state[key].to(like.dtype).clone().contiguous() for key, like in network.state_dict().items()}


def _store(state: dict[str, Tensor], weights: Weights, *, model: str) -> WeightFile:
    """Write the weights, then the record that makes them known."""
    path = user_dir() / weights.file
    passing = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"about": f"{model}: {weights.source}; licence: {weights.licence}"}
        save_file(state, passing, metadata=about)  # one key: several are written in random order
        weights = replace(weights, sha256=Digest.of(passing).value, bytes=passing.stat().st_size)
        passing.replace(path)
        passing.write_text(json.dumps(asdict(weights), indent=2) + "\n", encoding="utf-8")
        passing.replace(record_of(path))
    except (OSError, ValueError, SafetensorError) as error:
        passing.unlink(missing_ok=True)
        raise WeightsError(
            f"cannot be written ({error})", where=path, todo="Set VFUSE_DATA_DIR to a folder of yours"
        ) from error
    return WeightFile(path, weights.sha256, weights)
