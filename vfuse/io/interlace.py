"""Find out whether the frames of a video are two fields of different moments, by what they say and show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from av.error import BlockingIOError, EOFError, FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

from vfuse.errors import InputError
from vfuse.io._container import open_file, prepare_decoder
from vfuse.io._decoded import decoded
from vfuse.io.probe import VideoInfo

Fields = Literal["top field first", "bottom field first", "by its marks"]
_ORDERS: dict[str, Fields] = {"tff": "top field first", "bff": "bottom field first"}

_SECONDS = 1.0  # from the beginning
_MOST_FRAMES = 60
_ENOUGH, _LEAST = 0.25, 3  # combed frames of those that move: film in interlaced video has two of five
_MOVES = 10  # levels of 255 by which a moving pixel changes
_MOVING = 0.001  # share of the pixels; below it nothing can be seen
_VERDICT = "lavfi.idet.single.current_frame"  # of FFmpeg's idet filter, on one frame and its neighbours


def fields_of(info: VideoInfo) -> Fields | None:
    """How the video is interlaced, judged by the frames of its first second.

    Combs in the picture count, marked or not. Marks without combs count unless the frames are seen to be
    whole: many cameras mark those too. Of a stream the first frame's mark is all there is.

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
        seen = Counter(_verdicts(_ordered(_first_frames(info, count, marks))))
    except (FFmpegError, InputError, OSError):
        return None  # damage is for the reader to name
    order = max(_ORDERS, key=lambda order: seen[order])  # frames of both orders are noise
    if seen[order] >= _LEAST and seen[order] > _ENOUGH * seen.total():
        return _ORDERS[order]
    return "by its marks" if any(marks) and seen["progressive"] < _LEAST else None


def _first_frames(info: VideoInfo, count: int, marks: list[bool]) -> Iterator[VideoFrame]:
    """The first frames; whether each is marked as interlaced goes to `marks`, for idet overwrites that."""
    with open_file(Path(info.path)) as (container, stream):
        prepare_decoder(stream)
        sizes: set[tuple[int, int]] = set()
        for frame in islice(decoded(container, stream), count):
            sizes.add((frame.width, frame.height))
            if len(sizes) > 1:
                return  # the reader will name it
            marks.append(frame.interlaced_frame)
            yield frame


def _ordered(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The frames with idet's verdict in their metadata."""
    first = next(frames, None)
    if first is None:
        return
    graph = Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    graph.link_nodes(source, graph.add("idet"), graph.add("buffersink")).configure()
    for frame in chain([first], frames, [None]):
        graph.vpush(frame)
        yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return


def _verdicts(frames: Iterable[VideoFrame]) -> Iterator[str]:
    """Of each frame that tells: "tff" or "bff" when it is combed, "progressive" when it is whole."""
    lumas = ((frame.to_ndarray(format="gray").astype(np.int16), frame.metadata) for frame in frames)
    for (before, _), (luma, said) in pairwise(lumas):
        moving = np.abs(luma - before) > _MOVES
        verdict = said.get(_VERDICT, "undetermined")
        if verdict == "undetermined" or moving.mean() < _MOVING:
            continue
        # In a comb a line is nearer to the next but one, of its own field, than to the next. idet alone takes
        # fades for combs; this alone does not know the order.
        near, far = (np.abs(luma[k : len(luma) - 2 + k] - luma[:-2])[moving[:-2]].sum() for k in (1, 2))
        if verdict not in _ORDERS or near > far:
            yield verdict
