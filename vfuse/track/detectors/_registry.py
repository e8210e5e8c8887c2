"""What a detector is, and how a name becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vfuse.registry import Registry
from vfuse.track.boxes import Detections, Pixels


class Detector(Protocol):
    """Finds things in one frame; keeps nothing from one frame to the next.

    Attributes:
        labels: names of the classes.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    def __call__(self, frame: Pixels) -> Detections:
        """Detect in (H, W, 3) RGB uint8; boxes in pixels of the frame, scores in [0, 1]."""
        ...


@dataclass(frozen=True, kw_only=True)
class DetectorEntry:
    """A detector that can be asked for.

    Attributes:
        name: its name.
        build: makes it; takes how far frames are to be enlarged for it, None for its own choice.
        summary: what it is good for, in a line.
        origin: who published the method and, if it has any, under which licence its numbers are.
    """

    name: str
    build: Callable[[float | None], Detector]
    summary: str
    origin: str


DETECTORS: Registry[DetectorEntry] = Registry("detector", package="vfuse.track.detectors")


def load_detector(name: str, *, enlarge: float | None = None) -> Detector:
    """The detector of a name that `DETECTORS` lists, such as "hog" or "hot".

    Args:
        name: which.
        enlarge: how far frames are enlarged so that small people are found; None for its own choice.

    Raises:
        UsageError: unknown name, or it does not enlarge.
    """
    return DETECTORS[name].build(enlarge)
