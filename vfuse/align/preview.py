"""A picture to judge a registration by eye: checkerboard and edges, before and after."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.align._structure import Array
from vfuse.align._views import Matrix, View, resize_matrix

_TILE = 10  # tiles of the checkerboard along the width


def preview(ir: Array, vis: Array, matrix: Matrix) -> NDArray[np.uint8]:
    """Four panels, (2H, 2W, 3) RGB: left as the inputs are, right registered; checkerboard above edges.

    In the edge panels the visible's edges are green, the infrared's red, where they meet yellow.

    Args:
        ir: (H', W') float32 in [0, 1].
        vis: (H, W) float32 luma in [0, 1].
        matrix: visible to infrared pixels.
    """
    view = View.of([ir])
    size = (vis.shape[1], vis.shape[0])
    before = view.warped(resize_matrix(size, view.size), size)
    after = view.warped(matrix, size)
    columns = [np.vstack([_checkerboard(each, vis), _edges(each, vis)]) for each in (before, after)]
    return np.hstack(columns)


def _checkerboard(ir: View, vis: Array) -> NDArray[np.uint8]:
    side = max(8, vis.shape[1] // _TILE)
    y, x = np.indices(vis.shape)
    tile = ((x // side + y // side) % 2 == 0) & (ir.masks[0] > 0.5)
    mixed = np.where(tile, _stretched(ir.frames[0], ir.masks[0]), _stretched(vis, np.ones_like(vis)))
    return _rgb(mixed, mixed, mixed)


def _edges(ir: View, vis: Array) -> NDArray[np.uint8]:
    red = _strength(ir.frames[0]) * ir.masks[0]
    green = _strength(vis)
    return _rgb(red, green, np.zeros_like(red))


def _strength(frame: Array) -> Array:
    smooth = cv2.GaussianBlur(frame, (0, 0), 1.0)
    edge = np.hypot(cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1))
    return edge / max(float(np.percentile(edge, 98)), 1e-6)


def _stretched(frame: Array, mask: Array) -> Array:
    shown = frame[mask > 0.5]
    if not shown.size:
        return frame
    low, high = np.percentile(shown, (1, 99))
    return ((frame - low) / max(float(high - low), 1e-6)).astype(np.float32)


def _rgb(red: Array, green: Array, blue: Array) -> NDArray[np.uint8]:
    return (np.clip(np.dstack([red, green, blue]), 0, 1) * 255 + 0.5).astype(np.uint8)
