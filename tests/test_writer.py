"""The writer: every frame, time, colour and sound arrives, and the file is whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from vfuse.errors import OutputError, UsageError
from vfuse.io.writer import WriteOptions, check_output, output_kind, write_video

W, H, FPS = 64, 48, Fraction(25)


def write(out, frames, *, times=None, fps=FPS, size=(W, H), options=None, **more):
    with write_video(Path(out), width=size[0], height=size[1], fps=fps, options=options, **more) as sink:
        for index, frame in enumerate(frames):
            sink.write(frame, time=times[index] if times else float(index / fps))
    return sink


def numbered(count, size=(W, H)):
    """Grey frames that tell their own number."""
    return [torch.full((3, size[1], size[0]), 0.1 + 0.8 * index / count) for index in range(count)]


def read(path):
    """(T, H, W, 3) uint8 RGB and the times in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    pictures = [
        frame.to_ndarray(format="rgb24", src_colorspace="itu709", dst_colorspace="itu709") for frame in frames
    ]
    return np.stack(pictures), [float(frame.pts * frame.time_base) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".nut"])
def test_every_frame_arrives_once_in_order(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    sink = write(out, numbered(30), num_frames=30)
    pixels, times = read(out)
    wanted = np.array([25.5 + 204 * index / 30 for index in range(30)])
    assert sink.count == len(pixels) == 30
    assert np.abs(pixels.mean(axis=(1, 2, 3)) - wanted).max() < 2  # neighbours are 6.8 apart
    assert times == pytest.approx([index / 25 for index in range(30)], abs=6e-4)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 40, 90), (17, 130, 240), (128, 128, 128)]
)
@pytest.mark.parametrize("options", [{}, {"pix_fmt": "yuv420p10le"}, {"codec": "mpeg4"}, {"codec": "ffv1"}])
def test_constant_colour_survives_within_two_levels(tmp_path, colour, options):
    out = tmp_path / "out.mkv"
    frame = (torch.tensor(colour) / 255).view(3, 1, 1).expand(3, H, W)
    write(out, [frame] * 3, options=WriteOptions(**options))
    assert np.abs(read(out)[0].astype(int) - np.array(colour)).max() <= 2


def test_avi_has_no_tags_and_gets_the_matrix_that_readers_assume(tmp_path):
    frame = (torch.tensor((200, 40, 90)) / 255).view(3, 1, 1).expand(3, H, W)
    write(tmp_path / "out.avi", [frame] * 2)
    with av.open(str(tmp_path / "out.avi")) as container:
        got = next(container.decode(video=0)).to_ndarray(format="rgb24", src_colorspace="itu601")
    assert np.abs(got.astype(int) - (200, 40, 90)).max() <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_colour_is_tagged_bt709_limited(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    write(out, numbered(3))
    with av.open(str(out)) as container:
        frame = next(container.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)


def test_variable_frame_times_are_exact(tmp_path):
    times = [0.0, 0.04, 0.0859375, 0.1171875, 0.234375, 0.2421875, 0.390625, 0.703125]
    write(tmp_path / "out.mp4", numbered(8), times=times)
    assert read(tmp_path / "out.mp4")[1] == pytest.approx(times, abs=1e-5)
    write(tmp_path / "out.mkv", numbered(8), times=times)
    assert read(tmp_path / "out.mkv")[1] == pytest.approx(times, abs=5.1e-4)
    with pytest.raises(OutputError, match="variable frame rate"):
        write(tmp_path / "out.avi", numbered(8), times=[time * 2 for time in times])


@pytest.mark.parametrize(
    "fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15, 2), Fraction(19001, 317)]
)
def test_odd_rates_are_exact(tmp_path, fps):
    write(tmp_path / "out.mp4", numbered(20), fps=fps)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(float(fps), rel=1e-5)
    assert read(tmp_path / "out.mp4")[1] == pytest.approx([float(n / fps) for n in range(20)], abs=1e-5)


def test_late_first_frame_stays_late(tmp_path):
    write(tmp_path / "out.mp4", numbered(3), times=[0.5, 0.54, 0.58])
    assert read(tmp_path / "out.mp4")[1] == pytest.approx([0.5, 0.54, 0.58], abs=1e-5)


def test_time_that_stands_still_is_refused(tmp_path):
    with pytest.raises(OutputError, match="does not follow"):
        write(tmp_path / "out.mp4", numbered(2), times=[0.04, 0.04])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(65, 47), (64, 47), (17, 16), (2, 2), (1, 1)])
