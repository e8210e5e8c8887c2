"""Uneven timestamps survive a fuse, pixels keep their shape, and a killed run leaves nothing half done."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import imageio_ffmpeg
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


@pytest.mark.parametrize(("turn", "flip"), [(0, np.fliplr), (180, np.flipud)])
def test_a_mirrored_infrared_is_fused_the_right_way_round(tmp_path, turn, flip):
    truth, options = ramp(3), {"codec": "libx264", "pix_fmt": "yuv420p"}
    vis = write_video(tmp_path / "vis.mkv", ramp(3))
    stored = [np.ascontiguousarray(flip(image)) for image in truth]
    ir = write_video(tmp_path / "ir.mp4", stored, rotate=turn, hflip=True, **options)
    done = ["fuse", str(ir), str(vis), "-o", str(tmp_path / "out.mkv"), "--model", "infrared", "-q"]
    assert CliRunner().invoke(app, [*done, "--codec", "ffv1"]).exit_code == 0
    with read_frames(probe(tmp_path / "out.mkv"), grey=True) as read:
        for frame, image in zip(read, truth, strict=True):
            assert np.abs(frame.pixels[0].numpy() - image / 255).max() <= 4 / 255


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_every_turn_and_mirroring_is_that_of_ffmpeg(tmp_path, turn, hflip):
    options = {"codec": "libx264", "pix_fmt": "yuv420p"}
    info = probe(write_video(tmp_path / "v.mp4", ramp(2), rotate=turn, hflip=hflip, **options))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", info.path, "-frames:v", "1"]
    shown = subprocess.run(
        [*command, "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, check=True
    )
    theirs = np.frombuffer(shown.stdout, np.uint8).reshape(info.height, info.width)
    with read_frames(info, grey=True) as read:
        assert np.abs(next(read).pixels[0].numpy() * 255 - theirs).max() <= 1


@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
def test_a_ten_bit_ramp_has_no_bands(tmp_path, codec):
    """Distinct levels of a smooth ramp, through the whole chain: 877 fit into limited 10 bits, 220 into 8."""
    ramps = [np.tile(np.linspace(0, 65535, 1024).round().astype(np.uint16), (32, 1))] * 2
    vis = write_video(tmp_path / "vis.mkv", [np.dstack([f] * 3) for f in ramps], pix_fmt="yuv420p10le")
    ir = write_video(tmp_path / "ir.mkv", [(f >> 8).astype(np.uint8) for f in ramps])
    out = tmp_path / "out.mkv"
    arguments = ["fuse", str(ir), str(vis), "-o", str(out), "--model", "visible", "-q", "--codec", codec]
    quality = ["--crf", "4"] if codec == "libx264" else []
    done = CliRunner().invoke(app, [*arguments, *quality, "--pix-fmt", "yuv420p10le"])
    assert done.exit_code == 0, done.output
    with av.open(str(out)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p10le"
        plane = frame.planes[0]
        rows = np.frombuffer(bytes(plane), np.uint16).reshape(32, -1)[:, :1024].astype(int)
    levels = np.unique(rows[16])
    assert len(levels) >= (860 if codec == "ffv1" else 700)
    assert np.abs(np.diff(rows[16])).max() <= (2 if codec == "ffv1" else 6)


def _with_click(path, count: int, click: float):
    """A visible video at 25 fps whose sound is silent but for a click at this second."""
    frames = ramp(count, grey=False)
    with av.open(str(path), "w") as out:
        film = out.add_stream("ffv1", rate=25)
        film.width, film.height, film.pix_fmt = 64, 48, "bgr0"
        sound = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        samples = np.zeros((1, 48000 * count // 25), np.int16)
        samples[0, round(48000 * click) : round(48000 * click) + 480] = 20000
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="bgr0")
            frame.pts = index
            out.mux(film.encode(frame))
            part = np.ascontiguousarray(samples[:, 1920 * index : 1920 * (index + 1)])
            tone = av.AudioFrame.from_ndarray(part, "s16", "mono")
            tone.sample_rate, tone.pts = 48000, 1920 * index
            out.mux(sound.encode(tone))
        out.mux(film.encode())
        out.mux(sound.encode())
    return path


def _click(path) -> float:
    """Seconds from the first picture to the click."""
    with av.open(str(path)) as container:
        loud = [
            frame.time + np.abs(frame.to_ndarray()[0]).argmax() / frame.sample_rate
            for frame in container.decode(audio=0)
            if np.abs(frame.to_ndarray().astype(float)).max() > (0.2 if frame.format.name[0] == "f" else 6000)
        ]
    with av.open(str(path)) as container:
        return loud[0] - next(container.decode(video=0)).time


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ([], 1.2),
        (["--start", "0.5", "--end", "1.6"], 0.7),
        (["--sync", "-0.4"], 0.8),  # the infrared begins 0.4 s after the visible
        (["--sync", "0.4"], 1.2),
        (["--sync", "-0.4", "--start", "0.6"], 0.6),
        (["--on-freeze", "drop"], 1.2),
    ],
)
def test_sound_stays_in_step_through_every_cut(tmp_path, extra, expected):
    vis = _with_click(tmp_path / "vis.mkv", 50, 1.2)
    frames = ramp(50)
    if "drop" in extra:
        frames[10:25] = [frames[9]] * 15
    ir = write_video(tmp_path / "ir.mkv", frames)
    fuse(ir, vis, "-o", tmp_path / "out.mkv", *extra)
    assert _click(tmp_path / "out.mkv") == pytest.approx(expected, abs=0.02)
    if "drop" in extra:
        times = [k / 25 for k in range(50) if not 10 <= k < 25]
        assert probe(tmp_path / "out.mkv").times == pytest.approx(times, abs=1e-3)


LONG = 1500  # frames, several seconds of fusing


def _complete(path) -> bool:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size) == LONG


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_target_absent_or_complete(tmp_path):
    frames = [image for _ in range(LONG // 20) for image in ramp(20, 160, 120)]
    ir, vis = (write_video(tmp_path / name, frames) for name in ("ir.mkv", "vis.mkv"))
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "out.mp4"
    command = [sys.executable, "-m", "vfuse", "fuse", str(ir), str(vis), "--model", "average", "-q"]

    def writing_begins() -> tuple[subprocess.Popen[bytes], float]:
        left_behind = set(out.parent.iterdir())  # by the run that was killed before
        run = subprocess.Popen([*command, "-o", str(out)], stdout=subprocess.DEVNULL)
        while run.poll() is None and not set(out.parent.iterdir()) - left_behind:
            time.sleep(0.01)
        return run, time.monotonic()

    run, begun = writing_begins()
    assert run.wait() == 0
    lasts = time.monotonic() - begun
    assert _complete(out)
    killed = 0
    for moment in np.random.default_rng(0).uniform(0, 1.3, 30):
        out.unlink(missing_ok=True)
        run, _ = writing_begins()
        try:
            run.wait(moment * lasts)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
        killed += not out.exists()
        assert not out.exists() or _complete(out)
    print(f"{killed} of 30 runs were killed before their output was there")  # noqa: T201 - shown with -s
    assert killed >= 5  # else the moments were wrong and the test shows nothing
