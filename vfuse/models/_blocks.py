# pyright: basic
"""Layers of the attention networks: channel attention, transformer blocks, convolutions over time and scale.

Feature maps are (N, C, h, w) with N = B * T, time the fast index, stored channels-last: that layout alone
makes 1x1 and depth-wise convolutions and layer norms several times faster on a CPU. The attention is that of
Restormer (Zamir et al., CVPR 2022): maps between channels, so the cost is linear in the number of pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv1x1(c_in: int, c_out: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 1, bias=bias)


def conv3x3(c_in: int, c_out: int, *, bias: bool = False, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias, groups=groups)


def depthwise(channels: int) -> nn.Conv2d:
    return conv3x3(channels, channels, groups=channels)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel, (N, C, h, w) -> (N, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:  # a view both ways when x is channels-last
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def full(x: Tensor) -> Tensor:
    """x in float32 at least: norms and softmax lose too much in half precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def attention_map(q: Tensor, k: Tensor, temperature: Tensor) -> Tensor:
    """Channel attention of Restormer: softmax of the scaled cosine between the channels of q and of k.

    Args:
        q, k: (N, C, h, w).
        temperature: (heads, 1, 1).

    Returns:
        (N, heads, C / heads, C / heads), float32 at least; rows sum to 1. The Gram matrix is divided by the
        norms, which equals normalising q and k first without writing them out.
    """
    n, heads, c = q.shape[0], temperature.shape[0], q.shape[1] // temperature.shape[0]
    q, k = (full(z).permute(0, 2, 3, 1).reshape(n, -1, heads * c) for z in (q, k))
    with torch.autocast(q.device.type, enabled=False):
        # One product over all channels, of which the heads are the diagonal blocks: faster than a strided
        # product per head, although it computes more.
        gram = torch.bmm(q.transpose(1, 2), k).view(n, heads, c, heads, c).diagonal(dim1=1, dim2=3)
        gram = gram.permute(0, 3, 1, 2)  # (N, heads, c, c)
        q_norm, k_norm = (
            torch.linalg.vector_norm(z, dim=1).view(n, heads, c).clamp_min(1e-12) for z in (q, k)
        )
        cosine = gram / (q_norm[..., :, None] * k_norm[..., None, :])
        return (cosine * full(temperature)).softmax(-1)


