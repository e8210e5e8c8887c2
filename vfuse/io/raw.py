"""Raw Y16: frames of 16-bit grey samples, little-endian, one after the other, with no header around them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfuse.errors import InputError
from vfuse.io._container import open_regular
from vfuse.io._info import UNTIMED_RATE, VideoInfo

_SAMPLE = np.dtype("<u2")  # V4L2_PIX_FMT_Y16


def probe_raw(name: str, *, size: tuple[int, int]) -> VideoInfo:
    """Count the frames of `size` (width, height) in a file.

    Raises:
        InputError: unreadable, or not a whole number of frames.
    """
    path, (width, height) = Path(name), size
    with open_regular(path) as file:
        length = file.seek(0, 2)
    count, rest = divmod(length, _bytes(size))
    if rest or not count:
        raise InputError(
            f"its {length} bytes are {length / _bytes(size):.2f} frames of {width}x{height} in 16 bits, "
            "not a whole number",
            where=path,
            todo="Check --raw, or copy it again if it was cut off",
        )
    return VideoInfo(
        path=name,
        kind="raw",
        container="raw",
        codec="y16",
        width=width,
        height=height,
        fps=UNTIMED_RATE,
        num_frames=count,
        counted=True,
        duration=float(count / UNTIMED_RATE),
        pix_fmt="gray16le",
        bit_depth=16,
        channels=1,
        colour_matrix="grey",
        colour_range="pc",
        times=tuple(float(k / UNTIMED_RATE) for k in range(count)),
        files=(path,),
    )


def raw_frames(info: VideoInfo, *, first: int, stop: int) -> Iterator[NDArray[np.uint16]]:
    """The samples (H, W) of the frames [first, stop).

    Raises:
        InputError: while iterating, when the file has become shorter.
    """
    size = info.width, info.height
    with open_regular(info.files[0]) as file:
        file.seek(first * _bytes(size))
        for index in range(first, stop):
            data = file.read(_bytes(size))
            if len(data) < _bytes(size):
                raise InputError(f"ends within frame {index}", where=info.path, todo="Copy it again")
            yield np.frombuffer(data, _SAMPLE).astype(np.uint16).reshape(info.height, info.width)


def _bytes(size: tuple[int, int]) -> int:
    return size[0] * size[1] * _SAMPLE.itemsize
