"""Cut a stream of frame pairs into overlapping windows, and join the fused windows into one stream again.

`join(fuse(cut(pairs)))` holds every frame exactly once and in order, and keeps at most about two windows in
memory, whatever the length of the video.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vfuse.clip import Clip, FramePair, FusedClip
from vfuse.errors import UsageError

Blend = Literal["linear", "last"]


@dataclass(frozen=True)
class FusedFrame:
    """One finished frame of every stream.

    Attributes:
        streams: name to (C, H, W) float32 in [0, 1]; "fused", and "ir" and "vis" where the network restores.
        index: position in the fused video, from 0.
        time: presentation time in seconds.
    """

    streams: dict[str, Tensor]
    index: int
    time: float


def check_window(window: int, overlap: int) -> None:
    """Refuse windows that cannot be laid side by side.

    Raises:
        UsageError: window < 1, or overlap outside 0 … window - 1.
    """
    if window < 1:
        raise UsageError(f"a window of {window} frames", todo="Choose a window of at least 1 frame")
    if not 0 <= overlap < window:
        raise UsageError(
            f"an overlap of {overlap} frames with a window of {window}",
            todo=f"Choose an overlap from 0 to {window - 1}",
        )


def cut(pairs: Iterable[FramePair], window: int, overlap: int) -> Iterator[Clip]:
    """Cut consecutive pairs into clips of `window` frames, neighbours sharing `overlap` of them.

    The last clip is a full window that ends on the last frame, so it may share more with its neighbour. A
    video shorter than a window is one clip of its own length; an empty one yields nothing.

    Raises:
        UsageError: from `check_window`.
    """
    check_window(window, overlap)
    recent: deque[FramePair] = deque(maxlen=window)
    fresh = 0  # pairs that no clip holds yet
    wanted = window
    for pair in pairs:
        recent.append(pair)
        fresh += 1
        if fresh == wanted:
            yield Clip.of(recent)
            fresh, wanted = 0, window - overlap
    if fresh:
        yield Clip.of(recent)


def join(clips: Iterable[FusedClip], *, blend: Blend = "linear") -> Iterator[FusedFrame]:
    """Join fused clips into frames, each once and in order.

    Args:
        clips: fused clips in order, each starting at or before the end of the one before.
        blend: "linear" fades from the earlier window to the later one across the frames they share; "last"
            lets the later window overwrite.

    Raises:
        ValueError: a clip leaves a gap to the one before it, starts before it, or ends before it.
    """
    pending: list[FusedFrame] = []  # frames that a later clip may still change
    first = end = 0
    for clip in clips:
        if not first <= clip.start <= end <= clip.start + len(clip):
            last = clip.start + len(clip) - 1
            raise ValueError(f"a clip of frames {clip.start} to {last} after frames {first} to {end - 1}")
        done, shared = pending[: clip.start - first], pending[clip.start - first :]
        yield from done
        frames = _frames(clip)
        if blend == "linear":
            weight = 1 / (len(shared) + 1)
            for k, old in enumerate(shared):
                frames[k] = _fade(old, frames[k], (k + 1) * weight)
        pending, first, end = frames, clip.start, clip.start + len(clip)
    yield from pending


def _frames(clip: FusedClip) -> list[FusedFrame]:
    return [
        FusedFrame({name: frames[t] for name, frames in clip.streams.items()}, clip.start + t, clip.times[t])
        for t in range(len(clip))
    ]


def _fade(old: FusedFrame, new: FusedFrame, weight: float) -> FusedFrame:
    streams = {name: torch.lerp(old.streams[name], frame, weight) for name, frame in new.streams.items()}
    return FusedFrame(streams, new.index, new.time)
