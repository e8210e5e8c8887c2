"""`vfuse data`: the data sets, what is on this machine, how to get one, whether it is laid out well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfuse.cli import _options as o
from vfuse.cli._clip_cache import Cache, SkipBad, load_clips, parse
from vfuse.cli._console import Console
from vfuse.cli._table import counted
from vfuse.errors import InputError, PairError, UsageError

if TYPE_CHECKING:
    from vfuse.io.inspect import DatasetReport

DataSet = Annotated[str, typer.Argument(metavar="NAME[:FOLDER]", help="Data set, or a folder of your own.")]


def register(app: typer.Typer) -> None:
    """Add `data list`, `pull`, `check` and `cache`."""
    group = typer.Typer(help="List, fetch, check and pack data sets.", no_args_is_help=True)
    for command in (list_all, pull, check, cache):
        group.command(command.__name__.partition("_")[0], epilog=o.EXIT_CODES)(command)
    app.add_typer(group, name="data")


def list_all(as_json: o.AsJson = False) -> None:
    """Show every data set: licence, where it belongs, and the clips of it that are here."""
    from vfuse.download import data_dir
    from vfuse.io.datasets import DATASETS
    from vfuse.io.inspect import inspect

    console = Console(as_json=as_json)
    found = [inspect(entry.name, data_dir() / "datasets" / entry.name) for entry in DATASETS]
    rows = [_as_json(report) | {"licence": DATASETS[report.name].licence} for report in found]
    lines = [
        f"{report.name}: licence {DATASETS[report.name].licence}; {_here(report)}\n"
        f"    {report.root}, from {DATASETS[report.name].url}"
        for report in found
    ]
    console.result({"schema_version": 1, "datasets": rows}, "\n".join(lines))


def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to fetch: m3svd-test.")] = "m3svd-test",
    folder: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Where to put it. Default: where training looks."),
    ] = None,
    mirror: Annotated[
        str, typer.Option(metavar="URL", help="Ask this address instead; the files must be the same.")
    ] = "",
    offline: o.Offline = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Fetch the MIT-licensed test split of M3SVD from its authors, every file verified."""
    if name != "m3svd-test":
        raise UsageError(
            f"{name!r} cannot be pulled", todo="Known: m3svd-test; vfuse data list tells of others"
        )
    console = Console(quiet=quiet, as_json=as_json)

    from vfuse.download import data_dir
    from vfuse.io.pull import pull_files, test_files

    root = folder or data_dir() / "datasets" / "m3svd"
    listing = test_files()
    todo = console.track(listing.files, len(listing.files), unit="file")
    count = pull_files(todo, root, listing=listing, mirror=mirror, offline=offline)
    console.result(
        {"schema_version": 1, "root": str(root), "files": len(listing.files), "fetched": count},
        f"{root}: {len(listing.files)} files, {count} of them new; {listing.licence}",
    )


def check(data: DataSet, as_json: o.AsJson = False) -> None:
    """Look at every clip of a data set without decoding it, and say what is wrong."""
    from vfuse.io.inspect import inspect

    name, root = parse(data)
    report = inspect(name, root, probed=True)
    Console(as_json=as_json).result(
        {"schema_version": 1, **_as_json(report)}, "\n".join([f"{root}: {_here(report)}", *report.problems])
    )
    if report.problems:
        kind = PairError if report.clips else InputError
        raise kind(
            counted(len(report.problems), "problem"), where=root, todo="See the list on standard output"
        )


def cache(
    data: DataSet,
    folder: Cache = None,
    skip_bad: SkipBad = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Decode the training clips of a data set once, into arrays that training reads crops from."""
    console = Console(quiet=quiet, as_json=as_json)
    clips = list(load_clips([data], folder, skip_bad=skip_bad, console=console))
    size = sum(array.nbytes for clip in clips for array in clip.streams.values())
    frames = sum(len(clip) for clip in clips)
    console.result(
        {"schema_version": 1, "clips": len(clips), "frames": frames, "bytes": size},
        f"{len(clips)} clips, {frames} frames, {size / 1e6:.0f} MB",
    )


def _here(report: DatasetReport) -> str:
    if not report.clips:
        return "not here" if not report.root.is_dir() else "no clips found"
    return ", ".join(f"{count} {split} clips" for split, count in report.clips.items())


def _as_json(report: DatasetReport) -> dict[str, object]:
    plain = {"name": report.name, "root": str(report.root), "clips": report.clips}
    return json.loads(json.dumps(plain | {"problems": report.problems}))
