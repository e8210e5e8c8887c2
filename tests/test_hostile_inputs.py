"""Hostile names, playlists, broken and foreign files: the right result, or one line that says why not."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from _media import ramp, write_video
from av.stream import Disposition

from vfuse.errors import InputError
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames

HOSTILE_NAMES = ["with space.mkv", "it's \"quoted\".mkv", "-dash.mkv", "%d.mkv", "%04d.png.mkv", "ünï 火.mkv",
                 "concat:a|b.mkv", "file:x.mkv", "http:.mkv", "a*[b]?.mkv", "new\nline.mkv"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_are_taken_literally(tmp_path, monkeypatch, name):
    shutil.copy(write_video(tmp_path / "v.mkv", ramp(3)), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(name).num_frames == 3
    assert probe(tmp_path / name).num_frames == 3


@pytest.mark.parametrize(
    "name",
    ["concat:v.mkv", "concat:v.mkv|v.mkv", "file:v.mkv", "http://localhost/v.mkv", "data:,x", "pipe:0"],
)
def test_protocols_are_not_followed(tmp_path, monkeypatch, name):
    write_video(tmp_path / "v.mkv", ramp(3))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        probe(name)


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n",
    "hidden.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile v.ts\n",
    "hidden.mkv": "ffconcat version 1.0\nfile v.ts\n",
    "camera.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_are_refused(tmp_path, monkeypatch, name):
    write_video(tmp_path / "v.ts", ramp(3, grey=False), codec="libx264", pix_fmt="yuv420p")
    (tmp_path / name).write_text(PLAYLISTS[name])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="playlists are not followed"):
        probe(name)


def _audio_only(folder: Path) -> Path:
    path = folder / "a.mp4"
    write_video(folder / "av.mkv", ramp(2), audio_seconds=0.2)
    with av.open(str(folder / "av.mkv")) as source, av.open(str(path), "w") as out:
        sound = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = sound
                out.mux(packet)
    return path


def _without_frames(folder: Path) -> Path:
    path = folder / "none.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    return path


def _text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is not a video.\n" * 50)
    return folder / "text.mp4"


def _text_art(folder: Path) -> Path:
    (folder / "readme.txt").write_text("FFmpeg would render this as a video.\n" * 50)
    return folder / "readme.txt"


def _noise(folder: Path) -> Path:
    (folder / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(20_000))
    return folder / "noise.mkv"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo.mkv")
    return folder / "fifo.mkv"


def _link_loop(folder: Path) -> Path:
    (folder / "loop.mkv").symlink_to(folder / "loop.mkv")
    return folder / "loop.mkv"


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _text_image(folder: Path) -> Path:
    (folder / "x.png").write_text("not an image")
    return folder / "x.png"


def _float_image(folder: Path) -> Path:
    cv2.imwrite(str(folder / "f.tif"), np.ones((8, 8), np.float32))
    return folder / "f.tif"


def _many_pages(folder: Path) -> Path:
    cv2.imwritemulti(str(folder / "m.tif"), [np.ones((8, 8), np.uint16)] * 3)
    return folder / "m.tif"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "missing.mp4", "no such file"),
        (lambda folder: folder / "no\0name.mp4", "cannot be opened"),
        (_empty, "is empty"),
        (_text, "is text, not a video"),
        (_text_art, "is text, not a video"),
        (_noise, "is damaged, cut off or not a video"),
        (_audio_only, "holds only audio"),
        (_without_frames, "holds no|not a video"),
        (_empty_folder, "folder without images"),
        (_fifo, "not a regular file"),
        (_link_loop, "loop of symbolic links"),
        (_text_image, "damaged or not an image"),
        (_float_image, "float32 samples"),
        (_many_pages, "holds 3 pictures"),
    ],
)
def test_what_is_no_video_is_named_in_one_line(tmp_path, make, says):
    path = make(tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        probe(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "movflags"),
    [
        ("a.mkv", "ffv1", "gray", ""),
        ("a.mp4", "libx264", "yuv420p", ""),
        ("b.mp4", "libx264", "yuv420p", "faststart"),
    ],
)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_file_is_never_shorter_in_silence(tmp_path, name, codec, pix_fmt, movflags, tenth):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (48, 64), np.uint8) for _ in range(20)]
    path = write_video(tmp_path / name, frames, codec=codec, pix_fmt=pix_fmt, movflags=movflags)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenth // 10])
    with pytest.raises(InputError):
        probe(path)


def test_a_file_cut_between_two_frames_is_noticed(tmp_path):
    path = write_video(
        tmp_path / "v.mp4", ramp(20, grey=False), codec="libx264", pix_fmt="yuv420p", movflags="faststart"
    )
    with av.open(str(path)) as container:
        ninth = container.streams.video[0].index_entries[8].pos
    path.write_bytes(path.read_bytes()[:ninth])
    with pytest.raises(InputError, match="cut off after 8 frames; its header promises 20 frames"):
        probe(path)


def test_a_broken_image_leaves_stderr_clean(tmp_path, capfd):
    (tmp_path / "broken.tif").write_bytes(b"II*\0" + bytes(200))
    with pytest.raises(InputError, match="damaged or not an image"):
        probe(tmp_path / "broken.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("spoil", [lambda data: data[:-40], lambda data: data[:200] + b"x" + data[201:]])
def test_a_damaged_png_is_one_line_and_nothing_of_libpng(tmp_path, capfd, spoil):
    noise = np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), noise)
    whole = (tmp_path / "x.png").read_bytes()
    assert probe(tmp_path / "x.png").width == 64
    (tmp_path / "x.png").write_bytes(spoil(whole))
    with pytest.raises(InputError, match="damaged or not an image"):
        probe(tmp_path / "x.png")
    assert capfd.readouterr().err == ""


def test_frames_that_last_for_hours_have_a_rate(tmp_path):
    hours = write_video(
        tmp_path / "t.mkv", ramp(3), pts=[0, 9_000_000, 18_000_000], time_base=Fraction(1, 1000)
    )
    assert probe(hours).times == pytest.approx([0, 9000, 18000])
    assert 0 < probe(hours).fps < 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("checked", ["1", "0"])
def test_a_flipped_byte_in_ffv1_is_noticed_at_its_frame(tmp_path, seed, checked):
    rng = np.random.default_rng(seed)
    frames = list(rng.integers(0, 2**16, (6, 96, 128), np.uint16))
    options = {"level": "3", "slices": "4", "slicecrc": checked}
    path = write_video(tmp_path / "v.mkv", frames, pix_fmt="gray16le", options=options)
    with read_frames(probe(path), grey=True) as read:
        whole = [(frame.pixels[0] * 65535).round().numpy() for frame in read]
    assert np.array_equal(np.stack(whole), np.stack(frames))
    if checked == "0":
        return  # without checksums nothing but the whole file can be told
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][3]
    data = bytearray(path.read_bytes())
    inside = int(rng.integers(20, packet.size - 20))
    data[data.index(bytes(packet)) + inside] ^= int(rng.integers(1, 256))
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"frame \d is damaged"), read_frames(probe(path), grey=True) as read:
        list(read)


def _mux(path: Path, sources: list[Path], *, attached: int | None = None) -> Path:
    """Copy video files into one container, each as a stream of its own."""
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(path), "w"))
        opened = [stack.enter_context(av.open(str(source))) for source in sources]
        copies = [out.add_stream_from_template(source.streams.video[0]) for source in opened]
        if attached is not None:
            copies[attached].disposition = Disposition.attached_pic
        for source, copy in zip(opened, copies, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    return path


def test_a_cover_picture_is_not_the_video(tmp_path):
    cover = write_video(tmp_path / "c.mov", ramp(1, 400, 400, grey=False), codec="png", pix_fmt="rgb24")
    film = write_video(tmp_path / "f.mkv", ramp(5, grey=False), codec="libx264", pix_fmt="yuv420p")
    both = _mux(tmp_path / "both.mp4", [film, cover], attached=1)
    assert (probe(both).width, probe(both).num_frames) == (64, 5)
    alone = _mux(tmp_path / "alone.mp4", [cover], attached=0)
    with pytest.raises(InputError, match="holds no video"):
        probe(alone)


def test_of_two_videos_the_larger_is_taken_and_counted_alone(tmp_path):
    small = write_video(tmp_path / "s.mkv", ramp(9, 32, 32))
    large = write_video(tmp_path / "l.mkv", ramp(5, 64, 48))
    info = probe(_mux(tmp_path / "both.mkv", [small, large]))
    assert (info.width, info.height, info.num_frames) == (64, 48, 5)
    with read_frames(info, grey=True) as frames:
        assert sum(1 for _ in frames) == 5


@pytest.mark.parametrize(
    ("pts", "times"),
    [
        ([-80, -40, 0, 40], [0, 0.04, 0.08, 0.12]),
        ([1000, 1040, 1080, 1120], [0, 0.04, 0.08, 0.12]),
        ([0, 40, 9000, 9040], [0, 0.04, 9.0, 9.04]),
    ],
)
def test_negative_late_and_jumping_timestamps(tmp_path, pts, times):
    path = write_video(tmp_path / "t.nut", ramp(4), pts=pts, time_base=Fraction(1, 1000))
    info = probe(path)
    assert info.times == pytest.approx(times)
    with read_frames(info, grey=True) as frames:
        assert [frame.time for frame in frames] == pytest.approx(times)


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (4097, 3)])
def test_extreme_sizes(tmp_path, size):
    info = probe(write_video(tmp_path / "x.mkv", ramp(2, *size)))
    with read_frames(info, grey=True) as frames:
        assert [tuple(frame.pixels.shape) for frame in frames] == [(1, size[1], size[0])] * 2