def test_odd_sizes_lose_no_pixel(tmp_path, size):
    write(tmp_path / "out.mp4", numbered(2, size), size=size)
    assert read(tmp_path / "out.mp4")[0].shape[1:3] == (size[1], size[0])


def test_ten_bits_do_not_pass_eight(tmp_path):
    ramp = torch.linspace(0.2, 0.3, W).expand(3, H, W)  # 26 levels of 8 bits, 88 of 10
    options = WriteOptions(codec="ffv1", pix_fmt="yuv444p10le")
    write(tmp_path / "out.mkv", [ramp], options=options)
    with av.open(str(tmp_path / "out.mkv")) as container:
        luma = np.frombuffer(memoryview(next(container.decode(video=0)).planes[0]), np.uint16)[:W]
    assert len(np.unique(luma)) > 60


def test_grey_frames(tmp_path):
    write(tmp_path / "out.mp4", [torch.full((1, H, W), 0.6)] * 3)
    assert np.abs(read(tmp_path / "out.mp4")[0].astype(int) - 153).max() <= 2


def test_lossless_codec_keeps_every_level(tmp_path):
    levels = torch.arange(W * H * 3).remainder(256).view(3, H, W)
    write(tmp_path / "out.mkv", [levels / 255], options=WriteOptions(codec="ffv1"))
    with av.open(str(tmp_path / "out.mkv")) as container:
        got = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert (torch.from_numpy(got).permute(2, 0, 1) == levels).all()


def test_values_outside_are_clipped(tmp_path):
    frame = torch.stack([torch.full((H, W), value) for value in (-0.4, 0.5, 1.7)])
    write(tmp_path / "out.png", [frame])
    assert cv2.imread(str(tmp_path / "out.png"))[0, 0].tolist() == [255, 128, 0]


# Images


def test_image_folder_and_pattern(tmp_path):
    write(tmp_path / "frames", numbered(4))
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"{n:05d}.png" for n in range(4)]
    write(tmp_path / "other" / "f%03d.jpg", numbered(4))
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == [f"f{n:03d}.jpg" for n in range(4)]
    got = [cv2.imread(str(tmp_path / "frames" / f"{n:05d}.png")).mean() for n in range(4)]
    assert got == pytest.approx([25.5 + 51 * n for n in range(4)], abs=0.51)


def test_sixteen_bit_png(tmp_path):
    frame = torch.linspace(0, 1, W).expand(3, H, W)
    write(tmp_path / "out.png", [frame], options=WriteOptions(pix_fmt="rgb48le"))
    got = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert got.dtype == np.uint16
    assert np.abs(got[0, :, 1] / 65535 - frame[1, 0].numpy()).max() < 1e-5


def test_one_image_holds_one_frame(tmp_path):
    with pytest.raises(OutputError, match="several frames"):
        write(tmp_path / "out.png", numbered(2))
    assert not list(tmp_path.iterdir())


def test_folder_is_replaced_only_when_it_holds_numbered_images(tmp_path):
    write(tmp_path / "frames", numbered(4))
    with pytest.raises(OutputError, match="not empty"):
        write(tmp_path / "frames", numbered(2))
    write(tmp_path / "frames", numbered(2), options=WriteOptions(overwrite=True))
    assert len(list((tmp_path / "frames").iterdir())) == 2
    (tmp_path / "frames" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="other files"):
        write(tmp_path / "frames", numbered(2), options=WriteOptions(overwrite=True))
    assert (tmp_path / "frames" / "thesis.txt").read_text() == "years of work"


