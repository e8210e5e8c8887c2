"""Label maps of a whole video, one for each frame, from a folder of masks or a COCO file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vfuse.errors import InputError
from vfuse.io.images import image_files
from vfuse.io.labels import read_labels
from vfuse.segment.classes import (
    IGNORED,
    NO_CLASS,
    Classes,
    Labels,
    classes_beside,
    merge,
    numbered,
)
from vfuse.segment.coco import read_coco


class Masks(Protocol):
    """Label maps by frame.

    Attributes:
        path: the folder or file, for messages.
        classes: what the labels mean.
    """

    @property
    def path(self) -> Path: ...

    @property
    def classes(self) -> Classes: ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> Labels:
        """The map (H, W) of frame `index`, from 0; raises InputError."""
        ...


@dataclass(frozen=True)
class FolderMasks:
    """Image files in their natural order; see `vfuse.io.labels`."""

    path: Path
    classes: Classes
    _files: tuple[Path, ...]
    _ignore: int | None

    def __len__(self) -> int:
        return len(self._files)

    def read(self, index: int) -> Labels:
        """See `Masks`."""
        path = self._files[index]
        return self.classes.index(read_labels(path), ignore=self._ignore, where=path)


@dataclass(frozen=True)
class MergedMasks:
    """Masks with fewer classes: those that are not wanted are the background."""

    _masks: Masks
    classes: Classes
    _table: Labels

    @property
    def path(self) -> Path:
        return self._masks.path

    def __len__(self) -> int:
        return len(self._masks)

    def read(self, index: int) -> Labels:
        """See `Masks`."""
        return self._table[self._masks.read(index)]


def open_masks(
    path: Path,
    *,
    classes: Classes | None = None,
    ignore: int | None = None,
    like: Masks | None = None,
) -> Masks:
    """Masks of a video.

    Args:
        path: a folder or pattern of images, or a COCO or YouTube-VIS .json.
        classes: what the numbers or colours mean; None for what a classes.txt, classes.json or scene.json in
            or beside the folder says. A COCO file has its own.
        ignore: number that does not take part; None when all do.
        like: masks whose classes these have when nothing says so; without any, every number is a class.

    Raises:
        InputError: nothing there, or not masks.
    """
    if path.suffix.lower() == ".json" and path.is_file():
        return read_coco(path)
    files = image_files(str(path))
    if not files:
        raise InputError(
            "holds no masks", where=path, todo="Give a folder with a PNG for each frame, or a COCO .json"
        )
    told = classes or classes_beside(path) or (numbered() if like is None else like.classes)
    return FolderMasks(path, told, files, ignore)


def with_classes(masks: Masks, names: tuple[str, ...]) -> Masks:
    """The same masks with the classes `names`, by name; raises UsageError for one they do not have.

    Classes that are not wanted become the background, which `names` must then have.
    """
    if masks.classes.names == names:
        return masks
    table = merge(masks.classes.names, names, where=masks.path)
    return MergedMasks(masks, Classes(names, tuple(range(len(names)))), table)


def answers(masks: Masks) -> Masks:
    """The same masks as a prediction: what they ignore has no class."""
    table = np.arange(256, dtype=np.uint8)
    table[IGNORED] = NO_CLASS
    return MergedMasks(masks, masks.classes, table)


def check_masks(masks: Masks, *, num_frames: int | None, width: int, height: int, video: str) -> None:
    """Refuse masks that are not this video's; raises InputError with both lengths or sizes."""
    if num_frames is not None and len(masks) != num_frames:
        raise InputError(
            f"holds {len(masks)} masks, but {video} has {num_frames} frames",
            where=masks.path,
            todo="Give one mask for each frame of the whole video, in the order of their names",
        )
    high, wide = masks.read(0).shape
    if (wide, high) != (width, height):
        raise InputError(
            f"has masks of {wide}x{high}, but {video} is {width}x{height}",
            where=masks.path,
            todo="Scale the masks to the size of the video, without interpolation",
        )
