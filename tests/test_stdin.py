"""Standard input is opened once: the probe looks at its first frame and the reader goes on from there."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from _media import ramp, write_video

from vfuse.errors import InputError
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames


def _feed(monkeypatch, raw: bytes) -> None:
    """Put `raw` behind sys.stdin as an operating system pipe."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as out:
        assert len(raw) < 65536, "more than a pipe holds without a reader"
        out.write(raw)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(reader, "rb")))


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("v.mkv", "ffv1", None), ("v.nut", "ffv1", None), ("v.y4m", "wrapped_avframe", "yuv4mpegpipe")],
)
def test_every_frame_arrives_once(tmp_path, monkeypatch, name, codec, container):
    frames = ramp(12)
    path = write_video(tmp_path / name, frames, codec=codec, container=container)
    _feed(monkeypatch, path.read_bytes())
    info = probe("-")
    assert (info.kind, info.num_frames, info.width, info.height, info.fps) == ("stream", None, 64, 48, 25)
    with read_frames(info, grey=True) as stream:
        found = list(stream)
    assert [frame.time for frame in found] == pytest.approx([k / 25 for k in range(12)], abs=1e-3)
    means = [float(frame.pixels.mean()) for frame in found]
    assert means == pytest.approx([image.mean() / 255 for image in frames], abs=1e-5)
    with pytest.raises(InputError, match="only once"), read_frames(info, grey=True) as stream:
        next(stream)


def test_a_cut_of_a_stream(tmp_path, monkeypatch):
    _feed(monkeypatch, write_video(tmp_path / "v.mkv", ramp(12)).read_bytes())
    with read_frames(probe("-"), grey=True, start=0.2, end=0.4) as stream:
        assert [frame.time for frame in stream] == pytest.approx([0.2, 0.24, 0.28, 0.32, 0.36])


@pytest.mark.parametrize("content", [b"", b"hello\n" * 100, b"#EXTM3U\n#EXTINF:1,\nv.ts\n"])
def test_rubbish_is_named(monkeypatch, content):
    _feed(monkeypatch, content)
    with pytest.raises(InputError, match="standard input: holds no video") as caught:
        probe("-")
    assert "\n" not in str(caught.value)


SCRIPT = """
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames
with read_frames(probe("-"), grey=True) as frames:
    print(sum(1 for _ in frames))
"""


def test_a_process_that_pipes(tmp_path):
    path = write_video(tmp_path / "long.nut", ramp(60, 320, 240), codec="rawvideo")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdin=path.open("rb"), capture_output=True, text=True, check=False
    )
    assert (run.stdout.strip(), run.stderr) == ("60", "")
