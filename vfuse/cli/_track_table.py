"""Tracks in numbers for people: a video in each column, and whether the first beats the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from vfuse.cli._table import aligned, cell
from vfuse.track import TrackedVideo

_ROWS: tuple[tuple[str, Callable[[TrackedVideo], float | int | None]], ...] = (
    ("detections/frame", lambda one: one.movement.detections_per_frame),
    ("tracks", lambda one: one.movement.tracks),
    ("mean length, frames", lambda one: one.movement.mean_length),
    ("fragmentations ↓", lambda one: one.movement.fragmentations),
    ("jerk, px/frame³ ↓", lambda one: one.movement.jerk),
)
_TRUE_ROWS = (
    ("HOTA ↑", "hota"),
    ("DetA ↑", "deta"),
    ("AssA ↑", "assa"),
    ("MOTA ↑", "mota"),
    ("IDF1 ↑", "idf1"),
    ("precision ↑", "precision"),
    ("recall ↑", "recall"),
    ("identity switches ↓", "switches"),
    ("times lost ↓", "breaks"),
)


def rows(videos: Sequence[TrackedVideo]) -> list[list[str]]:
    """Lines of cells, the first with the names of the videos."""
    lines = [["", *(video.name for video in videos)]]
    lines += [[label, *(cell(value(video)) for video in videos)] for label, value in _ROWS]
    if all(video.accuracy is not None for video in videos):
        for label, name in _TRUE_ROWS:
            lines.append([label, *(cell(getattr(video.accuracy, name)) for video in videos)])
    return lines


def table(videos: Sequence[TrackedVideo], *, versus: int) -> str:
    """The table; `versus` of the videos, the last ones, are what the first is compared with."""
    text = aligned(rows(videos))
    truth = videos[0].accuracy
    if truth is not None:
        text += [
            "",
            f"truth: {truth.boxes} boxes of {truth.objects} objects; overlap 0.5 but for HOTA",
        ]
    return "\n".join([*text, *verdict(videos, versus=versus)])


def verdict(videos: Sequence[TrackedVideo], *, versus: int) -> list[str]:
    """One line: whether the first video serves this detector better than the best of the others.

    By HOTA; without the truth there is no better, and no line.
    """
    first, others = videos[0], videos[len(videos) - versus :] if versus else []
    if first.accuracy is None or not others:
        return []
    marks = {video.name: video.accuracy.hota for video in others if video.accuracy is not None}
    mark, best = max((mark, name) for name, mark in marks.items())
    ahead = first.accuracy.hota - mark
    word = "better than" if ahead > 0 else "worse than" if ahead < 0 else "as good as"
    return [f"{first.name} is {word} {best}, the best of the others: HOTA {ahead:+.3f}"]


def data(videos: Sequence[TrackedVideo], *, versus: int) -> dict[str, Any]:
    """The same for machines."""
    return {
        "videos": [
            {
                "name": video.name,
                "path": video.path,
                "width": video.width,
                "height": video.height,
                "movement": asdict(video.movement)
                | {"detections_per_frame": video.movement.detections_per_frame},
                "accuracy": None if video.accuracy is None else asdict(video.accuracy),
            }
            for video in videos
        ],
        "verdict": next(iter(verdict(videos, versus=versus)), None),
    }
