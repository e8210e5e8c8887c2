"""Interlaced video is recognised by its combs or marks and named; whole frames are not."""

from __future__ import annotations

import numpy as np
import pytest
from _media import warm_body, write_video
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.io.interlace import fields_of
from vfuse.io.probe import probe

WIDTH, HEIGHT, COUNT = 160, 120, 25
MARKED = {"qp": "-1", "crf": "23", "x264-params": "interlaced=1"}
PLAIN = {"qp": "-1", "crf": "23"}


def moment(time: float) -> np.ndarray:
    """(H, W) uint8: waves that run to the left."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.clip(110 + 60 * np.sin((x + 240 * time) / 9) + 30 * np.sin(y / 7), 0, 255).astype(np.uint8)


def woven(first: str | None, *, still: bool = False) -> list[np.ndarray]:
    """Frames at 25 fps, their second field 20 ms later; None: whole frames."""
    frames = []
    for index in range(COUNT):
        early = moment(0 if still else index / 25)
        late = early if still or first is None else moment(index / 25 + 0.02)
        top, bottom = (late, early) if first == "bottom" else (early, late)
        frame = top.copy()
        frame[1::2] = bottom[1::2]
        frames.append(frame)
    return frames


def film(path, frames, options):
    return probe(write_video(path, frames, codec="libx264", pix_fmt="yuv420p", options=options))


@pytest.mark.parametrize("options", [PLAIN, MARKED], ids=["plain", "marked"])
@pytest.mark.parametrize("first", ["top", "bottom"])
def test_combs_are_seen_marked_or_not(tmp_path, first, options):
    assert fields_of(film(tmp_path / "v.mkv", woven(first), options)) == f"{first} field first"


@pytest.mark.parametrize("options", [PLAIN, MARKED], ids=["plain", "marked"])
def test_whole_frames_are_whole_whatever_their_marks(tmp_path, options):
    assert fields_of(film(tmp_path / "v.mkv", woven(None), options)) is None


def test_marks_count_where_nothing_moves(tmp_path):
    still = woven("top", still=True)
    assert fields_of(film(tmp_path / "a.mkv", still, MARKED)) == "by its marks"
    assert fields_of(film(tmp_path / "b.mkv", still, PLAIN)) is None


def test_combs_that_begin_after_the_first_frames_are_seen(tmp_path):
    frames = woven(None)[:10] + woven("top")[10:]
    assert fields_of(film(tmp_path / "v.mkv", frames, PLAIN)) == "top field first"


def test_a_size_that_changes_is_left_to_the_reader(tmp_path):
    small = [frame[:60, :80] for frame in woven(None)[:5]]
    kind = {"codec": "libx264", "pix_fmt": "yuv420p"}
    parts = [write_video(tmp_path / f"{k}.h264", f, **kind) for k, f in enumerate((woven(None)[:5], small))]
    (tmp_path / "v.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert fields_of(probe(tmp_path / "v.h264")) is None


def test_interlacing_is_named_in_a_fuse(tmp_path):
    vis = write_video(tmp_path / "vis.mkv", woven("bottom"))
    ir = write_video(tmp_path / "ir.mkv", warm_body(COUNT, WIDTH, HEIGHT))
    command = ["fuse", str(ir), str(vis), "-o", str(tmp_path / "out.mkv"), "--model", "average"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("the visible video is interlaced, bottom field first; deinterlace it first") == 1
