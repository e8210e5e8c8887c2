"""Repeated frames: content doubled to a higher frame rate, or frozen by a thermal camera's shutter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._shared import Floats, Image

FROZEN = 0.05
"""Mean change in grey levels below which nothing but coding noise differs."""
DROP = 0.6
"""A repeated frame of lossy content changes by less than this part of either neighbouring change."""
REGULAR = 0.25
"""Such drops are chance unless at least this part of the frames shows them."""


def change(before: Image, after: Image) -> float:
    """Mean absolute difference of two frames in grey levels."""
    return cv2.norm(before.grey, after.grey, cv2.NORM_L1) / before.grey.size


def repeats(changes: Floats) -> NDArray[np.bool_]:
    """Which frames repeat the one before.

    Args:
        changes: `change` from each frame to the next, (T - 1,).

    Returns:
        (T - 1,), True where frame t + 1 repeats frame t.
    """
    frozen = changes < FROZEN
    if len(changes) < 3:
        return frozen
    padded = np.concatenate([[np.inf], changes, [np.inf]])
    dropped = changes < DROP * np.minimum(padded[:-2], padded[2:])
    return frozen | dropped if dropped.mean() >= REGULAR else frozen
