"""Checkpoints: everything a run needs to go on as if it had never stopped, written whole or not at all."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vfuse.errors import OutputError, WeightsError

NAME = "checkpoint.pt"
PART = f".{NAME}.part"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps.

    Attributes:
        step: steps done; the sampling position follows from it.
        seconds: time spent training so far.
        model, ema: weights and their moving average.
        optimizer: its state dict.
        rng: state of the global generator.
        config: the settings of the run, as plain values.
    """

    step: int
    seconds: float
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Any]
    rng: Tensor
    config: dict[str, Any]


def save(checkpoint: Checkpoint, run: Path) -> Path:
    """Write to the run's folder; the previous checkpoint stays until the new one is safely on disk.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    path, temporary = run / NAME, run / PART
    try:
        with temporary.open("wb") as file:
            torch.save(vars(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"cannot save the checkpoint: {error}", where=path, todo="Free some space"
        ) from error
    return path


def remove(run: Path) -> None:
    """Forget the checkpoint of a run, if there is one."""
    for name in (NAME, PART):
        (run / name).unlink(missing_ok=True)


def load(run: Path) -> Checkpoint | None:
    """The checkpoint of a run, None when there is none yet.

    Raises:
        WeightsError: the file is damaged.
    """
    path = run / NAME
    if not path.is_file():
        return None
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            "is not a checkpoint", where=path, todo="Remove it to start the run anew"
        ) from error
