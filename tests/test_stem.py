"""Folding pixels into channels and back: torch's pixel-unshuffle and pixel-shuffle, in another layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vfuse.models._stem import folded, unfolded


@pytest.mark.parametrize("fold", [2, 4])
def test_folding_is_pixel_unshuffle_with_channels_last(fold: int) -> None:
    x = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(folded(x, fold).permute(0, 3, 1, 2), F.pixel_unshuffle(x, fold))
    assert folded(x, fold).is_contiguous()


@pytest.mark.parametrize("fold", [2, 4])
def test_unfolding_is_pixel_shuffle_plane_by_plane(fold: int) -> None:
    x = torch.rand(2, 32, 6, 5, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(unfolded(x, fold), F.pixel_shuffle(x, fold))
    assert unfolded(x, fold).is_contiguous()
