"""From what the user asks for (`auto`, `none`, a file, seconds) to the link between two inputs."""

from __future__ import annotations

import logging
from pathlib import Path

from vfuse.align._views import Matrix
from vfuse.align.rig import load_rig
from vfuse.align.videos import align_videos, require_trusted
from vfuse.errors import PairError, UsageError
from vfuse.io._clocks import PairLink
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.warp import Canvas, Warp, warp_onto
from vfuse.sync.match import SyncFit
from vfuse.sync.videos import require_confident, sync_videos

log = logging.getLogger(__name__)


def resolve_link(
    ir: str | Path,
    vis: str | Path,
    *,
    sync: str = "none",
    align: str = "none",
    canvas: Canvas = "vis",
    raw: tuple[int, int] | None = None,
) -> PairLink | None:
    """How two inputs belong together; None when they are to be taken as they are.

    Args:
        sync: "none", "auto", seconds (infrared time of the first visible frame), or a pair.json.
        align: "none", "auto", or a pair.json.
        canvas: what an aligned pair shows.
        raw: width and height of the frames of a raw infrared file.

    Raises:
        UsageError: a canvas without alignment, or standard input.
        InputError: an input or a pair.json cannot be read.
        PairError: no confident offset or geometry was found, or pair.json belongs to another pair.
    """
    if align == "none" and canvas != "vis":
        raise UsageError(f"--canvas {canvas} needs --align", todo="For example: --align auto")
    if sync == align == "none":
        return None
    if "-" in (str(ir), str(vis)):
        raise UsageError("standard input cannot be synchronised or aligned", todo="Use a file")
    infos = probe(ir, raw=raw), probe(vis)
    known = None
    if align not in ("none", "auto"):
        known = load_rig(Path(align)).geometry_for(*infos, where=Path(align)).as_matrix()
    clocks = _clocks(*infos, sync, matrix=known)
    if align == "none":
        return PairLink(clocks=clocks, warp=None)
    matrix = _found_geometry(*infos, clocks=clocks) if known is None else known
    return PairLink(clocks=clocks, warp=_warp(*infos, matrix, canvas=canvas))


def find_clocks(ir: VideoInfo, vis: VideoInfo, *, matrix: Matrix | None = None) -> SyncFit:
    """Relate the clocks of two videos whose views may differ; ask `problems` whether to trust it.

    Motion that lies elsewhere in the other picture tells little. Where it leaves doubt, the views are aligned
    first, as if the clocks agreed: with cameras that stand still that works all the same.

    Args:
        ir, vis: the inputs.
        matrix: visible to infrared pixels, if known.
    """
    fit = sync_videos(ir, vis, matrix=matrix)
    if fit.confident or matrix is not None:
        return fit
    try:
        geometry, _ = align_videos(ir, vis)
    except PairError:
        return fit
    if not geometry.trusted:
        return fit
    closer = sync_videos(ir, vis, matrix=geometry.matrix)
    return closer if closer.confident else fit


def _clocks(ir: VideoInfo, vis: VideoInfo, sync: str, *, matrix: Matrix | None) -> tuple[float, float] | None:
    if sync == "none":
        return None
    if sync == "auto":
        fit = require_confident(find_clocks(ir, vis, matrix=matrix), ir=ir, vis=vis)
        log.info("synchronised: offset %+.3f s, rate %.5f", fit.offset, fit.rate)
        return fit.offset, fit.rate
    seconds = _number(sync)
    if seconds is not None:
        return seconds, 1.0
    known = load_rig(Path(sync)).clocks_for(ir, vis, where=Path(sync))
    return known.offset, known.rate


def _found_geometry(ir: VideoInfo, vis: VideoInfo, *, clocks: tuple[float, float] | None) -> Matrix:
    offset, rate = clocks or (0.0, 1.0)
    fit, _ = align_videos(ir, vis, offset=offset, rate=rate)
    matrix = require_trusted(fit, ir=ir, vis=vis).matrix
    log.info("aligned: scale x%.3f, rotation %+.2f degrees", fit.scale, fit.rotation)
    return matrix


def _warp(ir: VideoInfo, vis: VideoInfo, matrix: Matrix, *, canvas: Canvas) -> Warp:
    sizes = (ir.width, ir.height), (vis.width, vis.height)
    warp = warp_onto(canvas, matrix, ir_size=sizes[0], vis_size=sizes[1])
    if warp is None:
        raise PairError("the two cameras see no rectangle in common", where=f"{ir.path} and {vis.path}")
    return warp


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
