"""`vfuse weights`: what weights there are, where they lie, whether they are right; get more."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfuse.cli import _options as o
from vfuse.cli._console import LINE_EVERY, Console

if TYPE_CHECKING:
    from vfuse.download import Progress
    from vfuse.models import Weights
    from vfuse.models._weights import Choice, WeightFile


def _complete(incomplete: str) -> Iterator[str]:
    from vfuse.checkpoints import CHECKPOINTS
    from vfuse.models._weights import choices

    names = [choice.name for choice in choices() if choice.weights] + CHECKPOINTS.names()
    return (name for name in names if name.startswith(incomplete))


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Network, or NETWORK.TAG as `vfuse weights list` shows.",
        autocompletion=_complete,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List, find, verify, download and import weights.", no_args_is_help=True)
    group.command("list")(list_weights)
    group.command("path")(show_path)
    group.command("verify", epilog=o.EXIT_CODES)(verify_weights)
    group.command("pull", epilog=o.EXIT_CODES)(pull_weights)
    group.command("import", epilog=o.EXIT_CODES)(import_weights)
    app.add_typer(group, name="weights")


def list_weights(as_json: o.AsJson = False) -> None:
    """List all weights: shipped, downloaded, imported, and those that can be pulled."""
    from dataclasses import asdict

    from vfuse.checkpoints import CHECKPOINTS
    from vfuse.models._weights import choices, user_dir

    rows = [describe(choice) for choice in choices() if choice.weights]
    others = [{**asdict(c), "here": c.path.is_file(), "path": str(c.path)} for c in CHECKPOINTS]
    lines = [_line(row) for row in rows] or ["no weights"]
    lines += [
        f"{c['name']:26} {'downloaded' if c['here'] else 'not here':10} {'':>8}  "
        f"licence {c['licence']}; {c['used_for']}"
        for c in others
    ]
    data = {"schema_version": 1, "user_dir": str(user_dir()), "weights": rows, "checkpoints": others}
    Console(as_json=as_json).result(data, "\n".join([*lines, f"downloads and imports lie in {user_dir()}"]))


def show_path(name: Name, as_json: o.AsJson = False) -> None:
    """Print where the verified file lies on this machine; nothing is downloaded."""
    from vfuse.models._weights import choose, obtain

    choice = choose(name)
    file = obtain(choice, offline=True)
    Console(as_json=as_json).result(_found(choice.name, file), str(file.path))


def verify_weights(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Default: all on this machine.", autocompletion=_complete),
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Read weight files and compare their sha256 with the list; exit code 5 when one is wrong or missing."""
    from vfuse.errors import WeightsError
    from vfuse.models._weights import choices, choose, obtain

    wanted = [choose(name) for name in names or ()] or [
        c for c in choices() if c.weights and _expected(c.weights)
    ]
    rows: list[dict[str, Any]] = []
    for choice in wanted:
        try:
            file = obtain(choice, offline=True)
            rows.append({"name": choice.name, "ok": True, "path": str(file.path), "sha256": file.sha256})
        except WeightsError as error:
            rows.append({"name": choice.name, "ok": False, "error": str(error)})
    lines = [
        f"{row['name']}: ok, {row['path']}" if row["ok"] else f"{row['name']}: {row['error']}" for row in rows
    ]
    data = {"schema_version": 1, "ok": all(row["ok"] for row in rows), "weights": rows}
    Console(as_json=as_json).result(data, "\n".join(lines) or "no weights on this machine")
    if not data["ok"]:
        raise typer.Exit(WeightsError.exit_code)


def pull_weights(
    name: Name,
    mirror: Annotated[
        str,
        typer.Option(
            "--mirror",
            metavar="URL",
            help="Ask this address instead; what it sends is verified all the same.",
        ),
    ] = "",
    offline: o.Offline = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Download weights and verify them; published checkpoints come from their authors and are converted."""
    from vfuse.checkpoints import CHECKPOINTS
    from vfuse.checkpoints import pull as pull_checkpoint
    from vfuse.models._pull import address, pull
    from vfuse.models._weights import choose, locate

    console = Console(quiet=quiet, as_json=as_json)
    if name in CHECKPOINTS:
        with _bytes_shown(console) as progress:
            path = pull_checkpoint(name, mirror=mirror, offline=offline, progress=progress)
        return console.result({"schema_version": 1, "name": name, "path": str(path)}, f"{name}: {path}")
    choice = choose(name)
    weights = choice.weights
    if weights and weights.git and locate(weights) is None:
        console.say(f"{choice.name} is published by {weights.source}")
        console.say(
            "its authors state no licence: whether you may use it is between you and them; do not pass it on"
        )
        console.say(f"fetching {address(weights.git, mirror)}")
    with _bytes_shown(console) as progress:
        file = pull(choice.name, mirror=mirror, offline=offline, progress=progress)
    console.result(_found(choice.name, file), f"{choice.name}: {file.path}, sha256 {file.sha256}")


def import_weights(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .pth checkpoint or a .safetensors file.")],
    name: Annotated[
        str, typer.Option("--as", metavar="NETWORK.TAG", help="What to call it, such as videofusion.mine.")
    ],
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
) -> None:
    """Convert a checkpoint to safetensors, without running anything in it, for use as NETWORK.TAG."""
    from vfuse.models._convert import import_checkpoint

    file = import_checkpoint(source, name, overwrite=overwrite)
    Console(as_json=as_json).result(_found(name, file), f"{name}: {file.path}, sha256 {file.sha256}")


def describe(choice: Choice) -> dict[str, Any]:
    """All that is known about the weights of a choice, and where they are, as plain data."""
    from dataclasses import asdict

    from vfuse.models._weights import locate, shipped_dir

    assert choice.weights is not None
    path = locate(choice.weights)
    here = "not here" if path is None else "shipped" if path.parent == shipped_dir() else "downloaded"
    row = {"name": choice.name, "model": choice.entry.name, "tag": choice.tag, "params": choice.entry.params}
    return {**row, "here": here, "path": str(path) if path else None, **asdict(choice.weights)}


def _expected(weights: Weights) -> bool:
    """Whether the file should be on this machine: it lies here, or there is nowhere to fetch it from."""
    from vfuse.models._weights import locate

    return locate(weights) is not None or not (weights.url or weights.git)


def _line(row: dict[str, Any]) -> str:
    size = f"{row['bytes'] / 1e6:.1f} MB" if row["bytes"] else ""
    about = f"licence {row['licence']}; trained on: {row['trained_on']}"
    return f"{row['name']:26} {row['here']:10} {size:>8}  {about}"


def _found(name: str, file: WeightFile) -> dict[str, Any]:
    return {"schema_version": 1, "name": name, "path": str(file.path), "sha256": file.sha256}


@contextmanager
def _bytes_shown(console: Console) -> Generator[Progress | None]:
    """A download's progress: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""
    if console.quiet:
        yield None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(unit="B", unit_scale=True, file=sys.stderr, leave=False) as bar:

            def draw(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield draw
    else:
        told = monotonic()

        def tell(done: int, total: int | None) -> None:
            nonlocal told
            if monotonic() - told >= LINE_EVERY:
                told = monotonic()
                console.say(f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{done / 1e6:.1f} MB")

        yield tell
