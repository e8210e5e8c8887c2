"""Recipes for VideoFusion: the paper's numbers, those of the released code, and our own.

| setting             | paper (CVPR 2026)   | official (released code) | default (ours)              |
|---------------------|---------------------|--------------------------|-----------------------------|
| frames a crop       | 7                   | 6                        | 5                           |
| crop                | 128 x 128           | 128 x 128                | 256 x 192 (w x h)           |
| clips a step        | 12                  | 12                       | 2                           |
| optimiser           | AdamW               | AdamW                    | Muon: `_optim`              |
| learning rate       | 1e-4 to 1e-5 cosine | 1e-4 to 1e-6, warm-up    | 1.5e-3 to 3e-5, warm-up     |
| gradient norm       | not stated          | 0.01                     | 20                          |
| intensity loss      | 15                  | 15                       | 40                          |
| gradient loss       | 1                   | 1                        | 10: sharper fused frames    |
| variation loss      | 100                 | 10                       | 150                         |
| fidelity loss       | 10                  | 10                       | 25                          |
| steadiness, sharpness, targets | absent   | absent                   | 200, 0.5, 8: see `_losses`  |
| information         | absent              | absent                   | 3: see `_information`       |
| warp                | absent              | absent                   | 600: see `_warp`            |
| SSIM, second intens.| absent              | 1, 1                     | 13, 1                       |
| degradation         | stored              | stored                   | stored, weaker, none, ours  |
| flickering targets  | taught              | taught                   | not taught (`_flicker`)     |

The paper degrades every clip at full strength; a network trained so damages clean input. Ours sees every
strength from none upwards, each stream on its own, in crops large enough to tell a tone from a scene. The
ablations of the paper are settings: `network.bicam`, `network.cmdrm` and `network.cmgf` set to false, or a
weight of the losses to 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from vfuse.models import MODELS, Output
from vfuse.models._videofusion_scale import Scale
from vfuse.models.videofusion import VideoFusion
from vfuse.train._clips import Batch
from vfuse.train._config import Network, Optim, Sampling, TrainConfig
from vfuse.train._degrade import Ranges
from vfuse.train._losses import LossWeights, fusion_losses
from vfuse.train._recipe import RECIPES, Recipe


def losses(output: Output, batch: Batch, config: TrainConfig) -> dict[str, Tensor]:
    """The terms of the paper, weighted; see `fusion_losses`."""
    if output.ir is None or output.vis is None:
        raise ValueError(f"{config.model} does not restore its sources, this recipe needs that")
    return fusion_losses(
        output.fused.float(),
        output.ir.float(),
        output.vis.float(),
        clean_ir=batch.clean_ir,
        clean_vis=batch.clean_vis,
        weights=cast(LossWeights, config.loss),
        steady=batch.steady if config.steady else None,
    )


def build(config: TrainConfig) -> nn.Module:
    """The network of the config, without the parts that its settings leave out."""
    kept, entry = cast(Network, config.network), MODELS[config.model]
    if kept == Network():
        return entry.build()
    with torch.device("meta"):  # only asked for its sizes
        sizes = cast(VideoFusion, entry.build()).config
    network = VideoFusion(
        replace(
            sizes,
            bicam=sizes.bicam if kept.bicam else (0, 0, 0),
            fuse=sizes.fuse if kept.cmgf else (False, False, False),
        )
    )
    if not kept.cmdrm:
        for module in network.scales:
            scale = cast(Scale, module)
            scale.reinforce_ir = scale.reinforce_vis = None
    return network


_STORED = Sampling(
    height=128, width=128, batch=12, paired=1.0, stored=1.0, clean=0.0, weak=0.0, flip=0.0, reverse=0.0
)

DEFAULT = TrainConfig(
    model="videofusion-s",
    sampling=Sampling(height=192, width=256, batch=2),
    degrade=Ranges(bias_chance=0.6, vis_noise_chance=0.2, compressed_chance=0.25),
    optim=Optim(method="muon", lr=1.5e-3),
    loss=LossWeights(
        intensity=40.0,
        gradient=10.0,
        ssim=13.0,
        fidelity=25.0,
        variation=150.0,
        steadiness=200.0,
        sharpness=0.5,
        targets=8.0,
        information=3.0,
        warp=600.0,
    ),
)

OFFICIAL = TrainConfig(
    model="videofusion",
    precision="float32",
    steady=False,
    sampling=replace(_STORED, frames=6),
    optim=Optim(
        lr=1e-4, final=0.01, warmup=5000, steps=500_000, beta2=0.999, weight_decay=1e-5, clip=0.01, ema=0.0
    ),
)

PAPER = TrainConfig(
    model="videofusion",
    precision="float32",
    steady=False,
    sampling=replace(_STORED, frames=7),
    optim=Optim(
        lr=1e-4, final=0.1, warmup=0, steps=220_000, beta2=0.999, weight_decay=1e-5, clip=1.0, ema=0.0
    ),
    loss=LossWeights(consistency=0.0, ssim=0.0, variation=100.0),
)

RECIPES.add(Recipe("videofusion-s", {"default": DEFAULT}, losses, build))
RECIPES.add(
    Recipe(
        "videofusion",
        {"default": replace(DEFAULT, model="videofusion"), "paper": PAPER, "official": OFFICIAL},
        losses,
        build,
    )
)
