"""What a training recipe is: presets and losses of one network, registered under the name of its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from vfuse.models import Output
from vfuse.registry import Registry
from vfuse.train._clips import Batch
from vfuse.train._config import TrainConfig

Losses = Callable[[Output, Batch, TrainConfig], dict[str, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """How to train one network.

    Attributes:
        name: of the model it trains.
        presets: preset name to config; "default" is our own, "paper" and "official" follow the publication.
        losses: weighted terms by name of one batch; their sum is minimised.
    """

    name: str
    presets: Mapping[str, TrainConfig]
    losses: Losses


RECIPES: Registry[Recipe] = Registry("recipe", package="vfuse.train")