def test_kinds():
    names = {
        "a.mp4": "video",
        "a.MKV": "video",
        "frames": "folder",
        "f/%05d.png": "pattern",
        "a.png": "image",
    }
    assert {name: output_kind(Path(name)) for name in names} == names
    with pytest.raises(UsageError, match=r"\.mp4"):
        output_kind(Path("a.mp5"))


# Whole or absent


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("name", ["out.mp4", "frames", "out.png"])
def test_stopping_leaves_nothing(tmp_path, stop, name):
    def frames():
        yield numbered(1)[0]
        raise stop

    with pytest.raises(stop):
        write(tmp_path / name, frames())
    assert not list(tmp_path.iterdir())


def test_failure_keeps_the_old_file(tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="3 frames instead of 4"):
        write(out, numbered(3), num_frames=4, options=WriteOptions(overwrite=True))
    assert out.read_bytes() == b"precious"
    write(out, numbered(3), options=WriteOptions(overwrite=True))
    assert len(read(out)[0]) == 3


def test_no_frame_is_an_error(tmp_path):
    with pytest.raises(OutputError):
        write(tmp_path / "out.mp4", [])
    assert not list(tmp_path.iterdir())


_WRITE_FOREVER = """
import sys, torch
from fractions import Fraction
from pathlib import Path
from vfuse.io.writer import write_video
with write_video(Path(sys.argv[1]), width=64, height=48, fps=Fraction(25)) as sink:
    for n in range(10**9):
        sink.write(torch.rand(3, 48, 64), time=n / 25)
        if n == 200:
            print("running", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_kill_leaves_the_target_absent_and_the_next_run_cleans_up(tmp_path):
    out = tmp_path / "out.mp4"
    arguments = [sys.executable, "-c", _WRITE_FOREVER, str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"running\n"
        assert len(list(tmp_path.iterdir())) == 1
        write(tmp_path / "out.mkv", numbered(2))
        with write_video(
            out, width=W, height=H, fps=FPS
        ) as sink:  # a second writer leaves the living one alone
            assert len([path for path in tmp_path.iterdir() if path.name.endswith(".part.mp4")]) == 2
            sink.write(numbered(1)[0], time=0.0)
        out.unlink()
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    assert len(list(tmp_path.glob(".*"))) == 1
    write(out, numbered(5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "out.mp4"]
    assert len(read(out)[0]) == 5


_WRITE_LIMITED = """
import resource, sys, torch
from fractions import Fraction
from pathlib import Path
from vfuse.errors import OutputError
from vfuse.io.writer import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with write_video(Path(sys.argv[1]), width=320, height=240, fps=Fraction(25)) as sink:
        for n in range(400):
            sink.write(torch.rand(3, 240, 320), time=n / 25)
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are of POSIX")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "frames"])
def test_full_disk_is_an_output_error(tmp_path, name):
    done = subprocess.run(
        [sys.executable, "-c", _WRITE_LIMITED, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path / name))
    assert "too large" in done.stdout
    assert not list(tmp_path.iterdir())


def test_dead_encoder_is_an_output_error(tmp_path, monkeypatch):
    script = tmp_path / "ffmpeg"
    from vfuse.io import ffmpeg

    real = ffmpeg.binary()
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *pipe:0*) echo "boom: out of magic" >&2; exit 3;; esac\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "binary", lambda: str(script))
    (tmp_path / "sub").mkdir()
    with pytest.raises(OutputError, match="boom: out of magic"):
        write(tmp_path / "sub" / "out.mp4", numbered(40, (640, 480)), size=(640, 480))
    assert not list((tmp_path / "sub").iterdir())


# Refused before any work


