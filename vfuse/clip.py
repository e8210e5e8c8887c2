"""The records that travel: a pair of frames, a clip of pairs, a fused clip.

Pixels are float32 in [0, 1]; visible and fused frames are RGB, infrared frames have one channel.
Letters: B batch, T time, C channel, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


def _check(name: str, frames: Tensor, *, ndim: int, channels: int) -> None:
    if frames.ndim != ndim or frames.shape[-3] != channels or frames.dtype != torch.float32:
        wanted = "(T, " * (ndim == 4) + f"{channels}, H, W" + ")"
        raise ValueError(f"{name} must be float32 {wanted}, got {frames.dtype} {tuple(frames.shape)}")


@dataclass(frozen=True)
class FramePair:
    """One infrared and one visible frame of the same moment.

    Attributes:
        ir: (1, H, W) float32 in [0, 1].
        vis: (3, H, W) float32 RGB in [0, 1].
        index: position in the fused video, from 0.
        time: presentation time in seconds from the start of the fused video.
        counts: (1, H', W') the infrared as the camera stored it, in parts of full scale; where it is kept.
    """

    ir: Tensor
    vis: Tensor
    index: int
    time: float
    counts: Tensor | None = None

    def __post_init__(self) -> None:
        _check("ir", self.ir, ndim=3, channels=1)
        _check("vis", self.vis, ndim=3, channels=3)
        if self.ir.shape[1:] != self.vis.shape[1:]:
            raise ValueError(f"ir {tuple(self.ir.shape)} and vis {tuple(self.vis.shape)} differ in size")


@dataclass(frozen=True)
class Clip:
    """T consecutive pairs, the window a network sees at once.

    Attributes:
        ir: (T, 1, H, W) float32 in [0, 1].
        vis: (T, 3, H, W) float32 RGB in [0, 1].
        start: index of the first pair.
        times: presentation times of the T frames in seconds.
    """

    ir: Tensor
    vis: Tensor
    start: int
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        _check("ir", self.ir, ndim=4, channels=1)
        _check("vis", self.vis, ndim=4, channels=3)
        if self.ir.shape[0] != self.vis.shape[0] or len(self.times) != len(self):
            counts = f"{len(self.ir)} infrared, {len(self.vis)} visible frames, {len(self.times)} times"
            raise ValueError(counts)

    def __len__(self) -> int:
        return int(self.vis.shape[0])

    @classmethod
    def of(cls, pairs: Sequence[FramePair]) -> Clip:
        """Stack consecutive pairs (at least one) into a clip; a single pair is not copied."""
        single = len(pairs) == 1
        return cls(
            ir=pairs[0].ir[None] if single else torch.stack([pair.ir for pair in pairs]),
            vis=pairs[0].vis[None] if single else torch.stack([pair.vis for pair in pairs]),
            start=pairs[0].index,
            times=tuple(pair.time for pair in pairs),
        )


@dataclass(frozen=True)
class FusedClip:
    """What a network returns for a clip: the fused frames and, where it restores, the cleaned sources.

    Attributes:
        streams: name to (T, C, H, W) float32 in [0, 1]; always holds "fused" (RGB), and "ir" (C = 1) and
            "vis" (RGB) when the network restores them.
        start: index of the first frame.
        times: presentation times in seconds.
    """

    streams: dict[str, Tensor]
    start: int
    times: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        if "fused" not in self.streams:
            raise ValueError(f"a fused clip needs a 'fused' stream, got {sorted(self.streams)}")
        for name, frames in self.streams.items():
            _check(name, frames, ndim=4, channels=1 if name == "ir" else 3)
            if len(frames) != len(self.times):
                raise ValueError(f"{name} holds {len(frames)} frames for {len(self.times)} times")

    def __len__(self) -> int:
        return len(self.times)
