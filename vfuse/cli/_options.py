"""The options of several commands, each with its help, default and unit, so that they exist once."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import typer

from vfuse.errors import UsageError

EXIT_CODES = (
    "Exit codes: 0 ok · 1 bug · 2 usage · 3 input unreadable · 4 pair unusable · 5 weights · "
    "6 memory or device · 7 output · 8 batch finished with failures · 130 interrupted."
)

NETWORK = "Network"
PART = "Which part, in which pieces"
OUTPUT = "Output"
TALK = "What is said"


def seconds(text: str) -> float:
    """A time such as 75.5, 1:15.5 or 0:01:15.5 in seconds; raises UsageError for anything else."""
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text)
    if not found:
        raise UsageError(f"{text!r} is not a time", todo="Give seconds or minutes, such as 75.5 or 1:15.5")
    hours, minutes, rest = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(rest)


IrInput = Annotated[
    str, typer.Argument(metavar="IR", help="Infrared video, folder or pattern of images, or - for stdin.")
]
VisInput = Annotated[
    str,
    typer.Argument(
        metavar="VIS", help="Visible video of the same scene, size, rate and length, or - for stdin."
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="Where to write: a video by its suffix, a folder or %04d.png for images.",
        rich_help_panel=OUTPUT,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="N",
        help="CPU threads for the network. Default: one per core.",
        rich_help_panel=NETWORK,
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Open no network connection.", rich_help_panel=NETWORK)
]
Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        parser=seconds,
        metavar="SECONDS",
        help="Begin here, such as 75.5 or 1:15.5. Default: the first frame.",
        rich_help_panel=PART,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        parser=seconds,
        metavar="SECONDS",
        help="End before this time. Default: the last frame.",
        rich_help_panel=PART,
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        "--frames",
        min=1,
        metavar="N",
        help="Fuse at most this many frames. Default: all.",
        rich_help_panel=PART,
    ),
]
Fps = Annotated[
    str | None,
    typer.Option(
        "--fps",
        metavar="RATE",
        help="Take both inputs to have this rate, in frames per second: 25, 29.97 or 30000/1001. "
        "Default: their own.",
        rich_help_panel=PART,
    ),
]
Sync = Annotated[
    str,
    typer.Option(
        "--sync",
        metavar="HOW",
        help="Pair by time: auto finds the offset from what moves, a pair.json or a number of seconds (the "
        "infrared time of the first visible frame) gives it, none pairs frame by frame.",
        rich_help_panel=PART,
    ),
]
Align = Annotated[
    str,
    typer.Option(
        "--align",
        metavar="HOW",
        help="Bring both views together: auto finds the geometry, a pair.json of `vfuse align` gives it, "
        "none takes the frames as they are.",
        rich_help_panel=PART,
    ),
]
CanvasName = Annotated[
    Literal["vis", "ir", "common"],
    typer.Option(
        "--canvas",
        help="With --align, what the result shows: the visible's frame, the infrared's, or what both see.",
        rich_help_panel=PART,
    ),
]
RestoredIr = Annotated[
    Path | None,
    typer.Option(
        "--restored-ir",
        metavar="PATH",
        help="Also write the cleaned infrared video here.",
        rich_help_panel=OUTPUT,
    ),
]
RestoredVis = Annotated[
    Path | None,
    typer.Option(
        "--restored-vis",
        metavar="PATH",
        help="Also write the cleaned visible video here.",
        rich_help_panel=OUTPUT,
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="NAME",
        help="Encoder of ffmpeg, such as libx264, libx265 or ffv1. Default: by the suffix, H.264 for .mp4.",
        rich_help_panel=OUTPUT,
    ),
]
Crf = Annotated[
    float | None,
    typer.Option(
        "--crf",
        metavar="N",
        help="Constant rate factor, lower is better and larger. Default: the codec's, 18 for H.264.",
        rich_help_panel=OUTPUT,
    ),
]
PixFmt = Annotated[
    str | None,
    typer.Option(
        "--pix-fmt",
        metavar="NAME",
        help="Pixel format of ffmpeg, such as yuv444p or yuv420p10le. Default: yuv420p, where it fits.",
        rich_help_panel=OUTPUT,
    ),
]
EncoderOpts = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder-opt",
        metavar="KEY=VALUE",
        help="Any option of the encoder, such as preset=slow; may be repeated.",
        rich_help_panel=OUTPUT,
    ),
]
KeepAudio = Annotated[
    bool,
    typer.Option(
        "--keep-audio/--no-audio",
        help="Copy the sound of the visible video, or leave it out.",
        rich_help_panel=OUTPUT,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--yes", "-y", help="Overwrite outputs that exist.", rich_help_panel=OUTPUT)
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.json",
        help="Write what was done: versions, weights, windows, timing, frames, warnings.",
        rich_help_panel=TALK,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=TALK)
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Only errors on stderr: no progress, no warnings.", rich_help_panel=TALK
    ),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Say more, with the traceback of an error.", rich_help_panel=TALK),
]


def key_values(texts: list[str] | None, *, option: str) -> tuple[tuple[str, str], ...]:
    """Split `key=value` texts; raises UsageError for one without a key or without "="."""
    pairs: list[tuple[str, str]] = []
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {text!r} is not key=value", todo=f"For example: {option} preset=slow")
        pairs.append((key, value))
    return tuple(pairs)


def rate(text: str | None) -> Fraction | None:
    """A frame rate from text such as 25, 29.97 or 30000/1001; raises UsageError for anything else."""
    if text is None:
        return None
    try:
        fps = Fraction(text)
    except (ValueError, ZeroDivisionError):
        fps = Fraction(0)
    if not 0 < fps <= 1000:
        raise UsageError(
            f"--fps {text!r} is not a frame rate", todo="For example: --fps 25 or --fps 30000/1001"
        )
    return fps
