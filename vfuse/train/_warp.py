"""Short-term temporal loss: how far each fused frame is from the one before, moved as the visible moves.

The counterpart of the metric `warp` and of the loss of Lai et al., Learning Blind Video Temporal Consistency,
ECCV 2018. The motion is that of the clean visible, so that a fused clip cannot lower the loss by its motion.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vfuse.metrics._flow import FLOW_SIDE, dis_of_grey


def warping_error(fused: Tensor, clean_vis: Tensor) -> Tensor:
    """Mean absolute difference between each fused frame and the one before, moved; 0 for a single frame.

    Args:
        fused: (B, T, C, H, W) in [0, 1].
        clean_vis: the clip whose motion counts, (B, T, 3, H, W) in [0, 1].
    """
    if fused.shape[1] < 2 or min(fused.shape[-2:]) < FLOW_SIDE:
        return fused.new_zeros(())
    places = sampling_grid(clean_vis)
    moved = F.grid_sample(
        fused[:, :-1].flatten(0, 1), places, mode="bilinear", padding_mode="border", align_corners=True
    )
    return F.l1_loss(moved, fused[:, 1:].flatten(0, 1))


def sampling_grid(clip: Tensor) -> Tensor:
    """Where each pixel of the frames from the second on was one frame before: (B * (T - 1), H, W, 2)."""
    height, width = clip.shape[-2:]
    grey = (clip.detach().mean(2).clamp(0, 1) * 255).round().byte().cpu().numpy()
    flow = np.stack([dis_of_grey(now, then) for one in grey for then, now in pairwise(one)])
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([x, y], dim=-1) + torch.from_numpy(flow)
    return (places / torch.tensor([width - 1, height - 1]) * 2 - 1).to(clip)
