"""Look at a data set on disk without decoding it: how many clips of each split, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vfuse.errors import VfuseError
from vfuse.io.datasets import DATASETS, ClipFiles, advice, check_clip, find_clips
from vfuse.io.probe import probe

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DatasetReport:
    """What was found.

    Attributes:
        name: of the data set.
        root: its folder.
        clips: number of clips of each split that has any.
        problems: one sentence for each thing that training would stumble over.
    """

    name: str
    root: Path
    clips: dict[str, int]
    problems: tuple[str, ...]


def inspect(name: str, root: Path, *, probed: bool = False) -> DatasetReport:
    """Count the clips of every split below `root`, and collect what is wrong with them.

    Args:
        name: of a data set.
        root: its folder, which may be missing: that is a problem like any other.
        probed: also open every file, and compare sizes and lengths.

    Raises:
        UsageError: unknown data set.
    """
    entry, clips, problems = DATASETS[name], dict[str, int](), list[str]()
    for split in SPLITS if root.is_dir() else ():
        try:
            found = find_clips(entry, root, split)
        except VfuseError as error:
            problems.append(str(error))
            continue
        if found:
            clips[split] = len(found)
        twice = [clip for clip, count in Counter(clip.name for clip in found).items() if count > 1]
        problems += [f"{split}: there are several clips named {clip!r}" for clip in twice]
        problems += [problem for clip in found for problem in _problems(clip, probed=probed)]
    if not clips and not problems:
        problems.append(f"{root}: no clips of {name!r} here. {advice(entry)}")
    return DatasetReport(name, root, clips, tuple(problems))


def _problems(clip: ClipFiles, *, probed: bool) -> Iterator[str]:
    """What is wrong with one clip: the first thing that is."""
    try:
        check_clip(clip)
        if not probed:
            return
        facts = {stream: probe(path) for stream, path in clip.files().items()}
    except VfuseError as error:
        yield str(error)
        return
    shapes = {stream: (info.num_frames, info.width, info.height) for stream, info in facts.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{stream} {n} frames of {w}x{h}" for stream, (n, w, h) in shapes.items())
        yield f"{clip.split} clip {clip.name!r} has unequal streams: {listed}"