def attend(attention: Tensor, v: Tensor, project: nn.Conv2d) -> Tensor:
    """Apply (N, heads, c, c) attention to v (N, C, h, w) and project, as one C x C matrix per sample."""
    n, c, h, w = v.shape
    heads = attention.shape[1]
    out = full(project.weight).view(c, heads, c // heads)  # columns grouped by head
    matrix = torch.einsum("ohi,nhij->nohj", out, attention).reshape(n, c, c)
    y = v.permute(0, 2, 3, 1).reshape(n, h * w, c) @ matrix.to(v.dtype).transpose(1, 2)
    return y.reshape(n, h, w, c).permute(0, 3, 1, 2)


class SelfAttention(nn.Module):
    """Transposed self-attention (spec of Restormer): 16 x 16 maps per head, never pixel by pixel."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = conv1x1(channels, 3 * channels)
        self.qkv_dwconv = depthwise(3 * channels)
        self.project_out = conv1x1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        return attend(attention_map(q, k, self.temperature), v, self.project_out)


class CrossAttention(nn.Module):
    """Transposed attention with the query from one feature and key, value from another."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q = conv1x1(channels, channels)
        self.kv = conv1x1(channels, 2 * channels)
        self.q_dwconv = depthwise(channels)
        self.kv_dwconv = depthwise(2 * channels)
        self.project_out = conv1x1(channels, channels)

    def query(self, x: Tensor) -> Tensor:
        return self.q_dwconv(self.q(x))

    def forward(self, q: Tensor, source: Tensor) -> Tensor:
        """q comes from `query`, so that callers can share it between sources."""
        k, v = self.kv_dwconv(self.kv(source)).chunk(2, dim=1)
        return attend(attention_map(q, k, self.temperature), v, self.project_out)


class CoAttention(nn.Module):
    """Bi-temporal co-attention (paper eq. 5): what both neighbours agree on, softmax(A_prev * A_next)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q = conv1x1(channels, channels)
        self.kv_prev = conv1x1(channels, 2 * channels)
        self.kv_next = conv1x1(channels, 2 * channels)
        self.q_dwconv = depthwise(channels)
        self.kv_dwconv_prev = depthwise(2 * channels)
        self.kv_dwconv_next = depthwise(2 * channels)
        self.project_out = conv1x1(channels, channels)

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        """x is (B * T, C, h, w); every frame is projected once, then paired with its neighbours by index."""
        k_prev, v_prev = self.kv_dwconv_prev(self.kv_prev(x)).chunk(2, dim=1)
        k_next, v_next = self.kv_dwconv_next(self.kv_next(x)).chunk(2, dim=1)
        before, after = neighbours(x.shape[0], frames, device=x.device)
        q = self.q_dwconv(self.q(x))
        a_prev = attention_map(q, k_prev[before], self.temperature)
        a_next = attention_map(q, k_next[after], self.temperature)
        agreed = (a_prev * a_next).softmax(-1)
        return attend(agreed, v_prev[before] + v_next[after], self.project_out)


def neighbours(n: int, frames: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of the previous and next frame of each of n = B * T rows; clip ends are their own neighbour."""
    row = torch.arange(n, device=device)
    t = row % frames
    return row - (t > 0).long(), row + (t < frames - 1).long()


class FeedForward(nn.Module):
    """Gated depth-wise feed-forward network, hidden width = C (the published expansion of 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project_in = conv1x1(channels, 2 * channels)
        self.dwconv = depthwise(2 * channels)
        self.project_out = conv1x1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        a, gate = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(a) * gate)


class SelfBlock(nn.Module):
    """Pre-norm self-attention and feed-forward, each with a residual."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.attn = SelfAttention(channels, heads)
        self.ffn = FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class CrossBlock(nn.Module):
    """As SelfBlock with key and value from other features; `norm1` serves both."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.attn = CrossAttention(channels, heads)
        self.ffn = FeedForward(channels)

    def forward(self, x: Tensor, *sources: Tensor) -> Tensor:
        """The sum of the block's results for each source; the query is made once."""
        q = self.attn.query(self.norm1(x))
        results = []
        for source in sources:
            y = x + self.attn(q, self.norm1(source))
            results.append(y + self.ffn(self.norm2(y)))
        return sum(results[1:], start=results[0])


class CoBlock(nn.Module):
    """As SelfBlock with co-attention between a frame and its two neighbours."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.attn = CoAttention(channels, heads)
        self.ffn = FeedForward(channels)

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        x = x + self.attn(self.norm1(x), frames=frames)
        return x + self.ffn(self.norm2(x))


class BiCAM(nn.Module):
    """A stack of co-attention blocks; all frames of a layer are updated from the same layer input."""

    def __init__(self, channels: int, heads: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CoBlock(channels, heads) for _ in range(depth))

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        for layer in self.layers:
            x = layer(x, frames=frames)
        return x


class TemporalConv(nn.Conv3d):
    """3x3x3 convolution, zero padding, on (B * T, C, h, w); run as one 2-D convolution over 3 C channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 3, padding=1)

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        clip = x.unflatten(0, (-1, frames))
        edge = torch.zeros_like(clip[:, :1])
        before = torch.cat([edge, clip[:, :-1]], dim=1)
        after = torch.cat([clip[:, 1:], edge], dim=1)
        stacked = torch.cat([before, clip, after], dim=2).flatten(0, 1)  # (B * T, 3 C, h, w)
        kernel = self.weight.transpose(1, 2).flatten(1, 2)  # (c_out, 3 c_in, 3, 3), time-major as `stacked`
        stacked = stacked.contiguous(memory_format=torch.channels_last)
        return F.conv2d(stacked, kernel.contiguous(memory_format=torch.channels_last), self.bias, padding=1)


class Conv3D(nn.ModuleList):
    """The paper's Conv3D: temporal convolutions with a leaky ReLU (0.2) between them, none at the end."""

    def __init__(self, c_in: int, c_out: int, depth: int) -> None:
        super().__init__(TemporalConv(c_in if i == 0 else c_out, c_out) for i in range(depth))

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        for i, conv in enumerate(self):
            x = conv(F.leaky_relu(x, 0.2) if i else x, frames=frames)
        return x


class ResBlock(nn.Module):
    """x + conv(lrelu_0.1(conv(x))), He-normal weights scaled by 0.1 so that it starts near the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels, bias=True)
        self.conv2 = conv3x3(channels, channels, bias=True)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
            with torch.no_grad():
                conv.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(x), 0.1))


class Down(nn.Module):
    """3x3 convolution to c_out / 4 channels, then pixel-unshuffle by 2."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = conv3x3(c_in, c_out // 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.pixel_unshuffle(self.conv(x), 2)
        return y.contiguous(memory_format=torch.channels_last)


class Up(nn.Module):
    """3x3 convolution, bilinear x2 (corners aligned), 3x3 convolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.reduce = conv3x3(c_in, c_out)
        self.refine = conv3x3(c_out, c_out, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.interpolate(self.reduce(x), scale_factor=2, mode="bilinear", align_corners=True)
        return self.refine(y)
