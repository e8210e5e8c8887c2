"""Masks in numbers for people: a class in each line, a video in each column, and the means below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from vfuse.cli._table import aligned, cell
from vfuse.segment import ClassScore, SegmentedVideo

MEANS = (
    ("mIoU ↑", "miou"),
    ("mAcc ↑", "macc"),
    ("pixel accuracy ↑", "accuracy"),
    ("boundary F ↑", "boundary"),
    ("stability ↑", "stability"),
)
"""Of `SegmentScores`, with their labels."""
_TRUE_STABILITY = ("stability of the truth", "true_stability")


def rows(videos: Sequence[SegmentedVideo]) -> list[list[str]]:
    """Lines of cells, the first with the names of the videos."""
    lines = [["", *(video.name for video in videos)]]
    if videos[0].scores.miou is not None:
        for label, name in (("IoU", "iou"), ("Acc", "acc"), ("boundary F", "boundary")):
            lines += _by_class(videos, label, name)
    else:
        lines += _by_class(videos, "stability", "stability") + _by_class(videos, "pixels/frame", "pixels")
    for label, name in (*MEANS, _TRUE_STABILITY):
        values = [getattr(video.scores, name) for video in videos]
        if any(value is not None for value in values):
            lines.append([label, *map(cell, values)])
    return lines


def class_values(videos: Sequence[SegmentedVideo], name: str) -> list[tuple[str, list[float | None]]]:
    """A value of `ClassScore` by class: for each class of any video, that of every video."""
    classes = dict.fromkeys(one.name for video in videos for one in video.scores.classes)
    return [(label, [_value(video, label, name) for video in videos]) for label in classes]


def table(videos: Sequence[SegmentedVideo], *, versus: int) -> str:
    """The table; `versus` of the videos, the last ones, are what the first is compared with."""
    return "\n".join([*aligned(rows(videos)), *verdict(videos, versus=versus)])


def verdict(videos: Sequence[SegmentedVideo], *, versus: int) -> list[str]:
    """Whether the first video has a higher mIoU than the best of the others; nothing without the truth."""
    others = videos[len(videos) - versus :] if versus else []
    marks = {one.name: one.scores.miou for one in others if one.scores.miou is not None}
    first = videos[0].scores.miou
    if first is None or not marks:
        return []
    mark, best = max((mark, name) for name, mark in marks.items())
    ahead = first - mark
    word = "better than" if ahead > 0 else "worse than" if ahead < 0 else "as good as"
    return ["", f"{videos[0].name} is {word} {best}, the best of the others: mIoU {ahead:+.3f}"]


def data(videos: Sequence[SegmentedVideo], *, versus: int) -> dict[str, Any]:
    """The same for machines."""
    return {
        "videos": [
            {"name": video.name, "path": video.path, "scores": asdict(video.scores)} for video in videos
        ],
        "verdict": next(iter(verdict(videos, versus=versus)[1:]), None),
    }


def _by_class(videos: Sequence[SegmentedVideo], label: str, name: str) -> list[list[str]]:
    values = class_values(videos, name)
    return [[f"{label} {one}", *map(cell, several)] for one, several in values]


def _value(video: SegmentedVideo, label: str, name: str) -> float | None:
    one: ClassScore | None = next((one for one in video.scores.classes if one.name == label), None)
    return None if one is None else getattr(one, name)
