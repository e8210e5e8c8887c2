"""Conditional entropy as a loss: what it is worth in cases that are known, and where it pulls."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vfuse.metrics import METRICS, Frame, Image, Sources
from vfuse.train._information import BINS, conditional_entropy

LEVELS = 4


def clip(levels: Tensor) -> Tensor:
    """(T, H, W) of whole levels as luma (1, T, 1, H, W)."""
    return (levels / (BINS - 1))[None, :, None]


@pytest.fixture
def source() -> Tensor:
    """(2, 32, 32) of four levels 0, 20, 40, 60, each as frequent."""
    order = torch.randperm(2048, generator=torch.Generator().manual_seed(0))
    return 20.0 * (order % LEVELS).view(2, 32, 32)


def test_a_copy_a_negative_and_a_recoding_leave_nothing_unsaid(source: Tensor) -> None:
    for told in (source, 100 - source, (source * 3) % 80):
        assert conditional_entropy(clip(source), clip(told)).item() == pytest.approx(0, abs=1e-5)


def test_a_constant_says_nothing(source: Tensor) -> None:
    assert conditional_entropy(clip(source), clip(0 * source)).item() == pytest.approx(math.log2(LEVELS))


def test_one_of_two_bits_is_left_when_levels_are_merged_in_pairs(source: Tensor) -> None:
    merged = torch.where(source < 30, 5.0, 50.0)
    assert conditional_entropy(clip(source), clip(merged)).item() == pytest.approx(1)
    assert conditional_entropy(clip(merged), clip(source)).item() == pytest.approx(0, abs=1e-5)


def test_clips_of_a_batch_are_counted_apart(source: Tensor) -> None:
    two = torch.cat([clip(source), clip(source)])
    negative = torch.cat([clip(source), clip(60 - source)])  # told apart, each is exact; together they mix
    assert conditional_entropy(two, negative).item() == pytest.approx(0, abs=1e-5)


def test_frames_of_a_clip_are_counted_together(source: Tensor) -> None:
    flipped = torch.stack([source[0], 60 - source[1]])
    assert conditional_entropy(clip(source), clip(flipped)).item() == pytest.approx(1, abs=0.02)


def test_following_the_gradient_says_more(source: Tensor) -> None:
    noise = torch.randn(source.shape, generator=torch.Generator().manual_seed(1))
    told = clip(source + 30 + 12 * noise).requires_grad_()
    before = conditional_entropy(clip(source), told)
    before.backward()
    assert told.grad is not None
    after = conditional_entropy(clip(source), told.detach() - 0.5 / BINS * told.grad.sign())
    assert after < before - 0.02


def test_it_is_the_entropy_less_the_metric_mi() -> None:
    """On whole levels, where no pixel counts in two of them, twice as far apart in the metric."""
    rng = torch.Generator().manual_seed(2)
    ir = torch.randint(0, BINS, (64, 64), generator=rng).float()
    fused = (ir + torch.randint(-9, 10, (64, 64), generator=rng)).clamp(0, BINS - 1)
    grey_ir, grey_fused = (Image((2 * x).byte().numpy()) for x in (ir, fused))
    mi = METRICS["mi"].compute(Frame(Sources(grey_ir, grey_ir), grey_fused))
    assert mi is not None
    share = torch.bincount(ir.long().flatten(), minlength=BINS) / ir.numel()
    entropy = -torch.special.xlogy(share, share).sum().item() / math.log(2)
    left = conditional_entropy(clip(ir[None]), clip(fused[None])).item()
    assert left == pytest.approx(entropy - mi / 2, abs=1e-3)
