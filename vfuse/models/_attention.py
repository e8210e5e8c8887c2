# pyright: basic
"""Transformer blocks with attention between channels: self, cross, and co-attention between frames.

Feature maps are (N, C, h, w) with N = B * T, time the fast index, stored channels-last. The attention is that
of Restormer (Zamir et al., CVPR 2022): maps between channels, so the cost is linear in the number of pixels.
Every block passes twice over the picture in bands of rows (`_bands`): once to gather the products of q and k
over all pixels and to keep v, once to apply the attention and the feed-forward network.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.models._bands import Assembled, Band, bands, locally

FEW = 32  # channels, up to which layer norm is quicker in steps
PIECE = 2048  # pixels, of which a product of q and k in half precision is rounded once


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel, (N, C, h, w) -> (N, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.permute(0, 2, 3, 1)  # a view, as is the way back, when x is channels-last
        plain = x.device.type == "cpu" and not torch.is_grad_enabled()
        y = self.in_steps(pixels) if plain and x.shape[1] <= FEW else super().forward(pixels)
        return y.permute(0, 3, 1, 2)

    def in_steps(self, pixels: Tensor) -> Tensor:
        """The same of (..., C), float32 at least: torch's own takes half as long again over few channels."""
        pixels = full(pixels)
        y = pixels - pixels.mean(-1, keepdim=True)
        variance = torch.linalg.vector_norm(y, dim=-1, keepdim=True).square_().div_(y.shape[-1])
        return y.mul_(variance.add_(self.eps).rsqrt_()).mul_(self.weight).add_(self.bias)


class Pointwise(nn.Conv2d):
    """1x1 convolution as a matrix product over channels: faster than the convolution on one CPU thread."""

    def __init__(self, c_in: int, c_out: int, *, bias: bool = False) -> None:
        super().__init__(c_in, c_out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def depthwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False, groups=channels)


def full(x: Tensor) -> Tensor:
    """x in float32 at least: norms and softmax lose too much in half precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def in_float32(like: Tensor, *, when: bool = True) -> AbstractContextManager[object]:
    """A block without autocast on the device of `like`; when not asked for, one that changes nothing."""
    return torch.autocast(like.device.type, enabled=False) if when else nullcontext()


def correlate(q: Tensor, k: Tensor) -> Tensor:
    """All that attention needs of q and k (N, C, h, w): a sum over pixels, hence additive over bands.

    Returns:
        (N, C + 2, C), float32 at least: products of the channels of q with those of k, then the squared norms
        of q's channels and of k's.
    """
    if torch.is_grad_enabled() or q.device.type != "cpu":  # a band's share is added up in float32 anyhow
        q, k = full(q), full(k)
    q, k = (z.permute(0, 2, 3, 1).flatten(1, 2) for z in (q, k))
    precise = torch.promote_types(q.dtype, torch.float32)
    with in_float32(q):
        # One product over all channels, of which the heads are the diagonal blocks: faster than a strided
        # product per head, although it computes more.
        alone = len(q) == 1  # one product reads q as it lies, a batch of them copies it first
        gram = _product(q[0], k[0])[None] if alone else torch.bmm(q.transpose(1, 2), k)
        norms = (z.square().sum(1, keepdim=True, dtype=precise) for z in (q, k))
        return torch.cat([gram.to(precise), *norms], dim=1)


def _product(q: Tensor, k: Tensor) -> Tensor:
    """q^T k, (C, C) float32 at least; in half precision by pieces, since each product comes out rounded."""
    pieces = [z.split(PIECE) if full(z) is not z else (z,) for z in (q, k)]
    return torch.stack([full(one.t() @ two) for one, two in zip(*pieces, strict=True)]).sum(0)


def attention_map(correlation: Tensor, temperature: Tensor) -> Tensor:
    """Channel attention of Restormer: softmax of the scaled cosine between the channels of q and of k.

    Args:
        correlation: (N, C + 2, C) from `correlate`.
        temperature: (heads, 1, 1).

    Returns:
        (N, heads, C / heads, C / heads); rows sum to 1. The products are divided by the norms, which equals
        normalising q and k first without writing them out.
    """
    n, channels, heads = correlation.shape[0], correlation.shape[2], temperature.shape[0]
    c = channels // heads
    gram = (
        correlation[:, :channels].reshape(n, heads, c, heads, c).diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)
    )
    # The floor of 1e-12 on the norms, put on their squares, where the root has a gradient.
    q_norm, k_norm = correlation[:, channels:].clamp_min(1e-24).sqrt().view(n, 2, heads, c).unbind(1)
    cosine = gram / (q_norm[..., :, None] * k_norm[..., None, :])
    return (cosine * full(temperature)).softmax(-1)


def mixing_matrix(attention: Tensor, project: nn.Conv2d) -> Tensor:
    """(N, heads, c, c) attention and the projection behind it as one (N, C, C), applied as v @ matrix."""
    n, heads, c, _ = attention.shape
    out = full(project.weight).view(-1, heads, c)  # columns grouped by head
    with in_float32(attention):  # as small as it is, it would err alike in every pixel
        return torch.einsum("ohi,nhij->nhjo", out, attention).reshape(n, heads * c, -1)


class SelfAttention(nn.Module):
    """Transposed self-attention: 16 x 16 maps per head, never pixel by pixel."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = Pointwise(channels, 3 * channels)
        self.qkv_dwconv = depthwise(3 * channels)
        self.project_out = Pointwise(channels, channels)

    def forward(self, x: Tensor, norm: ChannelNorm) -> tuple[Tensor, Tensor]:
        """(mixing matrix (N, C, C), v (N, C, h, w)) of the normalised x."""
        correlation, values = Assembled(x), Assembled(x)
        for band in bands(x):
            q, k, v = band.crop(self.qkv_dwconv(self.qkv(norm(band.around(x))))).chunk(3, dim=1)
            correlation.add(band, correlate(q, k))
            values.put(band, v)
        attention = attention_map(correlation.value, self.temperature)
        return mixing_matrix(attention, self.project_out), values.value


