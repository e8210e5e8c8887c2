"""The memory that windows may take: how long, how large and how many side by side they can be."""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import dataclass

import torch

from vfuse.device import free_memory
from vfuse.models._registry import ModelEntry

log = logging.getLogger(__name__)

SMALLEST_TILE = 64  # pixels; below it a network sees too little of the picture to be worth running
MOST_WORKERS = 4  # windows side by side; each needs memory of its own
MEMORY_SHARE = 0.7  # of the free memory that a step may plan to use


@dataclass(frozen=True)
class Room:
    """What there is, and what a window takes.

    Attributes:
        free: bytes that may be used; None where nobody can say: one window of whole frames is tried then.
        per_pixel: bytes that a window, all its frames together, takes for each pixel of its area.
    """

    free: float | None
    per_pixel: int

    @classmethod
    def on(cls, device: torch.device, entry: ModelEntry, *, frames: int) -> Room:
        """The room on a device now, for windows of so many frames."""
        free = free_memory(device)
        return cls(None if free is None else MEMORY_SHARE * free, entry.bytes_per_pixel * frames)

    def windows(self, height: int, width: int) -> int:
        """How many windows of this size fit at once; 0 when not even one does."""
        if self.free is None:
            return 1
        return int(self.free / (self.per_pixel * height * width)) if self.per_pixel else sys.maxsize

    def largest_side(self) -> int:
        """Side of the largest square of which one window fits, in pixels."""
        if self.free is None or not self.per_pixel:
            return sys.maxsize
        return int(math.sqrt(self.free / self.per_pixel))


def fitting_window(
    entry: ModelEntry, device: torch.device, window: int, *, shortest: int, height: int, width: int
) -> int:
    """The longest window, up to `window` frames, whose whole frames the free memory holds.

    Only networks that allow for it get a shorter one, and none below `shortest` or their own limit.
    """
    room = Room.on(device, entry, frames=1)
    if not entry.shortest_window or room.free is None:
        return window
    fitting = min(window, max(shortest, entry.shortest_window, room.windows(height, width)))
    if fitting < window:
        log.warning(
            "windows of %d frames of %dx%d do not fit in memory: using %d", window, width, height, fitting
        )
    return fitting


def fitting_tile(room: Room, entry: ModelEntry, *, height: int, width: int) -> int:
    """The largest tile, in pixels, of which the room holds a window by the entry's own estimate."""
    whole = max(height, width)
    if room.windows(height, width):
        return whole
    side = room.largest_side()
    tile = max(SMALLEST_TILE, entry.min_size, side - side % entry.multiple_of)
    if tile < whole:
        log.warning(
            "frames of %dx%d do not fit in memory at once: using tiles of %d pixels", width, height, tile
        )
    return min(tile, whole)


def workers_for(room: Room, entry: ModelEntry, device: torch.device, *, height: int, width: int) -> int:
    """How many windows of tiles of this size to compute side by side: at most 4, as a CPU has threads and
    the room space for.

    One thread a window scales better than several threads that meet after every layer.
    """
    if device.type != "cpu" or not entry.params:
        return 1
    return max(1, min(MOST_WORKERS, torch.get_num_threads(), room.windows(height, width)))
