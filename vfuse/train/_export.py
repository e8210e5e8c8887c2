"""From a run folder to a weight file that `vfuse fuse --weights` takes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file

from vfuse import __version__
from vfuse.errors import InputError, OutputError, UsageError
from vfuse.train._checkpoint import load


def left_out(config: Mapping[str, Any]) -> list[str]:
    """The parts of the network that settings, as plain values, leave out."""
    return [part for part, kept in config["network"].items() if not kept]


def export(run: Path, out: Path, *, overwrite: bool = False) -> str:
    """Write the averaged weights of a run as safetensors, with its settings as metadata; the model's name.

    Raises:
        InputError: the folder holds no checkpoint.
        UsageError: the run left out parts of the network, so that `vfuse fuse` could not load its weights.
        OutputError: the target exists, or cannot be written.
    """
    checkpoint = load(run)
    if checkpoint is None:
        raise InputError("holds no checkpoint", where=run, todo="Name the folder given to vfuse train --run")
    if out.exists() and not overwrite:
        raise OutputError("exists", where=out, todo="Add -y to overwrite it")
    model = str(checkpoint.config["model"])
    missing = left_out(checkpoint.config)
    if missing:
        raise UsageError(
            f"was trained without {', '.join(missing)}, no command can load such weights",
            where=run,
            todo="Compare ablations by the validation figures in its log.jsonl",
        )
    facts = {
        "model": model,
        "vfuse": __version__,
        "steps": str(checkpoint.step),
        "hours": f"{checkpoint.seconds / 3600:.2f}",
        "config": json.dumps(checkpoint.config),
    }
    weights = checkpoint.ema if checkpoint.config["optim"]["ema"] else checkpoint.model
    temporary = out.with_name(f".{out.name}.part")
    try:
        save_file({name: value.contiguous() for name, value in weights.items()}, temporary, metadata=facts)
        os.replace(temporary, out)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"cannot be written: {error}", where=out, todo="Free some space or choose another folder"
        ) from error
    return model