class CrossAttention(nn.Module):
    """Transposed attention with the query from one feature and key, value from another."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q = Pointwise(channels, channels)
        self.kv = Pointwise(channels, 2 * channels)
        self.q_dwconv = depthwise(channels)
        self.kv_dwconv = depthwise(2 * channels)
        self.project_out = Pointwise(channels, channels)

    def forward(
        self, x: Tensor, sources: tuple[Tensor, ...], norm: ChannelNorm
    ) -> list[tuple[Tensor, Tensor]]:
        """For each source: (mixing matrix (N, C, C), v (N, C, h, w)) of the query of x and that source."""
        gathered = [(Assembled(x), Assembled(x)) for _ in sources]
        for band in bands(x):
            q = band.crop(self.q_dwconv(self.q(norm(band.around(x)))))
            for source, (correlation, values) in zip(sources, gathered, strict=True):
                k, v = band.crop(self.kv_dwconv(self.kv(norm(band.around(source))))).chunk(2, dim=1)
                correlation.add(band, correlate(q, k))
                values.put(band, v)
        maps = (attention_map(correlation.value, self.temperature) for correlation, _ in gathered)
        return [
            (mixing_matrix(a, self.project_out), values.value)
            for a, (_, values) in zip(maps, gathered, strict=True)
        ]


class CoAttention(nn.Module):
    """Bi-temporal co-attention (paper eq. 5): what both neighbours agree on, softmax(A_prev * A_next)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q = Pointwise(channels, channels)
        self.kv_prev = Pointwise(channels, 2 * channels)
        self.kv_next = Pointwise(channels, 2 * channels)
        self.q_dwconv = depthwise(channels)
        self.kv_dwconv_prev = depthwise(2 * channels)
        self.kv_dwconv_next = depthwise(2 * channels)
        self.project_out = Pointwise(channels, channels)

    def forward(self, x: Tensor, norm: ChannelNorm, *, frames: int) -> tuple[Tensor, Tensor]:
        """(mixing matrix (N, C, C), v (N, C, h, w)) of each frame of (B * T, C, h, w) and its neighbours."""
        before, after = neighbours(x.shape[0], frames, device=x.device)
        x = locally(norm, x)
        with_prev, with_next, values = Assembled(x), Assembled(x), Assembled(x)
        for band in bands(x):
            q = band.crop(self.q_dwconv(self.q(band.around(x))))
            kv_prev = self.kv_dwconv_prev(self.kv_prev(band.around(x, before)))
            k_prev, v_prev = band.crop(kv_prev).chunk(2, dim=1)
            kv_next = self.kv_dwconv_next(self.kv_next(band.around(x, after)))
            k_next, v_next = band.crop(kv_next).chunk(2, dim=1)
            with_prev.add(band, correlate(q, k_prev))
            with_next.add(band, correlate(q, k_next))
            values.put(band, v_prev + v_next)
        a_prev, a_next = (attention_map(part.value, self.temperature) for part in (with_prev, with_next))
        return mixing_matrix((a_prev * a_next).softmax(-1), self.project_out), values.value


