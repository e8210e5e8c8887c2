"""What a detector is, and how a name becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vfuse.errors import UsageError
from vfuse.registry import Registry, with_argument
from vfuse.track.boxes import Detections, Pixels


class Detector(Protocol):
    """Finds things in one frame; keeps nothing from one frame to the next.

    Attributes:
        labels: names of the classes.
        in_threads: whether several frames at a time, each in a thread, are faster than one after the other.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def in_threads(self) -> bool: ...

    def __call__(self, frame: Pixels) -> Detections:
        """Detect in (H, W, 3) RGB uint8; boxes in pixels of the frame, scores in [0, 1]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a detector besides its name.

    Attributes:
        argument: what followed the colon, such as the file of `onnx:FILE`; "" for nothing.
        enlarge: how far frames are to be enlarged for it; None for its own choice.
        classes: names of its classes in order; () for those it knows itself.
    """

    argument: str = ""
    enlarge: float | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DetectorEntry:
    """A detector that can be asked for.

    Attributes:
        name: its name.
        build: makes it.
        summary: what it is good for, in a line.
        origin: who published the method and, if it has any, under which licence its numbers are.
        argument: what must follow its name and a colon, such as "FILE"; "" for nothing.
        enlarges: whether it can enlarge frames.
        named: whether its classes can be named.
    """

    name: str
    build: Callable[[Request], Detector]
    summary: str
    origin: str
    argument: str = ""
    enlarges: bool = False
    named: bool = False


DETECTORS: Registry[DetectorEntry] = Registry("detector", package="vfuse.track.detectors")


def load_detector(name: str, *, enlarge: float | None = None, classes: tuple[str, ...] = ()) -> Detector:
    """The detector of a name that `DETECTORS` lists, such as "hog", "hot" or "onnx:FILE".

    Args:
        name: which.
        enlarge: how far frames are enlarged so that small people are found; None for its own choice.
        classes: names of its classes in order; () for those it knows itself.

    Raises:
        UsageError: unknown name, no file where one is needed, or it does not enlarge or name classes.
        WeightsError: its file cannot be used.
    """
    entry, argument = with_argument(DETECTORS, name)
    if enlarge is not None and not entry.enlarges:
        raise UsageError(f"{entry.name} does not enlarge frames", todo="--enlarge is for hog")
    if classes and not entry.named:
        raise UsageError(f"{entry.name} knows its classes itself", todo="--classes is for onnx")
    return entry.build(Request(argument=argument, enlarge=enlarge, classes=classes))
