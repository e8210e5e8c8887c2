"""Masks of one video in numbers: per class and as means, with and without the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vfuse.segment.boundary import BoundaryF
from vfuse.segment.classes import Labels
from vfuse.segment.confusion import Confusion, Shares, mean
from vfuse.segment.stability import Field, Stability


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class over a video; shares in [0, 1], higher is better, None where it is undefined.

    Attributes:
        name: of the class.
        iou, acc: intersection over union, and share of its true pixels that were found, see `Confusion`.
        boundary: see `BoundaryF`.
        stability: of the prediction, see `Stability`.
        true_stability: the same of the truth, along the same flow: what the flow lets one expect.
        true_pixels, pixels: how many the truth and the prediction have, on average a frame.
    """

    name: str
    iou: float | None
    acc: float | None
    boundary: float | None
    stability: float | None
    true_stability: float | None
    true_pixels: float | None
    pixels: float


@dataclass(frozen=True, kw_only=True)
class SegmentScores:
    """A video: the classes of its truth and its prediction, and means over those where each is defined.

    Attributes:
        frames: how many were compared.
        classes: see `ClassScore`.
        miou, macc, boundary, stability, true_stability: means over classes.
        accuracy: share of all pixels that were found.
    """

    frames: int
    classes: tuple[ClassScore, ...]
    miou: float | None
    macc: float | None
    accuracy: float | None
    boundary: float | None
    stability: float | None
    true_stability: float | None


class ScoreCounter:
    """Gathers `SegmentScores` frame by frame; memory does not depend on the length of the video.

    Args:
        names: of the classes.
        with_truth: whether there is one.
    """

    def __init__(self, names: Sequence[str], *, with_truth: bool) -> None:
        count = len(names)
        self._names = names
        self._frames = 0
        self._pixels = np.zeros((2, 256), np.int64)
        self._stability = Stability(count)
        self._confusion = Confusion(count) if with_truth else None
        self._boundary, self._true_stability = BoundaryF(count), Stability(count)

    def add(self, truth: Labels | None, found: Labels, flow: Field | None) -> None:
        """Compare the next frame, (H, W) each; `flow` leads to the frame before."""
        self._frames += 1
        self._stability.add(found, flow)
        self._pixels[1] += np.bincount(found.ravel(), minlength=256)
        if truth is None or self._confusion is None:
            return
        self._confusion.add(truth, found)
        self._boundary.add(truth, found)
        self._true_stability.add(truth, flow)
        self._pixels[0] += np.bincount(truth.ravel(), minlength=256)

    def result(self) -> SegmentScores:
        """The scores so far."""
        nothing: Shares = np.full(len(self._names), np.nan)
        confusion = self._confusion
        columns = {
            "iou": nothing if confusion is None else confusion.iou(),
            "acc": nothing if confusion is None else confusion.accuracy(),
            "boundary": nothing if confusion is None else self._boundary.result(),
            "stability": self._stability.result(),
            "true_stability": nothing if confusion is None else self._true_stability.result(),
        }
        return SegmentScores(
            frames=self._frames,
            classes=tuple(self._class(place, columns) for place in self._present()),
            miou=mean(columns["iou"]),
            macc=mean(columns["acc"]),
            accuracy=None if confusion is None else confusion.overall(),
            boundary=mean(columns["boundary"]),
            stability=mean(columns["stability"]),
            true_stability=mean(columns["true_stability"]),
        )

    def _present(self) -> list[int]:
        seen = self._pixels[:, : len(self._names)].sum(axis=0) > 0
        return [int(place) for place in np.flatnonzero(seen)]

    def _class(self, place: int, columns: dict[str, Shares]) -> ClassScore:
        value = {name: _defined(shares[place]) for name, shares in columns.items()}
        each = self._pixels[:, place] / max(self._frames, 1)
        return ClassScore(
            name=self._names[place],
            iou=value["iou"],
            acc=value["acc"],
            boundary=value["boundary"],
            stability=value["stability"],
            true_stability=value["true_stability"],
            true_pixels=None if self._confusion is None else float(each[0]),
            pixels=float(each[1]),
        )


def _defined(share: float) -> float | None:
    return None if np.isnan(share) else float(share)
