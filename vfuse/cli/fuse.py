"""`vfuse fuse`: two videos in, one video out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vfuse.cli import _network_options as network
from vfuse.cli import _options as o
from vfuse.cli import _thermal_options as thermal
from vfuse.cli._console import Console
from vfuse.errors import OutputError

if TYPE_CHECKING:
    from vfuse.pipeline import FuseReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fuse", epilog=o.EXIT_CODES)(fuse)


def fuse(
    ir: o.IrInput,
    vis: o.VisInput,
    out: o.Out,
    restored_ir: o.RestoredIr = None,
    restored_vis: o.RestoredVis = None,
    overwrite: o.Overwrite = False,
    codec: o.Codec = None,
    crf: o.Crf = None,
    pix_fmt: o.PixFmt = None,
    encoder_opt: o.EncoderOpts = None,
    keep_audio: o.KeepAudio = True,
    model: network.Model = None,
    weights: network.WeightsFile = None,
    device: network.Device = "auto",
    precision: network.Precision = "auto",
    tile: network.Tile = None,
    threads: o.Threads = None,
    offline: o.Offline = False,
    start: o.Start = None,
    end: o.End = None,
    frames: o.Frames = None,
    fps: o.Fps = None,
    sync: o.Sync = "none",
    align: o.Align = "none",
    canvas: o.CanvasName = "vis",
    window: network.Window = None,
    overlap: network.Overlap = None,
    compat: network.Compat = None,
    span: thermal.Range = "auto",
    palette: thermal.Palette = "auto",
    polarity: thermal.Polarity = "auto",
    raw: thermal.Raw = None,
    radiometric: thermal.Radiometric = None,
    on_freeze: thermal.Freezing = "hold",
    report: o.ReportFile = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Fuse the infrared video IR and the visible video VIS into one video."""
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)
    encoder_opts = o.key_values(encoder_opt, option="--encoder-opt")
    rate = o.rate(fps)

    import torch

    from vfuse.align.link import resolve_link
    from vfuse.io.writer import WriteOptions
    from vfuse.models._load import load_model
    from vfuse.pipeline import DEFAULT_MODEL, FuseOptions, fuse_video

    if threads is not None:
        torch.set_num_threads(threads)
    infrared = thermal.thermal_options(span, palette, polarity, raw)
    options = FuseOptions(
        window=window,
        overlap=overlap,
        tile=tile,
        start=start,
        end=end,
        frames=frames,
        fps=rate,
        link=resolve_link(ir, vis, sync=sync, align=align, canvas=canvas, raw=infrared.raw),
        restored_ir=restored_ir,
        restored_vis=restored_vis,
        radiometric=radiometric,
        compat=compat,
        thermal=infrared,
        on_freeze=on_freeze,
        write=WriteOptions(
            codec=codec,
            crf=crf,
            pix_fmt=pix_fmt,
            encoder_opts=encoder_opts,
            keep_audio=keep_audio,
            overwrite=overwrite,
        ),
    )
    if report is not None:
        check_report(report, overwrite=overwrite)
    loaded = load_model(
        model or DEFAULT_MODEL, weights=weights, device=device, precision=precision, offline=offline
    )
    done = fuse_video(ir, vis, out, model=loaded, options=options, track=console.track)
    if report is not None:
        write_report(report, done)
    console.result(done.as_json(), summary(done))


def summary(report: FuseReport) -> str:
    """The run in one line."""
    ran, size = report.model, f"{report.inputs['width']}x{report.inputs['height']}"
    return (
        f"{report.outputs['fused']}: {report.frames['written']} frames of {size}, {ran['name']} on "
        f"{ran['device']} in {ran['precision']}, {report.seconds['total']:.1f} s, "
        f"{report.fps:.1f} frames/s"
    )


def check_report(path: Path, *, overwrite: bool) -> None:
    """Refuse a report file that could not be written in the end; raises OutputError."""
    if not path.parent.is_dir():
        raise OutputError("its folder does not exist", where=path, todo="Create it first")
    if path.exists() and not overwrite:
        raise OutputError("exists already", where=path, todo="Use -y to overwrite it")


def write_report(path: Path, report: FuseReport) -> None:
    """Store the report as JSON; raises OutputError."""
    try:
        path.write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from error
