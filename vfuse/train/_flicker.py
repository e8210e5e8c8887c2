"""Find frames between which an infrared target flickers, so that the temporal loss does not teach it.

The clean infrared of M3SVD was enhanced frame by frame. In some clips its mean brightness jumps by up to 37
grey levels where the sensor's own picture, the degraded version, hardly changes (clip 0114_1611); in the
steady clips the two changes differ by 0.8 levels at most. Such a jump says nothing about the scene.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vfuse.io.cache import CachedClip

TOLERANCE = 1.5  # grey levels; steady clips stay below 0.8, clip 0115_1834 flickers by 1.9 to 3.3
SHARE = 0.5  # of the sensor's own change: its tone is another than the target's


def steady_pairs(clip: CachedClip) -> Tensor:
    """1 for each pair of neighbouring frames that is steady, 0 where the infrared target flickers, (T - 1,).

    A clip without a degraded version has nothing to compare with: all its pairs count as steady.
    """
    if "degraded_ir" not in clip.means:
        return torch.ones(max(len(clip) - 1, 0))
    target, sensor = (torch.from_numpy(clip.means[name]).diff() for name in ("ir", "degraded_ir"))
    return ((target - sensor).abs() <= TOLERANCE + SHARE * sensor.abs()).float()
