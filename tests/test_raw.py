"""Raw Y16 goes in as any other infrared, and the numbers of a thermal camera come out as they went in."""

from __future__ import annotations

import json
from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from _media import ramp, write_images, write_video
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.errors import InputError
from vfuse.io.probe import probe
from vfuse.io.reader import read_range

HEIGHT, WIDTH, COUNT = 48, 64, 12
DEPTHS = {"gray": 8, "gray10le": 10, "gray12le": 12, "gray14le": 14, "gray16le": 16}
DEPTHS |= dict.fromkeys(("png", "tif", "raw"), 16)


def measured(count: int = COUNT, bits: int = 16) -> list[np.ndarray]:
    """Counts of a camera: every frame another, all values of the depth in use."""
    rng = np.random.default_rng(bits)
    return [rng.integers(0, 2**bits, (HEIGHT, WIDTH), np.uint16) for _ in range(count)]


def write_raw(path, frames):
    path.write_bytes(b"".join(frame.astype("<u2").tobytes() for frame in frames))
    return path


def stored(path) -> list[np.ndarray]:
    """What a 16-bit grey video holds, read without vfuse."""
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "ffv1"
        return [frame.to_ndarray(format="gray16le") for frame in container.decode(video=0)]


def fuse(folder, ir, *extra, vis="vis.mkv"):
    arguments = ["fuse", str(ir), str(folder / vis), "-o", str(folder / "out.mkv"), "--model", "average"]
    return CliRunner().invoke(app, [*arguments, "-y", *map(str, extra)])


@pytest.fixture
def folder(tmp_path):
    write_video(tmp_path / "vis.mkv", ramp(COUNT, grey=False), pix_fmt="bgr0", rate=30)
    return tmp_path


def test_raw_frames_are_read_in_order_and_bit_by_bit(tmp_path):
    truth = measured()
    info = probe(write_raw(tmp_path / "ir.y16", truth), raw=(WIDTH, HEIGHT))
    assert (info.width, info.height, info.num_frames, info.bit_depth) == (WIDTH, HEIGHT, COUNT, 16)
    with read_range(info, grey=True, first=3, stop=9) as frames:
        found = np.stack([(frame.pixels[0] * 65535).round().numpy() for frame in frames])
    assert np.array_equal(found, np.stack(truth[3:9]))


