"""What a blur may have taken from the visible: bands of fine detail, amplified as an inverse filter would.

A Gaussian blur leaves fine detail in an 8-bit frame, a hundred times too weak. A network would need weights
that large, along directions that the data hardly shows; a few fixed filters of the right order have them. For
blurs of sigma 1.1 to 2.0 pixels, the best weighted sums of these three bands undo 91 to 98 % of the error
that the ideal linear filter for 8-bit frames undoes (natural spectra). The network sees the bands, and
chooses for each pixel how much of each to give back.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vfuse.models._stem import luma

ORDERS = (1, 4, 8)  # how often the mean of the surroundings is taken away: the higher, the finer the band
SMOOTHINGS = (1, 2, 3)  # how often a band is smoothed after that, against the noise beyond it
GAINS = (5.0, 500.0, 10_000.0)  # of the ideal inverse of a blur of sigma 1.4
UNIT = 5 / 255  # what a plane of 1 stands for
LIMIT = 4.0  # where a plane saturates: sharp input has no use for an inverse of blur
REACH = max(ORDERS) + max(SMOOTHINGS)  # pixels that a band looks at on every side


def sharp_planes(vis: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] to (N, 3, H, W), a plane for each band, within -LIMIT to LIMIT."""
    rest = F.pad(luma(vis.float()), (REACH,) * 4, mode="reflect")
    planes: list[Tensor] = []
    for order in range(1, max(ORDERS) + 1):
        rest = torch.add(rest[..., 1:-1, 1:-1], sixteenfold_mean(rest), alpha=-1 / 16)
        if order in ORDERS:
            planes.append(_plane(rest, ORDERS.index(order)))
    return torch.cat(planes, dim=1)


def _plane(band: Tensor, which: int) -> Tensor:
    """A band smoothed, cut to the size of the frame, amplified and softly limited."""
    for _ in range(SMOOTHINGS[which]):
        band = sixteenfold_mean(band)
    rim = REACH - ORDERS[which] - SMOOTHINGS[which]
    band = band[..., rim : band.shape[-2] - rim, rim : band.shape[-1] - rim]
    amplified = band * (GAINS[which] / UNIT / 16 ** SMOOTHINGS[which])
    return amplified * (1 + (amplified / LIMIT).square()).rsqrt()


def sixteenfold_mean(x: Tensor) -> Tensor:
    """16 times the binomial mean of the 3x3 around each pixel, which costs a pixel on every side."""
    x = (x[..., :-2] + x[..., 2:]).add_(x[..., 1:-1], alpha=2)
    return (x[..., :-2, :] + x[..., 2:, :]).add_(x[..., 1:-1, :], alpha=2)
