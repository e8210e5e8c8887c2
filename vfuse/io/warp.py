"""Bring both cameras onto one canvas: resample once, fade out what a camera does not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Canvas = Literal["vis", "ir", "common"]
Matrix: TypeAlias = NDArray[Any]  # (3, 3) homography
Place = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_FADE = 0.04  # of the width of the canvas: how softly the border of a camera's view dissolves
_REACH = 0.25  # of the width: how far beyond it the difference in brightness is carried, fading
_BLUR = 0.06  # of the width: the difference in brightness is taken this coarsely
_COARSE = 8  # pixels: grid on which that is computed
_LUMA = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)


@dataclass(frozen=True)
class Warp:
    """Where the pixels of a canvas lie in the two inputs.

    Attributes:
        width, height: pixels of the canvas.
        to_ir, to_vis: homographies from canvas to input pixels, row by row; None where nothing moves.
    """

    width: int
    height: int
    to_ir: tuple[float, ...] | None
    to_vis: tuple[float, ...] | None


def warp_onto(
    canvas: Canvas, matrix: Matrix, *, ir_size: tuple[int, int], vis_size: tuple[int, int]
) -> Warp | None:
    """The warp for one of the canvases.

    Args:
        canvas: "vis" keeps the visible frame, "ir" the infrared frame, "common" cuts the visible frame to the
            largest upright rectangle around which both cameras see.
        matrix: visible to infrared pixels.
        ir_size, vis_size: (width, height).

    Returns:
        None when the two have no rectangle in common.
    """
    if canvas == "ir":
        return Warp(*ir_size, to_ir=None, to_vis=_flat(np.linalg.inv(matrix)))
    if canvas == "vis":
        return Warp(*vis_size, to_ir=_flat(matrix), to_vis=None)
    box = _common_rectangle(matrix, ir_size=ir_size, vis_size=vis_size)
    if box is None:
        return None
    left, top, right, bottom = box
    move = np.array([[1.0, 0, left], [0, 1, top], [0, 0, 1]])
    return Warp(right - left, bottom - top, to_ir=_flat(matrix @ move), to_vis=_flat(move))


def placer(warp: Warp, *, ir_size: tuple[int, int], vis_size: tuple[int, int]) -> Place:
    """A function that puts an infrared (1, H, W) and a visible (3, H, W) frame in [0, 1] on the canvas.

    Where one camera sees nothing it takes the details of the other, and a brightness that passes smoothly
    from its own at the border of its view to that of the other further out: the fused frame shows no border.
    """
    ir_share = _Share.of(warp, warp.to_ir, ir_size)
    vis_share = _Share.of(warp, warp.to_vis, vis_size)

    def place(ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
        ir, vis = _moved(ir, warp, warp.to_ir), _moved(vis, warp, warp.to_vis)
        luma = (vis * _LUMA).sum(0, keepdim=True)
        full = ir if ir_share is None else ir_share.complete(ir, luma)
        return full, vis if vis_share is None else vis_share.complete(vis, ir.expand_as(vis))

    return place


def _moved(frame: Tensor, warp: Warp, flat: tuple[float, ...] | None) -> Tensor:
    """One resampling: cubic, or over areas first where the canvas is coarser than the input."""
    if flat is None:
        return frame
    matrix = np.array(flat).reshape(3, 3)
    picture = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
    coarser = _coarser(matrix, warp)
    if coarser > 1.25:
        small = max(1, round(picture.shape[1] / coarser)), max(1, round(picture.shape[0] / coarser))
        fx, fy = small[0] / picture.shape[1], small[1] / picture.shape[0]
        matrix = np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2], [0, 0, 1]]) @ matrix
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    moved = cv2.warpPerspective(
        picture,
        matrix,
        (warp.width, warp.height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    moved = np.asarray(moved, np.float32).reshape(warp.height, warp.width, -1)
    return torch.from_numpy(np.clip(moved, 0, 1).transpose(2, 0, 1).copy())


def _coarser(matrix: Matrix, warp: Warp) -> float:
    """Input pixels for one canvas pixel at the centre."""
    centre = np.array([warp.width / 2, warp.height / 2, 1.0])
    points = np.stack([centre, centre + np.array([1, 0, 0]), centre + np.array([0, 1, 0])]) @ matrix.T
    points = points[:, :2] / points[:, 2:]
    return float(np.sqrt(abs(np.linalg.det(points[1:] - points[0]))))


@dataclass(frozen=True)
class _Share:
    """How much of a canvas a camera fills.

    Attributes:
        weight: (1, H, W), 1 inside its view, falling to 0 at the border.
        carry: (1, H, W), 1 inside and at the border, falling to 0 further out.
        coarse: (h, w) the inside on the coarse grid.
    """

    weight: Tensor
    carry: Tensor
    coarse: NDArray[Any]

    @classmethod
    def of(cls, warp: Warp, flat: tuple[float, ...] | None, size: tuple[int, int]) -> _Share | None:
        """None for a camera that fills the canvas."""
        if flat is None:
            return None
        inside = _inside(np.array(flat).reshape(3, 3), (warp.width, warp.height), size)
        if inside.all():
            return None
        padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5))[1:-1, 1:-1]
        beyond = np.asarray(cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5))
        return cls(
            weight=_smooth((depth - 1) / max(_FADE * warp.width, 1)),
            carry=_smooth(1 - beyond / max(_REACH * warp.width, 1)),
            coarse=cv2.resize(inside.astype(np.float32), _grid(warp), interpolation=cv2.INTER_AREA),
        )

    def complete(self, own: Tensor, other: Tensor) -> Tensor:
        """The camera's (C, H, W) frame, continued by the other's beyond its view; values in [0, 1]."""
        height, width = own.shape[1:]
        size = (self.coarse.shape[1], self.coarse.shape[0])
        sigma = _BLUR * size[0]
        known = cv2.GaussianBlur(self.coarse, (0, 0), sigma) + 1e-6
        far = cv2.GaussianBlur(self.coarse, (0, 0), 3 * sigma) + 1e-6
        beyond: list[NDArray[Any]] = []
        for plane in (own - other).numpy():
            low = cv2.resize(plane, size, interpolation=cv2.INTER_AREA) * self.coarse
            near = cv2.GaussianBlur(low, (0, 0), sigma)
            wide = cv2.GaussianBlur(low, (0, 0), 3 * sigma) / far
            mixed = (near + 0.01 * wide) / (known + 0.01)
            beyond.append(cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR))
        continued = other + torch.from_numpy(np.stack(beyond)) * self.carry
        return torch.lerp(continued, own, self.weight).clamp(0, 1)


def _grid(warp: Warp) -> tuple[int, int]:
    return max(4, warp.width // _COARSE), max(4, warp.height // _COARSE)


def _smooth(ramp: NDArray[Any]) -> Tensor:
    ramp = np.clip(ramp, 0, 1)
    return torch.from_numpy((ramp * ramp * (3 - 2 * ramp)).astype(np.float32))[None]


def _inside(matrix: Matrix, canvas: tuple[int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) 1 where a canvas pixel lies in the input."""
    x, y = np.meshgrid(np.arange(canvas[0]), np.arange(canvas[1]))
    points = np.stack([x, y, np.ones_like(x)], -1) @ matrix.T
    depth = np.where(points[..., 2] > 1e-9, points[..., 2], np.nan)
    u, v = points[..., 0] / depth, points[..., 1] / depth
    seen = (u >= -0.5) & (u <= size[0] - 0.5) & (v >= -0.5) & (v <= size[1] - 0.5)
    return seen.astype(np.uint8)


def _common_rectangle(
    matrix: Matrix, *, ir_size: tuple[int, int], vis_size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) in visible pixels, even sides; shrinks the worst side until all is seen."""
    seen = _inside(matrix, vis_size, ir_size)
    if not seen.any():
        return None
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    while bottom - top > 1 and right - left > 1:
        box = seen[top:bottom, left:right]
        missing = [1 - side.mean() for side in (box[0], box[-1], box[:, 0], box[:, -1])]
        worst = int(np.argmax(missing))
        if missing[worst] == 0:
            break
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    right, bottom = right - (right - left) % 2, bottom - (bottom - top) % 2
    return (left, top, right, bottom) if right - left >= 16 and bottom - top >= 16 else None


def _flat(matrix: Matrix) -> tuple[float, ...]:
    return tuple(float(value) for value in (matrix / matrix[2, 2]).ravel())
