"""What a fused clip leaves unsaid about its sources: conditional entropy, differentiable.

The counterpart of the metric MI (Qu et al., 2002): the mutual information of two pictures is the entropy of
one, which nobody can change, less its conditional entropy given the other.
"""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 128


def conditional_entropy(source: Tensor, fused: Tensor) -> Tensor:
    """Bits that a pixel of the source still has when the fused pixel at its place is known.

    Both are luma (B, T, 1, H, W), clamped to [0, 1], in BINS levels, counted over all pixels of a clip; the
    mean over the clips. A fused pixel counts in the two levels nearest to it, by its distance to each, which
    gives it a gradient. Never negative; 0 where the fused clip tells everything.
    """
    clips = fused.shape[0]
    place = fused.clamp(0, 1) * (BINS - 1)
    below = place.detach().floor().clamp_max(BINS - 2)
    level = (source.clamp(0, 1) * (BINS - 1)).round()
    clip = torch.arange(clips, device=fused.device).view(-1, 1, 1, 1, 1)
    cell = ((clip * BINS + level) * BINS + below).long()
    cell, share = cell.flatten(), (place - below).flatten()
    count = fused.new_zeros(clips * BINS * BINS).index_add(0, cell, 1 - share).index_add(0, cell + 1, share)
    joint = count.view(clips, BINS, BINS) * (clips / fused.numel())
    return (_entropy(joint) - _entropy(joint.sum(1))) / clips


def _entropy(probability: Tensor) -> Tensor:
    """The sum of -p log2 p."""
    return -(probability * probability.clamp_min(1e-12).log2()).sum()
