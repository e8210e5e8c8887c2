"""What fusing will take on this machine, measured on a small piece of what is to come."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch

from vfuse.clip import Clip
from vfuse.models._room import Room, workers_for
from vfuse.models._run import LoadedModel, run

_SIDE = 192  # pixels: side of the trial frames; large enough that convolutions are as fast as on whole ones
_BASE = 450_000_000  # bytes: interpreter, torch and the frames in the queues, without a network's windows
_BITS_PER_PIXEL = 0.15  # of H.264 at its default quality


@dataclass(frozen=True)
class Forecast:
    """An estimate for one fused video, good to a factor of about one and a half.

    Attributes:
        model: name of the network.
        seconds: of computing; decoding and encoding run beside it.
        memory: peak bytes of the process.
        disk: bytes of the fused video.
    """

    model: str
    seconds: float
    memory: int
    disk: int


def forecast(model: LoadedModel, *, width: int, height: int, frames: int) -> Forecast:
    """Fuse a few small windows of noise and scale their cost to the whole video.

    Args:
        model: from `load_model`; its device counts.
        width, height: pixels of the fused video.
        frames: how many it has.
    """
    entry = model.entry
    room = Room.on(model.device, entry, frames=entry.window)
    workers = workers_for(room, entry, model.device, height=height, width=width)
    trial = _trial(entry.window, min(width, _SIDE), min(height, _SIDE))
    list(run(model, [trial] * workers))  # the first call also sets up the kernels
    begun = perf_counter()
    list(run(model, [trial] * workers))
    spent = perf_counter() - begun
    cost = spent / (workers * trial.vis[:, 0].numel())  # seconds for a pixel of a frame of a window
    shown = frames * entry.window / max(entry.window - entry.overlap, 1)  # frames, shared ones twice
    windows = min(workers, max(room.windows(height, width), 1)) * room.per_pixel * width * height
    most = windows if room.free is None else min(windows, int(room.free))
    return Forecast(
        model=entry.name,
        seconds=cost * shown * width * height,
        memory=_BASE + most,
        disk=round(frames * width * height * _BITS_PER_PIXEL / 8),
    )


def _trial(count: int, width: int, height: int) -> Clip:
    noise = torch.rand((count, 4, height, width), generator=torch.Generator().manual_seed(0))
    return Clip(ir=noise[:, :1], vis=noise[:, 1:], start=0, times=tuple(float(t) for t in range(count)))
