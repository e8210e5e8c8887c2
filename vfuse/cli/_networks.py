"""Which networks the temporal metrics use: the built-in flow, or standard checkpoints that the user has."""

from __future__ import annotations

from pathlib import Path

from vfuse.errors import UsageError
from vfuse.metrics import Features, Flow


def flow_network(name: str, weights: Path | None) -> Flow:
    """The optical flow of a name; raises UsageError for one that is unknown or needs weights."""
    from vfuse.metrics._flow import DIS

    if name == DIS.name:
        if weights is not None:
            raise UsageError("dis has no weights", todo="Leave out --flow-weights, or choose another --flow")
        return DIS
    raise UsageError(f"unknown flow {name!r}", todo="Known: dis")


def feature_network(weights: Path | None) -> Features | None:
    """The feature network of a checkpoint; None without one."""
    if weights is None:
        return None
    raise UsageError("no feature network")
