"""Several videos of one scene in step: their names, their common length, and one picture of them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfuse.errors import PairError
from vfuse.io.probe import VideoInfo

Pixels = NDArray[np.uint8]

_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
_WHITE = (255, 255, 255)


def names_of(videos: Sequence[str | Path]) -> list[str]:
    """Names without folder and suffix; with the folder where that is not distinct, then with a number."""
    paths = [Path(video) for video in videos]
    for names in ([path.stem or "video" for path in paths], [f"{p.parent.name}-{p.stem}" for p in paths]):
        if len(set(names)) == len(names):
            return names
    return [f"{number}-{path.stem}" for number, path in enumerate(paths, 1)]


def common_length(infos: Sequence[VideoInfo]) -> int | None:
    """How many frames all of them have; None where only streams are, which do not tell; raises PairError."""
    known = {info.num_frames: info for info in infos if info.num_frames is not None}
    if len(known) > 1:
        told = ", ".join(f"{info.path} has {count}" for count, info in known.items())
        raise PairError(
            f"the videos differ in length: {told} frames",
            todo="Compare videos of the same moments; cut them with --start, --end or ffmpeg",
        )
    return next(iter(known), None)


def grid(count: int) -> tuple[int, int]:
    """Columns and rows for so many pictures: a row of up to three, else two rows."""
    columns = count if count <= 3 else (count + 1) // 2
    return columns, -(-count // columns)


def side_by_side(pictures: Sequence[Pixels], names: Sequence[str], *, columns: int) -> Tensor:
    """Pictures (H, W, 3) in rows of `columns` with their names: (3, H', W') float32 in [0, 1]."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        row, column = divmod(place, columns)
        panel = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
        panel[:] = picture
        if name:
            write_name(panel, name, corner=(4, 4))
    return torch.from_numpy(sheet).permute(2, 0, 1).float().div_(255)


def write_name(
    picture: Pixels, name: str, *, corner: tuple[int, int], colour: tuple[int, int, int] = _WHITE
) -> int:
    """Write on a darkened bar whose upper left corner is there; the height of the bar.

    An outline would not do: OpenCV 5 spaces thick letters wider than thin ones.
    """
    (across, up), below = cv2.getTextSize(name, _FONT, _SCALE, 1)
    left, top = corner
    bar = picture[top : top + up + below + 4, left : left + across + 8]
    bar //= 3
    cv2.putText(picture, name, (left + 4, top + up + 2), _FONT, _SCALE, colour, 1, cv2.LINE_AA)
    return up + below + 4
