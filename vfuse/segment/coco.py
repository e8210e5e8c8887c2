"""Masks as COCO JSON: run lengths of objects, painted into one label map a frame.

The file is a COCO instance file, whose images are the frames in the order of their ids, or a YouTube-VIS file
of one video. Format: https://cocodataset.org/#format-data and the run-length code of its `maskApi.c`,
restated here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfuse.errors import InputError
from vfuse.segment.classes import BACKGROUND, IGNORED, Classes, Labels

Marks = NDArray[np.bool_]
Run = Mapping[str, Any]


@dataclass(frozen=True)
class CocoMasks:
    """Label maps painted from objects; where there is none is the background.

    Attributes:
        path: the file.
        classes: the background, then the categories in the order of their ids, which are their numbers.
    """

    path: Path
    classes: Classes
    _sizes: tuple[tuple[int, int], ...]
    _objects: tuple[tuple[tuple[int, Run], ...], ...]

    def __len__(self) -> int:
        return len(self._sizes)

    def read(self, index: int) -> Labels:
        """The map of frame `index`, from 0; of two objects on one pixel the later one in the file is seen.

        Raises:
            InputError: an object whose run lengths do not fill its frame.
        """
        labels = np.zeros(self._sizes[index], np.uint8)
        for place, run in self._objects[index]:
            labels[decode_run(run, size=labels.shape, where=self.path)] = place
        return labels


def read_coco(path: Path) -> CocoMasks:
    """Read a COCO or YouTube-VIS file.

    An object marked `iscrowd` is ignored where it lies.

    Raises:
        InputError: unreadable, not such a file, polygons instead of run lengths, or several videos.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        categories = sorted((int(one["id"]), str(one["name"])) for one in data["categories"])
        places = {number: place for place, (number, _) in enumerate(categories, 1)}
        sizes, objects = _youtube_vis(data, places) if "videos" in data else _coco(data, places)
    except InputError as error:
        raise InputError(error.what, where=path, todo=error.todo) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"is not a COCO or YouTube-VIS file ({type(error).__name__}: {error})",
            where=path,
            todo="It needs images (or videos), annotations with segmentation, and categories",
        ) from error
    names = [BACKGROUND, *(name for _, name in categories if name.lower() != BACKGROUND)]
    if len(names) <= len(categories):
        raise InputError(
            "has a category called background", where=path, todo="Leave it out: it is what is left"
        )
    numbers = tuple(number for number, _ in categories)
    values = (None if 0 in numbers else 0, *numbers)
    return CocoMasks(path, Classes(tuple(names), values, (None,) * len(names)), sizes, objects)


def decode_run(run: Run, *, size: tuple[int, int], where: Path) -> Marks:
    """(H, W) of an object from `{"size": [H, W], "counts": …}`, compressed or as a list.

    Raises:
        InputError: it is of another size, or its runs do not add up to it.
    """
    if tuple(run["size"]) != tuple(size):
        raise InputError(f"has a mask of size {run['size']} in a frame of {list(size)}", where=where)
    counts = run["counts"]
    lengths = list(_runs(counts)) if isinstance(counts, str) else [int(count) for count in counts]
    if min(lengths, default=0) < 0 or sum(lengths) != size[0] * size[1]:
        raise InputError(
            f"has a mask whose runs add up to {sum(lengths)} pixels, not {size[0]}x{size[1]}", where=where
        )
    inside = np.arange(len(lengths)) % 2 == 1  # the first run is outside
    return np.repeat(inside, lengths).reshape(size, order="F")


def _runs(text: str) -> Iterator[int]:
    """Run lengths of COCO's compressed form.

    Characters from "0" carry 6 bits: 5 of a number, lowest first, and one that says that more follow. The
    highest bit that was told is the sign. From the third on, a number is the difference to the run two
    before.
    """
    done: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii", "replace"):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        done.append(value + (done[-2] if len(done) > 2 else 0))
        yield done[-1]
        value = shift = 0


def _coco(data: Any, places: Mapping[int, int]) -> tuple[Any, Any]:  # noqa: ANN401 - JSON
    images = sorted(data["images"], key=lambda image: image["id"])
    order = {image["id"]: index for index, image in enumerate(images)}
    objects: list[list[tuple[int, Run]]] = [[] for _ in images]
    for one in data["annotations"]:
        objects[order[one["image_id"]]].append((_place(one, places), _checked(one["segmentation"])))
    sizes = tuple((int(image["height"]), int(image["width"])) for image in images)
    return sizes, tuple(map(tuple, objects))


def _youtube_vis(data: Any, places: Mapping[int, int]) -> tuple[Any, Any]:  # noqa: ANN401 - JSON
    if len(data["videos"]) != 1:
        raise InputError(
            f"speaks of {len(data['videos'])} videos",
            todo="Write one file for each video, with its annotations",
        )
    (video,) = data["videos"]
    objects: list[list[tuple[int, Run]]] = [[] for _ in range(int(video["length"]))]
    for one in data["annotations"]:
        runs: Sequence[Run | None] = one["segmentations"]
        for index, run in enumerate(runs):
            if run is not None:
                objects[index].append((_place(one, places), _checked(run)))
    size = int(video["height"]), int(video["width"])
    return (size,) * len(objects), tuple(map(tuple, objects))


def _place(one: Mapping[str, Any], places: Mapping[int, int]) -> int:
    return IGNORED if one.get("iscrowd") else places[one["category_id"]]


def _checked(run: Any) -> Run:  # noqa: ANN401 - JSON
    if isinstance(run, Mapping) and "size" in run and "counts" in run:
        return run
    raise InputError(
        "holds polygons, which are not pixels",
        todo="Convert them to run lengths: pycocotools' COCO.annToRLE does, object by object",
    )
