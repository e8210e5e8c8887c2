# pyright: basic
"""The two branches of TemCoCo's visual-semantic interaction; teachers may guide the middle of each.

Feature maps are (B * T, C, h, w) at quarter scale, time the fast index, channels-last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vfuse.models._temcoco_blocks import Stack, channels_last, wide


class SemanticBranch(nn.Module):
    """Describes blocks of 4 x 4 pixels for a semantic teacher and spreads that over their pixels.

    Args:
        channels: C of the quarter scale.
        semantic: channels of the description.
        reshape: "published" or "aligned", see `vfuse.models.temcoco.Config`.
        temporal: whether separable convolutions have their step over time.
    """

    def __init__(self, channels: int, *, semantic: int, reshape: str, temporal: bool) -> None:
        super().__init__()
        c = channels
        self.reshape = reshape
        self.before = Stack(c, c, temporal=temporal)
        self.down = nn.Conv2d(c, semantic, 3, stride=4)
        self.up = nn.ConvTranspose2d(semantic, c, 3, stride=4, output_padding=1)
        self.after = Stack(2 * c, c, temporal=temporal)

    def forward(self, x: Tensor, *, frames: int) -> tuple[Tensor, Tensor]:
        """(Branch feature (B * T, C, h, w), semantic feature (B * T, semantic, h / 4, w / 4))."""
        x = self.before(x, frames=frames)
        semantic = self.down(x)
        skip = self.up(semantic)
        if self.reshape == "published":
            skip = mix_time_into_channels(skip, frames=frames)
        return exactly(self.after, torch.cat([skip, x], dim=1), frames=frames), semantic


def mix_time_into_channels(x: Tensor, *, frames: int) -> Tensor:
    """Read (B, T, C) in memory as (B, C, T), values in place: an accident the published weights live with."""
    _, c, h, w = x.shape
    mixed = x.contiguous().view(-1, c, frames, h, w)
    return channels_last(mixed.transpose(1, 2).flatten(0, 1))


class VisualBranch(nn.Module):
    """Widens to the features of a visual teacher and back."""

    def __init__(self, channels: int, *, visual: int, temporal: bool) -> None:
        super().__init__()
        self.widen = Stack(channels, visual, temporal=temporal)
        self.narrow = Stack(visual, channels, temporal=temporal)

    def forward(self, x: Tensor, *, frames: int) -> tuple[Tensor, Tensor]:
        """(Branch feature (B * T, C, h, w), visual feature (B * T, visual, h, w))."""
        visual = self.widen(x, frames=frames)
        return exactly(self.narrow, visual, frames=frames), visual


def exactly(stack: Stack, x: Tensor, *, frames: int) -> Tensor:
    """stack(x) in float32 also under autocast.

    For the last layers of the branches: rounded to half precision, they alone cause 60 % of the error of the
    whole network, and in float32 they take 5 % of its time more.
    """
    with torch.autocast(x.device.type, enabled=False):
        return stack(wide(x), frames=frames)
