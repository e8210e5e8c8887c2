"""`vfuse inspect`: look before you fuse."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfuse.cli import _network_options as network
from vfuse.cli import _options as o
from vfuse.cli import _thermal_options as thermal
from vfuse.cli._console import Console
from vfuse.errors import PairError

if TYPE_CHECKING:
    from vfuse.inspect import Finding, Inspection
    from vfuse.io.thermal import Thermal

Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 4 when anything is noted.", rich_help_panel=o.OUTPUT)
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inspect", epilog=o.EXIT_CODES)(inspect)


def inspect(
    ir: Annotated[str, typer.Argument(metavar="IR", help="Infrared video or images.")],
    vis: Annotated[str, typer.Argument(metavar="VIS", help="Visible video or images.")],
    strict: Strict = False,
    raw: thermal.Raw = None,
    model: network.Model = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Say what two inputs hold, how they belong together, and what stands in the way of fusing them."""
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)

    from vfuse.inspect import inspect_pair
    from vfuse.models._load import load_model
    from vfuse.pipeline import DEFAULT_MODEL

    loaded = load_model(model or DEFAULT_MODEL, offline=True)
    found = inspect_pair(ir, vis, raw=thermal.raw_size(raw), model=loaded)
    console.result(record(found), page(found))
    if strict and found.problems:
        raise PairError(f"{len(found.problems)} things to look at", where=f"{ir} and {vis}")


def record(found: Inspection) -> dict[str, Any]:
    """The result as JSON."""
    from vfuse.cli.align import record as fit_record
    from vfuse.cli.sync import record as sync_record

    return {
        "schema_version": 1,
        "ir": _input(found.ir),
        "vis": _input(found.vis),
        "sync": sync_record(found.sync) if found.sync else None,
        "align": fit_record(found.fit) if found.fit else None,
        "output": {
            "width": found.size[0],
            "height": found.size[1],
            "frames": found.frames,
            "seconds": found.seconds,
        },
        "thermal": asdict(found.thermal),
        "forecast": asdict(found.forecast) if found.forecast else None,
        "problems": list(found.problems),
    }


def page(found: Inspection) -> str:
    """The result for people."""
    lines = [
        _line("infrared", found.ir),
        f"          {_reading(found.thermal)}",
        _line("visible ", found.vis),
    ]
    if found.sync is None:
        lines.append("time:     no clocks to compare")
    else:
        sure = _doubts("not confident", found.sync.problems)
        lines.append(
            f"time:     the first visible frame is infrared second {found.sync.offset:+.3f}, "
            f"{found.sync.common:.2f} s in common{sure}"
        )
    if found.fit is None:
        lines.append("view:     no simultaneous frames to compare")
    else:
        sure = _doubts("not trusted", found.fit.problems)
        lines.append(
            f"view:     scale x{found.fit.scale:.3f}, rotation {found.fit.rotation:+.2f} degrees, shift "
            f"{found.fit.shift:.1%} of the width{sure}"
        )
    lines.append(f"result:   {found.frames} frames of {found.size[0]}x{found.size[1]}, {found.seconds:.2f} s")
    if found.forecast is not None:
        lines.append(
            f"cost:     about {found.forecast.seconds:.0f} s with {found.forecast.model} here, "
            f"{found.forecast.memory / 1e9:.1f} GB of memory, {found.forecast.disk / 1e6:.1f} MB on disk"
        )
    lines += [f"note:     {problem}" for problem in found.problems]
    return "\n".join(lines)


def _doubts(verdict: str, problems: tuple[str, ...]) -> str:
    return f" ({verdict}: {'; '.join(problems)})" if problems else ""


def _reading(thermal: Thermal) -> str:
    """How the infrared would be brought to one channel."""
    palette = thermal.palette if thermal.recognised else "unknown"
    hot = "black" if thermal.black_hot else "white"
    span = (
        f", counts {thermal.low:.1%} to {thermal.high:.1%} shown"
        if (thermal.low, thermal.high) != (0, 1)
        else ""
    )
    return f"palette {palette}, {hot}-hot ({thermal.polarity}){span}"


def _line(name: str, found: Finding) -> str:
    info = found.info
    rotated = f", rotated by {info.rotation}" if info.rotation else ""
    varying = " varying" if info.vfr else ""
    colours = (
        "grey" if found.grey else "colour" if info.transfer == "sdr" else f"HDR ({info.transfer.upper()})"
    )
    repeated = f", {found.repeated} repeated" if found.repeated else ""
    return (
        f"{name}: {info.path}: {info.codec} in {info.container}, {info.width}x{info.height}{rotated}, "
        f"{info.num_frames} frames{repeated} at {float(info.fps):.5g}{varying} fps, {info.bit_depth} bits, "
        f"{info.colour_range} range, {colours}, luma {found.darkest * 255:.0f}-{found.brightest * 255:.0f}"
    )


def _input(found: Finding) -> dict[str, Any]:
    info = found.info
    return {
        "path": info.path,
        "kind": info.kind,
        "container": info.container,
        "codec": info.codec,
        "width": info.width,
        "height": info.height,
        "frames": info.num_frames,
        "counted": info.counted,
        "first_timestamp": info.origin,
        "seconds": info.duration,
        "fps": str(info.fps),
        "vfr": info.vfr,
        "gaps": found.gaps,
        "rotation": info.rotation,
        "bit_depth": info.bit_depth,
        "pix_fmt": info.pix_fmt,
        "colour_range": info.colour_range,
        "grey": found.grey,
        "luma_1_99": [found.darkest, found.brightest],
        "black_borders": list(found.borders),
        "repeated": found.repeated,
        "freezes": [list(span) for span in found.freezes],
        "has_audio": info.has_audio,
        "has_subtitles": info.has_subtitles,
    }
