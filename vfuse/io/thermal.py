"""From what a thermal camera stores to one channel in display range: palettes, polarity, 16-bit counts.

The range is found once per clip, or follows the scene so slowly that brightness cannot pump; it is never
fitted to single frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from vfuse.errors import InputError, UsageError
from vfuse.io._pixels import converter
from vfuse.io.palette import GRAY, NAMES, invert, recognise
from vfuse.io.polarity import hot_side
from vfuse.io.probe import VideoInfo
from vfuse.io.reader import read_range

RangeMode = Literal["auto", "clip", "adaptive", "full"]
Polarity = Literal["auto", "white-hot", "black-hot"]

_RANGE_SAMPLES, _LOOK_SAMPLES = 6, 2  # frames of a clip that are looked at for its range, and for the rest
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
        polarity: "black-hot" inverts; "auto" inverts 8-bit grey that clearly looks black-hot. Palettes tell
            by their tables, and counts of more than 8 bits rise with heat.
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
            raise UsageError(f"unknown palette {self.palette!r}", todo=_meant(self.palette))
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
        polarity: "told" by the user, the palette or the depth, "seen" in the pictures, or "unclear" in them.
        low, high: what becomes black and white, as parts of the full scale of the stored samples.
        adaptive: whether `low` and `high` are only where it begins.
    """

    palette: str = GRAY
    recognised: bool = True
    black_hot: bool = False
    polarity: Literal["told", "seen", "unclear"] = "told"
    low: float = 0.0
    high: float = 1.0
    adaptive: bool = False

    @property
    def grey(self) -> bool:
        """Whether the infrared is to be read as one channel."""
        return self.palette == GRAY


def look(info: VideoInfo, options: ThermalOptions, *, first: int, stop: int | None) -> Thermal:
    """Decide how to read the infrared frames [first, stop); decodes at most eight of them, of a stream one.

    A damaged frame is passed over here: the reader will name it.
    """
    counts = info.channels == 1 and info.bit_depth > 8
    seen: list[Tensor] = []
    if not counts and "auto" in (options.palette, options.polarity):
        seen = _sample(info, _LOOK_SAMPLES, grey=info.channels == 1, first=first, stop=stop)
    palette = _palette(options, seen)
    black_hot, polarity = options.polarity == "black-hot", "told"
    if options.polarity == "auto" and palette == GRAY and not counts:
        hot = hot_side([frame.mean(dim=0, keepdim=True) for frame in seen])
        black_hot, polarity = hot == "black", "unclear" if hot is None else "seen"
    span = options.span
    if span == "auto":
        span = "clip" if counts else "full"
    low, high = _limits(info, span, palette, first=first, stop=stop)
    return Thermal(
        palette=palette or GRAY,
        recognised=palette is not None,
        black_hot=black_hot,
        polarity=polarity,
        low=low,
        high=high,
        adaptive=span == "adaptive" or (span == "clip" and info.stream is not None),
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
    if thermal.polarity == "unclear":
        return ["nothing in the infrared tells white-hot from black-hot; taken as white-hot (see --polarity)"]
    if thermal.polarity == "seen" and thermal.black_hot:
        return ["the infrared looks black-hot and is inverted; --polarity white-hot keeps it as it is"]
    return []


def _meant(palette: str) -> str:
    if palette in get_args(Polarity):
        return f"Grey has no table: use --polarity {palette}"
    close = get_close_matches(palette, NAMES, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Known: auto, {', '.join(NAMES)}"


def _palette(options: ThermalOptions, seen: list[Tensor]) -> str | None:
    if options.palette != "auto":
        return options.palette
    return GRAY if not seen or len(seen[0]) == 1 else recognise(seen)


def _limits(
    info: VideoInfo,
    span: RangeMode | tuple[float, float],
    palette: str | None,
    *,
    first: int,
    stop: int | None,
) -> tuple[float, float]:
    """What becomes black and white, as parts of the full scale; at the beginning, where it is adaptive."""
    if isinstance(span, tuple):
        top = 2**info.bit_depth - 1
        return span[0] / top, span[1] / top
    if span == "full":
        return 0.0, 1.0
    read = _reader_of(palette or GRAY)
    frames = _sample(info, _RANGE_SAMPLES, grey=palette in (GRAY, None), first=first, stop=stop)
    return _robust_range([read(frame) for frame in frames]) if frames else (0.0, 1.0)


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
