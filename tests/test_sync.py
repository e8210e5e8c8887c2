"""Synchronisation: offsets to a fraction of a frame, rates, drift, freezes, and honest doubt."""

from __future__ import annotations

import numpy as np
import pytest

from vfuse.sync import Thumbnails, match_streams
from vfuse.sync.motion import THUMB, View, freezes, repeats

SECONDS = 16.0


def scene(times: np.ndarray, *, seed: int, infrared: bool) -> np.ndarray:
    """(N, 24, 32) pictures of blobs that walk, stop and go, in the camera's own brightness."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: THUMB[1], : THUMB[0]]
    pictures = np.full((len(times), THUMB[1], THUMB[0]), 0.4)
    noise = np.random.default_rng([seed, infrared, len(times)])
    for _ in range(5):
        knots = np.cumsum(rng.uniform(0.2, 0.8, 60)) - 2
        path = np.cumsum(rng.normal(0, 3.0, (len(knots), 2)) * (rng.random((len(knots), 1)) < 0.5), 0)
        path = path + rng.uniform((4, 4), (28, 20))
        dark, bright = rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.5)
        cx, cy = (np.interp(times, knots, path[:, axis]) for axis in (0, 1))
        cx, cy = np.abs((cx - 32) % 64 - 32), np.abs((cy - 24) % 48 - 24)  # reflected at the border
        blob = np.exp(-((x - cx[:, None, None]) ** 2 + (y - cy[:, None, None]) ** 2) / 8)
        pictures += (bright if infrared else dark) * blob
    return pictures + noise.normal(0, 0.001, pictures.shape)


def stream(
    *, seed: int, infrared: bool, fps: float, start: float = 0.0, clock: float = 1.0, seconds: float = SECONDS
) -> Thumbnails:
    """A recording that begins `start` seconds into the scene; its clock runs `clock` times too fast."""
    times = np.arange(int((seconds - start) * fps)) / fps
    pictures = scene(start + times, seed=seed, infrared=infrared)
    return Thumbnails(times * clock, pictures.astype(np.float16))


@pytest.mark.parametrize(
    ("ir_fps", "vis_fps", "ir_start", "vis_start"),
    [(30, 30, 0.0, 0.5), (25, 30, 1.217, 0.0), (9, 30, 0.0, 0.83), (9, 25, 0.611, 0.0)],
)
def test_an_offset_is_found_to_within_a_frame(
    ir_fps: float, vis_fps: float, ir_start: float, vis_start: float
) -> None:
    fit = match_streams(
        stream(seed=1, infrared=True, fps=ir_fps, start=ir_start),
        stream(seed=1, infrared=False, fps=vis_fps, start=vis_start),
    )
    assert fit.problems == ()
    assert fit.offset + fit.rate * 6 == pytest.approx(vis_start - ir_start + 6, abs=1 / 30)
    assert fit.rate == pytest.approx(1, abs=5e-3)


def test_a_clock_that_drifts_is_found() -> None:
    fit = match_streams(
        stream(seed=2, infrared=True, fps=25, clock=1.004),
        stream(seed=2, infrared=False, fps=25, start=0.3),
    )
    assert fit.confident
    assert fit.rate == pytest.approx(1.004, abs=1.5e-3)
    assert fit.offset + fit.rate * 8 == pytest.approx(1.004 * 8.3, abs=1 / 30)


def test_a_file_played_at_the_wrong_rate_is_found() -> None:
    fit = match_streams(
        stream(seed=3, infrared=True, fps=25),
        stream(seed=3, infrared=False, fps=25, clock=25 / 30),  # 25 frames a second labelled as 30
    )
    assert fit.confident
    assert fit.rate == pytest.approx(1.2, abs=3e-3)


def test_a_freeze_is_reported_and_does_not_mislead() -> None:
    frozen = stream(seed=4, infrared=True, fps=30, start=0.4)
    still = (frozen.times >= 5) & (frozen.times < 7)
    frozen.pictures[still] = frozen.pictures[np.argmax(still)]
    ((start, end),) = freezes(frozen)
    assert (start, end) == (pytest.approx(5, abs=0.05), pytest.approx(7, abs=0.05))
    fit = match_streams(frozen, stream(seed=4, infrared=False, fps=30))
    assert fit.confident
    assert fit.offset == pytest.approx(-0.4, abs=1 / 30)
    assert len(fit.freezes_ir) == 1
    assert fit.freezes_vis == ()


def test_doubled_frames_are_repeats() -> None:
    slow = stream(seed=5, infrared=True, fps=15)
    doubled = Thumbnails(np.arange(2 * len(slow.times)) / 30, np.repeat(slow.pictures, 2, axis=0))
    assert repeats(doubled)[1::2].all()
    assert repeats(doubled)[0::2].mean() < 0.3
    fit = match_streams(doubled, stream(seed=5, infrared=False, fps=30, start=0.7))
    assert fit.offset + fit.rate * 6 == pytest.approx(6.7, abs=1 / 20)


def test_a_view_shows_each_place_where_the_other_camera_sees_it() -> None:
    y, x = np.mgrid[:240, :320].astype(np.float32)
    own = x / 320 + y / 480  # a ramp, seen by a camera of 320 x 240
    matrix = np.array([[0.5, 0, 40], [0, 0.5, 30], [0, 0, 1.0]])  # the other's 640 x 480 lies inside
    seen = View(matrix, (640, 480)).seen(own)
    assert seen.shape == (4 * THUMB[1], 4 * THUMB[0])
    u, v = np.mgrid[:96, :128][::-1] * 5.0  # the other's pixels
    true = np.where((own_x := 0.5 * u + 40) < 310, own_x / 320 + (0.5 * v + 30) / 480, 0)
    inside = (true > 0) & (0.5 * v + 30 < 230)
    np.testing.assert_allclose(seen[inside], true[inside], atol=0.01)
    assert View(np.diag([0.5, 0.5, 1.0]) + np.array([[0, 0, 400], [0, 0, 0], [0, 0, 0]]), (640, 480)).seen(
        own
    ).max() == pytest.approx(0)


def test_different_scenes_leave_doubt() -> None:
    fit = match_streams(stream(seed=6, infrared=True, fps=25), stream(seed=7, infrared=False, fps=25))
    assert not fit.confident
    assert fit.problems


def test_a_static_clip_leaves_doubt() -> None:
    noise = np.random.default_rng(0)
    times = np.arange(200) / 25
    still = [
        Thumbnails(times, (0.4 + noise.normal(0, 0.004, (200, THUMB[1], THUMB[0]))).astype(np.float16))
        for _ in range(2)
    ]
    assert not match_streams(*still).confident


def test_a_freeze_over_the_whole_clip_leaves_doubt() -> None:
    times = np.arange(100) / 25
    frozen = Thumbnails(times, np.full((100, THUMB[1], THUMB[0]), 0.4, np.float16))
    fit = match_streams(frozen, stream(seed=8, infrared=False, fps=25))
    assert not fit.confident
    assert fit.freezes_ir
