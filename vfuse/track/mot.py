"""Boxes as text: write tracks for the tools of the MOTChallenge, read ground truth of it and of LasHeR.

Format: https://motchallenge.net/instructions. Frames, identities and pixels count from 1 in the files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vfuse.errors import InputError, OutputError
from vfuse.track.boxes import Floats, Integers, Tracks

MOT_CLASSES = {
    1: "person",
    2: "person on vehicle",
    3: "car",
    4: "bicycle",
    5: "motorcycle",
    6: "other vehicle",
    7: "static person",
    8: "distractor",
    9: "occluder",
    10: "occluder on the ground",
    11: "occluder full",
    12: "reflection",
    13: "crowd",
}
"""Class numbers of MOT16, MOT17 and MOT20, with COCO's names where there are any."""

PERSON = 1
_SYNONYMS = {"pedestrian": "person", "people": "person", "human": "person"}
_LABELS = "labels.txt"
_NUMBERS = {name: number for number, name in MOT_CLASSES.items()}
_COLUMNS = (6, 10)  # of the MOTChallenge: frame, id, box; then flag or score, class, visibility
_SINGLE = 4  # of LasHeR, RGBT234 and GTOT: one box a line, one line a frame
_OUTSIDE = 1.0  # how far beyond the frame, in frames, a box may reach before the size must be another's


@dataclass(frozen=True, eq=False)
class TruthFrame:
    """What is really in one frame.

    Attributes:
        boxes: (N, 4) left, top, right, bottom in pixels from the top left corner.
        ids: (N,) identity, at most once in a frame.
        classes: (N,) number in `MOT_CLASSES`.
        counted: (N,) whether it takes part; finding one that does not is neither right nor wrong.
    """

    boxes: Floats
    ids: Integers
    classes: Integers
    counted: np.ndarray


@dataclass(frozen=True)
class Truth:
    """Ground truth of a video.

    Attributes:
        path: the file.
        num_frames: number of the last frame that it speaks of.
        single: one object, told of in every frame, as in LasHeR.
        classes: what the numbers of classes mean.
    """

    path: Path
    num_frames: int
    single: bool
    classes: Mapping[int, str]
    _rows: dict[int, Floats]

    def numbers_of(self, labels: Collection[str]) -> list[int]:
        """The class numbers that mean one of these labels; people have several names."""
        wanted = {_name(label) for label in labels}
        return [number for number, name in self.classes.items() if _name(name) in wanted]

    def check_classes(self, labels: Collection[str]) -> None:
        """Refuse a truth in which nothing counts for a detector of these labels; raises InputError."""
        numbers = self.numbers_of(labels)
        every = np.concatenate(list(self._rows.values()) or [np.zeros((0, 9))])
        if not (np.isin(every[:, 7], numbers) & (every[:, 6] != 0)).any():
            there = ", ".join(f"{number:g}" for number in np.unique(every[:, 7])) or "none"
            raise InputError(
                f"has no box of {', '.join(labels)} that counts; its classes are {there}",
                where=self.path,
                todo=f"Name the classes in a {_LABELS} beside it, a line `number name` for each",
            )

    def frame(self, index: int) -> TruthFrame:
        """The truth of frame `index`, from 0."""
        rows = self._rows.get(index + 1, np.zeros((0, 9)))
        boxes = np.concatenate([rows[:, 2:4] - 1, rows[:, 2:4] - 1 + rows[:, 4:6]], axis=1)
        ids, classes = rows[:, 1].astype(np.int64), rows[:, 7].astype(np.int64)
        return TruthFrame(boxes, ids, classes, rows[:, 6] != 0)

    def check(self, *, num_frames: int | None, width: int, height: int, video: str) -> None:
        """Refuse a truth that is not this video's: InputError with both lengths or sizes.

        The files do not tell the size of frames, so a box beyond twice the frame gives another one away.
        """
        if num_frames is not None and (
            self.num_frames > num_frames or (self.single and self.num_frames != num_frames)
        ):
            raise InputError(
                f"speaks of {self.num_frames} frames, but {video} has {num_frames}",
                where=self.path,
                todo="Give the ground truth of this video, or the part of it that was tracked",
            )
        for number, rows in self._rows.items():
            reach = rows[:, 2:4] + rows[:, 4:6] - 1
            if (reach > (1 + _OUTSIDE) * np.array([width, height])).any():
                far = reach.max(axis=0)
                raise InputError(
                    f"frame {number} has a box that ends at {far[0]:.0f}, {far[1]:.0f}, "
                    f"but {video} is {width}x{height}",
                    where=self.path,
                    todo="Scale the boxes to the size of the video",
                )


