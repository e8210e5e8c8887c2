"""Colour palettes of thermal cameras: tables, recognition, and the way back from colour to one channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEVELS = 256
GRAY = "gray"  # no palette: brightness is temperature

# Colours (R, G, B) at positions 0 (cold) to 1 (hot); straight lines between them.
_Stops = Sequence[tuple[float, int, int, int]]
_CONTROL_POINTS: Mapping[str, _Stops] = MappingProxyType(
    {
        "ironbow": (
            (0.00, 0, 0, 10),
            (0.10, 25, 0, 105),
            (0.25, 100, 0, 155),
            (0.40, 170, 5, 150),
            (0.52, 212, 40, 95),
            (0.64, 236, 88, 20),
            (0.78, 250, 148, 0),
            (0.90, 255, 210, 45),
            (1.00, 255, 255, 246),
        ),
        "rainbow": (
            (0.00, 0, 0, 90),
            (0.17, 0, 30, 255),
            (0.35, 0, 200, 255),
            (0.50, 0, 220, 40),
            (0.67, 255, 245, 0),
            (0.84, 255, 60, 0),
            (0.95, 180, 0, 20),
            (1.00, 255, 225, 235),
        ),
        "arctic": (
            (0.00, 10, 15, 60),
            (0.25, 20, 70, 230),
            (0.45, 90, 205, 235),
            (0.60, 150, 150, 150),
            (0.80, 235, 145, 30),
            (1.00, 255, 240, 170),
        ),
        "lava": (
            (0.00, 0, 0, 0),
            (0.25, 15, 75, 130),
            (0.45, 90, 30, 110),
            (0.65, 225, 20, 25),
            (0.85, 255, 170, 20),
            (1.00, 255, 255, 255),
        ),
    }
)
_OPENCV = MappingProxyType(
    {
        "hot": cv2.COLORMAP_HOT,
        "inferno": cv2.COLORMAP_INFERNO,
        "magma": cv2.COLORMAP_MAGMA,
        "plasma": cv2.COLORMAP_PLASMA,
        "jet": cv2.COLORMAP_JET,
        "turbo": cv2.COLORMAP_TURBO,
    }
)
NAMES = (GRAY, *_CONTROL_POINTS, *_OPENCV)

_CHROMA_BITS = 5  # of the inverse table's Cr and Cb; luma keeps all 8
_CHROMA_WEIGHT = 0.6  # video stores chroma at half size: where it disagrees with luma, luma is right
# Mean distance between the largest and the smallest of R, G and B, in levels: compressed grey video stays
# below it, colours and palettes lie above.
_GREY_SPREAD = 8.0
_CLOSE = 20.0  # levels: a pixel of the palette, whatever the compression and the camera's own variant of it
_ENOUGH = 0.85  # of the pixels; the others may be text and scales drawn into the picture


def table(name: str) -> NDArray[np.uint8]:
    """The palette from cold to hot: (256, 3) RGB; KeyError for an unknown name."""
    ramp = np.arange(LEVELS, dtype=np.uint8)
    if name == GRAY:
        return np.repeat(ramp[:, None], 3, axis=1)
    if name in _OPENCV:
        return cv2.applyColorMap(ramp[:, None], _OPENCV[name])[:, 0, ::-1].astype(np.uint8)
    stops = np.asarray(_CONTROL_POINTS[name], np.float64)
    at = ramp / (LEVELS - 1)
    channels = [np.interp(at, stops[:, 0], stops[:, channel]) for channel in (1, 2, 3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def invert(pixels: Tensor, name: str) -> Tensor:
    """Turn false colours back into what they stand for.

    Args:
        pixels: (3, H, W) float32 RGB in [0, 1].
        name: one of `NAMES`, not "gray".

    Returns:
        (1, H, W) float32 in [0, 1]: the position of the nearest colour of the palette, 0 cold, 1 hot.
    """
    luma, red, blue = _ycc(_image(pixels)).transpose(2, 0, 1).astype(np.int32)
    shift = 8 - _CHROMA_BITS
    index = (luma << 2 * _CHROMA_BITS) | (red >> shift << _CHROMA_BITS) | (blue >> shift)
    return torch.from_numpy(_inverse(name)[index])[None]


def recognise(frames: Sequence[Tensor]) -> str | None:
    """Which palette these pictures are coloured with.

    Args:
        frames: (3, H, W) float32 RGB in [0, 1] each, at least one.

    Returns:
        "gray" when they have no colours, the name of a palette, or None for colours of no known palette.
    """
    colours = np.concatenate([_image(frame[:, ::4, ::4]).reshape(-1, 3) for frame in frames])
    if float(np.ptp(colours.astype(np.int16), axis=1).mean()) < _GREY_SPREAD:
        return GRAY
    near = {name: _distance(colours, name) for name in NAMES if name != GRAY}
    best = min(near, key=lambda name: float(np.minimum(near[name], 2 * _CLOSE).mean()))
    return best if float((near[best] < _CLOSE).mean()) >= _ENOUGH else None


def _image(pixels: Tensor) -> NDArray[np.uint8]:
    """(H, W, 3) in levels."""
    levels = (pixels * 255 + 0.5).clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())


def _ycc(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): Y, Cr and Cb of BT.601 in full range."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.uint8, copy=False)


def _distance(colours: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    """Distance of each colour (N, 3) RGB to the nearest one of the palette, in levels."""
    points = _ycc(colours[None])[0].astype(np.float32)
    nearest = np.empty(len(points), np.float32)
    for begin in range(0, len(points), 1 << 14):
        part = slice(begin, begin + (1 << 14))
        nearest[part] = _squared(points[part], _palette_points(name)).min(axis=1)
    return np.sqrt(np.maximum(nearest, 0))


def _palette_points(name: str) -> NDArray[np.float32]:
    return _ycc(table(name)[None])[0].astype(np.float32)


def _squared(points: NDArray[np.float32], palette: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances (N, 256) with the chroma's weight."""
    weight = np.asarray((1, _CHROMA_WEIGHT, _CHROMA_WEIGHT), np.float32)
    a, b = points * weight, palette * weight
    return (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T


@lru_cache(maxsize=2)
def _inverse(name: str) -> NDArray[np.float32]:
    """Value in [0, 1] of every Y, Cr, Cb, the chroma in cells of 8 levels."""
    cells = 1 << _CHROMA_BITS
    centres = (np.arange(cells, dtype=np.float32) + 0.5) * (LEVELS / cells) - 0.5
    red, blue = (axis.ravel() for axis in np.meshgrid(centres, centres, indexing="ij"))
    palette = _palette_points(name)
    values = np.empty((LEVELS, cells * cells), np.float32)
    for luma in range(LEVELS):
        points = np.stack([np.full_like(red, luma), red, blue], axis=1)
        values[luma] = _squared(points, palette).argmin(axis=1)
    return values.ravel() / np.float32(LEVELS - 1)
