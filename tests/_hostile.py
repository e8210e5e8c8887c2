"""How to make hostile inputs of every kind from a tiny rendered film, and how each must end."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
from _media import ramp, write_images, write_video

FRAMES = 20
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Kind:
    """One hostile input: how to make it, the exit codes that are right, and its frames when it is fused."""

    make: Make
    codes: tuple[int, ...]
    frames: int | None = None
    size: tuple[int, int] = (64, 48)


def h264(path: Path, count: int = FRAMES, *, noise: bool = False, **options) -> Path:
    frames = ramp(count, grey=False)
    if noise:
        frames = list(np.random.default_rng(0).integers(0, 255, (count, 48, 64, 3), np.uint8))
    return write_video(path, frames, **{"codec": "libx264", "pix_fmt": "yuv420p", **options})


def cut(tenth: int, suffix: str = ".mp4", **options) -> Make:
    def make(folder: Path) -> Path:
        path = h264(folder / f"ir{suffix}", noise=True, **options)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * tenth // 10])
        return path

    return make


def flipped(seed: int) -> Make:
    def make(folder: Path) -> Path:
        path = h264(folder / "ir.mp4", noise=True)
        rng, data = np.random.default_rng(seed), bytearray(path.read_bytes())
        for place in rng.integers(0, len(data), 8):
            data[place] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        return path

    return make


def ffv1_flipped(folder: Path) -> Path:
    path = write_video(folder / "ir.mkv", ramp(FRAMES, bits=16), pix_fmt="gray16le")
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][7]
    data = bytearray(path.read_bytes())
    data[data.index(bytes(packet)) + packet.size // 2] ^= 1
    path.write_bytes(data)
    return path


def stamped(pts: Callable[[int], int], suffix: str = ".nut") -> Make:
    return lambda folder: write_video(
        folder / f"ir{suffix}",
        ramp(FRAMES),
        pts=[pts(index) for index in range(FRAMES)],
        time_base=Fraction(1, 1000),
    )


def encoded(suffix: str, codec: str, pix_fmt: str, *, bits: int = 8, grey: bool = False, **options) -> Make:
    size = options.pop("size", (64, 48))
    count = options.pop("count", FRAMES)
    return lambda folder: write_video(
        folder / f"ir{suffix}",
        ramp(count, *size, bits=bits, grey=grey),
        codec=codec,
        pix_fmt=pix_fmt,
        **options,
    )


def raw_bytes(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def images(spoil: Callable[[Path], None]) -> Make:
    def make(folder: Path) -> Path:
        spoil(write_images(folder / "ir", ramp(FRAMES)))
        return folder / "ir"

    return make


def wrong_header(folder: Path) -> Path:
    path = h264(folder / "ir.mp4")
    path.write_bytes(b"RIFF\x00\x00\x00\x00AVI " + path.read_bytes()[12:])
    return path


def renamed(folder: Path) -> Path:
    return h264(folder / "x.mkv").rename(folder / "ir.mp4")


def resized(folder: Path) -> Path:
    """Two raw H.264 films of different size, one after the other."""
    a = write_video(folder / "a.h264", ramp(10, grey=False), codec="libx264", pix_fmt="yuv420p")
    b = write_video(folder / "b.h264", ramp(10, 96, 80, grey=False), codec="libx264", pix_fmt="yuv420p")
    (folder / "ir.h264").write_bytes(a.read_bytes() + b.read_bytes())
    return folder / "ir.h264"


def picture(suffix: str, *, animated: bool) -> Make:
    def make(folder: Path) -> Path:
        frames = cv2.Animation() if animated else None
        path = folder / f"ir{suffix}"
        if frames is None:
            cv2.imwrite(str(path), ramp(1)[0])
        else:
            frames.frames = [np.ascontiguousarray(image[..., ::-1]) for image in ramp(FRAMES, grey=False)]
            frames.durations = [40] * FRAMES
            cv2.imwriteanimation(str(path), frames)
        return path

    return make


def gif(folder: Path) -> Path:
    with av.open(str(folder / "ir.gif"), "w") as out:
        stream = out.add_stream("gif", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
        for index, image in enumerate(ramp(FRAMES, grey=False)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="rgb8")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return folder / "ir.gif"


def special(create: Callable[[Path], object], name: str = "ir.mkv") -> Make:
    def make(folder: Path) -> Path:
        create(folder / name)
        return folder / name

    return make


def forbidden(folder: Path) -> Path:
    path = h264(folder / "ir.mp4")
    path.chmod(0)
    return path


def with_sound_only(folder: Path) -> Path:
    source = h264(folder / "av.mkv", audio_seconds=0.5)
    with av.open(str(source)) as opened, av.open(str(folder / "ir.mp4"), "w") as out:
        sound = out.add_stream_from_template(opened.streams.audio[0])
        for packet in opened.demux(audio=0):
            if packet.size:
                packet.stream = sound
                out.mux(packet)
    return folder / "ir.mp4"


def two_videos(folder: Path) -> Path:
    small = write_video(folder / "s.mkv", ramp(9, 32, 32))
    large = write_video(folder / "l.mkv", ramp(FRAMES))
    with av.open(str(folder / "ir.mkv"), "w") as out:
        films = [av.open(str(small)), av.open(str(large))]
        copies = [out.add_stream_from_template(film.streams.video[0]) for film in films]
        for film, copy in zip(films, copies, strict=True):
            for packet in film.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
            film.close()
    return folder / "ir.mkv"


def no_duration(folder: Path) -> Path:
    """Matroska written to a pipe: no duration, no index, no frame count."""
    buffer = io.BytesIO()
    sink = type("Sink", (), {"write": buffer.write, "name": "pipe.mkv"})()
    with av.open(sink, "w", format="matroska") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        for index, image in enumerate(ramp(FRAMES)):
            frame = av.VideoFrame.from_ndarray(image, "gray")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    (folder / "ir.mkv").write_bytes(buffer.getvalue())
    return folder / "ir.mkv"


def no_index(folder: Path) -> Path:
    """An AVI whose list of frames is missing, as after a crash of the recorder."""
    path = write_video(folder / "ir.avi", ramp(FRAMES, grey=False), codec="mjpeg", pix_fmt="yuvj420p")
    path.write_bytes(path.read_bytes().replace(b"idx1", b"JUNK"))
    return path


def remuxed(suffix: str, other: str, content: bytes, *arguments: str) -> Make:
    """A film with a second file muxed beside it, by ffmpeg."""

    def make(folder: Path) -> Path:
        film, beside, out = h264(folder / "film.mp4"), folder / f"beside{other}", folder / f"ir{suffix}"
        beside.write_bytes(content)
        kind = ("-f", "data") if other == ".bin" else ()
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(film), *kind, "-i", str(beside)]
        subprocess.run([*command, "-map", "0", "-map", "1", "-c", "copy", *arguments, str(out)], check=True)
        return out

    return make


def _gap(folder: Path) -> None:
    (folder / "0007.png").rename(folder / "0100.png")


def _mixed(folder: Path) -> None:
    cv2.imwrite(str(folder / "0007.png"), ramp(1, 32, 32)[0])


def _stranger(folder: Path) -> None:
    (folder / "0007.png").write_text("not an image")


def _beside(folder: Path) -> None:
    (folder / "notes.txt").write_text("left here by someone")
    (folder / "._0000.png").write_bytes(b"a file of another system")


SUBTITLES = b"1\n00:00:00,100 --> 00:00:00,500\nA line of text\n"
COVER = cv2.imencode(".png", np.full((400, 400, 3), 90, np.uint8))[1]
OK, UNREADABLE, NO_PAIR = (0,), (3,), (4,)
KINDS: dict[str, Kind] = {
    **{f"mp4-cut-at-{k}0%": Kind(cut(k), UNREADABLE) for k in range(1, 10)},
    **{f"mkv-cut-at-{k}0%": Kind(cut(k, ".mkv"), UNREADABLE) for k in (1, 5, 9)},
    **{f"faststart-cut-at-{k}0%": Kind(cut(k, movflags="faststart"), UNREADABLE) for k in (3, 6, 9)},
    **{f"flipped-bytes-{k}": Kind(flipped(k), (0, 3, 4)) for k in range(6)},
    "ffv1-flipped-byte": Kind(ffv1_flipped, UNREADABLE),
    "wrong-header": Kind(wrong_header, UNREADABLE),
    "wrong-suffix": Kind(renamed, OK, FRAMES),
    "no-index-no-duration": Kind(no_duration, OK, FRAMES),
    "timestamps-negative": Kind(stamped(lambda k: 40 * k - 400), OK, FRAMES),
    "timestamps-late": Kind(stamped(lambda k: 40 * k + 90_000), OK, FRAMES),
    "timestamps-repeated": Kind(stamped(lambda k: 40 * (k // 2), ".mkv"), (0, 3), FRAMES),
    "timestamps-jumping": Kind(stamped(lambda k: 40 * k + 9000 * (k > 9)), NO_PAIR),
    "size-changes": Kind(resized, (3, 4)),
    "one-frame": Kind(encoded(".mp4", "libx264", "yuv420p", count=1), OK, 1),
    "400-8-bit": Kind(encoded(".mkv", "ffv1", "gray", grey=True), OK, FRAMES),
    "400-10-bit": Kind(encoded(".mkv", "ffv1", "gray10le", bits=16, grey=True), OK, FRAMES),
    "400-16-bit": Kind(encoded(".mkv", "ffv1", "gray16le", bits=16, grey=True), OK, FRAMES),
    "444": Kind(encoded(".mp4", "libx264", "yuv444p"), OK, FRAMES),
    "10-bit-hevc": Kind(encoded(".mp4", "libx265", "yuv420p10le"), OK, FRAMES),
    "hdr-tags": Kind(encoded(".mkv", "ffv1", "yuv420p10le", colour=(9, 1)), OK, FRAMES),
    "hdr-pq": Kind(
        encoded(".mkv", "libx265", "yuv420p10le", bits=16, colour=(9, 1), light=(16, 9)), OK, FRAMES
    ),
    "hdr-hlg": Kind(
        encoded(".mov", "libx265", "yuv420p10le", bits=16, colour=(9, 1), light=(18, 9)), OK, FRAMES
    ),
    "alpha": Kind(encoded(".mkv", "ffv1", "bgra"), OK, FRAMES),
    "odd-size": Kind(encoded(".mkv", "ffv1", "gray", grey=True, size=(65, 47)), OK, FRAMES, size=(65, 47)),
    "16x16": Kind(encoded(".mkv", "ffv1", "gray", grey=True, size=(16, 16)), OK, FRAMES, size=(16, 16)),
    "8192x8192": Kind(encoded(".mkv", "ffv1", "gray", grey=True, size=(8192, 8192), count=1), NO_PAIR),
    **{
        f"rotated-{turn}": Kind(encoded(".mp4", "libx264", "yuv420p", rotate=turn, size=size), OK, FRAMES)
        for turn, size in ((90, (48, 64)), (180, (64, 48)), (270, (48, 64)))
    },
    "mirrored": Kind(encoded(".mp4", "libx264", "yuv420p", rotate=0, hflip=True), OK, FRAMES),
    "with-sound": Kind(encoded(".mp4", "libx264", "yuv420p", audio_seconds=0.8), OK, FRAMES),
    "sound-only": Kind(with_sound_only, UNREADABLE),
    "two-videos": Kind(two_videos, OK, FRAMES),
    "subtitles": Kind(remuxed(".mp4", ".srt", SUBTITLES, "-c:s", "mov_text"), OK, FRAMES),
    "data-stream": Kind(remuxed(".ts", ".bin", bytes(999)), OK, FRAMES),
    "attached-picture": Kind(
        remuxed(".mp4", ".png", COVER.tobytes(), "-disposition:v:1", "attached_pic"), OK, FRAMES
    ),
    "raw-h264": Kind(encoded(".h264", "libx264", "yuv420p"), OK, FRAMES),
    "mjpeg-avi": Kind(encoded(".avi", "mjpeg", "yuvj420p"), OK, FRAMES),
    "avi-without-index": Kind(no_index, OK, FRAMES),
    "interlaced": Kind(
        encoded(".mp4", "libx264", "yuv420p", options={"x264-params": "interlaced=1"}), OK, FRAMES
    ),
    "mpeg-ts": Kind(encoded(".ts", "libx264", "yuv420p"), OK, FRAMES),
    "animated-gif": Kind(gif, OK, FRAMES),
    "animated-webp": Kind(picture(".webp", animated=True), (0, 3, 4)),
    "one-image": Kind(picture(".png", animated=False), OK, 1),
    "images-with-a-gap": Kind(images(_gap), OK, FRAMES),
    "images-of-mixed-size": Kind(images(_mixed), UNREADABLE),
    "images-and-a-text": Kind(images(_stranger), UNREADABLE),
    "images-and-other-files": Kind(images(_beside), OK, FRAMES),
    "empty-folder": Kind(special(Path.mkdir, "ir"), UNREADABLE),
    "missing": Kind(lambda folder: folder / "missing.mp4", UNREADABLE),
    "empty-file": Kind(raw_bytes("ir.mp4", b""), UNREADABLE),
    "one-byte": Kind(raw_bytes("ir.mp4", b"\0"), UNREADABLE),
    "noise": Kind(raw_bytes("ir.mkv", np.random.default_rng(0).bytes(50_000)), UNREADABLE),
    "text": Kind(raw_bytes("ir.mp4", b"This is not a video.\n" * 99), UNREADABLE),
    "playlist": Kind(raw_bytes("ir.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), UNREADABLE),
    "link-loop": Kind(special(lambda path: path.symlink_to(path)), UNREADABLE),
    "dangling-link": Kind(special(lambda path: path.symlink_to("nowhere")), UNREADABLE),
    "fifo": Kind(special(os.mkfifo), UNREADABLE),
    "device": Kind(lambda _: Path("/dev/zero"), UNREADABLE),
    "no-permission": Kind(forbidden, UNREADABLE if os.geteuid() else OK),
}
FAST = (
    "mp4-cut-at-50%", "mkv-cut-at-90%", "flipped-bytes-0", "wrong-header", "no-index-no-duration",
    "timestamps-repeated", "size-changes", "one-frame", "400-16-bit", "odd-size", "rotated-90", "two-videos",
    "animated-gif", "subtitles", "data-stream", "attached-picture", "images-of-mixed-size", "fifo",
    "link-loop", "device", "ffv1-flipped-byte",
)  # fmt: skip
