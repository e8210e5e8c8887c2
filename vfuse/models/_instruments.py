"""Networks that measure a video instead of fusing one, and run on their public checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from vfuse.models._raft import Raft
from vfuse.models._resnet import ResNet18
from vfuse.models._sea_raft import SeaRaft
from vfuse.registry import Registry


@dataclass(frozen=True)
class Instrument:
    """A network that metrics use; its weights are the checkpoint of its name (`vfuse.checkpoints`).

    Attributes:
        name: what the user types, and what stands in brackets behind the metrics that used it.
        gives: "flow": two images (B, 3, H, W) in [-1, 1] to the motion (B, 2, H, W) from the first to the
            second; "features": an image (B, 3, H, W) to a vector (B, K).
        build: makes the network with its default initialisation.
        params: exact number of trainable values.
        paper: citation.
        multiple_of, min_size: of H and W.
    """

    name: str
    gives: Literal["flow", "features"]
    build: Callable[[], nn.Module]
    params: int
    paper: str
    multiple_of: int = 1
    min_size: int = 1


INSTRUMENTS: Registry[Instrument] = Registry("network")
INSTRUMENTS.add(
    Instrument(
        name="raft",
        gives="flow",
        build=Raft,
        params=5_257_536,
        paper="Teed & Deng, RAFT: Recurrent All-Pairs Field Transforms for Optical Flow, ECCV 2020",
        multiple_of=8,
        min_size=128,
    )
)
INSTRUMENTS.add(
    Instrument(
        name="sea-raft",
        gives="flow",
        build=partial(SeaRaft, blocks=(3, 4, 6)),
        params=19_663_876,
        paper="Wang, Lipson & Deng, SEA-RAFT: Simple, Efficient, Accurate RAFT for Optical Flow, ECCV 2024",
        multiple_of=8,
        min_size=128,
    )
)
INSTRUMENTS.add(
    Instrument(
        name="sea-raft-s",
        gives="flow",
        build=partial(SeaRaft, blocks=(2, 2, 2)),
        params=8_883_460,
        paper="Wang, Lipson & Deng, SEA-RAFT: Simple, Efficient, Accurate RAFT for Optical Flow, ECCV 2024",
        multiple_of=8,
        min_size=128,
    )
)
INSTRUMENTS.add(
    Instrument(
        name="resnet18",
        gives="features",
        build=ResNet18,
        params=11_689_512,
        paper="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
    )
)