def read_truth(path: Path) -> Truth:
    """Read ground truth.

    Lines of 6 to 10 columns are `frame,id,left,top,width,height[,flag,class,visibility,…]` (MOTChallenge,
    VT-MOT); a flag of 0 means that the object does not count. Lines of 4 columns are `left,top,width,height`,
    one for each frame (LasHeR); a box of zeros or NaN means that the object is absent. Commas, blanks and
    tabs separate. Classes have the numbers of the MOTChallenge, unless a labels.txt beside the file (as CVAT
    writes it) names them: a line `name`, counted from 1, or `number name` for each.

    Raises:
        InputError: unreadable or empty, a line with other columns or that is not numbers, an identity twice
            in a frame; always with the number of the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"cannot be read ({reason})", where=path) from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    if not lines:
        raise InputError("holds no boxes", where=path)
    single = len(_cells(lines[0][1])) == _SINGLE
    rows: dict[int, list[Floats]] = {}
    for place, (number, line) in enumerate(lines, 1):
        row = _single_row(path, number, line, place) if single else _row(path, number, line)
        if row is not None:
            rows.setdefault(int(row[0]), []).append(row)
    whole = {frame: np.stack(several) for frame, several in sorted(rows.items())}
    truth = Truth(path, len(lines) if single else max(whole), single, _classes(path), whole)
    return truth if single else _distinct(truth, lines)


def _classes(path: Path) -> Mapping[int, str]:
    labels = path.with_name(_LABELS)
    if labels == path or not labels.is_file():
        return MOT_CLASSES
    named: dict[int, str] = {}
    for place, line in enumerate(labels.read_text(encoding="utf-8-sig").splitlines(), 1):
        number, _, name = line.strip().partition(" ")
        if name and number.isdecimal():
            named[int(number)] = name.strip()
        elif line.strip():
            named[place] = line.strip()
    return named


def _name(label: str) -> str:
    return _SYNONYMS.get(label.lower(), label.lower())


def _cells(line: str) -> list[str]:
    return line.replace(",", " ").replace(";", " ").split()


def _numbers(path: Path, number: int, line: str) -> list[float]:
    try:
        return [float(cell) for cell in _cells(line)]
    except ValueError:
        raise InputError(f"line {number} is not numbers: {line.strip()[:60]!r}", where=path) from None


def _row(path: Path, number: int, line: str) -> Floats:
    """frame, id, left, top, width, height, flag, class, visibility."""
    values = _numbers(path, number, line)
    if not _COLUMNS[0] <= len(values) <= _COLUMNS[1]:
        raise InputError(
            f"line {number} has {len(values)} columns",
            where=path,
            todo="6 to 10 are frame,id,left,top,width,height[,flag,class,visibility], 4 are a box",
        )
    values = [*values, *(1.0, PERSON, 1.0)[len(values) - 6 :]][:9]
    if values[7] < 0:  # the challenge's results have -1 there: not known
        values[7] = PERSON
    if not all(map(math.isfinite, values)) or values[0] < 1 or values[0] % 1 or values[1] % 1:
        raise InputError(
            f"line {number} has a frame, an identity or a number that cannot be: {line.strip()[:60]!r}",
            where=path,
        )
    if min(values[4:6]) <= 0:
        raise InputError(f"line {number} has a box of {values[4]:g}x{values[5]:g}", where=path)
    return np.array(values)


def _single_row(path: Path, number: int, line: str, frame: int) -> Floats | None:
    values = _numbers(path, number, line)
    if len(values) != _SINGLE:
        raise InputError(f"line {number} has {len(values)} columns, the lines above have 4", where=path)
    if not all(map(math.isfinite, values)) or min(values[2:]) <= 0:
        return None
    return np.array([frame, 1, *values, 1, PERSON, 1])


def _distinct(truth: Truth, lines: Sequence[tuple[int, str]]) -> Truth:
    seen: dict[tuple[float, float], int] = {}
    for number, line in lines:
        frame, identity, *_ = _numbers(truth.path, number, line)
        if (frame, identity) in seen:
            raise InputError(
                f"line {number} has identity {identity:g} in frame {frame:g} again, after line "
                f"{seen[frame, identity]}",
                where=truth.path,
                todo="An identity may be in a frame once",
            )
        seen[frame, identity] = number
    return truth


@contextmanager
def mot_file(path: Path | None, labels: Sequence[str]) -> Generator[Callable[[int, Tracks], None]]:
    """A function that appends the tracks of frame `index` (from 0) to a MOTChallenge result.

    A line is `frame,id,left,top,width,height,score,class,-1,-1`; the class is its number in `MOT_CLASSES`, or
    -1. The file is called NAME.partial.txt until the block ends well: what an interrupt leaves is valid.

    Raises:
        OutputError: it cannot be written.
    """
    if path is None:
        yield lambda index, tracks: None
        return
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        with open(partial, "w", encoding="utf-8", newline="\n") as file:

            def add(index: int, tracks: Tracks) -> None:
                file.write("".join(_lines(index + 1, tracks, labels)))
                file.flush()  # whole frames, whatever happens next

            yield add
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from error


def _lines(frame: int, tracks: Tracks, labels: Sequence[str]) -> Iterator[str]:
    for box, score, kind, identity in zip(
        tracks.boxes.tolist(), tracks.scores, tracks.classes, tracks.ids, strict=True
    ):
        left, top, right, bottom = box
        number = _NUMBERS.get(labels[int(kind)], -1)
        yield (
            f"{frame},{identity},{left + 1:.2f},{top + 1:.2f},{right - left:.2f},{bottom - top:.2f},"
            f"{score:.4f},{number},-1,-1\n"
        )
