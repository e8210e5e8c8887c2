"""Masks as image files: the number that every pixel carries, untouched by palettes and bit depths."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from vfuse.errors import InputError
from vfuse.io._container import open_file
from vfuse.io.images import read_image

_LOSSY = frozenset({".jpg", ".jpeg"})
_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(
    ">8x8xIIBB"
)  # signature, length and name of the chunk, width, height, bits, colour type
_GREY, _INDEXED = 0, 3  # colour types, ISO/IEC 15948, 11.2.1


@dataclass(frozen=True, eq=False)
class LabelImage:
    """One mask as it is stored.

    Attributes:
        values: (H, W) uint8 or uint16, the number of each pixel; (H, W, 3) uint8 RGB where colours tell.
        palette: (256, 3) uint8 RGB, the colour of each number; None where the file has none.
    """

    values: NDArray[np.uint8 | np.uint16]
    palette: NDArray[np.uint8] | None = None


def read_labels(path: Path) -> LabelImage:
    """Read a mask: an image with a palette, grey of 1 to 16 bits, or RGB.

    A palette file gives its indices, not its colours; grey of fewer than 8 bits keeps its numbers (a white
    pixel of a 1-bit file is 1); RGB whose channels are equal counts as grey.

    Raises:
        InputError: unreadable, damaged, or JPEG, which changes the numbers.
    """
    if path.suffix.lower() in _LOSSY:
        raise InputError("is a JPEG, whose pixels are not exact", where=path, todo="Save masks as PNG")
    pixels = read_image(path)
    bits, colour = _png_kind(path)
    if colour == _INDEXED:
        return _indexed(path)
    if colour == _GREY and bits < 8:
        return LabelImage(pixels // np.uint8(255 // (2**bits - 1)))
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        return LabelImage(np.ascontiguousarray(pixels[..., 0]))
    if pixels.ndim == 3 and pixels.dtype != np.uint8:
        raise InputError("is a mask in 16-bit colours", where=path, todo="Save it with 8 bits, or as numbers")
    return LabelImage(pixels)


def _png_kind(path: Path) -> tuple[int, int]:
    """Bits of a sample and colour type of a PNG; zeros and nines for other files."""
    with path.open("rb") as file:
        head = file.read(_IHDR.size)
    if not head.startswith(_PNG) or len(head) < _IHDR.size:
        return 0, 9
    _, _, bits, colour = _IHDR.unpack(head)
    return bits, colour


def _indexed(path: Path) -> LabelImage:
    """OpenCV would give the colours; libav gives the indices and the palette."""
    try:
        with open_file(path) as (container, stream):
            frame = next(container.decode(stream))
            values, argb = cast("tuple[NDArray[np.uint8], NDArray[np.uint8]]", frame.to_ndarray())
    except (FFmpegError, OSError, StopIteration, ValueError) as error:
        raise InputError("is a damaged palette image", where=path, todo="Save the mask again") from error
    return LabelImage(np.ascontiguousarray(values), np.ascontiguousarray(argb[:, 1:]))
