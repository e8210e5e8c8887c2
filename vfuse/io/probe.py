"""What a video, an image folder or a stream holds: size, exact frame count, times, colour, rotation."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from os import fspath
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vfuse.errors import InputError
from vfuse.io._container import STDIN, open_file, open_stdin, video_stream
from vfuse.io._frame import colour, light, orientation
from vfuse.io._info import UNTIMED_RATE, Stream, VideoInfo
from vfuse.io._timing import Timing, timing
from vfuse.io.images import image_files, read_image
from vfuse.io.raw import probe_raw

__all__ = ["VideoInfo", "is_same_file", "probe"]

_MAX_BIT_DEPTH = 16
_COUNTING_FORMATS = {"mov", "avi"}  # containers whose index lists every frame


def probe(source: str | Path, *, raw: tuple[int, int] | None = None) -> VideoInfo:
    """Look at a video file, an image folder, glob or single image, or standard input ("-").

    The file is read through once without decoding, so that the count and the times are exact.

    Args:
        source: its name.
        raw: width and height of the frames of a file without a header, see `vfuse.io.raw`.

    Raises:
        InputError: missing, empty, not a video, no frames, damaged, cut off, or a playlist.
    """
    name = fspath(source)
    if raw is not None:
        return probe_raw(name, size=raw)
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
        fps=UNTIMED_RATE,
        num_frames=len(files),
        counted=True,
        duration=float(len(files) / UNTIMED_RATE),
        pix_fmt={(1, 8): "gray", (1, 16): "gray16le", (3, 8): "rgb24", (3, 16): "rgb48le"}[channels, depth],
        bit_depth=depth,
        channels=channels,
        colour_matrix="grey" if channels == 1 else "rgb",
        colour_range="pc",
        times=tuple(float(k / UNTIMED_RATE) for k in range(len(files))),
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
    transfer, primaries = ("sdr", "bt709") if grey else light(frame)
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
        transfer=transfer,
        primaries=primaries,
        rotation=turn.rotation,
        has_audio="audio" in kinds,
        has_subtitles="subtitle" in kinds,
        sample_aspect=1 / aspect if turn.transpose else aspect,
        orientation=turn,
    )
