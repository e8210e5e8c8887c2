"""The options that say how the infrared is to be understood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vfuse.errors import UsageError

if TYPE_CHECKING:
    from vfuse.io.thermal import RangeMode, ThermalOptions

INFRARED = "The infrared"


def _complete_palette(incomplete: str) -> Iterator[str]:
    from vfuse.io.palette import NAMES

    return (name for name in ("auto", *NAMES) if name.startswith(incomplete))


Range = Annotated[
    str,
    typer.Option(
        "--range",
        metavar="auto|clip|adaptive|full|LO:HI",
        help="What becomes black and white: robust limits of the clip, limits that follow slowly, the whole "
        "scale, or two stored samples. auto: clip for grey infrared of more than 8 bits, else full.",
        rich_help_panel=INFRARED,
    ),
]
Palette = Annotated[
    str,
    typer.Option(
        "--palette",
        metavar="NAME",
        autocompletion=_complete_palette,
        help="False colours to undo: auto recognises them, gray uses brightness; ironbow, rainbow, arctic, "
        "lava, hot, inferno, magma, plasma, jet, turbo.",
        rich_help_panel=INFRARED,
    ),
]
Polarity = Annotated[
    Literal["auto", "white-hot", "black-hot"],
    typer.Option(
        "--polarity",
        help="black-hot inverts; auto does so for grey that clearly looks black-hot.",
        rich_help_panel=INFRARED,
    ),
]
Raw = Annotated[
    str | None,
    typer.Option(
        "--raw",
        metavar="WxH",
        help="IR is a file of bare 16-bit samples (Y16, little-endian) in frames of this size: 640x512.",
        rich_help_panel=INFRARED,
    ),
]
Radiometric = Annotated[
    Path | None,
    typer.Option(
        "--radiometric",
        metavar="FILE.mkv",
        help="Also keep the infrared samples as they are stored, frame for frame, as lossless 16-bit FFV1.",
        rich_help_panel=INFRARED,
    ),
]
Freezing = Annotated[
    Literal["hold", "visible", "drop"],
    typer.Option(
        "--on-freeze",
        help="Frames whose infrared only repeats: keep them, fuse the visible alone, or leave them out.",
        rich_help_panel=INFRARED,
    ),
]


def thermal_options(
    span: str, palette: str, polarity: Literal["auto", "white-hot", "black-hot"], raw: str | None
) -> ThermalOptions:
    """The record of these options; raises UsageError for a range, a palette or a size that is none."""
    from vfuse.io.thermal import ThermalOptions

    return ThermalOptions(span=_span(span), palette=palette, polarity=polarity, raw=raw_size(raw))


def raw_size(text: str | None) -> tuple[int, int] | None:
    """Width and height from text such as 640x512; raises UsageError for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if 0 in size:
        raise UsageError(f"--raw {text!r} is not a size", todo="For example: --raw 640x512")
    return size


def _span(text: str) -> RangeMode | tuple[float, float]:
    if text == "auto" or text == "clip" or text == "adaptive" or text == "full":
        return text
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise UsageError(
            f"--range {text!r} is not a range", todo="Known: auto, clip, adaptive, full, or LO:HI"
        ) from None
