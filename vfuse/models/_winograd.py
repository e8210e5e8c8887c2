# pyright: basic
"""3x3 convolution with half the multiplications: Winograd's F(4, 3) over the rows, as it is over the columns.

Four rows of the result are six products of mixed kernels (1x3 here) with mixed rows, instead of twelve
(Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016). With the points 0, +-5/8,
+-4/3 and infinity the rounding error in float32 is 1.3 times that of the plain sum; over rows and columns at
once, which saves no more time here, it would be twice that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NEAR, FAR = 5 / 8, 4 / 3  # the finite points, with both signs
TILE, READ = 4, 6  # rows that a tile makes, and reads
BAND_VALUES = 5 << 18  # of each mixed row, held at a time; measured flat from half to twice of it
FEWEST_PIXELS = 4096  # of a map; with fewer, the six products are too small to be quick
FEWEST_READ, FEWEST_MADE = 48, 32  # channels; with fewer, mixing costs what it saves

Mixes = list[list[float]]


def mixes() -> tuple[Mixes, Mixes]:
    """How to mix the three rows of a kernel (6, 3) and the six rows of a tile (6, 6) in each product."""
    a, b = NEAR**2, FAR**2
    scale_a, scale_b = 2 * a * (a - b), 2 * b * (b - a)
    kernel = [
        [1 / (a * b), 0, 0],
        *([1 / scale_a, sign * NEAR / scale_a, a / scale_a] for sign in (1, -1)),
        *([1 / scale_b, sign * FAR / scale_b, b / scale_b] for sign in (1, -1)),
        [0, 0, 1],
    ]
    rows = [
        [a * b, 0, -a - b, 0, 1, 0],
        *([0, -sign * NEAR * b, -b, sign * NEAR, 1, 0] for sign in (1, -1)),
        *([0, -sign * FAR * a, -a, sign * FAR, 1, 0] for sign in (1, -1)),
        [0, a * b, 0, -a - b, 0, 1],
    ]
    return kernel, rows


KERNEL_MIX, ROW_MIX = mixes()


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with padding 1, done as `conv3x3` does it."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__(c_in, c_out, 3, stride=stride, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride != (1, 1):
            return super().forward(x)
        return conv3x3(x, self.weight, self.bias)


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """3x3 convolution, stride 1, zero padding 1, the faster way."""
    return winograd3x3(x, weight, bias) if faster(x, weight) else F.conv2d(x, weight, bias, padding=1)


def faster(x: Tensor, weight: Tensor) -> bool:
    """Whether `winograd3x3` takes x (N, C, h, w) and is worth it: float32 on a CPU, outside training."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and weight.shape[0] >= FEWEST_MADE
        and weight.shape[1] >= FEWEST_READ
        and x.shape[2] * x.shape[3] >= FEWEST_PIXELS
        and x.shape[2] % TILE == 0
        and x.shape[2] >= 2 * TILE
    )


def winograd3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """3x3 convolution, stride 1, zero padding 1.

    Args:
        x: (N, C, h, w), h a multiple of 4 and at least 8; best channels-last.
        weight, bias: (C_out, C, 3, 3) and (C_out,); None is a bias of zero.

    Returns:
        (N, C_out, h, w), channels-last.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    bias = x.new_zeros(len(weight)) if bias is None else bias
    n, c, h, w = x.shape
    mixed = weight.mT @ weight.new_tensor(KERNEL_MIX).T  # (C_out, C, 3, 6): a row, its product last
    kernels = [kernel[:, :, None].contiguous() for kernel in mixed.unbind(-1)]
    out = x.new_empty(n, h // TILE, TILE, w, len(weight))
    for frame, made in zip(x.permute(0, 2, 3, 1).flatten(2), out, strict=True):
        for tiles in bands(h // TILE, w * c):
            rows = mix_rows(frame, tiles).unflatten(-1, (w, c)).unsqueeze(1).permute(0, 1, 4, 2, 3)
            unmix(products(rows, kernels, bias), bias, made[tiles].unbind(1))
    return out.flatten(1, 2).permute(0, 3, 1, 2)


def bands(tiles: int, row: int) -> Iterator[slice]:
    """Tiles whose mixed rows, of `row` values each, stay in the cache together."""
    count = -(-tiles * row // BAND_VALUES)
    step = -(-tiles // count)
    return (slice(first, min(first + step, tiles)) for first in range(0, tiles, step))


def mix_rows(frame: Tensor, tiles: slice) -> Tensor:
    """The mixed rows (6, tiles, w * C) of a frame (h, w * C), whose neighbours above and below are zero."""
    mix = frame.new_tensor(ROW_MIX)
    first, last = tiles.start == 0, tiles.stop * TILE == len(frame)
    mixed = frame.new_empty(READ, tiles.stop - tiles.start, frame.shape[1])
    if first:
        torch.mm(mix[:, 1:], frame[: READ - 1], out=mixed[:, 0])
    if last:
        torch.mm(mix[:, :-1], frame[1 - READ :], out=mixed[:, -1])
    inner = slice(tiles.start + first, tiles.stop - last)
    if inner.start < inner.stop:
        read = frame[inner.start * TILE - 1 : inner.stop * TILE + 1].unfold(0, READ, TILE).transpose(1, 2)
        made = mixed[:, first : mixed.shape[1] - last].transpose(0, 1)
        torch.bmm(mix.expand(len(read), -1, -1), read, out=made)
    return mixed


def products(rows: Tensor, kernels: Sequence[Tensor], bias: Tensor) -> list[Tensor]:
    """Each of the mixed rows (6, 1, C, tiles, w) with its kernel, (tiles, w, C_out); two have the bias."""
    made = [
        F.conv2d(row, kernel, bias if k in (0, READ - 1) else None, padding=(0, 1))
        for k, (row, kernel) in enumerate(zip(rows, kernels, strict=True))
    ]
    return [y[0].permute(1, 2, 0) for y in made]


def unmix(products: Sequence[Tensor], bias: Tensor, rows: Sequence[Tensor]) -> None:
    """Write the four rows (tiles, w, C_out) that the six products make; the products are overwritten."""
    first, plus, minus, far_plus, far_minus, last = products
    even, odd = plus + minus, plus.sub_(minus)
    far_even, far_odd = far_plus + far_minus, far_plus.sub_(far_minus)
    torch.add(first, even, out=rows[0]).add_(far_even)
    torch.add(bias, odd, alpha=NEAR, out=rows[1]).add_(far_odd, alpha=FAR)
    torch.add(bias, even, alpha=NEAR**2, out=rows[2]).add_(far_even, alpha=FAR**2)
    torch.add(last, odd, alpha=NEAR**3, out=rows[3]).add_(far_odd, alpha=FAR**3)
