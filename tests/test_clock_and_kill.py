"""Uneven timestamps survive a fuse, pixels keep their shape, and a killed run leaves nothing half done."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from _media import ramp, write_video
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames


def fuse(*arguments) -> int:
    done = CliRunner().invoke(app, ["fuse", *map(str, arguments), "--model", "average", "-q", "-y"])
    assert done.exit_code == 0, done.output
    return done.exit_code


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_thousand_uneven_timestamps_survive(tmp_path, suffix):
    rng = np.random.default_rng(0)
    pts = np.cumsum(rng.integers(21, 60, 1000)).tolist()
    still = ramp(4, 32, 32)
    frames = [still[index % 4] for index in range(1000)]
    options = {"pts": pts, "time_base": Fraction(1, 1000)}
    ir = write_video(tmp_path / "ir.mkv", frames, **options)
    vis = write_video(tmp_path / "vis.mkv", frames, **options)
    out = tmp_path / f"out{suffix}"
    fuse(ir, vis, "-o", out)
    info = probe(out)
    expected = [(stamp - pts[0]) / 1000 for stamp in pts]
    assert info.num_frames == 1000
    assert info.vfr
    assert max(abs(a - b) for a, b in zip(info.times, expected, strict=True)) <= 0.001


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixels_keep_their_shape(tmp_path, suffix):
    films = []
    for name in ("ir.mkv", "vis.mkv"):
        with av.open(str(tmp_path / name), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
            for index in range(3):
                frame = av.VideoFrame(64, 48, "yuv420p")
                frame.pts = index
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        films.append(tmp_path / name)
    fuse(*films, "-o", tmp_path / f"out{suffix}")
    assert probe(tmp_path / f"out{suffix}").sample_aspect == Fraction(16, 11)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_rotated_infrared_is_fused_upright(tmp_path, turn):
    upright = ramp(3)
    stored = [np.ascontiguousarray(np.rot90(image, -turn // 90)) for image in upright]
    options = {"codec": "libx264", "pix_fmt": "yuv420p"}
    fused = {}
    vis = write_video(tmp_path / "vis.mkv", upright)
    for name, frames, rotate in (("plain", upright, None), ("turned", stored, turn)):
        ir = write_video(tmp_path / f"{name}.mp4", frames, rotate=rotate, **options)
        out = tmp_path / f"{name}.mkv"
        fuse(ir, vis, "-o", out, "--codec", "ffv1")
        assert probe(out).rotation == 0
        with read_frames(probe(out), grey=True) as read:
            fused[name] = [frame.pixels for frame in read]
    for plain, turned in zip(fused["plain"], fused["turned"], strict=True):
        assert (plain - turned).abs().max() <= 2 / 255


def _complete(path) -> bool:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size) == 400


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_target_absent_or_complete(tmp_path):
    frames = [image for _ in range(20) for image in ramp(20, 160, 120)]
    ir, vis = (write_video(tmp_path / name, frames) for name in ("ir.mkv", "vis.mkv"))
    command = [sys.executable, "-m", "vfuse", "fuse", str(ir), str(vis), "--model", "average", "-q"]
    begun = time.monotonic()
    subprocess.run([*command, "-o", str(tmp_path / "whole.mp4")], check=True)
    lasts = time.monotonic() - begun
    assert _complete(tmp_path / "whole.mp4")
    rng = np.random.default_rng(0)
    for moment in rng.uniform(0.3, 1.1, 30):
        out = tmp_path / "out.mp4"
        out.unlink(missing_ok=True)
        run = subprocess.Popen([*command, "-o", str(out)])
        try:
            run.wait(moment * lasts)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
        assert not out.exists() or _complete(out)
