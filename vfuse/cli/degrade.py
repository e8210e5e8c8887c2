"""`vfuse degrade`: blur, stripes, noise and darkness on a video, as training puts them on its clips."""

from __future__ import annotations

from typing import Annotated

import typer

from vfuse.cli import _options as o
from vfuse.cli._console import Console

Source = Annotated[
    str, typer.Argument(metavar="IN", help="Video, folder or pattern of images, or - for stdin.")
]
Kind = Annotated[
    list[str],
    typer.Option(
        "--kind",
        metavar="NAME",
        help="ir and vis are the mixtures measured on real videos; alone: blur, motion, dark, tone, stripes, "
        "rows, bias, noise, lines. Repeatable.",
    ),
]
Strength = Annotated[
    float, typer.Option(min=0, max=4, metavar="X", help="0 is none, 1 is as strong as in real videos.")
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The same number gives the same frames.")]
Grey = Annotated[bool, typer.Option("--grey", help="Treat the input as infrared: one channel.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("degrade", epilog=o.EXIT_CODES)(degrade)


def degrade(
    source: Source,
    out: o.Out,
    kind: Kind,
    strength: Strength = 1.0,
    seed: Seed = 0,
    grey: Grey = False,
    overwrite: o.Overwrite = False,
    codec: o.Codec = None,
    crf: o.Crf = None,
    pix_fmt: o.PixFmt = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Write a degraded copy of a video: fixed stripes, one blur for the whole clip, fresh noise."""
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)

    from vfuse.io.writer import WriteOptions
    from vfuse.train._degrade_video import degrade_video

    count = degrade_video(
        source,
        out,
        kinds=kind,
        strength=strength,
        seed=seed,
        grey=grey,
        options=WriteOptions(codec=codec, crf=crf, pix_fmt=pix_fmt, overwrite=overwrite),
        track=console.track,
    )
    console.result(
        {"schema_version": 1, "output": str(out), "frames": count, "kinds": kind, "seed": seed},
        f"{out}: {count} frames with {', '.join(kind)}",
    )
