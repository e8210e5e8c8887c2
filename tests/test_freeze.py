"""Frozen infrared is found where it is frozen, and nowhere else; what is asked for is done with it."""

from __future__ import annotations

import torch

from vfuse.clip import FramePair
from vfuse.io.freeze import Freeze, watch_freezes


def film(standing: range, count: int = 40, *, vis_stands: bool = False) -> list[FramePair]:
    """Pairs at 25 fps whose infrared repeats its last new frame in `standing`."""
    generator = torch.Generator().manual_seed(0)
    pairs: list[FramePair] = []
    for index in range(count):
        ir = torch.rand(1, 24, 32, generator=generator)
        vis = torch.rand(3, 24, 32, generator=generator)
        if index in standing:
            ir = pairs[-1].ir + 1e-5 * torch.randn(ir.shape, generator=generator)
            vis = pairs[-1].vis if vis_stands else vis
        pairs.append(FramePair(ir=ir, vis=vis, index=index, time=index / 25))
    return pairs


def run(pairs, on_freeze):
    found: list[Freeze] = []
    return list(watch_freezes(iter(pairs), on_freeze=on_freeze, found=found)), found


def test_a_freeze_is_found_to_the_frame():
    pairs = film(range(10, 22))
    passed, found = run(pairs, "hold")
    assert found == [Freeze(first=10, last=21, start=10 / 25, end=21 / 25)]
    assert [pair.index for pair in passed] == list(range(40))
    assert all(a.ir is b.ir and a.vis is b.vis for a, b in zip(passed, pairs, strict=True))


def test_a_freeze_at_the_end_is_found():
    assert run(film(range(25, 40)), "hold")[1] == [Freeze(25, 39, 1.0, 39 / 25)]


def test_a_few_repeats_and_a_still_scene_are_no_freeze():
    assert run(film(range(10, 14)), "drop")[1] == []
    passed, found = run(film(range(5, 40), vis_stands=True), "drop")
    assert found == []
    assert [pair.index for pair in passed] == list(range(40))


def test_visible_takes_its_place_or_the_frames_go():
    pairs = film(range(10, 22))
    passed, _ = run(pairs, "visible")
    luma = torch.tensor([0.2126, 0.7152, 0.0722])
    assert torch.allclose(passed[15].ir[0], torch.einsum("chw,c->hw", pairs[15].vis, luma), atol=1e-5)
    assert passed[9].ir is pairs[9].ir
    kept, _ = run(pairs, "drop")
    assert [pair.index for pair in kept] == list(range(28))
    assert [pair.time for pair in kept] == [k / 25 for k in range(40) if k not in range(10, 22)]
