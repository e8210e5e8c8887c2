"""What a video, an image folder or a stream holds: size, exact frame count, times, colour, rotation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from os import fspath
from pathlib import Path
from typing import Literal

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vfuse.errors import InputError
from vfuse.io._container import STDIN, open_file, open_stdin, prepare_decoder, video_stream
from vfuse.io._frame import Orientation, colour, orientation
from vfuse.io._timing import Timing, timing
from vfuse.io.images import image_files, read_image

_MAX_BIT_DEPTH = 16
_IMAGE_RATE = Fraction(25)  # what ffmpeg assumes for images; the pair's video or --fps overrides it
_COUNTING_FORMATS = {"mov", "avi"}  # containers whose index lists every frame


class Stream:
    """Standard input, opened once: the probe looks at its first frame and the reader goes on from there."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        prepare_decoder(stream)
        self._container = container
        self._frames = iter(container.decode(stream))
        self.first: VideoFrame | None = next(self._frames, None)
        self._taken = False

    def frames(self, path: str) -> Iterator[VideoFrame]:
        """All frames, the probed one included; raises InputError when asked for a second time."""
        if self._taken or self.first is None:
            raise InputError("can be read only once", where=path, todo="Use a file to read it again")
        self._taken = True
        first, self.first = self.first, None
        yield first
        yield from self._frames

    def close(self) -> None:
        self._container.close()


@dataclass(frozen=True)
class VideoInfo:
    """The raw facts of one input, found without decoding more than its first frame.

    Attributes:
        path: as given; "-" is standard input.
        kind: "video" file, "images" (folder, glob, numbered pattern, one image) or "stream" (standard input).
        container, codec: FFmpeg's names; for images "images" and the suffix.
        width, height: pixels as displayed, after rotation.
        fps: frames a second; the mean when `vfr`, 25 for images (they have no rate of their own).
        num_frames: exact count of the frames the reader delivers; None for a stream.
        counted: whether `num_frames` comes from the content rather than a header.
        duration: seconds from the first frame to the end of the last; None for a stream.
        pix_fmt: FFmpeg's name of the stored pixel format.
        bit_depth: bits of a sample, at most 16.
        channels: 1 when the stored pixels are grey, else 3; alpha does not count.
        colour_matrix: "bt709", "bt601", "bt2020", "smpte240m", "fcc"; "rgb" or "grey" when there is none.
        colour_range: "tv" (limited) or "pc" (full).
        rotation: degrees counter-clockwise that the reader turns the stored pixels by.
        has_audio, has_subtitles: whether such streams are present.
        vfr: whether the frames are spaced unevenly.
        interlaced: whether the first frame is marked as two fields.
        sample_aspect: width of a displayed pixel over its height.
        times: seconds from the first frame, one per frame; None for a stream.
        origin: timestamp of the first frame in seconds; None when timestamps are missing or unusable.
        orientation: the turn and the mirroring that the reader applies.
        files: the image files in order.
        stream: the opened standard input.
    """

    path: str
    kind: Literal["video", "images", "stream"]
    container: str
    codec: str
    width: int
    height: int
    fps: Fraction
    num_frames: int | None
    counted: bool
    duration: float | None
    pix_fmt: str
    bit_depth: int
    channels: int
    colour_matrix: str
    colour_range: Literal["tv", "pc"]
    rotation: int = 0
    has_audio: bool = False
    has_subtitles: bool = False
    vfr: bool = False
    interlaced: bool = False
    sample_aspect: Fraction = Fraction(1)
    times: tuple[float, ...] | None = field(default=None, repr=False)
    origin: float | None = field(default=None, repr=False)
    orientation: Orientation = field(default=Orientation(), repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)
    stream: Stream | None = field(default=None, repr=False, compare=False)


def probe(source: str | Path) -> VideoInfo:
    """Look at a video file, an image folder, glob or single image, or standard input ("-").

    The file is read through once without decoding, so that the count and the times are exact.

    Raises:
        InputError: missing, empty, not a video, no frames, damaged, cut off, or a playlist.
    """
    name = fspath(source)
    if name == STDIN:
        return _probe_stdin()
    files = image_files(name)
    return _probe_images(name, files) if files else _probe_file(name)


def is_same_file(a: str | Path, b: str | Path) -> bool:
    """Whether two names lead to the same existing file or folder, through links too."""
    try:
        return Path(a).samefile(Path(b))
    except (OSError, ValueError):
        return False


def _probe_file(name: str) -> VideoInfo:
    with open_file(Path(name)) as (container, stream):
        first, stamps = _scan(container, stream, name)
        rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        when = timing(stamps, time_base=stream.time_base or Fraction(1, 1000), rates=rates)
        _check_length(container, stream, when, name)
        facts = _facts(container, stream, first, name)
    duration = when.times[-1] + (_last_gap(when) if when.vfr else 1 / float(when.fps))
    return replace(
        facts,
        kind="video",
        fps=when.fps,
        num_frames=len(when.times),
        counted=True,
        duration=duration,
        vfr=when.vfr,
        times=when.times,
        origin=when.origin,
    )