def neighbours(n: int, frames: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of the previous and next frame of each of n = B * T rows; clip ends are their own neighbour."""
    row = torch.arange(n, device=device)
    t = row % frames
    return row - (t > 0).long(), row + (t < frames - 1).long()


class FeedForward(nn.Module):
    """Gated depth-wise feed-forward network, hidden width = C (the published expansion of 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project_in = Pointwise(channels, 2 * channels)
        self.dwconv = depthwise(2 * channels)
        self.project_out = Pointwise(channels, channels)

    def forward(self, x: Tensor, band: Band) -> Tensor:
        """What belongs to the band of x, which has its neighbouring rows too."""
        a, gate = band.crop(self.dwconv(self.project_in(x))).chunk(2, dim=1)
        a = a.contiguous(memory_format=torch.channels_last)  # gelu crawls over a strided half
        return self.project_out(F.gelu(a) * gate)


class Block(nn.Module):
    """What the three blocks share: two norms, an attention, a feed-forward network, two residuals."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.attn = attention
        self.ffn = FeedForward(channels)

    def residuals(self, x: Tensor, matrix: Tensor, v: Tensor) -> Tensor:
        """y = x + v @ matrix, then y + ffn(norm(y))."""
        out = Assembled(x)
        for band in bands(x):
            y = mixed(band, x, v, matrix)
            added = self.ffn(self.norm2(y), band).to(y.dtype)
            out.put(band, added.add_(band.crop(y)))
        return out.value


def mixed(band: Band, x: Tensor, v: Tensor, matrix: Tensor) -> Tensor:
    """x + v @ matrix in a band and its neighbouring rows."""
    x, v = (band.around(z).permute(0, 2, 3, 1) for z in (x, v))  # (n, rows, w, C)
    matrix = matrix[band.frames].to(v.dtype)
    if x.dtype == v.dtype:
        y = torch.baddbmm(x.flatten(1, 2), v.flatten(1, 2), matrix)
    else:  # under autocast x stays as exact as it came
        y = torch.bmm(v.flatten(1, 2), matrix).to(x.dtype).add_(x.flatten(1, 2))
    return y.view_as(x).permute(0, 3, 1, 2)


class SelfBlock(Block):
    """Pre-norm self-attention and feed-forward, each with a residual."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, SelfAttention(channels, heads))

    def forward(self, x: Tensor) -> Tensor:
        return self.residuals(x, *self.attn(x, self.norm1))


class CrossBlock(Block):
    """As SelfBlock with key and value from another feature; `norm1` serves both."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, CrossAttention(channels, heads))

    def forward(self, x: Tensor, *sources: Tensor) -> Tensor:
        """The sum of the block's results for each source."""
        attended = self.attn(x, sources, self.norm1)
        total = self.residuals(x, *attended.pop(0))
        while attended:
            total.add_(self.residuals(x, *attended.pop(0)))
        return total


class CoBlock(Block):
    """As SelfBlock with co-attention between a frame and its two neighbours."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, CoAttention(channels, heads))

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        return self.residuals(x, *self.attn(x, self.norm1, frames=frames))


class BiCAM(nn.Module):
    """A stack of co-attention blocks; all frames of a layer are updated from the same layer input."""

    def __init__(self, channels: int, heads: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CoBlock(channels, heads) for _ in range(depth))

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        for layer in self.layers:
            x = layer(x, frames=frames)
        return x
