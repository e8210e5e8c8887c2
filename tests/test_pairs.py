"""Pairs: disagreements are found before decoding, warnings are true, and both inputs are read in step."""

from __future__ import annotations

import io
import shutil
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from _media import ramp, warm_body, write_images, write_video

from vfuse.errors import InputError, PairError, UsageError
from vfuse.io.pairs import pair_warnings, plan_pair, read_pairs
from vfuse.io.probe import probe


@pytest.fixture
def pair(tmp_path):
    """(ir, vis): 12 grey and 12 colour frames of 64x48 at 25 fps, lossless."""
    ir = write_video(tmp_path / "ir.mkv", ramp(12))
    vis = write_video(tmp_path / "vis.mkv", ramp(12, grey=False), pix_fmt="bgr0")
    return probe(ir), probe(vis)


def other(tmp_path, count=12, width=64, height=48, **options):
    return probe(write_video(tmp_path / "other.mkv", ramp(count, width, height), **options))


def test_pairs_are_read_in_step(pair):
    plan = plan_pair(*pair)
    assert (plan.width, plan.height, plan.fps, plan.num_frames) == (64, 48, Fraction(25), 12)
    assert (plan.start, plan.end) == (None, None)
    with read_pairs(plan) as pairs:
        found = list(pairs)
    assert [p.index for p in found] == list(range(12))
    assert [p.time for p in found] == pytest.approx([k / 25 for k in range(12)])
    grey, colour = ramp(12), ramp(12, grey=False)
    for k, p in enumerate(found):
        assert torch.allclose(p.ir[0], torch.tensor(grey[k] / 255, dtype=torch.float32), atol=1e-6)
        assert torch.allclose(
            p.vis, torch.tensor(colour[k] / 255, dtype=torch.float32).permute(2, 0, 1), atol=1e-6
        )


@pytest.mark.parametrize(
    ("request_", "indices"),
    [
        ({"start": 0.08}, range(2, 12)),
        ({"end": 0.2}, range(5)),
        ({"start": 0.08, "end": 0.2}, range(2, 5)),
        ({"frames": 3}, range(3)),
        ({"start": 0.3, "frames": 100}, range(8, 12)),
        ({"start": 0.0, "end": 99.0}, range(12)),
    ],
)
def test_a_cut_keeps_the_pairs_together(pair, request_, indices):
    plan = plan_pair(*pair, **request_)
    with read_pairs(plan) as pairs:
        found = list(pairs)
    assert plan.num_frames == len(indices)
    assert [p.index for p in found] == list(range(len(indices)))
    assert [p.time for p in found] == pytest.approx([(k - indices[0]) / 25 for k in indices])
    grey, colour = ramp(12), ramp(12, grey=False)
    assert [float(p.ir.mean()) for p in found] == pytest.approx(
        [grey[k].mean() / 255 for k in indices], abs=1e-6
    )
    assert [float(p.vis.mean()) for p in found] == pytest.approx(
        [colour[k].mean() / 255 for k in indices], abs=1e-6
    )
    assert plan.start == (pytest.approx(indices[0] / 25) if indices[0] else None)
    assert plan.end == (pytest.approx((indices[-1] + 1) / 25) if indices[-1] < 11 else None)


def test_every_disagreement_is_named_at_once(tmp_path, pair):
    with pytest.raises(PairError) as caught:
        plan_pair(other(tmp_path, 11, 32, 24, rate=30), pair[1])
    said = str(caught.value)
    for value in ("32x24", "64x48", "30 fps", "25 fps", "11 frames", "12 frames"):
        assert value in said
    assert "\n" not in said
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"width": 66}, ("66x48", "64x48")),
        ({"count": 13}, ("13 frames (0.52 s)", "12 frames (0.48 s)")),
        ({"rate": 24}, ("24 fps", "25 fps")),
    ],
)
def test_each_disagreement_alone(tmp_path, pair, options, values):
    with pytest.raises(PairError) as caught:
        plan_pair(other(tmp_path, **options), pair[1])
    assert all(value in str(caught.value) for value in values)


def test_a_varying_rate_is_compared_frame_by_frame(tmp_path, pair):
    stamps = [40 * k + (60 if k > 5 else 0) for k in range(12)]
    uneven = other(tmp_path, pts=stamps, time_base=Fraction(1, 1000))
    with pytest.raises(
        PairError, match=r"a varying .* fps, the visible 25 fps, frame 6 is shown at 0.300 s and 0.240 s"
    ):
        plan_pair(uneven, pair[1])
    assert plan_pair(uneven, uneven).times == pytest.approx([t / 1000 for t in stamps])
    retimed = plan_pair(uneven, pair[1], fps=Fraction(10))
    assert retimed.times == pytest.approx([k / 10 for k in range(12)])


def test_jitter_below_half_a_frame_is_no_disagreement(tmp_path, pair):
    stamps = [40 * k + 15 * (k % 2) for k in range(12)]
    jittered = other(tmp_path, pts=stamps, time_base=Fraction(1, 1000))
    plan = plan_pair(pair[0], jittered, start=0.05)
    assert (plan.first, plan.num_frames) == (1, 11)  # by the visible's times: 0.055 s is the second frame
    with read_pairs(plan) as pairs:
        first = next(pairs)
    assert float(first.ir.mean()) == pytest.approx(ramp(12)[1].mean() / 255, abs=1e-6)


