"""Decode an input to frames in [0, 1]: every frame once, in order, upright, at its full bit depth."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor

from vfuse.errors import InputError
from vfuse.io._container import open_file, prepare_decoder
from vfuse.io._decoded import decoded
from vfuse.io._pixels import as_levels, converter, image_tensor
from vfuse.io._timing import MAX_REORDER
from vfuse.io.images import read_image
from vfuse.io.probe import VideoInfo
from vfuse.io.raw import raw_frames

_SAME_TIME_SECONDS = 1e-4


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        pixels: (C, H, W) float32 in [0, 1]: full-range RGB, or one channel of full-range grey; uint8 where
            levels were asked for.
        time: presentation time in seconds from the first frame of the input.
    """

    pixels: Tensor
    time: float


def read_frames(
    info: VideoInfo,
    *,
    grey: bool,
    start: float | None = None,
    end: float | None = None,
    levels: bool = False,
) -> AbstractContextManager[Iterator[Frame]]:
    """Decode the frames shown from `start` (inclusive) to `end` (exclusive).

    Args:
        info: what `probe` returned; a stream can be read only once.
        grey: deliver (1, H, W) luma instead of (3, H, W) RGB.
        start, end: seconds from the first frame; None is the first frame and the end.
        levels: deliver uint8 from 0 to 255: less work, and enough for pictures that are only looked at.

    Raises:
        InputError: while iterating, for a damaged frame, a changed size, or another count than was probed.
    """
    if info.times is None:
        return closing(_read_stream(info, grey=grey, start=start, end=end, levels=levels))
    first, stop = frame_range(info.times, start=start, end=end)
    return read_range(info, grey=grey, first=first, stop=stop, levels=levels)


def frame_range(times: tuple[float, ...], *, start: float | None, end: float | None) -> tuple[int, int]:
    """Indices [first, stop) of the frames shown in [start, end); times 0.1 ms apart count as equal."""
    first = bisect_left(times, start - _SAME_TIME_SECONDS) if start is not None else 0
    stop = bisect_left(times, end - _SAME_TIME_SECONDS) if end is not None else len(times)
    return first, max(first, stop)


def read_range(
    info: VideoInfo, *, grey: bool, first: int, stop: int, levels: bool = False
) -> AbstractContextManager[Iterator[Frame]]:
    """Decode the frames with indices [first, stop) of a file or of images; see `read_frames`."""
    read = _read_video if info.timed else _read_pictures
    return closing(read(info, grey=grey, first=first, stop=stop, levels=levels))


def _read_video(info: VideoInfo, *, grey: bool, first: int, stop: int, levels: bool) -> Generator[Frame]:
    times = info.times or ()
    convert = converter(info, grey=grey, levels=levels)
    with ExitStack() as opened:
        frames = _seek(info, opened, first=first) or _skip(info, opened, first=first)
        index = first
        for frame in frames:
            if index >= stop:
                if stop < len(times):
                    return
                raise _miscounted(info, f"more than {len(times)}")
            yield Frame(convert(frame, index), times[index])
            index += 1
    if index < stop:
        raise _miscounted(info, str(index))


def _open(info: VideoInfo, opened: ExitStack) -> tuple[InputContainer, VideoStream]:
    container, stream = opened.enter_context(open_file(Path(info.path)))
    prepare_decoder(stream)
    return container, stream


def _skip(info: VideoInfo, opened: ExitStack, *, first: int) -> Iterator[VideoFrame]:
    """Decode from the beginning and leave out the frames before `first`."""
    container, stream = _open(info, opened)
    return islice(_guarded(info, decoded(container, stream), at=0), first, None)


def _seek(info: VideoInfo, opened: ExitStack, *, first: int) -> Iterator[VideoFrame] | None:
    """Jump close to frame `first` and decode from there; None where that is of no use or not reliable.

    The target lies further ahead than any codec reorders: no frame of the range refers to a skipped one.
    """
    target = first - 2 * MAX_REORDER
    if target <= 0 or info.times is None or info.origin is None:
        return None
    container, stream = _open(info, opened)
    if stream.time_base is None:
        return None
    try:
        container.seek(round((info.origin + info.times[target]) / stream.time_base), stream=stream)
        frames = decoded(container, stream)
        # Some containers land between key frames, and some decoders then invent what they lack.
        landed = _index_of(info, next(frame for frame in frames if frame.key_frame))
        if landed is None or landed >= first:
            return None
        for _ in range(landed + 1, first):
            next(frames)
    except (FFmpegError, OSError, StopIteration):
        return None
    return _guarded(info, frames, at=first)


