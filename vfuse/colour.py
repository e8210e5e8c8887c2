"""Colour: RGB to YCbCr and back with a named matrix and range, and grey.

Coefficients of ITU-R BT.601-7, BT.709-6 and BT.2020-2; "pc" is full range, "tv" puts luma in 16 … 235 and
chroma in 16 … 240 of 255. Gamma-encoded values throughout, as everywhere in video.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from vfuse.errors import UsageError

Levels = Literal["tv", "pc"]

# Weights of red and blue in luma; green takes the rest.
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def luma_weights(matrix: str = "bt709") -> tuple[float, float, float]:
    """Weights of R, G and B in luma; they sum to 1.

    Raises:
        UsageError: the matrix is none of `MATRICES`.
    """
    if matrix not in MATRICES:
        raise UsageError(f"unknown colour matrix {matrix!r}", todo=f"Known: {', '.join(MATRICES)}")
    red, blue = MATRICES[matrix]
    return red, 1 - red - blue, blue


def to_grey(rgb: Tensor, *, matrix: str = "bt709") -> Tensor:
    """Luma of RGB in full range: (…, 3, H, W) to (…, 1, H, W) in [0, 1]; one channel passes unchanged."""
    if rgb.shape[-3] == 1:
        return rgb
    red, green, blue = luma_weights(matrix)
    grey = rgb[..., 1:2, :, :] * green
    return grey.add_(rgb[..., 0:1, :, :], alpha=red).add_(rgb[..., 2:3, :, :], alpha=blue)


def with_luma(rgb: Tensor, luma: Tensor, *, matrix: str = "bt709") -> Tensor:
    """Replace the luma of RGB (…, 3, H, W) by (…, 1, H, W) and keep its chroma; the result is not clipped.

    Equal to a round trip through YCbCr, because there a change of Y alone adds the same to R, G and B.
    """
    return rgb + (luma - to_grey(rgb, matrix=matrix))


def to_ycbcr(rgb: Tensor, *, matrix: str = "bt709", levels: Levels = "pc") -> Tensor:
    """RGB in [0, 1] to Y, Cb, Cr, (…, 3, H, W); 1 is code value 255, chroma is centred on 128 / 255."""
    red, _, blue = luma_weights(matrix)
    y = to_grey(rgb, matrix=matrix)
    cb = (rgb[..., 2:3, :, :] - y) / (2 * (1 - blue))
    cr = (rgb[..., 0:1, :, :] - y) / (2 * (1 - red))
    luma_scale, chroma_scale, black = _scales(levels)
    return torch.cat(
        [y * luma_scale + black, cb * chroma_scale + 128 / 255, cr * chroma_scale + 128 / 255], dim=-3
    )


def to_rgb(ycbcr: Tensor, *, matrix: str = "bt709", levels: Levels = "pc") -> Tensor:
    """The inverse of `to_ycbcr`; colours outside the RGB cube are not clipped."""
    red, green, blue = luma_weights(matrix)
    luma_scale, chroma_scale, black = _scales(levels)
    y = (ycbcr[..., 0:1, :, :] - black) / luma_scale
    b = y + (ycbcr[..., 1:2, :, :] - 128 / 255) / chroma_scale * (2 * (1 - blue))
    r = y + (ycbcr[..., 2:3, :, :] - 128 / 255) / chroma_scale * (2 * (1 - red))
    g = (y - red * r - blue * b) / green
    return torch.cat([r, g, b], dim=-3)


def _scales(levels: Levels) -> tuple[float, float, float]:
    if levels == "tv":
        return 219 / 255, 224 / 255, 16 / 255
    return 1.0, 1.0, 0.0
