# pyright: basic
"""Layers of TemCoCo: separable convolutions over space and time, window cross-attention, temporal attention.

Feature maps are (N, C, h, w) with N = B * T, time the fast index, stored channels-last. In that layout a clip
is also a (B, C, T, h * w) image without moving a value, so convolutions over time are 2-D convolutions too.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.models._winograd import Conv3x3

SLOPE = 0.2  # of every leaky ReLU
WINDOW = (2, 8, 8)  # frames, rows, columns
TOKENS = 128  # in a window
CHUNK = 1 << 23  # values of one feature map that attention works on at a time, for bounded memory


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU in place; only for results of convolutions, which nothing else reads."""
    return F.leaky_relu_(x, SLOPE)


def add(x: Tensor, y: Tensor) -> Tensor:
    """x + y, into x where no gradient needs it."""
    return x + y if torch.is_grad_enabled() else x.add_(y)


def wide(x: Tensor) -> Tensor:
    """x in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def as_clip(x: Tensor, frames: int) -> Tensor:
    """(B * T, C, h, w) seen as (B, T, h, w, C)."""
    return x.permute(0, 2, 3, 1).unflatten(0, (-1, frames))


def from_clip(x: Tensor) -> Tensor:
    """(B, T, h, w, C) seen as (B * T, C, h, w)."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


