"""The canvas: one resampling, exact identity, soft and correct where a camera sees nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vfuse.io.warp import placer, warp_onto

VIS, IR = (160, 120), (80, 60)
HALF = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])  # the same field at half the size


def ramp(size: tuple[int, int]) -> torch.Tensor:
    """Brightness that grows along x from 0 to 1 over the field."""
    x = (torch.arange(size[0]) + 0.5) / size[0]
    return x.expand(1, size[1], size[0]).contiguous()


def test_the_same_field_at_another_size_lines_up() -> None:
    warp = warp_onto("vis", HALF, ir_size=IR, vis_size=VIS)
    assert warp is not None
    assert (warp.width, warp.height) == VIS
    ir, vis = placer(warp, ir_size=IR, vis_size=VIS)(ramp(IR), ramp(VIS).expand(3, -1, -1))
    torch.testing.assert_close(ir[:, :, 4:-4], ramp(VIS)[:, :, 4:-4], atol=3e-3, rtol=0)
    torch.testing.assert_close(vis, ramp(VIS).expand(3, -1, -1))


def test_the_infrared_canvas_keeps_the_infrared_as_it_is() -> None:
    warp = warp_onto("ir", HALF, ir_size=IR, vis_size=VIS)
    assert warp is not None
    source = torch.rand(1, IR[1], IR[0], generator=torch.Generator().manual_seed(0))
    ir, vis = placer(warp, ir_size=IR, vis_size=VIS)(source, ramp(VIS).expand(3, -1, -1))
    assert torch.equal(ir, source)
    torch.testing.assert_close(vis[:1, :, 2:-2], ramp(IR)[:, :, 2:-2], atol=3e-3, rtol=0)


def test_what_the_infrared_does_not_see_passes_smoothly_to_the_visible() -> None:
    narrow = np.array([[1.0, 0, -40], [0, 1, -30], [0, 0, 1]])  # an 80 x 60 window in the middle
    warp = warp_onto("vis", narrow, ir_size=IR, vis_size=VIS)
    assert warp is not None
    place = placer(warp, ir_size=IR, vis_size=VIS)
    ir, _ = place(torch.ones(1, 60, 80), torch.full((3, 120, 160), 0.25))
    assert ir[0, 60, 80] == 1
    assert ir[0, 0, 0] == pytest.approx(0.25, abs=1e-3)  # far away: the visible's own brightness
    assert ir[0, 60, 0] == pytest.approx(0.25, abs=0.02)
    assert (ir[0, 60, :60].diff() >= -2e-3).all()  # it only rises towards the infrared
    assert ir[0].diff().abs().max() < 0.06  # and nowhere in a step: no border


def test_the_common_canvas_is_what_both_see() -> None:
    shifted = np.array([[1.0, 0, -30], [0, 1, 10], [0, 0, 1]])
    warp = warp_onto("common", shifted, ir_size=VIS, vis_size=VIS)
    assert warp is not None
    assert (warp.width, warp.height) == (130, 110)
    ir, vis = placer(warp, ir_size=VIS, vis_size=VIS)(ramp(VIS), ramp(VIS).expand(3, -1, -1))
    torch.testing.assert_close(vis[0, 0], ramp(VIS)[0, 0, 30:], atol=1e-5, rtol=0)
    torch.testing.assert_close(ir[0, 0], ramp(VIS)[0, 0, :130], atol=1e-5, rtol=0)


def test_views_without_a_common_rectangle_have_no_canvas() -> None:
    away = np.array([[1.0, 0, 1000], [0, 1, 0], [0, 0, 1]])
    assert warp_onto("common", away, ir_size=VIS, vis_size=VIS) is None


@pytest.mark.parametrize("factor", [2, 4])
def test_a_finer_infrared_is_averaged_not_skipped(factor: int) -> None:
    size = (VIS[0] * factor, VIS[1] * factor)
    stripes = (torch.arange(size[0]) % 2).float().expand(1, size[1], size[0]).contiguous()
    finer = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
    warp = warp_onto("vis", finer, ir_size=size, vis_size=VIS)
    assert warp is not None
    ir, _ = placer(warp, ir_size=size, vis_size=VIS)(stripes, torch.zeros(3, *VIS[::-1]))
    assert (ir[0, 4:-4, 4:-4] - 0.5).abs().max() < 0.05
