"""An instrument's name to a network that is ready to measure."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vfuse.checkpoints import require
from vfuse.download import Digest
from vfuse.models._convert import read_fitting
from vfuse.models._instruments import INSTRUMENTS


def load_instrument(name: str, *, weights: Path | None = None) -> tuple[nn.Module, str]:
    """Build an instrument and fill it strictly, in eval mode on the processor; with the sha256 of the file.

    Args:
        name: of the instrument.
        weights: a checkpoint to use instead of the one that `vfuse weights pull` fetches.

    Raises:
        UsageError: no such instrument.
        WeightsError: the file is missing, unreadable, or belongs to another network.
    """
    path = weights or require(name)
    network = INSTRUMENTS[name].build()
    network.load_state_dict(read_fitting(path, network, model=name), strict=True)
    return network.eval(), Digest.of(path).value
