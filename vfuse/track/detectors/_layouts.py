"""What the outputs of an exported detector mean, told by their shapes and the number of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Shapes = Mapping[str, tuple[int, ...]]

SUPPORTED = (
    "(1, 4 + C, N), YOLOv8, v9, v11 and their like: centre, size, a score for each of C classes",
    "(1, N, 5 + C), YOLOv5 and v7: centre, size, objectness, scores",
    "(1, N, 6) with N up to 1000, YOLOv10 and exports with suppression: corners, score, class",
    "(1, N, 4 + C), RT-DETR as one output: centre and size over those of the picture, scores",
    "(1, N, 4) and (1, N, C or C + 1), DETR and RF-DETR: centre and size over those of the picture, logits",
)
_MOST_FINISHED = 1000  # rows of an export that has chosen its boxes already
_SIGMOID_NAMES = ("dets", "labels")  # of RF-DETR, which has a slot more than classes and no "nothing" in it


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes before weak and double ones are dropped.

    Attributes:
        corners: (N, 4) left, top, right, bottom in pixels of the network's picture.
        scores: (N,) in [0, 1].
        classes: (N,) index of the class.
    """

    corners: Floats
    scores: Floats
    classes: NDArray[np.int64]


Decode = Callable[[Sequence[Floats], tuple[int, int]], Candidates]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How to feed a network and read what it says.

    Attributes:
        decode: from its outputs and the (width, height) of its picture to candidates.
        stretched: frames are stretched to its size; else they keep their shape, with grey bars.
        standardised: colours have ImageNet's mean and deviation taken out; else they are in [0, 1].
        doubled: an object may have several boxes.
    """

    decode: Decode
    stretched: bool = False
    standardised: bool = False
    doubled: bool = False


def find_layout(shapes: Shapes, *, classes: int) -> Layout | None:
    """The layout of outputs with these names and shapes; None for none of `SUPPORTED`."""
    if len(shapes) == 1:
        return _one_output(next(iter(shapes.values())), classes)
    if len(shapes) == 2:
        return _two_outputs(shapes, classes)
    return None


def _one_output(shape: tuple[int, ...], classes: int) -> Layout | None:
    if len(shape) != 3 or shape[0] != 1:
        return None
    _, rows, columns = shape
    if columns == 6 and rows <= _MOST_FINISHED:
        return Layout(decode=_finished)
    if rows == 4 + classes:
        return Layout(decode=_scored_columns, doubled=True)
    if columns == 5 + classes:
        return Layout(decode=_objectness, doubled=True)
    if columns == 4 + classes:
        return Layout(decode=_relative, stretched=True)
    return None


def _two_outputs(shapes: Shapes, classes: int) -> Layout | None:
    names = list(shapes)
    boxes = [name for name in names if len(shapes[name]) == 3 and shapes[name][2] == 4]
    if not boxes:
        return None
    # With four classes both outputs look alike: then the name tells.
    place = names.index(next((name for name in boxes if "box" in name or "det" in name), boxes[0]))
    marks = shapes[names[1 - place]]
    if len(marks) != 3 or marks[:2] != shapes[names[place]][:2] or marks[2] - classes not in (0, 1):
        return None
    softmax = marks[2] == classes + 1 and not set(names) <= set(_SIGMOID_NAMES)
    return Layout(decode=_pair(place, classes, softmax=softmax), stretched=True, standardised=True)


def _finished(outputs: Sequence[Floats], size: tuple[int, int]) -> Candidates:
    rows = outputs[0][0]
    return Candidates(rows[:, :4], rows[:, 4], rows[:, 5].round().astype(np.int64))


def _scored_columns(outputs: Sequence[Floats], size: tuple[int, int]) -> Candidates:
    rows = outputs[0][0].T
    return _best(_corners(rows[:, :4]), rows[:, 4:])


def _objectness(outputs: Sequence[Floats], size: tuple[int, int]) -> Candidates:
    rows = outputs[0][0]
    return _best(_corners(rows[:, :4]), rows[:, 5:] * rows[:, 4:5])


def _relative(outputs: Sequence[Floats], size: tuple[int, int]) -> Candidates:
    rows = outputs[0][0]
    return _best(_corners(rows[:, :4] * np.array([*size, *size])), rows[:, 4:])


def _pair(place: int, classes: int, *, softmax: bool) -> Decode:
    def decode(outputs: Sequence[Floats], size: tuple[int, int]) -> Candidates:
        logits = outputs[1 - place][0].astype(np.float64)
        if softmax:
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
        else:
            scores = 1 / (1 + np.exp(-logits))
        return _best(_corners(outputs[place][0] * np.array([*size, *size])), scores[:, :classes])

    return decode


def _best(corners: Floats, scores: Floats) -> Candidates:
    classes = scores.argmax(axis=1)
    return Candidates(corners, scores[np.arange(len(scores)), classes], classes.astype(np.int64))


def _corners(boxes: Floats) -> Floats:
    """(N, 4) centre and size to left, top, right, bottom."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1)
