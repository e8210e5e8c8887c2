"""From what a thermal camera stores to one channel in display range: palettes, polarity, 16-bit counts.

The range is found once per clip, or follows the scene so slowly that brightness cannot pump; it is never
fitted to single frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from vfuse.errors import InputError, UsageError
from vfuse.io._pixels import converter
from vfuse.io.palette import GRAY, NAMES, invert, recognise
from vfuse.io.probe import VideoInfo
from vfuse.io.reader import read_range

RangeMode = Literal["auto", "clip", "adaptive", "full"]
Polarity = Literal["auto", "white-hot", "black-hot"]

_RANGE_SAMPLES, _COLOUR_SAMPLES = 6, 2  # frames of a clip that are looked at
_PERCENTILES = (0.1, 99.9)  # dead and hot pixels lie outside
_STRIDE = 3  # every third row and column is enough for percentiles
_LEAST_SPAN = 16 / 65535  # of full scale: a scene without contrast is not stretched to noise
# How far the adaptive range moves per frame, as a part of itself: no pixel inside it then changes by more
# than 0.15 of 255 levels, whatever the scene does.
_STEP = 0.15 / 255


@dataclass(frozen=True, kw_only=True)
class ThermalOptions:
    """How the infrared is to be understood.

    Attributes:
        span: "clip" maps robust percentiles of the clip to black and white, "adaptive" lets them follow the
            scene by at most 0.15 levels a frame, "full" leaves samples as they are, "auto" is "clip" for
            grey infrared of more than 8 bits and else "full"; two numbers are the stored samples that
            become black and white.
        palette: a name of `vfuse.io.palette.NAMES`; "auto" recognises it.
        polarity: "black-hot" inverts; "auto" is white-hot, since a picture alone does not tell.
        raw: width and height of the frames of an infrared file that holds bare 16-bit samples.
    """

    span: RangeMode | tuple[float, float] = "auto"
    palette: str = "auto"
    polarity: Polarity = "auto"
    raw: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.span, tuple):
            low, high = self.span
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise UsageError(f"the range {low:g}:{high:g} is empty", todo="Name the smaller number first")
        elif self.span not in get_args(RangeMode):
            known = ", ".join(get_args(RangeMode))
            raise UsageError(f"unknown range {self.span!r}", todo=f"Known: {known}, or LO:HI")
        if self.palette not in ("auto", *NAMES):
            raise UsageError(f"unknown palette {self.palette!r}", todo=f"Known: auto, {', '.join(NAMES)}")
        if self.polarity not in get_args(Polarity):
            raise UsageError(
                f"unknown polarity {self.polarity!r}", todo=f"Known: {', '.join(get_args(Polarity))}"
            )


@dataclass(frozen=True)
class Thermal:
    """How one clip is read.

    Attributes:
        palette: the palette that is turned back into a scalar; "gray" for none.
        recognised: False for colours of no known palette, of which only the brightness is used.
        black_hot: whether the result is inverted.
        low, high: what becomes black and white, as parts of the full scale of the stored samples.
        adaptive: whether `low` and `high` are only where it begins.
    """

    palette: str = GRAY
    recognised: bool = True
    black_hot: bool = False
    low: float = 0.0
    high: float = 1.0
    adaptive: bool = False

    @property
    def grey(self) -> bool:
        """Whether the infrared is to be read as one channel."""
        return self.palette == GRAY


def look(info: VideoInfo, options: ThermalOptions, *, first: int, stop: int | None) -> Thermal:
    """Decide how to read the infrared frames [first, stop); decodes at most six of them, of a stream one.

    A damaged frame is passed over here: the reader will name it.
    """
    palette: str | None = options.palette
    if palette == "auto":
        palette = _recognised(info, first=first, stop=stop)
    low, high, adaptive = 0.0, 1.0, False
    span = options.span
    if span == "auto":
        span = "clip" if info.channels == 1 and info.bit_depth > 8 else "full"
    if isinstance(span, tuple):
        top = 2**info.bit_depth - 1
        low, high = span[0] / top, span[1] / top
    elif span != "full":
        read = _reader_of(palette or GRAY)
        frames = _sample(info, _RANGE_SAMPLES, grey=palette in (GRAY, None), first=first, stop=stop)
        if frames:
            low, high = _robust_range([read(frame) for frame in frames])
        adaptive = span == "adaptive" or info.stream is not None
    return Thermal(
        palette=palette or GRAY,
        recognised=palette is not None,
        black_hot=options.polarity == "black-hot",
        low=low,
        high=high,
        adaptive=adaptive,
    )


def displayer(thermal: Thermal) -> Callable[[Tensor], Tensor]:
    """A function for the frames of one clip, in order.

    It takes (3, H, W) RGB, or (1, H, W) when `thermal.grey`, and returns (1, H, W); float32 in [0, 1].
    """
    read = _reader_of(thermal.palette)
    low, high = thermal.low, thermal.high

    def display(pixels: Tensor) -> Tensor:
        nonlocal low, high
        heat = read(pixels)
        if thermal.adaptive:
            low, high = _follow((low, high), _robust_range([heat]))
        if (low, high) != (0.0, 1.0):
            heat = ((heat - low) / (high - low)).clamp_(0, 1)
        return 1 - heat if thermal.black_hot else heat

    return display


def thermal_warnings(thermal: Thermal) -> list[str]:
    """What was taken for granted about the infrared, in one sentence each."""
    if not thermal.recognised:
        return ["the infrared is coloured; only its brightness is used"]
    if not thermal.grey:
        name = thermal.palette
        return [f"the infrared is coloured with the palette {name}; it is turned back into one channel"]
    return []


def _recognised(info: VideoInfo, *, first: int, stop: int | None) -> str | None:
    if info.channels == 1:
        return GRAY
    seen = _sample(info, _COLOUR_SAMPLES, grey=False, first=first, stop=stop)
    return recognise(seen) if seen else GRAY


def _reader_of(palette: str) -> Callable[[Tensor], Tensor]:
    return (lambda pixels: pixels) if palette == GRAY else (lambda pixels: invert(pixels, palette))


def _sample(info: VideoInfo, most: int, *, grey: bool, first: int, stop: int | None) -> list[Tensor]:
    """Frames spread evenly over the clip; of a stream the first one, without taking it away."""
    if info.stream is not None:
        probed = info.stream.first
        return [] if probed is None else [converter(info, grey=grey)(probed, 0)]
    length = (stop if stop is not None else info.num_frames or 0) - first
    frames: list[Tensor] = []
    for index in sorted({first + k * length // most for k in range(most)}):
        try:
            with read_range(info, grey=grey, first=index, stop=index + 1) as found:
                frames.extend(frame.pixels for frame in found)
        except InputError:
            continue
    return frames


def _robust_range(frames: list[Tensor]) -> tuple[float, float]:
    """The percentiles of all frames together, at least a little apart."""
    samples = np.concatenate([frame[:, ::_STRIDE, ::_STRIDE].numpy().ravel() for frame in frames])
    low, high = (float(value) for value in np.percentile(samples, _PERCENTILES))
    lacking = _LEAST_SPAN - (high - low)
    return (low - lacking / 2, high + lacking / 2) if lacking > 0 else (low, high)


def _follow(now: tuple[float, float], wanted: tuple[float, float]) -> tuple[float, float]:
    step = _STEP * (now[1] - now[0])
    low, high = (old + min(max(new - old, -step), step) for old, new in zip(now, wanted, strict=True))
    return low, high
