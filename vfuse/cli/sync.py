"""`vfuse sync`: how the clocks of two recordings relate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfuse.cli import _options as o
from vfuse.cli._console import Console

if TYPE_CHECKING:
    from vfuse.sync import SyncFit

Pair = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PAIR.json",
        help="Store the result for vfuse fuse; a geometry already in it is kept and used.",
        rich_help_panel=o.OUTPUT,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sync", epilog=o.EXIT_CODES)(sync)


def sync(
    ir: Annotated[str, typer.Argument(metavar="IR", help="Infrared video.")],
    vis: Annotated[str, typer.Argument(metavar="VIS", help="Visible video of the same scene.")],
    out: Pair = None,
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Find the offset and the rate between two recordings from what moves in both.

    Exit code 4 when the motion leaves more than one reading; the best one is in the message.
    """
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)

    from vfuse.align.link import find_clocks
    from vfuse.align.rig import Clocks, load_rig, store
    from vfuse.io.probe import probe
    from vfuse.sync import require_confident

    infos = probe(ir), probe(vis)
    known = load_rig(out) if out is not None and out.exists() else None
    matrix = None
    if out is not None and known is not None and known.geometry is not None:
        matrix = known.geometry_for(*infos, where=out).as_matrix()
    fit = find_clocks(*infos, matrix=matrix)
    if as_json and fit.problems:
        console.result(record(fit), "")
    require_confident(fit, ir=infos[0], vis=infos[1])
    if out is not None:
        store(out, *infos, clocks=Clocks.of(fit), overwrite=overwrite)
    console.result(record(fit), summary(fit))


def record(fit: SyncFit) -> dict[str, Any]:
    """The result as JSON."""
    return {
        "schema_version": 1,
        "confident": fit.confident,
        "offset_seconds": fit.offset,
        "rate": fit.rate,
        "common_seconds": fit.common,
        "significance": fit.significance,
        "distinct": fit.distinct,
        "segments": fit.segments,
        "agreeing": fit.agreeing,
        "freezes_ir": [list(span) for span in fit.freezes_ir],
        "freezes_vis": [list(span) for span in fit.freezes_vis],
        "problems": list(fit.problems),
    }


def summary(fit: SyncFit) -> str:
    """The result in a line or two."""
    drift = "" if fit.rate == 1 else f", clocks differ by {(fit.rate - 1) * 100:+.3f} %"
    lines = [
        f"the first visible frame is infrared second {fit.offset:+.3f}{drift}; {fit.common:.2f} s in common, "
        f"{fit.agreeing} of {fit.segments} pieces of the clip agree"
    ]
    for name, spans in (("infrared", fit.freezes_ir), ("visible", fit.freezes_vis)):
        shown = ", ".join(f"{start:.2f}-{end:.2f} s" for start, end in spans)
        if shown:
            lines.append(f"the {name} stands still at {shown}")
    return "\n".join(lines)
