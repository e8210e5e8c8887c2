"""`vfuse sample`: render a pair of videos to try everything on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from vfuse.cli import _options as o
from vfuse.cli._console import Console
from vfuse.errors import UsageError

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to; made when it is missing.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The same number renders the same sample.")]
Seconds = Annotated[float, typer.Option(metavar="SECONDS", help="Length of the videos, up to 60.")]
Size = Annotated[str, typer.Option(metavar="WxH", help="Size of the pictures in pixels.")]
Rate = Annotated[str, typer.Option("--fps", metavar="RATE", help="Frames a second: 25, 29.97 or 30000/1001.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sample", epilog=o.EXIT_CODES)(sample)


def sample(
    folder: Folder,
    seed: Seed = 0,
    seconds: Seconds = 5.0,
    size: Size = "640x480",
    fps: Rate = "25",
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Render a night street as infrared and visible video, with degraded twins, boxes and masks.

    DIR gets ir, vis (with sound), ir_degraded and vis_degraded as .mp4, boxes.txt, masks/ and scene.json.
    """
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)
    width, height = _size(size)
    rate = o.rate(fps) or Fraction(25)

    from vfuse.io.sample import render_sample

    made = render_sample(
        folder,
        seed=seed,
        seconds=seconds,
        width=width,
        height=height,
        fps=rate,
        overwrite=overwrite,
        track=console.track,
    )
    paths = {name: str(getattr(made, name)) for name in _PARTS}
    data = {"schema_version": 1, "seed": seed, "num_frames": made.num_frames, **paths}
    console.result(
        data, f"{folder}: {made.num_frames} frames of {width}x{height}, fuse {made.ir} with {made.vis}"
    )


_PARTS = ("ir", "vis", "ir_degraded", "vis_degraded", "boxes", "masks", "scene")


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text!r} is not a size", todo="Write it as 640x480")
    return int(width), int(height)
