"""What is measured: images, their pairings and steps in time, each keeping what several metrics need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any, Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Field = NDArray[np.float32]
"""An optical flow, (H, W, 2) float32: (dx, dy) in pixels."""
Pixels = Bytes | Tensor
R = TypeVar("R")


class Shared:
    """Something that several metrics look at: what one of them derives from it is kept for the others."""

    def __init__(self) -> None:
        self._kept: dict[Callable[[Any], Any], Any] = {}
        self._lock = RLock()  # two threads look at an image: one for each of the steps that it takes part in
        self.flags: set[str] = set()

    def once(self, derive: Callable[[Self], R]) -> R:
        """`derive(self)`, computed on the first call only."""
        with self._lock:
            if derive not in self._kept:
                self._kept[derive] = derive(self)
            return self._kept[derive]

    def flag(self, what: str) -> None:
        """Note that a value was settled by definition (0/0) rather than computed."""
        self.flags.add(what)


class Image(Shared):
    """One 8-bit frame.

    Args:
        pixels: uint8 array (H, W) or (H, W, 3) RGB, or a float32 tensor (1 or 3, H, W) in [0, 1].
    """

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        self.pixels = _bytes_of(pixels) if isinstance(pixels, Tensor) else pixels
        wanted = self.pixels.ndim == 2 or (self.pixels.ndim == 3 and self.pixels.shape[2] == 3)
        if self.pixels.dtype != np.uint8 or not wanted or not self.pixels.size:
            raise ValueError(
                f"an image is uint8 (H, W) or (H, W, 3), got {self.pixels.dtype} {self.pixels.shape}"
            )

    def alone(self) -> Image:
        """The same pixels, to derive from what need not be kept as long as they are."""
        return Image(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def grey(self) -> Bytes:
        """(H, W) uint8: 0.299 R + 0.587 G + 0.114 B, rounded before anything is measured."""
        return self.once(_grey)

    @property
    def rgb(self) -> Bytes:
        """(H, W, 3) uint8; a grey image has three equal channels."""
        return self.pixels if self.pixels.ndim == 3 else np.repeat(self.pixels[..., None], 3, axis=2)

    @property
    def levels(self) -> Field:
        """(H, W, 3) float32, RGB 0..255; (H, W) of a grey image."""
        return self.once(_levels)

    @property
    def values(self) -> Floats:
        """(H, W) float64, grey 0..255."""
        return self.once(_values)


def _bytes_of(frame: Tensor) -> Bytes:
    # rounds and saturates
    planes = [cv2.convertScaleAbs(plane, alpha=255) for plane in frame.cpu().numpy()]
    return np.asarray(planes[0] if len(planes) == 1 else cv2.merge(planes), dtype=np.uint8)


def _grey(image: Image) -> Bytes:
    pixels = image.pixels
    return (
        pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    )


def _levels(image: Image) -> Field:
    return image.pixels.astype(np.float32)


def _values(image: Image) -> Floats:
    return image.grey.astype(np.float64)


class Pair(Shared):
    """A source and the fused image, for what is measured between the two."""

    def __init__(self, source: Image, fused: Image) -> None:
        super().__init__()
        self.source = source
        self.fused = fused


class Sources(Shared):
    """The clean infrared and visible image of one moment, shared by every method that fused them.

    Args:
        ir: the clean infrared.
        vis: the clean visible.
        restored_ir: an infrared stream to be judged against `ir`, where there is one.
        restored_vis: a visible stream to be judged against `vis`, where there is one.
    """

    def __init__(
        self, ir: Image, vis: Image, *, restored_ir: Image | None = None, restored_vis: Image | None = None
    ) -> None:
        super().__init__()
        self.ir = ir
        self.vis = vis
        self.restored_ir = restored_ir
        self.restored_vis = restored_vis

    def alone(self) -> Sources:
        """The same of all images."""
        ir, vis = self.restored_ir, self.restored_vis
        return Sources(
            self.ir.alone(),
            self.vis.alone(),
            restored_ir=ir and ir.alone(),
            restored_vis=vis and vis.alone(),
        )


class Frame(Shared):
    """One fused frame with its sources: what a metric `over="frame"` is given."""

    def __init__(self, sources: Sources, fused: Image) -> None:
        super().__init__()
        if not (sources.ir.size == sources.vis.size == fused.size):
            raise ValueError(
                f"sizes differ: ir {sources.ir.size}, vis {sources.vis.size}, fused {fused.size}"
            )
        self.sources = sources
        self.fused = fused
        self.pairs = (Pair(sources.ir, fused), Pair(sources.vis, fused))

    @property
    def ir(self) -> Image:
        """The clean infrared."""
        return self.sources.ir

    @property
    def vis(self) -> Image:
        """The clean visible."""
        return self.sources.vis


@dataclass(frozen=True)
class Flow:
    """An optical flow method.

    Attributes:
        name: stands in brackets behind every metric that used it, so that values never get mixed.
        between: (H, W, 3) uint8 RGB twice to the flow from the first to the second.
        weights: sha256 of its weights, for the record; empty where it has none.
    """

    name: str
    between: Callable[[Bytes, Bytes], Field]
    weights: str = ""


@dataclass(frozen=True)
class Features:
    """An image network that describes a frame by one vector.

    Attributes:
        name: stands in brackets behind every metric that used it.
        of: (H, W, 3) uint8 RGB to a vector (K,) float64.
        weights: sha256 of its weights, for the record.
    """

    name: str
    of: Callable[[Bytes], Floats]
    weights: str = ""


class SourceStep(Shared):
    """The sources of two consecutive moments; what moves between them is shared by every method."""

    def __init__(
        self, before: Sources, after: Sources, *, flow: Flow, features: Features | None = None
    ) -> None:
        super().__init__()
        self.before = before
        self.after = after
        self.flow = flow
        self.features = features


class Step(Shared):
    """Two consecutive fused frames with their sources: what a metric `over="neighbours"` is given."""

    def __init__(self, sources: SourceStep, before: Image, after: Image) -> None:
        super().__init__()
        self.sources = sources
        self.before = before
        self.after = after


@dataclass(frozen=True)
class Curves:
    """A whole video as curves over time: what a metric `over="video"` is given.

    Attributes:
        fused: mean grey of each fused frame, (T,) 0..255.
        ir: the same for the infrared.
        vis: the same for the visible.
    """

    fused: Floats
    ir: Floats
    vis: Floats
