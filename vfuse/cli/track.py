"""`vfuse track`: does fusion help a detector? People found and followed in one video or in several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from vfuse.cli import _network_options as network
from vfuse.cli import _options as o
from vfuse.cli._console import Console
from vfuse.errors import InputError, UsageError

WHAT = "What is found"
TRUTH = "Files"


def _complete(incomplete: str) -> Iterator[str]:
    from vfuse.track.detectors import DETECTORS

    return (name for name in DETECTORS.names() if name.startswith(incomplete))


Versus = Annotated[
    list[str] | None,
    typer.Option(
        "--vs",
        metavar="VIDEO",
        help="Compare with this one, such as the infrared or the visible alone; may be repeated.",
    ),
]
DetectorName = Annotated[
    str,
    typer.Option(
        "--detector",
        metavar="NAME",
        autocompletion=_complete,
        help="hog: people by their outline; hot: warm upright blobs, for infrared and fused; onnx:FILE: a "
        "YOLO-family, DETR or RF-DETR export of yours; torchvision[:NAME] or rfdetr[:SIZE]: a network of "
        "that package, trained on COCO.",
        rich_help_panel=WHAT,
    ),
]
Enlarge = Annotated[
    float | None,
    typer.Option(
        "--enlarge",
        min=0.25,
        max=4,
        metavar="X",
        help="hog: enlarge frames first; people must then be 72 pixels tall. Default: 1.5.",
        rich_help_panel=WHAT,
    ),
]
ClassNames = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="LIST|FILE",
        help="onnx and --weights: names of its classes in order. Default: those in the file.",
        rich_help_panel=WHAT,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="torchvision and rfdetr: weights of your own. Default: those for COCO, downloaded once.",
        rich_help_panel=WHAT,
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep", metavar="LIST", help="Track these classes alone. Default: all.", rich_help_panel=WHAT
    ),
]
Remember = Annotated[
    float,
    typer.Option(
        "--remember",
        min=0,
        metavar="SECONDS",
        help="How long a lost track is looked for.",
        rich_help_panel=WHAT,
    ),
]
Gt = Annotated[
    Path | None,
    typer.Option(
        "--gt",
        metavar="FILE",
        help="Ground truth: MOTChallenge or VT-MOT text, or four columns a line (LasHeR).",
        rich_help_panel=TRUTH,
    ),
]
Mot = Annotated[
    Path | None,
    typer.Option(
        "--mot",
        metavar="FILE",
        help="Write the tracks as MOTChallenge text; a folder for several videos.",
        rich_help_panel=TRUTH,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write a page with the table and the trajectories.",
        rich_help_panel=TRUTH,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Draw the trajectories.", rich_help_panel=TRUTH),
]
Annotated_ = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="Write a video with boxes, identities and trails; several videos stand side by side.",
        rich_help_panel=o.OUTPUT,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("track", epilog=o.EXIT_CODES)(track)


def track(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO...", help="Videos or image folders of one scene, in step.")
    ],
    versus: Versus = None,
    detector: DetectorName = "hog",
    enlarge: Enlarge = None,
    weights: Weights = None,
    classes: ClassNames = None,
    keep: Keep = None,
    remember: Remember = 1.0,
    device: network.Device = "auto",
    offline: o.Offline = False,
    gt: Gt = None,
    mot: Mot = None,
    report: Report = None,
    plot: Plot = None,
    out: Annotated_ = None,
    codec: o.Codec = None,
    crf: o.Crf = None,
    start: o.Start = None,
    end: o.End = None,
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Find and follow people in VIDEO, and say whether it serves a detector better than others."""
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)
    from vfuse.cli._score_files import check_new
    from vfuse.cli._track_report import write_page
    from vfuse.cli._track_table import data, table
    from vfuse.io.writer import WriteOptions
    from vfuse.track import Request, TrackerOptions, TrackOptions, track_videos
    from vfuse.track.plot import check_plot, write_plot

    every = [*videos, *(versus or [])]
    if sum(video == "-" for video in every) > 1:
        raise UsageError("standard input (-) can be read only once")
    for path in (report, plot):
        if path is not None:
            check_new(path, overwrite=overwrite)
    if report is not None or plot is not None:
        check_plot(plot)
    options = TrackOptions(
        detector=detector,
        request=Request(
            enlarge=enlarge, classes=_names(classes), weights=weights, device=device, offline=offline
        ),
        tracker=TrackerOptions(remember=remember, keep=_names(keep)),
        truth=gt,
        mot=mot,
        annotated=out,
        start=start,
        end=end,
        write=WriteOptions(codec=codec, crf=crf, overwrite=overwrite),
    )
    found = track_videos(every, options=options, progress=console.track)
    count = len(versus or [])
    if plot is not None:
        write_plot(plot, found)
    if report is not None:
        write_page(report, found, detector=detector, versus=count)
    facts = {"schema_version": 1, "detector": detector} | data(found, versus=count)
    console.result(facts, table(found, versus=count))


def _names(told: str | None) -> tuple[str, ...]:
    """Names from a list with commas, or from the lines of a file."""
    if told is None:
        return ()
    try:
        text = Path(told).read_text(encoding="utf-8") if Path(told).is_file() else told.replace(",", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as names ({error})", where=told) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())