def test_raw_and_a_video_of_the_same_counts_fuse_to_the_same(folder):
    truth = [(7000 + frame // 64).astype(np.uint16) for frame in measured()]
    raw = write_raw(folder / "ir.raw", truth)
    video = write_video(folder / "ir.mkv", truth, pix_fmt="gray16le", rate=30)
    results = []
    for ir, extra in ((raw, ["--raw", f"{WIDTH}x{HEIGHT}"]), (video, [])):
        done = fuse(folder, ir, *extra, "--codec", "ffv1")
        assert done.exit_code == 0, done.output
        with read_range(probe(folder / "out.mkv"), grey=False, first=0, stop=COUNT) as frames:
            results.append(torch.stack([frame.pixels for frame in frames]))
    assert torch.equal(*results)
    assert results[0].std() > 0.1  # mapped to display range, not left dark
    assert probe(folder / "out.mkv").fps == 30  # raw frames follow the visible video


@pytest.mark.parametrize("lost", [1, WIDTH * HEIGHT])
def test_a_size_that_does_not_divide_the_file_is_named(folder, lost):
    ir = write_raw(folder / "ir.raw", measured())
    ir.write_bytes(ir.read_bytes()[:-lost])
    done = fuse(folder, ir, "--raw", f"{WIDTH}x{HEIGHT}")
    assert done.exit_code == 3
    assert "not a whole number" in done.output
    with pytest.raises(InputError, match="no such file"):
        probe(folder / "missing.raw", raw=(WIDTH, HEIGHT))


@pytest.mark.parametrize("wrong", ["640", "640x", "0x480", "640x480x2", "-1x5", "axb"])
def test_a_size_that_is_none_is_a_usage_error(folder, wrong):
    done = fuse(folder, write_raw(folder / "ir.raw", measured()), "--raw", wrong)
    assert done.exit_code == 2
    assert "640x512" in done.output


@pytest.mark.parametrize("pix_fmt", DEPTHS)
def test_radiometric_values_survive_frame_for_frame(folder, pix_fmt):
    bits = DEPTHS[pix_fmt]
    truth, extra = measured(bits=bits), []
    if pix_fmt in ("png", "tif"):
        ir = write_images(folder / "ir", truth, "{:03d}." + pix_fmt)
    elif pix_fmt == "raw":
        ir, extra = write_raw(folder / "ir.raw", truth), ["--raw", f"{WIDTH}x{HEIGHT}"]
    else:
        ir = folder / "ir.mkv"
        as_stored(ir, truth, pix_fmt)
    side = folder / "counts.mkv"
    done = fuse(folder, ir, *extra, "--radiometric", side, "--range", "clip")
    assert done.exit_code == 0, done.output
    assert np.array_equal(np.stack(stored(side)), np.stack(truth))
    assert probe(side).times == pytest.approx(probe(folder / "out.mkv").times, abs=1e-3)


def as_stored(path, frames, pix_fmt: str) -> None:
    """FFV1 of exactly these samples; no conversion that could scale them."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=30, options={"strict": "-2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for index, image in enumerate(frames):
            frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
            plane = frame.planes[0]
            dtype = np.dtype(np.uint8 if pix_fmt == "gray" else np.uint16)
            rows = np.zeros((HEIGHT, plane.line_size // dtype.itemsize), dtype)
            rows[:, :WIDTH] = image
            plane.update(rows.tobytes())
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_dropped_frames_are_missing_in_both_and_cuts_are_the_same(folder):
    truth = measured(20)
    truth[6:16] = [truth[5]] * 10
    ir = write_video(folder / "ir.mkv", truth, pix_fmt="gray16le")
    write_video(folder / "vis.mkv", ramp(20, grey=False), pix_fmt="bgr0")
    side, report = folder / "counts.mkv", folder / "report.json"
    done = fuse(folder, ir, "--radiometric", side, "--on-freeze", "drop", "--report", report)
    assert done.exit_code == 0, done.output
    assert np.array_equal(np.stack(stored(side)), np.stack(truth[:6] + truth[16:]))
    assert probe(side).times == pytest.approx(probe(folder / "out.mkv").times, abs=1e-3)
    assert fuse(folder, ir, "--radiometric", side, "--start", "0.2", "--frames", "3").exit_code == 0
    assert np.array_equal(np.stack(stored(side)), np.stack(truth[5:8]))
    assert json.loads(report.read_text())["outputs"]["radiometric"] == str(side)


def test_sixteen_bit_images_can_be_the_sidecar(folder):
    truth = measured()
    ir = write_video(folder / "ir.mkv", truth, pix_fmt="gray16le", rate=30)
    assert fuse(folder, ir, "--radiometric", folder / "counts").exit_code == 0
    with read_range(probe(folder / "counts"), grey=True, first=0, stop=COUNT) as frames:
        found = [(frame.pixels[0] * 65535).round().numpy() for frame in frames]
    assert np.array_equal(np.stack(found), np.stack(truth))


def test_what_has_no_counts_is_refused_before_anything_is_written(folder):
    ir = write_video(folder / "ir.mkv", ramp(COUNT, grey=False), pix_fmt="bgr0", rate=30)
    done = fuse(folder, ir, "--radiometric", folder / "counts.mkv")
    assert done.exit_code == 4
    assert "no radiometric values" in done.output
    assert not (folder / "out.mkv").exists()
    same = fuse(folder, ir, "--radiometric", folder / "out.mkv")
    assert same.exit_code == 7
    assert fuse(folder, ir, "--radiometric", ir).exit_code == 7
    assert fuse(folder, ir, "--radiometric", folder / "counts.mp4").exit_code != 0


def test_the_truth_is_not_constant():
    assert all(not np.array_equal(a, b) for a, b in pairwise(measured()))
