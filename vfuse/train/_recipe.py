"""What a training recipe is: presets and losses of one network, registered under the name of its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from vfuse.errors import UsageError, did_you_mean
from vfuse.models import MODELS
from vfuse.registry import Registry
from vfuse.train._clips import Batch
from vfuse.train._config import Network, TrainConfig

Losses = Callable[[Any, Batch, TrainConfig], dict[str, Tensor]]
"""Weighted terms by name, from what its network returns in training: an `Output` or more than that."""


def whole_network(config: TrainConfig) -> nn.Module:
    """The network as it is registered.

    Raises:
        UsageError: the settings leave out parts, which only VideoFusion has.
    """
    if config.network != Network():
        raise UsageError(f"{config.model} has no parts to leave out", todo="Remove --set network.…")
    return MODELS[config.model].build()


@dataclass(frozen=True)
class Recipe:
    """How to train one network.

    Attributes:
        name: of the model it trains.
        presets: preset name to config; "default" is our own, "paper" and "official" follow the publication.
        losses: weighted terms by name of one batch; their sum is minimised.
        build: makes the network that the settings ask for, with its initialisation.
    """

    name: str
    presets: Mapping[str, TrainConfig]
    losses: Losses
    build: Callable[[TrainConfig], nn.Module] = whole_network

    def preset(self, name: str) -> TrainConfig:
        """The settings of that name.

        Raises:
            UsageError: there is none; with a suggestion.
        """
        if name not in self.presets:
            hint = did_you_mean(name, self.presets)
            known = f"Known: {', '.join(self.presets)}"
            raise UsageError(f"{self.name} has no preset {name!r}", todo=hint + known)
        return self.presets[name]


RECIPES: Registry[Recipe] = Registry("recipe", package="vfuse.train")
