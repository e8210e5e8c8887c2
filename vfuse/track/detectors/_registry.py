"""What a detector is, and how a name becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
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
        enlarge: how far frames are to be enlarged for it, so that small people are found; None for its own
            choice.
        classes: names of its classes in order; () for those it knows itself.
        weights: file of the user's for a network whose weights can be chosen; None for the published ones.
        device: where such a network runs: "auto", "cpu", "cuda", "cuda:1" or "mps".
        offline: download no weights; `VFUSE_OFFLINE` does the same.
    """

    argument: str = ""
    enlarge: float | None = None
    classes: tuple[str, ...] = ()
    weights: Path | None = None
    device: str = "auto"
    offline: bool = False


@dataclass(frozen=True, kw_only=True)
class DetectorEntry:
    """A detector that can be asked for.

    Attributes:
        name: its name.
        build: makes it.
        summary: what it is good for, in a line.
        origin: who published the method and, if it has any, under which licence its numbers are.
        argument: what must follow its name and a colon, such as "FILE", or may, as "[NAME]"; "" for nothing.
        enlarges: whether it can enlarge frames.
        named: whether its classes can be named.
        network: whether its weights and its device can be chosen.
    """

    name: str
    build: Callable[[Request], Detector]
    summary: str
    origin: str
    argument: str = ""
    enlarges: bool = False
    named: bool = False
    network: bool = False


DETECTORS: Registry[DetectorEntry] = Registry("detector", package="vfuse.track.detectors")


def load_detector(name: str, request: Request = Request()) -> Detector:
    """The detector of a name that `DETECTORS` lists, such as "hog", "hot" or "onnx:FILE".

    Args:
        name: which, with what belongs behind the colon.
        request: how it is wanted.

    Raises:
        UsageError: unknown name, no file where one is needed, a missing package, or something asked of a
            detector that has no use for it.
        WeightsError: its file cannot be used or, offline, is not here.
        DeviceError: the device is absent.
    """
    entry, argument = with_argument(DETECTORS, name)
    _check(entry, request)
    return entry.build(replace(request, argument=argument))


def _check(entry: DetectorEntry, request: Request) -> None:
    networks = " and ".join(other.name for other in DETECTORS if other.network)
    if request.enlarge is not None and not entry.enlarges:
        raise UsageError(f"{entry.name} does not enlarge frames", todo="--enlarge is for hog")
    if request.weights is not None and not entry.network:
        raise UsageError(f"{entry.name} takes no weights", todo=f"--weights is for {networks}")
    if request.device != "auto" and not entry.network:
        raise UsageError(f"{entry.name} has no choice of device", todo=f"--device is for {networks}")
    if request.classes and not entry.named:
        raise UsageError(f"{entry.name} knows its classes itself", todo="--classes is for onnx and --weights")
    if request.classes and entry.network and request.weights is None:
        raise UsageError(
            f"the published weights of {entry.name} know their classes themselves",
            todo="Name the classes to track with --keep; --classes is for weights of your own",
        )
