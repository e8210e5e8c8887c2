"""The options about the infrared, from the command line to the fused pixels and the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from _media import ramp, write_video
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames


def fuse(folder, *extra) -> tuple[int, str, dict]:
    report = folder / "report.json"
    inputs = [str(folder / "ir.mkv"), str(folder / "vis.mkv")]
    arguments = ["fuse", *inputs, "-o", str(folder / "out.mkv"), "--model", "average", "-y"]
    done = CliRunner().invoke(app, [*arguments, "--codec", "ffv1", "--report", str(report), *extra])
    return done.exit_code, done.output, json.loads(report.read_text()) if report.exists() else {}


@pytest.fixture
def frozen(tmp_path):
    """20 frames of 16-bit infrared that stands still from frame 6 to 15, and a visible that moves."""
    counts = [(7000 + 1000 * (image / 255)).astype(np.uint16) for image in ramp(20)]
    counts[6:16] = [counts[5]] * 10
    write_video(tmp_path / "ir.mkv", counts, pix_fmt="gray16le")
    write_video(tmp_path / "vis.mkv", ramp(20, grey=False), pix_fmt="bgr0")
    return tmp_path


def test_a_freeze_is_reported_and_dropped(frozen):
    code, output, report = fuse(frozen, "--on-freeze", "drop")
    assert code == 0
    assert "stands still for 10 frames, first at 0.24 s: left out" in output
    assert [(freeze["first"], freeze["last"]) for freeze in report["inputs"]["frozen"]] == [(6, 15)]
    assert report["frames"] == {"read": 10, "fused": 10, "written": 10}
    assert any("stands still for 10 frames" in warning for warning in report["warnings"])
    times = probe(frozen / "out.mkv").times
    assert times == pytest.approx([k / 25 for k in range(20) if k not in range(6, 16)], abs=1e-3)


def test_the_range_reaches_the_pixels(frozen):
    means = {}
    for span in ("auto", "full", "7000:8000"):
        code, _, report = fuse(frozen, "--range", span)
        assert code == 0
        with read_frames(probe(frozen / "out.mkv"), grey=True) as frames:
            means[span] = float(next(frames).pixels.mean())
        if span == "7000:8000":
            assert report["inputs"]["thermal"]["low"] == pytest.approx(7000 / 65535, abs=1e-6)
    assert means["full"] < means["auto"] - 0.05
    assert means["full"] < means["7000:8000"] - 0.05


@pytest.mark.parametrize("wrong", [("--range", "9:x"), ("--range", "9:3"), ("--palette", "mauve")])
def test_nonsense_is_a_usage_error(frozen, wrong):
    code, output, _ = fuse(frozen, *wrong)
    assert code == 2
    assert "Traceback" not in output
