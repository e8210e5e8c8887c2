"""Recipes for TemCoCo: the paper's numbers, those of the released code, and our own.

| setting             | paper (ICCV 2025)     | official (released code) | default (ours)               |
|---------------------|-----------------------|--------------------------|------------------------------|
| network             | as described          | as released              | as described                 |
| frames x crop       | 10 x whole frames     | 10 x 224 x 224           | 4 x 128 x 128                |
| clips a step        | 3                     | 3                        | 2                            |
| optimiser           | Adam                  | Adam                     | Muon: `_optim`               |
| learning rate       | 5e-4, x0.95 every 100 | 5e-4, x0.95 every 200    | 1.5e-3 to 3e-5, cosine       |
| gradient norm       | not stated            | 1                        | 20                           |
| degradation         | stored                | stored                   | stored, weaker, none, ours   |
| losses              | equations 13 to 17    | with pixel and SSIM      | official, both sources       |
| teachers            | VGG19 and DINOv2      | VGG19 and DINOv2         | none                         |

Where paper and released network differ, `temcoco-paper` is built as the paper describes it, `temcoco` as
released; only the official preset trains the latter. No preset asks for teachers, whose weights every user
fetches; `loss.distill=both` (or vgg, dino) brings them in. The paper trains on whole frames; its crops here
are the released code's.

The ablations of its table 5 are settings: wo_TLoss `loss.temporal=0`, wo_TAttn
`network.temporal_attention=false`, no_VSAtn `network.cross_attention=false`, no_DCN
`network.deformable=false`, Conv2d `network.temporal_convs=false`; no_Dino `loss.distill=vgg`, no_Dino_VGG
`loss.distill=none`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from vfuse.errors import UsageError
from vfuse.models import MODELS, Output
from vfuse.models.temcoco import Config, Features, TemCoCo
from vfuse.train._clips import Batch
from vfuse.train._config import Optim, Sampling, TemCoCoParts, TrainConfig
from vfuse.train._recipe import RECIPES, Recipe
from vfuse.train._teachers import dinov2, vgg19
from vfuse.train._temcoco_losses import PAPER as PAPER_LOSSES
from vfuse.train._temcoco_losses import LossWeights, distillation_losses, fusion_losses

TEACHERS: dict[str, Callable[[], nn.Module]] = {"visual": vgg19, "semantic": dinov2}


class Lesson(NamedTuple):
    """What a network that teachers guide returns in training."""

    fused: Tensor
    features: Features


class Student(TemCoCo):
    """TemCoCo, in training also returning the features that teachers guide; the weights are the same."""

    def forward(self, ir: Tensor, vis: Tensor) -> Output | Lesson:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not self.training:
            return super().forward(ir, vis)
        features = self.features(ir, vis)
        return Lesson(features.fused, features)


def losses(output: Output | Lesson, batch: Batch, config: TrainConfig) -> dict[str, Tensor]:
    """The terms of the paper, weighted; see `fusion_losses` and `distillation_losses`."""
    weights = cast(LossWeights, config.loss)
    clean = {"clean_ir": batch.clean_ir, "clean_vis": batch.clean_vis}
    terms = fusion_losses(output.fused.float(), **clean, weights=weights)
    if isinstance(output, Lesson):
        features = {name: x.float() for name, x in output.features._asdict().items() if name != "fused"}
        terms |= distillation_losses(features, lessons(batch, weights), weights=weights)
    return terms


def lessons(batch: Batch, weights: LossWeights) -> dict[str, Tensor]:
    """What the teachers see in the clean sources, by the name of the feature that they guide."""
    wanted = {"vgg": ["visual"], "dino": ["semantic"], "both": ["visual", "semantic"]}[weights.distill]
    frames = {"ir": batch.clean_ir.expand(-1, -1, 3, -1, -1), "vis": batch.clean_vis}
    with torch.no_grad():
        return {
            f"{modality}_{kind}": teacher(kind, clean.device)(clean.flatten(0, 1))
            for kind in wanted
            for modality, clean in frames.items()
        }


@cache
def teacher(kind: str, device: torch.device) -> nn.Module:
    """VGG19 or DINOv2 from the user's checkpoint, read once."""
    return TEACHERS[kind]().to(device)


def build(config: TrainConfig) -> nn.Module:
    """The network of the config, without the parts that its settings leave out.

    Raises:
        UsageError: teachers are asked for, but the features of this network are not of their size.
    """
    kept, guided = cast(TemCoCoParts, config.network), cast(LossWeights, config.loss).distill != "none"
    if kept == TemCoCoParts() and not guided:
        return MODELS[config.model].build()
    with torch.device("meta"):  # only asked for its sizes
        sizes = cast(TemCoCo, MODELS[config.model].build()).config
    if guided and (sizes.semantic, sizes.visual, sizes.unshuffle) != (1024, 256, 1):
        raise UsageError(
            f"no teacher fits the features of {config.model}", todo="Use --set loss.distill=none"
        )
    return (Student if guided else TemCoCo)(_without(sizes, kept))


def _without(sizes: Config, kept: TemCoCoParts) -> Config:
    return replace(
        sizes,
        temporal_attention=kept.temporal_attention,
        cross_attention=sizes.cross_attention if kept.cross_attention else "none",
        deformable=kept.deformable,
        temporal_convs=kept.temporal_convs,
    )


_STORED = Sampling(frames=10, height=224, width=224, stored=1.0, clean=0.0, weak=0.0, flip=0.0, reverse=0.0)

DEFAULT = TrainConfig(
    model="temcoco-s",
    steady=False,
    network=TemCoCoParts(),
    sampling=Sampling(frames=4, height=128, width=128, batch=2, clean=0.3),
    optim=Optim(method="muon", lr=1.5e-3),
    loss=LossWeights(temporal_sources="both", visual_sources="both"),
)

OFFICIAL = TrainConfig(
    model="temcoco",
    precision="float32",
    steady=False,
    network=TemCoCoParts(),
    sampling=_STORED,
    optim=Optim(
        lr=5e-4,
        schedule="steps",
        factor=0.95,
        period=200,
        warmup=0,
        steps=500_000,
        beta2=0.999,
        weight_decay=0.0,
        clip=1.0,
        ema=0.0,
    ),
    loss=LossWeights(),
)

PAPER = replace(OFFICIAL, model="temcoco-paper", optim=replace(OFFICIAL.optim, period=100), loss=PAPER_LOSSES)

RECIPES.add(Recipe("temcoco-s", {"default": DEFAULT}, losses, build))
RECIPES.add(
    Recipe(
        "temcoco",
        {"default": replace(DEFAULT, model="temcoco-paper"), "paper": PAPER, "official": OFFICIAL},
        losses,
        build,
    )
)
