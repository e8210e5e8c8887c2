"""An image between its pixels: exact bilinear values, whichever library is at hand."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch
from torch.nn.functional import grid_sample

from vfuse.metrics._shared import Field


def bilinear(pixels: Field, x: Field, y: Field) -> Field:
    """Bilinear values at the places x, y; edge pixels are repeated outside.

    Args:
        pixels: (H, W), (H, W, 3) or (H, W, 4) float32.
        x, y: in pixels, (h, w) float32.

    Returns:
        (h, w) or (h, w, channels) float32.
    """
    if _opencv_is_exact():
        return np.asarray(_by_opencv(pixels, x, y), dtype=np.float32)
    return _by_torch(pixels, x, y)


@cache
def _opencv_is_exact() -> bool:
    """Whether this OpenCV interpolates at the very places: before version 5 it rounds them to 1/32 pixel."""
    ramp = np.tile(np.arange(64, dtype=np.float32), (64, 1))
    x, y = ramp * 0.51, ramp.T * 0.97
    kinds = (ramp, np.dstack([ramp] * 3), np.dstack([ramp] * 4))
    return all(np.allclose(_by_opencv(pixels, x, y).T, x.T, atol=1e-4) for pixels in kinds)


def _by_opencv(pixels: Field, x: Field, y: Field) -> Field:
    found = cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, dtype=np.float32)


def _by_torch(pixels: Field, x: Field, y: Field) -> Field:
    height, width = pixels.shape[:2]
    planes = torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)[None].double()
    sides = np.maximum([width - 1, height - 1], 1)
    places = torch.from_numpy(np.stack([x, y], axis=-1) * (2 / sides) - 1)[None]
    found = grid_sample(planes, places, mode="bilinear", padding_mode="border", align_corners=True)
    values = found[0].permute(1, 2, 0).float().contiguous().numpy()
    return values if pixels.ndim == 3 else values[..., 0]
