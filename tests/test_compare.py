"""Comparisons show every video of the same moment in its place, labelled, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from _media import ramp, write_video
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.compare import arrange
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames

HEIGHT, WIDTH = 96, 128
LEVELS = {"infrared": 50, "visible": 100, "fused": 150, "fused B": 200}


def flat(count: int) -> dict[str, torch.Tensor]:
    return {
        name: torch.full((3, HEIGHT, WIDTH), level, dtype=torch.uint8)
        for name, level in list(LEVELS.items())[:count]
    }


def centre(picture: torch.Tensor, column: int, row: int) -> int:
    return int(picture[0, row * HEIGHT + HEIGHT // 2, column * WIDTH + WIDTH // 2])


def test_grid_and_strip_put_each_panel_in_its_place():
    grid = arrange(flat(4), layout="grid", time=0)
    assert grid.shape == (3, 2 * HEIGHT, 2 * WIDTH)
    places = [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [centre(grid, *place) for place in places] == list(LEVELS.values())
    assert centre(arrange(flat(3), layout="grid", time=0), 1, 1) == 0
    strip = arrange(flat(3), layout="strip", time=0)
    assert strip.shape == (3, HEIGHT, 3 * WIDTH)
    assert [centre(strip, k, 0) for k in range(3)] == [50, 100, 150]
    assert grid[:, :20, :80].max() > 230  # the label


def test_wipe_moves_and_blink_alternates():
    middle = HEIGHT // 2
    for time, columns in ((0.0, 0), (1.0, WIDTH // 2), (2.0, WIDTH), (3.0, WIDTH // 2)):
        row = arrange(flat(3), layout="wipe", time=time)[0, middle]
        assert int((row == 100).sum()) == pytest.approx(columns, abs=2)
    shown = [centre(arrange(flat(3), layout="blink", time=t), 0, 0) for t in (0, 0.9, 1.1, 2.1, 3.1)]
    assert shown == [50, 50, 100, 150, 50]


def test_both_sides_of_the_wipe_are_named_at_the_top():
    shown = arrange(flat(3), layout="wipe", time=1.0)[0]  # the bottom right belongs to number and time
    assert shown[:20, :60].max() > 230
    assert shown[:20, -60:].max() > 230
    assert shown[-20:, WIDTH // 2 + 2 :].max() == 150


def test_insets_show_the_sources():
    shown = arrange(flat(3), layout="pip", time=0)
    assert shown.shape == (3, HEIGHT, WIDTH)
    bottom = HEIGHT - 10
    assert int(shown[0, bottom, 24]) == 50
    assert int(shown[0, bottom, 24 + WIDTH // 4 + 8]) == 100
    assert int(shown[0, bottom, WIDTH - 10]) == 150


def test_the_sources_are_not_written_to():
    panels = flat(4)
    for layout in ("grid", "strip", "wipe", "blink", "pip"):
        arrange(panels, layout=layout, time=0.5)
    assert all(torch.equal(panels[name], still) for name, still in flat(4).items())


@pytest.fixture
def films(tmp_path):
    ir = write_video(tmp_path / "ir.mkv", ramp(6, WIDTH, HEIGHT))
    vis = write_video(
        tmp_path / "vis.mp4",
        ramp(6, WIDTH, HEIGHT, grey=False),
        codec="libx264",
        pix_fmt="yuv420p",
        audio_seconds=0.24,
    )
    fused = [np.full((HEIGHT, WIDTH, 3), 30 * k, np.uint8) for k in range(6)]
    write_video(tmp_path / "fused.mkv", fused, pix_fmt="bgr0")
    return [str(path) for path in (ir, vis, tmp_path / "fused.mkv")]


def test_the_command_keeps_frames_times_sound_and_order(tmp_path, films):
    out = tmp_path / "out.mkv"
    done = CliRunner().invoke(app, ["compare", *films, "-o", str(out), "--codec", "ffv1"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"{out}: 6 frames, grid")
    info = probe(out)
    assert (info.width, info.height, info.num_frames, info.has_audio) == (2 * WIDTH, 2 * HEIGHT, 6, True)
    with read_frames(info, grey=False, levels=True) as frames:
        fused = [centre(frame.pixels, 0, 1) for frame in frames]
    assert fused == [30 * k for k in range(6)]


def test_what_does_not_fit_is_refused(tmp_path, films):
    short = write_video(tmp_path / "short.mkv", ramp(4, WIDTH, HEIGHT))
    done = CliRunner().invoke(app, ["compare", *films[:2], str(short), "-o", str(tmp_path / "o.mkv")])
    assert done.exit_code == 4
    assert "has 4 frames" in done.stderr
    assert not (tmp_path / "o.mkv").exists()
