"""`vfuse score`: every metric of the field on fused videos, beside the trivial baselines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfuse.cli import _options as o
from vfuse.cli import _thermal_options as thermal
from vfuse.cli._console import Console

if TYPE_CHECKING:
    from vfuse.metrics import Features, Metric

WHAT = "What is scored"
HOW = "Which metrics, in which convention"
FILES = "Files"


def _presets(incomplete: str) -> Iterator[str]:
    from vfuse.metrics import PRESETS

    return (name for name in PRESETS.names() if name.startswith(incomplete))


def _profiles(incomplete: str) -> Iterator[str]:
    from vfuse.metrics import PROFILES

    return (name for name in PROFILES.names() if name.startswith(incomplete))


def _flows(incomplete: str) -> Iterator[str]:
    from vfuse.models._instruments import INSTRUMENTS

    names = ("dis", *(entry.name for entry in INSTRUMENTS if entry.gives == "flow"))
    return (name for name in names if name.startswith(incomplete))


def _stream(option: str, text: str) -> typer.models.OptionInfo:
    return typer.Option(option, metavar="PATH", help=text, rich_help_panel=WHAT)


def _count(option: str, text: str, *, least: int = 1) -> typer.models.OptionInfo:
    return typer.Option(option, min=least, metavar="N", help=text, rich_help_panel=o.PART)


def _file(option: str, metavar: str, text: str) -> typer.models.OptionInfo:
    return typer.Option(option, metavar=metavar, help=text, rich_help_panel=FILES)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score", epilog=o.EXIT_CODES)(score)


def score(
    fused: Annotated[
        list[Path],
        typer.Argument(metavar="FUSED...", help="Fused videos, image folders, images, or folders of clips."),
    ],
    ir: Annotated[Path, _stream("--ir", "The infrared that was fused, or the restored one.")],
    vis: Annotated[Path, _stream("--vis", "The visible that was fused, or the restored one.")],
    reference_ir: Annotated[
        Path | None, _stream("--reference-ir", "The clean infrared, where --ir is degraded or restored.")
    ] = None,
    reference_vis: Annotated[
        Path | None, _stream("--reference-vis", "The clean visible, where --vis is degraded or restored.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="A,B", help="Metrics by name, see vfuse metrics.", rich_help_panel=HOW
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="NAME",
            autocompletion=_presets,
            help="default, videofusion, temcoco or all.",
            rich_help_panel=HOW,
        ),
    ] = "default",
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            metavar="NAME",
            autocompletion=_profiles,
            help="Convention: definition, standard, cddfuse, vifb, legacy2022 or published.",
            rich_help_panel=HOW,
        ),
    ] = "definition",
    flow: Annotated[
        str,
        typer.Option(
            "--flow",
            metavar="NAME",
            autocompletion=_flows,
            help="Optical flow: dis; raft, sea-raft or sea-raft-s once pulled with vfuse weights.",
            rich_help_panel=HOW,
        ),
    ] = "dis",
    flow_weights: Annotated[
        Path | None,
        typer.Option(
            "--flow-weights",
            metavar="FILE",
            help="A checkpoint of it, .pth or .safetensors, instead of the pulled one.",
            rich_help_panel=HOW,
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="NAME",
            help="Feature network for feaCD: resnet18, once pulled.",
            rich_help_panel=HOW,
        ),
    ] = None,
    feature_weights: Annotated[
        Path | None,
        typer.Option(
            "--feature-weights",
            metavar="FILE",
            help="A checkpoint of it instead of the pulled one.",
            rich_help_panel=HOW,
        ),
    ] = None,
    unique: Annotated[
        bool,
        typer.Option(
            "--unique", help="Leave repeated frames out of temporal metrics.", rich_help_panel=o.PART
        ),
    ] = False,
    every: Annotated[int, _count("--every", "Score every N-th frame, and the step to it.")] = 1,
    baselines: Annotated[
        int | None,
        _count(
            "--baselines",
            "Score the trivial baselines on every N-th of those; 0 for none. Default: about 60 frames.",
            least=0,
        ),
    ] = None,
    start: o.Start = None,
    end: o.End = None,
    span: thermal.Range = "auto",
    palette: thermal.Palette = "auto",
    polarity: thermal.Polarity = "auto",
    workers: Annotated[int | None, _count("--workers", "Threads. Default: one per core.")] = None,
    per_frame: Annotated[Path | None, _file("--per-frame", "FILE.csv", "Write all values per frame.")] = None,
    csv: Annotated[Path | None, _file("--csv", "FILE.csv", "Write the means of every clip.")] = None,
    report: Annotated[Path | None, _file("--report", "FILE.html", "Write a page to look at.")] = None,
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Score FUSED against the infrared and the visible video it was made of."""
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)
    from vfuse.cli._clips import find_clips
    from vfuse.cli._score_files import check_new, frame_table, write_summary, write_text
    from vfuse.cli._score_table import table
    from vfuse.evaluate import ScoreOptions, evaluate, feature_network, flow_network
    from vfuse.metrics import choose

    for path in (per_frame, csv, report):
        if path is not None:
            check_new(path, overwrite=overwrite)
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    described = features or ("resnet18" if feature_weights else None)
    describer = feature_network(described, feature_weights) if described else None
    chosen = choose(names=names, preset=preset, profile=profile)
    options = ScoreOptions(
        metrics=chosen if names else _possible(chosen, describer, ir=reference_ir, vis=reference_vis),
        profile=profile,
        flow=flow_network(flow, flow_weights),
        features=describer,
        every=every,
        baselines=baselines,
        unique=unique,
        start=start,
        end=end,
        thermal=thermal.thermal_options(span, palette, polarity, None),
        workers=workers,
        column=None if report is None else 0.5,
    )
    clips = find_clips(fused, ir=ir, vis=vis, reference_ir=reference_ir, reference_vis=reference_vis)
    with frame_table(per_frame, list(options.labels)) as told:
        scores = evaluate(clips, options=options, track=console.track, told=told)
    if csv is not None:
        write_summary(csv, scores)
    if report is not None:
        from vfuse.cli._report import page

        write_text(report, page(scores, clips))
    console.result(scores.as_json(), table(scores))


def _possible(
    metrics: list[Metric], features: Features | None, *, ir: Path | None, vis: Path | None
) -> list[Metric]:
    """A preset without what lacks its network or its reference."""
    given = {"ir": ir is not None, "vis": vis is not None}
    return [
        entry
        for entry in metrics
        if (entry.uses != "features" or features is not None)
        and (entry.needs != "reference" or given[entry.name.rpartition("_")[2]])
    ]
