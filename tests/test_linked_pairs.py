"""Pairs of other clocks and views: by time and not by index, on one canvas, every visible frame once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from _media import write_video

from vfuse.errors import PairError
from vfuse.io._clocks import PairLink
from vfuse.io.pairs import PairPlan, pair_warnings, plan_pair, read_pairs
from vfuse.io.probe import probe
from vfuse.io.warp import warp_onto


def numbered(path: Path, count: int, *, rate: int, size: tuple[int, int] = (64, 48), grey: bool) -> Path:
    """A video whose frame k has brightness k."""
    frames = [np.full((size[1], size[0], *(() if grey else (3,))), k, np.uint8) for k in range(count)]
    return write_video(path, frames, rate=rate, pix_fmt="gray" if grey else "bgr0")


def shown(plan: PairPlan) -> list[tuple[int, int]]:
    """(infrared, visible) frame numbers of each pair."""
    with read_pairs(plan) as pairs:
        return [(round(float(p.ir.mean()) * 255), round(float(p.vis.mean()) * 255)) for p in pairs]


def test_each_visible_frame_gets_the_nearest_infrared_frame(tmp_path: Path) -> None:
    ir = numbered(tmp_path / "ir.mkv", 20, rate=10, grey=True)
    vis = numbered(tmp_path / "vis.mkv", 40, rate=30, grey=False)
    plan = plan_pair(probe(ir), probe(vis), link=PairLink(clocks=(0.25, 1.0)))
    expected = [(k, round((0.25 + k / 30) * 10)) for k in range(40)]
    got = shown(plan)
    assert [b for _, b in got] == list(range(40))
    assert all(abs(a - (0.25 + b / 30) * 10) <= 0.5 + 1e-6 for a, b in got)
    assert len(got) == len(expected) == plan.num_frames
    assert plan.repeated == 40 - len({a for a, _ in got})
    assert any("shown again" in warning for warning in pair_warnings(plan))
    assert plan.fps == Fraction(30)


def test_only_the_common_part_is_fused(tmp_path: Path) -> None:
    ir = numbered(tmp_path / "ir.mkv", 20, rate=10, grey=True)
    vis = numbered(tmp_path / "vis.mkv", 20, rate=10, grey=False)
    plan = plan_pair(probe(ir), probe(vis), link=PairLink(clocks=(-0.5, 1.0)))
    assert shown(plan) == [(k, k + 5) for k in range(15)]
    assert plan.start == pytest.approx(0.5)
    assert plan.times[0] == pytest.approx(0.5)
    later = plan_pair(probe(ir), probe(vis), start=1.0, frames=3, link=PairLink(clocks=(-0.5, 1.0)))
    assert shown(later) == [(5, 10), (6, 11), (7, 12)]


def test_recordings_without_a_common_moment_are_refused(tmp_path: Path) -> None:
    ir = numbered(tmp_path / "ir.mkv", 5, rate=10, grey=True)
    vis = numbered(tmp_path / "vis.mkv", 5, rate=10, grey=False)
    with pytest.raises(PairError, match="no moment in common"):
        plan_pair(probe(ir), probe(vis), link=PairLink(clocks=(100.0, 1.0)))


def test_another_size_needs_a_warp_and_then_has_the_size_of_the_canvas(tmp_path: Path) -> None:
    ir = numbered(tmp_path / "ir.mkv", 4, rate=10, size=(32, 24), grey=True)
    vis = numbered(tmp_path / "vis.mkv", 4, rate=10, grey=False)
    with pytest.raises(PairError, match="--align"):
        plan_pair(probe(ir), probe(vis))
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
    link = PairLink(warp=warp_onto("vis", half, ir_size=(32, 24), vis_size=(64, 48)))
    plan = plan_pair(probe(ir), probe(vis), link=link)
    assert (plan.width, plan.height) == (64, 48)
    assert shown(plan) == [(k, k) for k in range(4)]


def test_a_pair_that_disagrees_is_told_about_sync(tmp_path: Path) -> None:
    ir = numbered(tmp_path / "ir.mkv", 9, rate=9, grey=True)
    vis = numbered(tmp_path / "vis.mkv", 30, rate=30, grey=False)
    with pytest.raises(PairError, match="--sync auto"):
        plan_pair(probe(ir), probe(vis))
