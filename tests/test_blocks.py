"""Convolutions over time: what they see of which frame."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vfuse.models._blocks import TemporalConv
from vfuse.models._winograd import faster


@pytest.mark.parametrize("frames", [1, 3, 6])
def test_still_channels_are_those_whose_kernel_is_zero_in_other_frames(frames: int) -> None:
    torch.manual_seed(0)
    layer, whole = TemporalConv(7, 5, still=3), TemporalConv(7, 5)
    assert layer.still is not None
    with torch.no_grad():
        whole.weight.zero_()
        whole.weight[:, :4] = layer.weight
        whole.weight[:, 4:, 1] = layer.still.weight
        whole.bias.copy_(layer.bias)  # type: ignore[union-attr,arg-type]
    x = torch.randn(6, 7, 10, 12).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(x, frames=frames), whole(x, frames=frames), atol=1e-5, rtol=1e-5)


def test_other_frames_change_nothing_through_still_channels() -> None:
    torch.manual_seed(0)
    layer = TemporalConv(7, 5, still=3)
    x = torch.randn(4, 7, 10, 12)
    changed = x.clone()
    changed[1, 4:] += 1
    difference = (layer(changed, frames=4) - layer(x, frames=4)).abs().amax((1, 2, 3))
    assert difference[1] > 0.1
    assert difference[[0, 2, 3]].max() == 0
    changed = x.clone()
    changed[1, :4] += 1
    moved = (layer(changed, frames=4) - layer(x, frames=4)).abs().amax((1, 2, 3))
    assert (moved[:3] > 0.1).all()
    assert moved[3] == 0


@torch.inference_mode()
@pytest.mark.parametrize("frames", [2, 3, 6])
def test_large_maps_go_frame_by_frame_and_give_the_same(frames: int) -> None:
    torch.manual_seed(0)
    layer, x = TemporalConv(48, 48), torch.randn(6, 48, 64, 64).contiguous(memory_format=torch.channels_last)
    assert faster(x, layer.weight)
    volume = x.unflatten(0, (-1, frames)).transpose(1, 2).double()
    expected = F.conv3d(volume, layer.weight.double(), layer.bias.double(), padding=1)  # type: ignore[union-attr]
    expected = expected.transpose(1, 2).flatten(0, 1).float()
    torch.testing.assert_close(layer(x, frames=frames), expected, atol=2e-5, rtol=0)
