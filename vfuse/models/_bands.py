"""Work through feature maps in bands of rows, so that what lies between two layers stays in the cache.

On a CPU, layers with few channels are bound by memory: a full frame between a norm, a 1x1 and a depth-wise
convolution is written to and read from main memory, in fresh pages each time. Layers that look one pixel far
give exactly the same values on a band of rows that is read with one more row on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor

Maps = TypeVar("Maps", Tensor, tuple[Tensor, ...])

BAND_BYTES = 32 * 640 * 32 * 4  # of one map; measured flat between half and twice of it
SMALLEST_BAND = 8  # rows; the two more that are read would otherwise weigh too much
ALL = slice(None)


@dataclass(frozen=True)
class Band:
    """Rows of one frame, or everything.

    Attributes:
        frames: its place in the batch axis.
        rows: the rows it stands for.
        reach: those and one more on either side, where the frame has one.
        inner: where `rows` lie within `reach`.
    """

    frames: slice
    rows: slice
    reach: slice
    inner: slice

    def of(self, x: Tensor) -> Tensor:
        """The rows of x (N, C, h, w)."""
        return x[self.frames, :, self.rows]

    def around(self, x: Tensor, frame: Tensor | None = None) -> Tensor:
        """The band of x (N, C, h, w) with its neighbouring rows, from the frames that an index (N,) names."""
        pixels = x.permute(0, 2, 3, 1)[:, self.reach]
        chosen = pixels[self.frames] if frame is None else pixels[frame[self.frames]]
        return chosen.permute(0, 3, 1, 2)

    def crop(self, y: Tensor) -> Tensor:
        """What belongs to the band of a map made from `around`."""
        return y[:, :, self.inner]


WHOLE = Band(ALL, ALL, ALL, ALL)


def bands(x: Tensor) -> list[Band]:
    """The bands that cover x (N, C, h, w), frame by frame; one for everything in training and on a GPU."""
    n, channels, height, width = x.shape
    if not worthwhile(x):
        return [WHOLE]
    step = max(SMALLEST_BAND, BAND_BYTES // (channels * width * x.element_size()))
    return [
        _band(i, top, min(top + step, height), height) for i in range(n) for top in range(0, height, step)
    ]


def worthwhile(x: Tensor) -> bool:
    """Whether to divide x: a training step keeps everything anyhow, a GPU wants it in one piece."""
    return x.device.type == "cpu" and not torch.is_grad_enabled() and x.nbytes > BAND_BYTES


def _band(frame: int, top: int, bottom: int, height: int) -> Band:
    above, below = max(top - 1, 0), min(bottom + 1, height)
    inner = slice(top - above, bottom - above)
    return Band(slice(frame, frame + 1), slice(top, bottom), slice(above, below), inner)


class Assembled:
    """A map or a statistic of all frames, put together from its bands; `value` when every band is in."""

    def __init__(self, like: Tensor) -> None:
        """like: any map (N, C, h, w) of the frames and the size in question."""
        self.frames, self.size = like.shape[0], like.shape[2:]
        self._value: Tensor | None = None

    def put(self, band: Band, part: Tensor) -> None:
        """Place the rows of a map, (n, C, rows, w)."""
        if band is WHOLE:
            self._value = part
            return
        if self._value is None:
            self._value = _empty(part, (self.frames, part.shape[1], *self.size))
        self._value[band.frames, :, band.rows] = part

    def add(self, band: Band, part: Tensor) -> None:
        """Add a band's share of a statistic, (n, ...)."""
        if band is WHOLE:
            self._value = part
            return
        if self._value is None:
            self._value = part.new_zeros(self.frames, *part.shape[1:])
        self._value[band.frames] += part

    @property
    def value(self) -> Tensor:
        assert self._value is not None, "no band is in"
        return self._value


def locally(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """layer(x), band by band, for a layer that looks one pixel far and keeps the size."""
    out = Assembled(x)
    for band in bands(x):
        out.put(band, band.crop(layer(band.around(x))))
    return out.value


def framewise(layer: Callable[..., Maps], *maps: Tensor) -> Maps:
    """layer(*maps), frame by frame, for a layer that treats frames alike; bounds what it needs in between.

    The layer may return one map or a tuple of several.
    """
    n = maps[0].shape[0]
    if n == 1 or not worthwhile(maps[0]):
        return layer(*maps)
    out: list[Tensor] = []
    several = False
    for i in range(n):
        made = layer(*(x[i : i + 1] for x in maps))
        several = isinstance(made, tuple)
        parts = made if isinstance(made, tuple) else (made,)
        out = out or [_empty(part, (n, *part.shape[1:])) for part in parts]
        for whole, part in zip(out, parts, strict=True):
            whole[i : i + 1] = part
    return cast(Maps, tuple(out) if several else out[0])


def _empty(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Room for several maps in the layout of one: features lie channels-last, images plane by plane."""
    last = like.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)
