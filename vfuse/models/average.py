"""Baselines without parameters: average, maximum, and either source alone; each pixel by itself, no time.

They fuse brightness (BT.709 luma) and keep the chroma of the visible frame. Useful to test a setup in seconds
and as the floor that a network has to beat.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vfuse.colour import to_grey, with_luma
from vfuse.models._registry import MODELS, ModelEntry, Output


class Pointwise(nn.Module):
    """A rule for single pixels: rule(ir, vis) of (B, T, 1, H, W) and (B, T, 3, H, W) to RGB in [0, 1]."""

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, ir: Tensor, vis: Tensor) -> Output:
        return Output(fused=self.rule(to_grey(ir), vis))


def average(ir: Tensor, vis: Tensor) -> Tensor:
    """Half the visible brightness, half the infrared."""
    return vis.add(ir - to_grey(vis), alpha=0.5).clamp_(0, 1)


def maximum(ir: Tensor, vis: Tensor) -> Tensor:
    """The brighter of both."""
    return with_luma(vis, torch.maximum(ir, to_grey(vis))).clamp_(0, 1)


def visible(ir: Tensor, vis: Tensor) -> Tensor:
    """The visible frame, unchanged."""
    return vis


def infrared(ir: Tensor, vis: Tensor) -> Tensor:
    """The infrared frame in grey."""
    return ir.expand_as(vis)


for rule, name, what in (
    (average, "average", "mean of infrared and visible brightness, colours of the visible"),
    (maximum, "max", "the brighter of infrared and visible, colours of the visible"),
    (visible, "visible", "the visible video alone"),
    (infrared, "infrared", "the infrared video alone, in grey"),
):
    MODELS.add(
        ModelEntry(
            name=name,
            build=lambda rule=rule: Pointwise(rule),
            params=0,
            window=1,
            overlap=0,
            min_size=1,
            colour="luma",
            paper=f"Baseline: {what}.",
        )
    )
