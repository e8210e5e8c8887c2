"""Frames of one camera as the matcher sees them: resized and warped together with the area they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.align._structure import Array, Structure, structure, visible_area

Matrix: TypeAlias = NDArray[Any]  # (3, 3) float64 homography


@dataclass(frozen=True)
class View:
    """Several frames of one camera.

    Attributes:
        frames: each (H, W) float32 in [0, 1].
        masks: each (H, W) float32 in [0, 1]: 1 where the frame shows something.
    """

    frames: tuple[Array, ...]
    masks: tuple[Array, ...]

    @classmethod
    def of(cls, frames: Sequence[Array]) -> View:
        """Wrap frames of equal size; bars that stay black in all of them are masked."""
        mask = visible_area(np.maximum.reduce(list(frames)))
        return cls(frames=tuple(frames), masks=(mask,) * len(frames))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.frames[0].shape
        return width, height

    def __len__(self) -> int:
        return len(self.frames)

    def only(self, indices: Sequence[int]) -> View:
        """The chosen frames."""
        return View(tuple(self.frames[i] for i in indices), tuple(self.masks[i] for i in indices))

    def resized(self, size: tuple[int, int]) -> View:
        """All frames at another size (width, height), area-averaged."""
        if size == self.size:
            return self
        mask = cv2.resize(self.masks[0], size, interpolation=cv2.INTER_AREA)
        frames = tuple(cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in self.frames)
        return View(frames, (mask,) * len(frames))

    def warped(self, matrix: Matrix, size: tuple[int, int]) -> View:
        """All frames seen through `matrix`, which maps pixels of the result to pixels of this view."""
        view, matrix = self._shrunk_for(matrix, size)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        mask = cv2.warpPerspective(view.masks[0], matrix, size, flags=flags)
        frames = tuple(
            cv2.warpPerspective(frame, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for frame in view.frames
        )
        return View(frames, (mask,) * len(frames))

    def structures(self) -> list[Structure]:
        """The structure maps of each frame."""
        return [structure(frame, mask) for frame, mask in zip(self.frames, self.masks, strict=True)]

    def _shrunk_for(self, matrix: Matrix, size: tuple[int, int]) -> tuple[View, Matrix]:
        """Shrink first where the warp would skip pixels, so that it does not alias."""
        factor = local_scale(matrix, size)
        if factor < 1.25:
            return self, matrix
        small = (max(8, round(self.size[0] / factor)), max(8, round(self.size[1] / factor)))
        return self.resized(small), resize_matrix(self.size, small) @ matrix


def resize_matrix(old: tuple[int, int], new: tuple[int, int]) -> Matrix:
    """Maps pixel centres of an image of size `old` (width, height) to those of its resized version."""
    fx, fy = new[0] / old[0], new[1] / old[1]
    return np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2], [0, 0, 1]])


def project(matrix: Matrix, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Apply a homography to (N, 2) points."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def corners(size: tuple[int, int]) -> NDArray[np.float64]:
    """(4, 2) centres of the corner pixels, clockwise from the top left."""
    width, height = size[0] - 1.0, size[1] - 1.0
    return np.array([[0, 0], [width, 0], [width, height], [0, height]])


def local_scale(matrix: Matrix, size: tuple[int, int]) -> float:
    """How many source pixels one pixel at the centre of the result covers, in each direction."""
    step = project(matrix, np.array([size]) / 2 + np.array([[0, 0], [1, 0], [0, 1]]))
    return float(np.sqrt(abs(np.linalg.det(step[1:] - step[0]))))


def apart(places: Sequence[NDArray[np.float64]], *, tolerance: float) -> list[int]:
    """Indices of the geometries whose corners differ from those of every earlier one.

    Args:
        places: (4, 2) corners in infrared pixels of each geometry, best first.
        tolerance: mean difference below which two geometries are one.
    """
    kept: list[int] = []
    for index, ends in enumerate(places):
        if all(np.abs(ends - places[other]).mean() > tolerance for other in kept):
            kept.append(index)
    return kept
