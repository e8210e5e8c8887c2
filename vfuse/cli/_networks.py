"""Which networks the temporal metrics use: the built-in flow, or standard checkpoints that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import nn

from vfuse.errors import UsageError, WeightsError
from vfuse.metrics import Features, Flow
from vfuse.metrics._flow import DIS
from vfuse.metrics._raft import Raft, raft_flow
from vfuse.metrics._resnet import ResNet18, resnet18_features
from vfuse.models._convert import read_checkpoint
from vfuse.models._load import check_state, read_tensors
from vfuse.models._weights import SUFFIX

RAFT = "raft"
N = TypeVar("N", bound=nn.Module)


def flow_network(name: str, weights: Path | None) -> Flow:
    """The optical flow of a name.

    Raises:
        UsageError: it is unknown, lacks its weights, or needs none.
        WeightsError: the checkpoint cannot be read or belongs to another network.
    """
    if name == DIS.name:
        if weights is not None:
            raise UsageError("dis has no weights", todo="Leave out --flow-weights, or choose another --flow")
        return DIS
    if name != RAFT:
        raise UsageError(f"unknown flow {name!r}", todo=f"Known: {DIS.name}, {RAFT}")
    if weights is None:
        raise UsageError(
            "flow raft needs its weights", todo="Give torchvision's raft_large checkpoint with --flow-weights"
        )
    return raft_flow(_filled(Raft(), weights, name="raft_large"))


def feature_network(weights: Path | None) -> Features | None:
    """The feature network of a torchvision ResNet-18 checkpoint; None without one.

    Raises:
        WeightsError: the checkpoint cannot be read or belongs to another network.
    """
    return None if weights is None else resnet18_features(_filled(ResNet18(), weights, name="resnet18"))


def _filled(network: N, path: Path, *, name: str) -> N:
    """The network with every tensor of a checkpoint, safetensors or .pth, by name and shape."""
    if not path.is_file():
        raise WeightsError("does not exist or is not a file", where=path)
    state = read_tensors(path) if path.suffix == SUFFIX else read_checkpoint(path)
    # Old checkpoints lack the batch counters of batch normalisation, which evaluation does not use.
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    state = {**counters, **state}
    check_state(state, network, where=path, model=name)
    network.load_state_dict(state, strict=True)
    return network