def test_existing_output_is_kept(tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"x")
    with pytest.raises(OutputError, match="-y"):
        check_output(out, overwrite=False)
    check_output(out, overwrite=True)


def test_output_that_is_an_input(tmp_path):
    source = tmp_path / "in.mp4"
    source.write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    for name in ("in.mp4", "link.mp4", "hard.mp4", "../" + tmp_path.name + "/in.mp4"):
        with pytest.raises(OutputError, match="is an input"):
            check_output(tmp_path / name, inputs=(source,), overwrite=True)


def test_bad_places(tmp_path):
    (tmp_path / "dir.mp4").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, why in {
        "none/out.mp4": "does not exist",
        "dir.mp4": "is a folder",
        "file/out.mp4": "is not a folder",
        "file": "is not a folder",
        "pipe.mp4": "not a regular file",
    }.items():
        with pytest.raises(OutputError, match=why):
            check_output(tmp_path / name, overwrite=True)
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(OutputError, match="not writable"):
            check_output(tmp_path / "locked" / "out.mp4", overwrite=True)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"codec": "libx256"}, "libx26[45]"),
        ({"pix_fmt": "yuv42p"}, "yuv42[02]p"),
        ({"crf": 99}, "0 to 51"),
        ({"codec": "mpeg4", "crf": 20}, "no constant rate factor"),
        ({"encoder_opts": (("presett", "fast"),)}, "presett"),
        ({"encoder_opts": (("preset", "quick"),)}, "quick"),
        ({"codec": "libvpx-vp9", "pix_fmt": "yuvj420p"}, "no pixel format"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, why):
    with pytest.raises(UsageError, match=why):
        write(tmp_path / "out.mp4", numbered(1), options=WriteOptions(**options))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["-y.mp4", "a b'c\".mp4", "50%d.mp4", "ünïcode 夜.mp4", "concat:x|y.mp4", "x" * 245 + ".mp4"]
)
def test_hostile_names(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path(name), numbered(3))
    assert len(read(f"file:{name}")[0]) == 3
    assert len(list(tmp_path.iterdir())) == 1


# Sound and the rest


