"""From a decoder's planes to images: squashed as published, or as a blend of both sources."""

from __future__ import annotations

from torch import Tensor

from vfuse.models._attention import full
from vfuse.models._stem import luma


def blend(planes: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """The visible with a share of the infrared's brightness, and what both lack, as (N, 4, H, W) say."""
    share = planes[:, 3:].sigmoid()
    return vis + share * (ir - luma(vis)) + planes[:, :3]


def squash(x: Tensor) -> Tensor:
    """The published output: tanh moved to (0, 1)."""
    return (full(x).tanh() + 1) / 2