class TemporalConv(nn.Conv2d):
    """3-tap convolution over time, zero padding at the clip's ends."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        _, _, h, w = x.shape
        clip = as_clip(channels_last(x), frames).flatten(2, 3).permute(0, 3, 1, 2)  # (B, C, T, h * w), a view
        y = channels_last(super().forward(clip)).permute(0, 2, 3, 1)  # (B, T, h * w, C)
        return from_clip(y.unflatten(2, (h, w)))


class Separable(nn.Module):
    """A 3-D convolution in two steps, space then time, each with a leaky ReLU.

    Args:
        temporal: False leaves out the step over time ("Conv2d" in the paper's ablation).
        last: whether the last step is activated.
    """

    def __init__(
        self, c_in: int, c_out: int, *, stride: int = 1, temporal: bool = True, last: bool = True
    ) -> None:
        super().__init__()
        self.spatial = Conv3x3(c_in, c_out, stride=stride)
        self.temporal = TemporalConv(c_out, c_out) if temporal else None
        self.last = last

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        return self.over_time(self.spatial(x), frames=frames)

    def over_time(self, x: Tensor, *, frames: int) -> Tensor:
        """What follows the spatial convolution, for callers that made it piece by piece; x is overwritten."""
        if self.temporal is None:
            return activate(x) if self.last else x
        x = self.temporal(activate(x), frames=frames)
        return activate(x) if self.last else x


class Residual(nn.Module):
    """x + separable convolution of x."""

    def __init__(self, channels: int, *, temporal: bool) -> None:
        super().__init__()
        self.body = Separable(channels, channels, temporal=temporal)

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        return add(self.body(x, frames=frames), x)


class Stack(nn.ModuleList):
    """A separable convolution and two residual ones."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, temporal: bool) -> None:
        first = Separable(c_in, c_out, stride=stride, temporal=temporal)
        super().__init__([first, Residual(c_out, temporal=temporal), Residual(c_out, temporal=temporal)])

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        for layer in self:
            x = layer(x, frames=frames)
        return x


class WindowCross(nn.Module):
    """Cross-attention in windows of 2 frames x 8 rows x 8 columns, never shifted, then an MLP; both residual.

    Positions that pad a map to whole windows are not masked: the published weights were trained with them.
    """

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_context = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.bias_table = nn.Parameter(torch.empty((2 * 2 - 1) * (2 * 8 - 1) ** 2, heads))
        self.q, self.kv = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.project = nn.Linear(channels, channels)
        self.norm_mlp = nn.LayerNorm(channels)
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.bias_index: Tensor
        self.register_buffer("bias_index", relative_position_index(), persistent=False)

    def forward(self, x: Tensor, context: Tensor, *, frames: int) -> Tensor:
        """Both (B * T, C, h, w). Windows do not see each other, so pairs of frames are done in turn."""
        x, context = as_clip(x, frames), as_clip(context, frames)
        out = []
        for part in frame_pairs(x):
            y = x[:, part] + self._attend(x[:, part], context[:, part])
            out.append(y + self.fc2(F.gelu(self.fc1(self.norm_mlp(y)))))
        return from_clip(torch.cat(out, dim=1))

    def _attend(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, T, h, w, C) twice to the update of x."""
        size = x.shape[1:4]
        padded = [n + -n % step for n, step in zip(size, WINDOW, strict=True)]
        q = self._heads(self.q(to_windows(self.norm_query(x))))
        k, v = (self._heads(z) for z in self.kv(to_windows(self.norm_context(context))).chunk(2, dim=-1))
        bias = self.bias_table[self.bias_index].permute(2, 0, 1).to(q.dtype)  # (heads, 128, 128)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        y = from_windows(self.project(y.transpose(1, 2).flatten(2)), padded)
        return y[:, : size[0], : size[1], : size[2]]

    def _heads(self, z: Tensor) -> Tensor:
        """(windows, 128, C) to (windows, heads, 128, C / heads)."""
        return z.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def relative_position_index() -> Tensor:
    """Row of the bias table for every query and key of a window, (128, 128) int64."""
    token = torch.arange(TOKENS)
    place = torch.stack([token // 64, token // 8 % 8, token % 8])  # frame, row, column
    t, r, c = place[:, :, None] - place[:, None, :]
    return (t + 1) * 225 + (r + 7) * 15 + (c + 7)


def frame_pairs(clip: Tensor) -> Iterator[slice]:
    """Even numbers of frames of a (B, T, h, w, C) clip, about `CHUNK` values each."""
    step = 2 * max(1, CHUNK // (2 * clip[:, :1].numel()))
    return (slice(t, t + step) for t in range(0, clip.shape[1], step))


def to_windows(x: Tensor) -> Tensor:
    """(B, T, h, w, C), zero-padded at the end of each axis, to (windows, 128, C)."""
    t, h, w = (-size % step for size, step in zip(x.shape[1:4], WINDOW, strict=True))
    if t or h or w:
        x = F.pad(x, (0, 0, 0, w, 0, h, 0, t))
    b, t, h, w, c = x.shape
    x = x.reshape(b, t // 2, 2, h // 8, 8, w // 8, 8, c).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(-1, TOKENS, c)


def from_windows(x: Tensor, size: list[int]) -> Tensor:
    """(windows, 128, C) to (B, T, h, w, C) of the padded size T, h, w."""
    t, h, w = size
    x = x.view(-1, t // 2, h // 8, w // 8, 2, 8, 8, x.shape[-1]).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(-1, t, h, w, x.shape[-1])


class CrossPair(nn.Module):
    """Attention from each of two features to the other.

    Args:
        order: "sequential" shows the second the updated first, as the published network does; "parallel"
            works on the originals, as the paper's equations 6 and 7 do.
    """

    def __init__(self, channels: int, *, heads: int, order: str) -> None:
        super().__init__()
        self.first, self.second = WindowCross(channels, heads=heads), WindowCross(channels, heads=heads)
        self.order = order

    def forward(self, x: Tensor, y: Tensor, *, frames: int) -> tuple[Tensor, Tensor]:
        updated = self.first(x, y, frames=frames)
        context = updated if self.order == "sequential" else x
        return updated, self.second(y, context, frames=frames)


class TemporalAttention(nn.Module):
    """Self-attention over the frames of a clip at every pixel, 64 channels per head, residual."""

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, 64 * heads
        self.norm = nn.LayerNorm(channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, inner, bias=False) for _ in range(3))
        self.to_out = nn.Linear(inner, channels)

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        clip = as_clip(x, frames)
        rows = max(1, CHUNK // (clip[:, :, :1].numel() * (self.to_q.out_features // clip.shape[-1])))
        return from_clip(torch.cat([part + self._attend(part) for part in clip.split(rows, dim=2)], dim=2))

    def _attend(self, x: Tensor) -> Tensor:
        """The update of (B, T, h, w, C)."""
        b, t, h, w, c = x.shape
        z = self.norm(x.permute(0, 2, 3, 1, 4).reshape(-1, t, c))
        q, k, v = (
            f(z).unflatten(-1, (self.heads, 64)).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v)
        )
        y = F.scaled_dot_product_attention(q, k, v)  # (pixels, heads, T, 64)
        y = self.to_out(y.transpose(1, 2).flatten(2))
        return y.view(b, h, w, t, c).permute(0, 3, 1, 2, 4)
