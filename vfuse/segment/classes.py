"""Which classes there are, and which number or colour of a mask means which."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfuse.errors import InputError, UsageError
from vfuse.io.labels import LabelImage

Labels = NDArray[np.uint8]
"""(H, W): index into the names of the classes, `NO_CLASS`, or `IGNORED`."""

IGNORED = 255
"""A pixel of the truth that does not take part."""
NO_CLASS = 254
"""A pixel to which a prediction gives no class."""
BACKGROUND = "background"
IGNORE_VALUE = 255
"""What masks of Cityscapes, PASCAL VOC and others have where nothing is to be said."""

_MOST = 254
_BESIDE = ("classes.txt", "classes.json", "scene.json")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LINE = re.compile(r"(?:(\d+|#[0-9a-fA-F]{6})[\s=:,]+)?(.+)")


@dataclass(frozen=True)
class Classes:
    """Names of classes and what stands for them in masks.

    Attributes:
        names: in the order of the tables.
        values: number of each in a mask of numbers; None for one that only a colour stands for.
        colours: 0xRRGGBB of each in a mask of colours; None where none is known.
    """

    names: tuple[str, ...]
    values: tuple[int | None, ...]
    colours: tuple[int | None, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.names) > _MOST:
            raise UsageError(f"{len(self.names)} classes; {_MOST} is the most")
        for several in (self.names, [one for one in (*self.values,) if one is not None]):
            if len(set(several)) != len(several):
                raise UsageError(f"the classes name {_twice(several)!r} twice")

    def index(self, image: LabelImage, *, ignore: int | None, where: Path) -> Labels:
        """The class of every pixel of a mask.

        Args:
            image: the mask.
            ignore: number of pixels that do not take part; None when all do.
            where: the file, for messages.

        Raises:
            InputError: a number or colour that is no class.
        """
        if image.values.ndim == 3:
            return self._from_colours(image.values, where)
        if image.palette is not None and None in self.values:
            return self._from_colours(image.palette[image.values], where)
        table = np.full(1 << 16, NO_CLASS, np.uint8)
        for place, value in enumerate(self.values):
            if value is not None:
                table[value] = place
        if ignore is not None:
            table[ignore] = IGNORED
        labels = table[image.values]
        if (labels == NO_CLASS).any():
            unknown = int(image.values[labels == NO_CLASS][0])
            raise InputError(
                f"has pixels of the number {unknown}, which is no class",
                where=where,
                todo=f"The classes are {self}. Name others with --classes, or leave them out with --ignore",
            )
        return labels

    def _from_colours(self, pixels: NDArray[Any], where: Path) -> Labels:
        codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        labels = np.full(codes.shape, NO_CLASS, np.uint8)
        for place, colour in enumerate(self.colours):
            if colour is not None:
                labels[codes == colour] = place
        if (labels == NO_CLASS).any():
            unknown = int(codes[labels == NO_CLASS][0])
            raise InputError(
                f"has pixels of the colour #{unknown:06x}, which is no class",
                where=where,
                todo="Name the colours with --classes FILE, a line `#rrggbb name` for each",
            )
        return labels

    def __str__(self) -> str:
        pairs = zip(self.names, self.values, strict=True)
        return ", ".join(name if value is None else f"{value} {name}" for name, value in pairs)


def numbered() -> Classes:
    """Classes for masks that nobody named: every number below 254 is one, called by it."""
    return Classes(tuple(map(str, range(_MOST))), tuple(range(_MOST)))


def named(names: Sequence[str]) -> Classes:
    """Classes whose numbers are their places in the list, from 0."""
    return Classes(tuple(names), tuple(range(len(names))), (None,) * len(names))


def read_classes(told: str) -> Classes:
    """Classes from a file, or from a list such as "sky, road, car" or "0=sky, 1=road, 6=car".

    A text file has a line `number name`, `#rrggbb name` or `name` for each; a JSON file an object of names
    with their numbers, or a list of names, either may lie under the key "classes".

    Raises:
        InputError: the file cannot be read or has a line that is neither.
        UsageError: no class, too many, or one twice.
    """
    path = Path(told)
    if not path.is_file():
        if "/" in told or path.suffix in (".txt", ".json"):
            raise InputError("no such file", where=told, todo="Give a file, or a list such as sky,road,car")
        return _from_lines([part.strip() for part in told.split(",") if part.strip()], "--classes")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return _from_json(json.loads(text), path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as classes ({error})", where=path) from error
    lines = [line.strip() for line in text.splitlines()]
    return _from_lines([line for line in lines if line and not line.startswith("# ")], str(path))


def classes_beside(masks: Path) -> Classes | None:
    """The classes told by classes.txt, classes.json or scene.json in a folder of masks or beside it."""
    for folder in (masks, masks.parent) if masks.is_dir() else (masks.parent,):
        for name in _BESIDE:
            if (folder / name).is_file():
                return read_classes(str(folder / name))
    return None


def merge(names: Sequence[str], into: Sequence[str], *, where: Path) -> Labels:
    """A table from the indices of `names` to those of `into`: by name, all others become the background.

    Raises:
        UsageError: a class of `into` that `names` does not have.
    """
    places = {name.lower(): place for place, name in enumerate(into)}
    known = {name.lower() for name in names}
    if missing := [name for name in into if name.lower() not in known | {BACKGROUND}]:
        raise UsageError(
            f"{where} has no class {missing[0]!r}",
            todo=f"It has: {', '.join(names)}. --classes gives its numbers other names",
        )
    rest = places.get(BACKGROUND, IGNORED)
    table = np.full(256, rest, np.uint8)
    for index, name in enumerate(names):
        table[index] = places.get(name.lower(), rest)
    table[[IGNORED, NO_CLASS]] = IGNORED, NO_CLASS
    return table


def _from_json(data: Any, path: Path) -> Classes:  # noqa: ANN401 - whatever the file holds
    found = data.get("classes", data) if isinstance(data, Mapping) else data
    if isinstance(found, Sequence) and all(isinstance(name, str) for name in found) and found:
        return named([str(name) for name in found])
    if isinstance(found, Mapping) and found and all(isinstance(value, int) for value in found.values()):
        return Classes(tuple(map(str, found)), tuple(found.values()), (None,) * len(found))
    raise InputError("holds no classes", where=path, todo='Write {"sky": 0, "road": 1} or ["sky", "road"]')


def _from_lines(lines: Sequence[str], where: str) -> Classes:
    names: list[str] = []
    values: list[int | None] = []
    colours: list[int | None] = []
    for place, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        code, name = match.groups() if match else (None, line)
        coloured = code is not None and _COLOUR.fullmatch(code) is not None
        names.append(name.strip())
        values.append(None if coloured else int(code or place))
        colours.append(int(code[1:], 16) if coloured and code else None)
    if not names:
        raise UsageError(f"{where} names no class", todo="Name them as in sky,road,car")
    if any(value is not None and value >= 1 << 16 for value in values):
        raise UsageError(f"{where} has a number beyond 16 bits")
    return Classes(tuple(names), tuple(values), tuple(colours))


def _twice(several: Sequence[object]) -> object:
    return next(one for place, one in enumerate(several) if one in several[:place])
