"""Open a media file or standard input, and nothing else: no protocol, no playlist, no second file.

FFmpeg takes names such as `concat:a|b` or `http://host/x` as instructions and playlists as lists of further
inputs. Here the file is opened by Python and FFmpeg only sees its bytes; whatever a demuxer would open beside
them is refused by an empty protocol whitelist.
"""

from __future__ import annotations

import errno
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager
from difflib import get_close_matches
from io import BufferedReader
from os import strerror
from pathlib import Path
from typing import IO, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from vfuse.errors import InputError

STDIN = "-"

# Lists of other inputs, session descriptions, and text art that FFmpeg would render as a video.
_REFUSED_DEMUXERS = frozenset({"concat", "hls", "dash", "sdp", "imf", "tty", "bin", "xbin", "adf", "idf"})
_PLAYLIST_MARKS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"v=0\n", b"v=0\r", b"[playlist]", b"<smil")
_OPTIONS = {"protocol_whitelist": "none"}
_STRICT_DECODING = {"err_detect": "crccheck+explode"}
_BUFFER_BYTES = 1 << 18
_PIPE_FORMATS = "matroska, nut or yuv4mpegpipe"


class _Pipe:
    """Standard input as a source that cannot seek, whatever it really is."""

    name = "standard input"

    def __init__(self, raw: BufferedReader) -> None:
        self.read = raw.read1


@contextmanager
def open_file(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a regular file and choose its video stream.

    Raises:
        InputError: not a regular file, unreadable, empty, a playlist, no media, no video.
    """
    with open_regular(path) as file, _demux(file, str(path)) as container:
        yield container, video_stream(container, str(path))


def open_stdin() -> InputContainer:
    """Start demuxing standard input; the caller closes the container.

    Raises:
        InputError: nothing is piped in, or it is not a stream that can be read without seeking.
    """
    raw = sys.stdin.buffer
    if raw.isatty():
        raise InputError(
            "is a terminal, not a video", where="standard input", todo=f"Pipe a video in ({_PIPE_FORMATS})"
        )
    return _demux(_Pipe(cast(BufferedReader, raw)), "standard input")


@contextmanager
def open_regular(path: Path) -> Generator[IO[bytes]]:
    """Open an existing, non-empty regular file for reading; raises InputError that says which it is not."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(
                "is a folder", where=path, todo="Name a video file, or a folder that holds images"
            )
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is not a regular file", where=path, todo="To read from a pipe, use -")
        if status.st_size == 0:
            raise InputError("is empty (0 bytes)", where=path, todo="Copy or record it again")
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise cannot_open(path, error) from error
    with file:
        yield file


def cannot_open(path: Path, error: OSError | ValueError) -> InputError:
    """The InputError for a path the system refuses: missing, forbidden, a loop of links, impossible."""
    reason = strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    if isinstance(error, FileNotFoundError):
        is_url = "://" in str(path) or ":/" in str(path)
        todo = "Addresses are not followed: download it first" if is_url else _similar(path)
        return InputError("no such file", where=path, todo=todo)
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return InputError("is a loop of symbolic links", where=path, todo="Name the real file")
    return InputError(
        f"cannot be opened ({reason.lower()})", where=path, todo="Check the path and its permissions"
    )


def _similar(path: Path) -> str:
    """Advice for a missing file: one of its folder that is called much the same."""
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either"
    there = {other.name.lower(): other.name for other in path.parent.iterdir()}
    close = get_close_matches(path.name.lower(), there, n=1, cutoff=0.7)
    return f"Did you mean {str(path.parent / there[close[0]])!r}?" if close else "Check the path"


def video_stream(container: InputContainer, where: str) -> VideoStream:
    """The video stream with the most pixels, cover pictures excluded; all others are told to stay silent.

    Raises:
        InputError: there is no video, or its codec has no decoder.
    """
    pictures = (Disposition.attached_pic, Disposition.timed_thumbnails)
    moving = [s for s in container.streams.video if not any(s.disposition & kind for kind in pictures)]
    if not moving:
        kinds = sorted({stream.type for stream in container.streams} - {"video"})
        held = f"only {' and '.join(kinds)}" if kinds else "no video"
        held += " and a cover picture" if container.streams.video and kinds else ""
        raise InputError(f"holds {held}", where=where, todo="Name a file with a video stream")
    known = [stream for stream in moving if cast("object", stream.codec_context) is not None]
    if not known:
        raise InputError("its video codec is unknown", where=where, todo="Convert it, e.g. to H.264 or FFV1")
    chosen = max(known, key=lambda stream: stream.width * stream.height)
    for other in container.streams:
        if other is not chosen:
            other.discard = Discard.all
    return chosen


def prepare_decoder(stream: VideoStream) -> None:
    """Use all cores, and report damage instead of concealing it; to be called before the first frame."""
    stream.thread_type = "AUTO"
    stream.codec_context.options = _STRICT_DECODING


def _demux(source: IO[bytes] | _Pipe, where: str) -> InputContainer:
    try:
        container = av.open(
            source, "r", container_options=_OPTIONS, buffer_size=_BUFFER_BYTES, metadata_errors="replace"
        )
    except (FFmpegError, OSError, ValueError) as error:
        raise _not_media(source, where) from error
    if _REFUSED_DEMUXERS & set(container.format.name.split(",")):
        container.close()
        raise _not_media(source, where)
    return container


def _not_media(source: IO[bytes] | _Pipe, where: str) -> InputError:
    if isinstance(source, _Pipe):
        return InputError(
            "holds no video that can be read from a pipe", where=where, todo=f"Pipe {_PIPE_FORMATS}"
        )
    source.seek(0)
    head = source.read(4096)
    if any(mark in head[:1024] for mark in _PLAYLIST_MARKS):
        return InputError(
            "is a playlist, and playlists are not followed",
            where=where,
            todo="Name the videos in it",
        )
    if _is_text(head):
        return InputError("is text, not a video", where=where, todo="Name a video file")
    return InputError(
        "is damaged, cut off or not a video", where=where, todo="Copy it again or convert it with ffmpeg"
    )


def _is_text(head: bytes) -> bool:
    try:
        return head[:-3].decode().replace("\n", "").replace("\r", "").replace("\t", "").isprintable()
    except UnicodeDecodeError:
        return False