def _probe_stdin() -> VideoInfo:
    name = "standard input"
    container = open_stdin()
    try:
        stream = video_stream(container, name)
        opened = Stream(container, stream)
    except FFmpegError as error:
        container.close()
        raise InputError(
            "its first frame cannot be decoded", where=name, todo="Check what is piped"
        ) from error
    if opened.first is None:
        container.close()
        raise InputError("holds no frames", where=name, todo="Check what is piped")
    facts = _facts(container, stream, opened.first, name)
    return replace(facts, path=STDIN, kind="stream", fps=stream.average_rate or facts.fps, stream=opened)


def _probe_images(name: str, files: tuple[Path, ...]) -> VideoInfo:
    pixels = read_image(files[0])
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    depth = pixels.dtype.itemsize * 8
    return VideoInfo(
        path=name,
        kind="images",
        container="images",
        codec=files[0].suffix[1:].lower(),
        width=width,
        height=height,
        fps=_IMAGE_RATE,
        num_frames=len(files),
        counted=True,
        duration=float(len(files) / _IMAGE_RATE),
        pix_fmt={(1, 8): "gray", (1, 16): "gray16le", (3, 8): "rgb24", (3, 16): "rgb48le"}[channels, depth],
        bit_depth=depth,
        channels=channels,
        colour_matrix="grey" if channels == 1 else "rgb",
        colour_range="pc",
        times=tuple(float(k / _IMAGE_RATE) for k in range(len(files))),
        files=files,
    )


def _scan(container: InputContainer, stream: VideoStream, name: str) -> tuple[VideoFrame, list[int | None]]:
    """The first decoded frame, and the timestamps of all packets that will give a frame."""
    first: VideoFrame | None = None
    stamps: list[int | None] = []
    keyed = False  # what precedes the first key frame cannot be decoded and is no frame
    stream.thread_type = "SLICE"  # frame threads would want more packets before the first frame
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise _cut_off(name, len(stamps))
            keyed = keyed or packet.is_keyframe
            if first is None and keyed:
                first = next(iter(packet.decode()), None)
            if packet.size and keyed and _is_shown(packet, stream):
                stamps.append(packet.pts)
    except (FFmpegError, OSError) as error:
        raise InputError(
            f"is damaged after frame {len(stamps)}", where=name, todo="Copy it again or repair it with ffmpeg"
        ) from error
    if first is None:
        raise InputError("holds no frame that can be decoded", where=name, todo="Record or convert it again")
    return first, stamps


def _is_shown(packet: Packet[VideoStream], stream: VideoStream) -> bool:
    if packet.is_discard:  # cut away by an edit list
        return False
    # VP8 keeps its invisible reference frames as packets: RFC 6386, 9.1, show_frame.
    return stream.codec_context.name != "vp8" or bool(memoryview(packet)[0] & 0x10)


def _check_length(container: InputContainer, stream: VideoStream, when: Timing, name: str) -> None:
    """Compare the frames that are there with what the header promises: a shortfall is a file cut off."""
    if _COUNTING_FORMATS & set(container.format.name.split(",")):
        listed = sum(entry.size > 0 and not entry.is_discard for entry in stream.index_entries)
        if len(when.times) < listed and stream.codec_context.name != "vp8":
            raise _cut_off(name, len(when.times), promised=f"{listed} frames")
    written = _tagged_duration(stream.metadata.get("DURATION", ""))
    there = when.times[-1] + 2 / float(when.fps)
    if written and when.origin is not None and written > when.origin + there + 0.01:
        raise _cut_off(name, len(when.times), promised=f"{written:.2f} s")


def _cut_off(name: str, count: int, *, promised: str = "") -> InputError:
    told = f"; its header promises {promised}" if promised else ""
    return InputError(f"is cut off after {count} frames{told}", where=name, todo="Copy or record it again")


def _tagged_duration(text: str) -> float:
    """Seconds of a Matroska DURATION tag such as 00:00:01.200000000, 0 when there is none."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _last_gap(when: Timing) -> float:
    return when.times[-1] - when.times[-2] if len(when.times) > 1 else 1 / float(when.fps)


def _facts(container: InputContainer, stream: VideoStream, frame: VideoFrame, name: str) -> VideoInfo:
    """What one decoded frame and the headers say; count and times are left open."""
    depth = max(component.bits for component in frame.format.components)
    if depth > _MAX_BIT_DEPTH:
        raise InputError(
            f"has {depth}-bit samples ({frame.format.name})",
            where=name,
            todo="Convert it to 16 bits or fewer",
        )
    turn = orientation(frame)
    width, height = (frame.height, frame.width) if turn.transpose else (frame.width, frame.height)
    grey = len(frame.format.components) <= 2 and not frame.format.has_palette
    matrix, span = colour(frame, grey=grey)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    kinds = {other.type for other in container.streams}
    return VideoInfo(
        path=name,
        kind="video",
        container=container.format.name,
        codec=stream.codec_context.name,
        width=width,
        height=height,
        fps=Fraction(25),
        num_frames=None,
        counted=False,
        duration=None,
        pix_fmt=frame.format.name,
        bit_depth=depth,
        channels=1 if grey else 3,
        colour_matrix=matrix,
        colour_range=span,
        rotation=turn.rotation,
        has_audio="audio" in kinds,
        has_subtitles="subtitle" in kinds,
        interlaced=frame.interlaced_frame,
        sample_aspect=1 / aspect if turn.transpose else aspect,
        orientation=turn,
    )
