"""`vfuse align`: how the infrared picture lies in the visible one."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfuse.cli import _options as o
from vfuse.cli._console import Console
from vfuse.errors import OutputError

if TYPE_CHECKING:
    from vfuse.align import Fit, Moments

Pair = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PAIR.json",
        help="Store the result for vfuse fuse; clocks already in it are kept and used.",
        rich_help_panel=o.OUTPUT,
    ),
]
Preview = Annotated[
    Path | None,
    typer.Option(
        "--preview",
        metavar="FILE.png",
        help="Write a picture to judge by: checkerboard and edges, before and after. A refused fit is shown "
        "in any case, beside PAIR.json or in the folder for temporary files.",
        rich_help_panel=o.OUTPUT,
    ),
]
MatcherName = Annotated[
    str,
    typer.Option(
        "--matcher",
        metavar="NAME[:FILE]",
        help="What proposes the rough geometry: structure, or loftr:FILE with weights of LoFTR's form.",
        rich_help_panel=o.PART,
    ),
]
Offset = Annotated[
    float,
    typer.Option(
        "--offset",
        metavar="SECONDS",
        help="Infrared time of the first visible frame, where pair.json does not say. Default: 0.",
        rich_help_panel=o.PART,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("align", epilog=o.EXIT_CODES)(align)


def align(
    ir: Annotated[str, typer.Argument(metavar="IR", help="Infrared video or images.")],
    vis: Annotated[str, typer.Argument(metavar="VIS", help="Visible video or images of the same scene.")],
    out: Pair = None,
    preview: Preview = None,
    offset: Offset = 0.0,
    matcher: MatcherName = "structure",
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Find the one homography between the two cameras of a rig, from frames over the whole clip.

    Exit code 4 with the numbers and an overlay picture when the fit cannot be trusted.
    """
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)
    check_picture(preview, overwrite=overwrite)

    from vfuse.align import Geometry, align_videos, load_matcher, require_trusted
    from vfuse.align.rig import load_rig, store
    from vfuse.io.probe import probe

    chosen = load_matcher(matcher)
    infos = probe(ir), probe(vis)
    known = load_rig(out) if out is not None and out.exists() else None
    rate = 1.0
    if out is not None and known is not None and known.clocks is not None:
        clocks = known.clocks_for(*infos, where=out)
        offset, rate = clocks.offset, clocks.rate
    fit, moments = align_videos(*infos, offset=offset, rate=rate, matcher=chosen)
    picture = preview if fit.trusted else preview or refusal_picture(out)
    if picture is not None:
        write_preview(picture, fit, moments)
    if as_json and fit.problems:
        console.result(record(fit), "")
    require_trusted(fit, ir=infos[0], vis=infos[1], picture=picture)
    if out is not None:
        store(out, *infos, geometry=Geometry.of(fit), overwrite=overwrite)
    console.result(record(fit), summary(fit))


def check_picture(path: Path | None, *, overwrite: bool) -> None:
    """Refuse a preview that could not be written in the end; raises OutputError."""
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise OutputError("its folder does not exist", where=path, todo="Create it first")
    if path.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise OutputError("a preview is a picture", where=path, todo="Name it .png or .jpg")
    if path.exists() and not overwrite:
        raise OutputError("exists already", where=path, todo="Use -y to overwrite it")


def refusal_picture(pair: Path | None) -> Path:
    """Where to show a refused fit: beside pair.json, else a new file of the temporary folder."""
    if pair is not None and pair.absolute().parent.is_dir():
        return pair.with_suffix(".refused.png")
    handle, name = mkstemp(prefix="vfuse-align-", suffix=".png")
    os.close(handle)
    return Path(name)


def write_preview(path: Path, fit: Fit, moments: Moments) -> None:
    """Write the overlay of the middle moment; raises OutputError."""
    import cv2

    from vfuse.align import preview

    middle = len(moments.ir) // 2
    picture = preview(moments.ir[middle], moments.vis[middle], fit.matrix)
    coded, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    try:
        path.write_bytes(data.tobytes() if coded else b"")
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from error


def record(fit: Fit) -> dict[str, Any]:
    """The result as JSON."""
    finite = {
        name: value if value == value and abs(value) != float("inf") else None
        for name, value in (
            ("error_px", fit.error),
            ("spread_px", fit.spread),
            ("stability_px", fit.stability),
            ("keystone", fit.keystone),
        )
    }
    return {
        "schema_version": 1,
        "trusted": fit.trusted,
        "matrix_vis_to_ir": fit.matrix.tolist(),
        "ir_size": list(fit.ir_size),
        "vis_size": list(fit.vis_size),
        "samples": fit.samples,
        "matches": fit.matches,
        "inliers": fit.inliers,
        "cells": fit.cells,
        **finite,
        "lead": fit.lead,
        "evidence_nats": fit.evidence,
        "overlap": fit.overlap,
        "scale": fit.scale,
        "rotation_degrees": fit.rotation,
        "shift": fit.shift,
        "problems": list(fit.problems),
    }


def summary(fit: Fit) -> str:
    """The result in one line."""
    return (
        f"scale x{fit.scale:.3f}, rotation {fit.rotation:+.2f} degrees, shift {fit.shift:.1%} of the width, "
        f"{fit.overlap:.0%} in common; {fit.inliers} of {fit.matches} matches agree to {fit.error:.1f} px, "
        f"stable to {fit.stability:.1f} px over {fit.samples} moments"
    )