def test_images_take_the_rate_of_the_video(tmp_path):
    video = probe(write_video(tmp_path / "v.mkv", ramp(6), rate=10))
    images = probe(write_images(tmp_path / "i", ramp(6, grey=False)))
    for ir, vis in ((video, images), (images, video)):
        plan = plan_pair(ir, vis)
        assert plan.fps == 10
        assert plan.times == pytest.approx([k / 10 for k in range(6)])
    assert plan_pair(images, images).fps == 25
    assert plan_pair(images, images, fps=Fraction(12)).fps == 12


@pytest.mark.parametrize(
    "request_", [{"start": -1.0}, {"start": 0.2, "end": 0.2}, {"frames": 0}, {"fps": Fraction(0)}]
)
def test_impossible_requests(pair, request_):
    with pytest.raises(UsageError):
        plan_pair(*pair, **request_)


def test_a_start_behind_the_end_of_the_video(pair):
    with pytest.raises(PairError, match=r"no frame lies between 9 s and the end.*12 frames"):
        plan_pair(*pair, start=9.0)


def test_damage_in_one_input_crosses_the_pair(tmp_path, pair):
    path = write_video(tmp_path / "v.ts", ramp(30, grey=False), codec="libx264", pix_fmt="yuv420p")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * 0.6)])
    vis = probe(path)
    ir = other(tmp_path, vis.num_frames)
    with pytest.raises(InputError, match="be decoded"), read_pairs(plan_pair(ir, vis)) as pairs:
        list(pairs)


def _stdin(monkeypatch, path):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(path.open("rb")))
    return probe("-")


@pytest.mark.parametrize(("start", "frames"), [(None, None), (0.08, 4)])
def test_one_input_from_standard_input(tmp_path, monkeypatch, pair, start, frames):
    path = write_video(tmp_path / "s.nut", ramp(12), codec="ffv1")
    plan = plan_pair(_stdin(monkeypatch, path), pair[1], start=start, frames=frames)
    with read_pairs(plan) as pairs:
        found = list(pairs)
    wanted = ramp(12)[plan.first :][:frames]
    assert len(found) == plan.num_frames == len(wanted)
    assert [float(p.ir.mean()) for p in found] == pytest.approx(
        [image.mean() / 255 for image in wanted], abs=1e-6
    )


@pytest.mark.parametrize(("count", "ended"), [(11, "infrared ends after 11"), (13, "visible ends after 12")])
def test_a_stream_of_another_length_is_caught_at_the_end(tmp_path, monkeypatch, pair, count, ended):
    path = write_video(tmp_path / "s.nut", ramp(count), codec="ffv1")
    plan = plan_pair(_stdin(monkeypatch, path), pair[1])
    with pytest.raises(PairError, match=ended), read_pairs(plan) as pairs:
        list(pairs)


def test_two_streams_and_a_stream_of_another_rate_are_refused(tmp_path, monkeypatch, pair):
    path = write_video(tmp_path / "s.nut", ramp(12), codec="ffv1", rate=30)
    stream = _stdin(monkeypatch, path)
    with pytest.raises(UsageError, match="only one"):
        plan_pair(stream, stream)
    with pytest.raises(PairError, match="30 fps"):
        plan_pair(stream, pair[1])


def test_a_good_pair_has_no_warnings(tmp_path, pair):
    ir = probe(write_video(tmp_path / "warm.mkv", warm_body(12)))
    assert pair_warnings(plan_pair(ir, pair[1])) == []


def test_swapped_and_identical_inputs_are_noticed(tmp_path, pair):
    ir, vis = pair
    assert "swapped" in pair_warnings(plan_pair(vis, ir))[0]
    assert "same file" in pair_warnings(plan_pair(vis, vis))[0]
    copy = tmp_path / "copy.mkv"
    shutil.copy(vis.path, copy)
    assert "only its brightness" in pair_warnings(plan_pair(probe(copy), vis))[0]


def test_gaps_and_missing_times_are_noticed(tmp_path):
    folder = write_images(tmp_path / "i", ramp(5, grey=False))
    (folder / "0002.png").unlink()
    raw = write_video(tmp_path / "v.h264", ramp(4), codec="libx264", pix_fmt="yuv420p", container="h264")
    said = pair_warnings(plan_pair(probe(raw), probe(folder)))
    assert any("numbers jump from 1 to 3" in line for line in said)
    assert any("no usable timestamps" in line for line in said)


def test_compressed_grey_is_not_taken_for_colour(tmp_path):
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (48, 64), np.uint8) for _ in range(4)]
    ir = write_video(tmp_path / "ir.mp4", noisy, codec="mpeg4", pix_fmt="yuv420p")
    vis = write_video(tmp_path / "vis.mp4", ramp(4, grey=False), codec="mpeg4", pix_fmt="yuv420p")
    assert all("coloured" not in warning for warning in pair_warnings(plan_pair(probe(ir), probe(vis))))
