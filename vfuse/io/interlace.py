"""Find out whether the frames of a video are two fields of different moments, by what they say and show."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

from av.error import BlockingIOError, EOFError, FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

from vfuse.errors import InputError
from vfuse.io._container import open_file, prepare_decoder
from vfuse.io._decoded import decoded
from vfuse.io.probe import VideoInfo

Fields = Literal["top field first", "bottom field first", "by its marks"]

_SECONDS = 1.0  # from the beginning
_MOST_FRAMES = 60
# Combed frames that are enough, of those that show anything: film made into interlaced video has two of five,
# 35 real and rendered progressive clips have at most one of eight.
_ENOUGH, _LEAST = 0.25, 3
_SEEN = "lavfi.idet.single."  # what FFmpeg's idet filter has counted so far, each frame by itself


def fields_of(info: VideoInfo) -> Fields | None:
    """How the video is interlaced, judged by the frames of its first second.

    Combs in the picture count, marked or not. Marks without combs count only where nothing moves, so that
    combs could not be seen: many cameras mark whole frames as interlaced. Of a stream the first frame's mark
    is all there is.

    Returns:
        Which field comes first, "by its marks" where no comb shows it, or None when frames are whole.
    """
    if info.stream is not None:
        first = info.stream.first
        return "by its marks" if first is not None and first.interlaced_frame else None
    if info.kind != "video":
        return None
    count = min(max(round(_SECONDS * info.fps), 2), _MOST_FRAMES)
    marks: list[bool] = []
    try:
        last = deque(_counted(_first_frames(info, count, marks)), maxlen=1)
    except (FFmpegError, InputError, OSError):
        return None  # damage is for the reader to name
    seen = last[0] if last else {}
    top, bottom, whole = (float(seen.get(_SEEN + kind, 0)) for kind in ("tff", "bff", "progressive"))
    combed = max(top, bottom)  # frames of both orders are noise
    if combed >= _LEAST and combed > _ENOUGH * (top + bottom + whole):
        return "top field first" if top > bottom else "bottom field first"
    return "by its marks" if any(marks) and not top + bottom + whole else None


def _first_frames(info: VideoInfo, count: int, marks: list[bool]) -> Iterator[VideoFrame]:
    """The first frames; whether each is marked as interlaced goes to `marks`, for idet overwrites that."""
    with open_file(Path(info.path)) as (container, stream):
        prepare_decoder(stream)
        for frame in islice(decoded(container, stream), count):
            marks.append(frame.interlaced_frame)
            yield frame


def _counted(frames: Iterable[VideoFrame]) -> Iterator[Mapping[str, str]]:
    """What idet says after each frame."""
    graph = Graph()
    for index, frame in enumerate(frames):
        if index == 0:
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            graph.link_nodes(source, graph.add("idet"), graph.add("buffersink")).configure()
        graph.vpush(frame)
        yield from _pulled(graph)
    graph.vpush(None)
    yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[Mapping[str, str]]:
    while True:
        try:
            yield graph.vpull().metadata
        except (BlockingIOError, EOFError):
            return
