"""`vfuse compare`: infrared, visible and fused videos in one picture."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from vfuse.cli import _options as o
from vfuse.cli import _thermal_options as thermal
from vfuse.cli._console import Console

Fused = Annotated[str, typer.Argument(metavar="FUSED", help="What was fused from the two.")]
FusedB = Annotated[str | None, typer.Argument(metavar="[FUSED_B]", help="Another result to compare with.")]
Layout = Annotated[
    Literal["grid", "strip", "wipe", "blink", "pip"],
    typer.Option(
        "--layout",
        help="grid: two by two; strip: a row; wipe: a line that moves between the last two; blink: one after "
        "the other, a second each; pip: the sources as insets.",
        rich_help_panel=o.OUTPUT,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=o.EXIT_CODES)(compare)


def compare(
    ir: o.IrInput,
    vis: o.VisInput,
    fused: Fused,
    out: o.Out,
    fused_b: FusedB = None,
    layout: Layout = "grid",
    overwrite: o.Overwrite = False,
    codec: o.Codec = None,
    crf: o.Crf = None,
    pix_fmt: o.PixFmt = None,
    keep_audio: o.KeepAudio = True,
    start: o.Start = None,
    end: o.End = None,
    span: thermal.Range = "auto",
    palette: thermal.Palette = "auto",
    polarity: thermal.Polarity = "auto",
    raw: thermal.Raw = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Show the sources and one or two fused videos together, labelled, with frame number and time."""
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)

    from vfuse.compare import CompareOptions, compare_videos
    from vfuse.io.writer import WriteOptions

    write = WriteOptions(codec=codec, crf=crf, pix_fmt=pix_fmt, keep_audio=keep_audio, overwrite=overwrite)
    options = CompareOptions(
        layout=layout,
        start=start,
        end=end,
        thermal=thermal.thermal_options(span, palette, polarity, raw),
        write=write,
    )
    count = compare_videos(ir, vis, fused, out, fused_b=fused_b, options=options, track=console.track)
    data = {"schema_version": 1, "output": str(out), "frames": count, "layout": layout}
    console.result(data, f"{out}: {count} frames, {layout}")