def _index_of(info: VideoInfo, frame: VideoFrame) -> int | None:
    """The index of a frame by its timestamp; None when no frame of the probe is shown then."""
    if info.times is None or info.origin is None or frame.pts is None:
        return None
    time = frame.time - info.origin
    index = bisect_left(info.times, time - 0.5 / float(info.fps))
    near = min(info.times[index : index + 2], key=lambda other: abs(other - time), default=None)
    if near is None or abs(near - time) > _SAME_TIME_SECONDS:
        return None
    return info.times.index(near, index)


def _read_stream(
    info: VideoInfo, *, grey: bool, start: float | None, end: float | None, levels: bool
) -> Generator[Frame]:
    opened = info.stream
    if opened is None:
        raise ValueError("a stream must be read with the VideoInfo that probed it")
    with closing(opened):
        for frame in _timed(info, opened.frames(info.path), converter(info, grey=grey, levels=levels)):
            if end is not None and frame.time >= end - _SAME_TIME_SECONDS:
                return
            if start is None or frame.time >= start - _SAME_TIME_SECONDS:
                yield frame


def _timed(
    info: VideoInfo, frames: Iterator[VideoFrame], convert: Callable[[VideoFrame, int], Tensor]
) -> Iterator[Frame]:
    """Frames of a stream with their own times, evenly spaced where a timestamp is missing or runs back."""
    origin: float | None = None
    last = -1.0
    for index, frame in enumerate(_guarded(info, frames, at=0)):
        stamp = None if frame.pts is None else frame.time
        origin = stamp if origin is None else origin
        time = -1.0 if stamp is None or origin is None else stamp - origin
        last = time if time > last else last + 1 / float(info.fps) if index else 0.0
        yield Frame(convert(frame, index), last)


def _read_pictures(info: VideoInfo, *, grey: bool, first: int, stop: int, levels: bool) -> Generator[Frame]:
    times = info.times or ()
    pictures = raw_frames if info.kind == "raw" else _images
    for index, pixels in enumerate(pictures(info, first=first, stop=stop), first):
        picture = image_tensor(pixels, grey=grey)
        yield Frame(as_levels(picture) if levels else picture, times[index])


def _images(info: VideoInfo, *, first: int, stop: int) -> Iterator[NDArray[np.uint8 | np.uint16]]:
    for index, path in islice(enumerate(info.files), first, stop):
        try:
            pixels = read_image(path)
        except InputError as error:
            raise InputError(f"{error.what} (frame {index})", where=error.where, todo=error.todo) from error
        if pixels.shape[:2] != (info.height, info.width):
            raise _resized(info, index, f"{path.name} is {pixels.shape[1]}x{pixels.shape[0]}")
        yield pixels


def _guarded(info: VideoInfo, frames: Iterator[VideoFrame], *, at: int) -> Iterator[VideoFrame]:
    """Pass frames on; turn damage and a change of size into an InputError that names the frame."""
    index = at
    turned = info.orientation.transpose
    size = (info.height, info.width) if turned else (info.width, info.height)
    try:
        for frame in frames:
            if frame.is_corrupt:
                raise _damaged(info, index)
            if (frame.width, frame.height) != size:
                raise _resized(info, index, f"it is {frame.width}x{frame.height} there")
            yield frame
            index += 1
    except (FFmpegError, OSError) as error:
        raise _damaged(info, index) from error


def _damaged(info: VideoInfo, index: int) -> InputError:
    return InputError(
        f"frame {index} is damaged and cannot be decoded",
        where=info.path,
        todo="Copy it again, or cut the damage away with --start, --end or ffmpeg",
    )


def _resized(info: VideoInfo, index: int, found: str) -> InputError:
    return InputError(
        f"the size changes at frame {index}: {found}, but the first frame is {info.width}x{info.height}",
        where=info.path,
        todo="Scale all frames to one size first",
    )


def _miscounted(info: VideoInfo, decoded: str) -> InputError:
    return InputError(
        f"{decoded} frames could be decoded, but the file holds {info.num_frames}",
        where=info.path,
        todo="It is damaged: copy it again or re-encode it with ffmpeg",
    )
