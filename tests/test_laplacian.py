"""The pyramid baseline: what two images have in common stays, the larger detail of each scale wins."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vfuse.models import MODELS
from vfuse.models.laplacian import LEVELS, enlarge, merge, split


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [(64, 96), (37, 51), (1, 9), (2, 2)])
def test_an_image_merged_with_itself_is_itself(size: tuple[int, int]) -> None:
    x = image(2, 1, *size)
    torch.testing.assert_close(merge(x, x), x, atol=1e-12, rtol=0)


def test_a_flat_image_stays_flat_up_to_the_border() -> None:
    flat = torch.full((1, 1, 13, 18), 0.3, dtype=torch.float64)
    small, detail = split(flat)
    torch.testing.assert_close(small, torch.full((1, 1, 7, 9), 0.3, dtype=torch.float64))
    assert detail.abs().max() < 1e-15
    torch.testing.assert_close(enlarge(small, like=flat), flat)


def test_detail_against_a_flat_image_survives_whole() -> None:
    """Where one source is flat, the result is the other with the mean of both as its coarsest scale."""
    vis, ir = image(1, 1, 128, 128), torch.full((1, 1, 128, 128), 0.75, dtype=torch.float64)
    top = vis
    for _ in range(LEVELS):
        top, _ = split(top)
    shift = (0.75 - top) / 2  # of the coarsest scale
    for side in (8, 16, 32, 64, 128):
        shift = enlarge(shift, like=torch.empty(side, side))
    torch.testing.assert_close(merge(ir, vis), vis + shift, atol=1e-12, rtol=0)
    torch.testing.assert_close(merge(vis, ir), vis + shift, atol=1e-12, rtol=0)


def test_the_stronger_source_wins_where_it_is_stronger() -> None:
    """Fine stripes in the left half of one and in the right half of the other are both in the result."""
    stripes = 0.4 * (torch.arange(64) % 2).double().expand(1, 1, 64, 64)
    left = torch.where(torch.arange(64) < 32, stripes, 0.2)
    right = torch.where(torch.arange(64) < 32, 0.2, stripes)
    fused = merge(left, right)
    for columns in (slice(8, 24), slice(40, 56)):
        contrast = fused[..., columns].diff(dim=-1).abs()
        torch.testing.assert_close(contrast, torch.full_like(contrast, 0.4), atol=0.02, rtol=0)


def test_brightness_is_fused_and_chroma_kept_in_either_precision() -> None:
    network = MODELS["laplacian"].build()
    ir, vis = image(1, 2, 1, 33, 40, seed=1).float() * 0.2 + 0.4, image(1, 2, 3, 33, 40).float() * 0.2 + 0.4
    fused = network(ir, vis).fused
    change = fused - vis
    torch.testing.assert_close(change, change[:, :, :1].expand_as(change), atol=1e-6, rtol=0)
    assert change.abs().max() > 0.02
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network(ir, vis).fused, fused, atol=1e-6, rtol=0)
