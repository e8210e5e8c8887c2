# pyright: basic
"""Gates of VideoFusion: weights per channel and per pixel, and the contribution metric built on them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.models._attention import Pointwise, full
from vfuse.models._bands import bands, framewise, locally
from vfuse.models._blocks import conv3x3


class ChannelAttention(nn.Module):
    """Weights per channel from its mean and its maximum over all pixels, (N, C, h, w) -> (N, C, 1, 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = Pointwise(channels, channels // 16)
        self.fc2 = Pointwise(channels // 16, channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.stack(mean_and_maximum(x))[..., None, None]  # (2, N, C, 1, 1)
        hidden = F.leaky_relu(self.fc1(pooled.flatten(0, 1)), 0.2)
        return self.fc2(hidden).unflatten(0, (2, -1)).sum(0).sigmoid()


def mean_and_maximum(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of every channel of every frame over all pixels, (N, C) each."""
    parts = bands(x)
    if len(parts) == 1:
        return x.mean((2, 3)), x.amax((2, 3))
    total, peak = x.new_zeros(x.shape[:2], dtype=full(x).dtype), x.new_full(x.shape[:2], -torch.inf)
    for band in parts:
        part = full(band.of(x))  # a band at a time: torch reduces thin half-precision maps ten times slower
        total[band.frames] += part.sum((2, 3))
        peak[band.frames] = torch.maximum(peak[band.frames], part.amax((2, 3)))
    return (total / x[0, 0].numel()).to(x.dtype), peak


class SpatialAttention(nn.Module):
    """x weighed per pixel, from the mean and the maximum over its channels, (N, C, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv3x3(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return locally(self.weighed, x)

    def weighed(self, x: Tensor) -> Tensor:
        y = full(x)
        pooled = torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], dim=1).to(x.dtype)
        return self.conv1(pooled).sigmoid() * x


class Unmix(nn.Module):
    """Modality unmixing: the share of one modality in the decoded feature, (N, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channel_attention = ChannelAttention(channels)
        self.spatial_attention = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        return framewise(self.gated, x)

    def gated(self, x: Tensor) -> Tensor:
        y = self.channel_attention(x) * x
        return self.spatial_attention(y)


class Contribution(nn.Module):
    """The contribution metric of CmDRM: how much of the reinforced and of the plain feature to keep."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = Pointwise(2 * channels, 2)
        self.channel_attention = ChannelAttention(channels)
        self.spatial_attention = SpatialAttention()

    def forward(self, enhanced: Tensor, plain: Tensor) -> Tensor:
        return framewise(self.weighed, enhanced, plain)

    def weighed(self, enhanced: Tensor, plain: Tensor) -> Tensor:
        scores = self.score(torch.cat([enhanced, plain], dim=1)).sigmoid().mean((2, 3), keepdim=True)
        keep_enhanced, keep_plain = scores.chunk(2, dim=1)  # (N, 1, 1, 1) each
        y = keep_enhanced * enhanced
        y = self.channel_attention(y) * y
        return self.spatial_attention(y) + keep_plain * plain
