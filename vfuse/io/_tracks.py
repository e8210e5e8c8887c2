"""What travels with the picture: sound, subtitles, chapters and metadata of the visible source."""

# pyright: basic

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import ffmpeg
from av.error import FFmpegError

from vfuse.errors import OutputError
from vfuse.io.ffmpeg import file_url

# Sound that players expect in a container, copied as it is; Matroska and NUT welcome anything.
_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8"})
_COPIED = {
    "mp4": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "dts"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}) | _PCM,
    "webm": frozenset({"opus", "vorbis"}),
    "avi": frozenset({"mp3", "mp2", "ac3", "pcm_s16le", "pcm_u8"}),
}
# What the rest becomes. AC-3 in AVI: MP3 would start late, by a delay that AVI cannot undo.
_SOUND = {"mp4": "aac", "mov": "aac", "matroska": "flac", "webm": "libopus", "avi": "ac3", "nut": "flac"}
_TEXT = {"mp4": "mov_text", "mov": "mov_text", "matroska": "srt", "webm": "webvtt"}
_TEXT_COPIED = {
    "mp4": ("mov_text",),
    "mov": ("mov_text",),
    "webm": ("webvtt",),
    "matroska": (
        "srt",
        "subrip",
        "ass",
        "ssa",
        "webvtt",
        "hdmv_pgs_subtitle",
        "dvd_subtitle",
        "dvb_subtitle",
    ),
}
_TEXT_CODECS = ("subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text", "microdvd", "subviewer", "ttml")
# Sound from before the first frame: MP4 hides it behind an edit list and decoders need a packet of it to warm
# up; the other containers would move the picture to make room, so it goes.
_WARM_UP = {"mp4": 0.1, "mov": 0.1}  # seconds
_NO_TRACK = "99999?"  # a stream number that no file has; the "?" lets it be missing


@dataclass(frozen=True)
class Tracks:
    """Extra streams for the output command.

    Attributes:
        streams: ffmpeg-python streams, to follow the picture.
        options: output options that belong to them.
        dropped: tracks that the container cannot hold in any form, in words.
    """

    streams: tuple[Any, ...] = ()
    options: dict[str, str] = field(default_factory=dict[str, str])
    dropped: tuple[str, ...] = ()


def tracks_of(source: Path, *, muxer: str, sound: bool, start: float | None, end: float | None) -> Tracks:
    """Plan the copy of everything but the picture.

    Sound and subtitles are copied packet by packet and stay where they are relative to the picture's first
    frame; only what the container cannot hold is converted.

    Args:
        source: the file to copy from.
        muxer: ffmpeg's name of the container that is written.
        sound: whether to copy the sound.
        start: first moment of the output, in seconds after the source's first frame.
        end: last moment, on the same clock.

    Raises:
        OutputError: the source cannot be opened.
    """
    maps: list[int] = []
    options: dict[str, str] = {"map_metadata": "1", "map_chapters": "1"}
    dropped: list[str] = []
    count = {"a": 0, "s": 0}
    try:
        with av.open(file_url(source)) as container:
            length = None if end is None else end - (start or 0.0)
            begin = _picture_start(container) + (start or 0.0)
            for kind, stream in _sound_and_text(container):
                if kind == "a" and not sound:
                    continue
                codec = _target_codec(stream.codec_context.name, kind, muxer)
                if codec is None:
                    dropped.append(f"{stream.type} track {stream.index} ({stream.codec_context.name})")
                    continue
                options[f"c:{kind}:{count[kind]}"] = codec
                if kind == "s" or codec == "copy":
                    options[f"bsf:{kind}:{count[kind]}"] = _filter(kind, muxer, length=length)
                count[kind] += 1
                maps.append(stream.index)
    except (FFmpegError, OSError) as error:
        raise OutputError(f"cannot copy its sound ({error})", where=source, todo="Use --no-audio") from error
    window: dict[str, float] = {"ss": begin} if begin > 0 else {}
    if length is not None:
        window["t"] = length
    # `vn` lets ffmpeg seek by the sound, which is finer than by the picture's key frames.
    opened = ffmpeg.input(file_url(source), vn=None, protocol_whitelist="file", **window)
    # A source without tracks still gives its metadata: a map that matches nothing keeps it open.
    names = [str(index) for index in maps] or [_NO_TRACK]
    return Tracks(tuple(opened[name] for name in names), options, tuple(dropped))


def _picture_start(container: Any) -> float:  # noqa: ANN401 - PyAV container
    """Seconds from the file's earliest stream, which is ffmpeg's zero, to the first video frame."""
    earliest = (container.start_time or 0) / av.time_base
    pictures = [stream for stream in container.streams.video if stream.start_time is not None]
    return max(float(pictures[0].start_time * pictures[0].time_base) - earliest, 0.0) if pictures else 0.0


def _sound_and_text(container: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - PyAV container
    for stream in container.streams:
        if stream.type in ("audio", "subtitle") and stream.codec_context is not None:
            yield ("a" if stream.type == "audio" else "s"), stream


def _target_codec(name: str, kind: str, muxer: str) -> str | None:
    name = name.removesuffix("float")  # decoders such as mp3float read the codec mp3
    if kind == "s":
        if name in _TEXT_COPIED.get(muxer, ()):
            return "copy"
        return _TEXT.get(muxer) if name in _TEXT_CODECS else None
    return "copy" if name in (_COPIED.get(muxer) or _supported(muxer)) else _SOUND[muxer]


def _filter(kind: str, muxer: str, *, length: float | None) -> str:
    """Bitstream filter: what lies before the picture goes, subtitles that reach over an end are cut."""
    if kind == "a":
        return f"noise=drop=lt(pts*tb\\,{-_WARM_UP.get(muxer, 0.0):g})"
    stop = "DURATION" if length is None else f"min(DURATION\\,{length:.6f}/TB-PTS)"
    return f"setts=pts=max(PTS\\,0):dts=max(DTS\\,0):duration={stop}+min(PTS\\,0),noise=drop=lt(d\\,1)"


def _supported(muxer: str) -> frozenset[str]:
    with av.open(os.devnull, "w", format=muxer) as container:
        return frozenset(container.supported_codecs)