def clicks(path):
    """Times of the clicks in seconds on the picture's clock."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    rate = frames[0].sample_rate
    loud = []
    for frame in frames:
        data = frame.to_ndarray().astype(np.float64)
        samples = np.abs(data).max(axis=0) if len(data) > 1 else np.abs(data[0])
        loud.append((float(frame.pts * frame.time_base) + np.arange(len(samples)) / rate, samples))
    times, samples = np.concatenate([t for t, _ in loud]), np.concatenate([s for _, s in loud])
    hits = times[samples > 0.3 * samples.max()]
    return [round(t, 3) for t, before in zip(hits, [-1, *hits[:-1]], strict=True) if t - before > 0.1]


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    """Four seconds, a click at every half second but the first."""
    path = tmp_path_factory.mktemp("sound") / "clicks.wav"
    time = np.arange(4 * 48000) / 48000
    sound = np.where((time % 0.5 < 0.004) & (time > 0.4), np.sin(2 * np.pi * 2000 * time), 0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes((sound * 30000).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module", params=[".mp4", ".mkv", ".mov", ".webm"])
def spoken(request, wav, tmp_path_factory):
    """A film with clicks, two subtitles, two chapters and a title."""
    folder = tmp_path_factory.mktemp("spoken")
    picture = folder / f"plain{request.param}"
    write(picture, numbered(100), copy_from=wav)
    assert clicks(picture) == pytest.approx([0.5 * n for n in range(1, 8)], abs=2e-3)
    text, meta = folder / "a.srt", folder / "a.txt"
    text.write_text("1\n00:00:01,000 --> 00:00:01,200\none\n\n2\n00:00:03,000 --> 00:00:03,500\nthree\n")
    marks = "".join(f"[CHAPTER]\nTIMEBASE=1/1\nSTART={n}\nEND={n + 2}\ntitle=part {n}\n" for n in (0, 2))
    meta.write_text(f";FFMETADATA1\ntitle=Night ride\n{marks}")
    import ffmpeg as compose

    from vfuse.io import ffmpeg

    film = compose.input(str(picture))
    node = compose.output(
        film["v"],
        film["a"],
        compose.input(str(text))["s"],
        str(folder / f"film{request.param}"),
        **{
            "c:v": "copy",
            "c:a": "copy",
            "c:s": {".mkv": "srt", ".webm": "webvtt"}.get(request.param, "mov_text"),
            "map_metadata": 2,
            "map_chapters": 2,
        },
    ).global_args("-f", "ffmetadata", "-i", str(meta))
    command = compose.compile(node, cmd=ffmpeg.binary())
    # ffmpeg-python puts global arguments last; inputs must come before the output
    cut = command.index("-map")
    extra = command[command.index("ffmetadata") - 1 :]
    command = command[:cut] + extra + command[cut : len(command) - len(extra)]
    subprocess.run([*command, "-loglevel", "error"], check=True)
    return folder / f"film{request.param}"


def subtitles(path):
    with av.open(str(path)) as container:
        return [
            (
                round(float(packet.pts * packet.time_base), 2),
                bytes(packet).decode(errors="ignore").strip("\0\x03\x05"),
            )
            for packet in container.demux(subtitles=0)
            if packet.pts is not None and packet.size > 2
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_everything_travels(tmp_path, spoken, suffix):
    out = tmp_path / f"out{suffix}"
    sink = write(out, numbered(100), copy_from=spoken)
    assert sink.dropped == ()
    assert clicks(out) == pytest.approx([0.5 * n for n in range(1, 8)], abs=0.02)
    assert [time for time, _ in subtitles(out)] == [1.0, 3.0]
    assert ["one" in text or "three" in text for _, text in subtitles(out)] == [True, True]
    pixels, times = read(out)
    assert (len(pixels), times[0]) == (100, 0.0)
    with av.open(str(out)) as container:
        metadata = {key.lower(): value for key, value in container.metadata.items()}
        assert metadata["title"] == "Night ride"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["part 0", "part 2"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_stays_in_step_when_cut(tmp_path, spoken, suffix):
    out = tmp_path / f"out{suffix}"
    write(out, numbered(45), copy_from=spoken, start=1.32, end=3.12)
    assert clicks(out) == pytest.approx([0.18, 0.68, 1.18, 1.68], abs=0.02)
    assert [time for time, _ in subtitles(out)] == [1.68]
    assert read(out)[1] == pytest.approx([n / 25 for n in range(45)], abs=6e-4)
    with av.open(str(out)) as container:
        last = max(
            packet.pts + packet.duration for packet in container.demux(audio=0) if packet.pts is not None
        )
        assert float(last * container.streams.audio[0].time_base) == pytest.approx(1.8, abs=0.06)


def test_copied_sound_is_bit_exact(tmp_path, wav):
    write(tmp_path / "a.mp4", numbered(100), copy_from=wav)
    write(tmp_path / "b.mkv", numbered(100), copy_from=tmp_path / "a.mp4")

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    one, two = packets(tmp_path / "a.mp4"), packets(tmp_path / "b.mkv")
    assert one[1:] == two[-len(one) + 1 :]  # the priming packet may go


def test_no_audio(tmp_path, spoken):
    write(tmp_path / "out.mkv", numbered(10), copy_from=spoken, options=WriteOptions(keep_audio=False))
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert not container.streams.audio
        assert len(container.streams.subtitles) == 1


def test_tracks_without_a_place_are_reported(tmp_path, spoken):
    sink = write(tmp_path / "out.avi", numbered(100), copy_from=spoken)
    assert len(sink.dropped) == 1
    assert "subtitle" in sink.dropped[0]
    assert clicks(tmp_path / "out.avi") == pytest.approx([0.5 * n for n in range(1, 8)], abs=0.02)
