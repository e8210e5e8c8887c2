"""Baseline without parameters: Laplacian pyramids of both brightnesses, merged level by level.

Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Comm. 1983, merged as Burt and
Kolczynski do in "Enhanced image capture through fusion", ICCV 1993, in its plainest form: at every place of
every level the larger of both details, and the mean of both at the top. Brightness is BT.709 luma, the chroma
stays the visible's, and every frame stands alone. It is the usual floor for a fusion network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.colour import to_grey, with_luma
from vfuse.models._registry import MODELS, ModelEntry, Output

LEVELS = 5  # of detail; the top of a 640x480 frame has 20x15 pixels
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


class Laplacian(nn.Module):
    """Called with ir (B, T, 1 or 3, H, W) and vis (B, T, 3, H, W) in [0, 1]; any size from one pixel up."""

    def forward(self, ir: Tensor, vis: Tensor) -> Output:
        grey_ir, grey_vis = (to_grey(x).flatten(0, 1) for x in (ir, vis))
        merged = merge(grey_ir, grey_vis).unflatten(0, vis.shape[:2])
        return Output(fused=with_luma(vis, merged).clamp_(0, 1))


def merge(a: Tensor, b: Tensor) -> Tensor:
    """One image from two, (N, 1, H, W) each: the larger detail of every level, the mean of the tops."""
    details: list[Tensor] = []
    while len(details) < LEVELS and min(a.shape[-2:]) > 1:
        (a, detail_a), (b, detail_b) = split(a), split(b)
        details.append(torch.where(detail_a.abs() > detail_b.abs(), detail_a, detail_b))
    top = (a + b) / 2
    for detail in reversed(details):
        top = enlarge(top, like=detail).add_(detail)
    return top


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """(Half the size, what enlarging that again lacks of x)."""
    small = blur(x)[..., ::2, ::2]
    return small, x - enlarge(small, like=x)


def enlarge(x: Tensor, *, like: Tensor) -> Tensor:
    """Twice the size of x, cut to that of `like`: blurred with zeros between, divided by what took part."""
    doubled, weight = (z.new_zeros(*z.shape[:-2], 2 * z.shape[-2], 2 * z.shape[-1]) for z in (x, x[:1, :1]))
    doubled[..., ::2, ::2], weight[..., ::2, ::2] = x, 1
    height, width = like.shape[-2:]
    return (blur(doubled) / blur(weight))[..., :height, :width]


def blur(x: Tensor) -> Tensor:
    """The 5-tap binomial along rows and columns, borders replicated; sums, which autocast leaves precise."""
    return _blur(_blur(x, (0, 0, 2, 2), dim=-2), (2, 2, 0, 0), dim=-1)


def _blur(x: Tensor, padding: tuple[int, ...], *, dim: int) -> Tensor:
    padded, size = F.pad(x, padding, mode="replicate"), x.shape[dim]
    total = padded.narrow(dim, 0, size) * BINOMIAL[0]
    for i, weight in enumerate(BINOMIAL[1:], start=1):
        total.add_(padded.narrow(dim, i, size), alpha=weight)
    return total


MODELS.add(
    ModelEntry(
        name="laplacian",
        build=Laplacian,
        params=0,
        window=1,
        overlap=0,
        min_size=1,
        colour="luma",
        paper="Baseline: the larger detail at every scale of a Laplacian pyramid, colours of the visible.",
    )
)
