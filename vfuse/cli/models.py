"""`vfuse models`: the networks that there are, and all about one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfuse.cli import _options as o
from vfuse.cli._console import Console
from vfuse.cli.weights import describe

if TYPE_CHECKING:
    from vfuse.models import ModelEntry


def _complete(incomplete: str) -> Iterator[str]:
    from vfuse.models import MODELS

    return (name for name in MODELS.names() if name.startswith(incomplete))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(models)


def models(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Tell all about this network.", autocompletion=_complete),
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """List the networks, or tell all about one."""
    from vfuse.models import MODELS

    console = Console(as_json=as_json)
    if name is None:
        rows = [_describe(entry) for entry in sorted(MODELS, key=_rank)]
        console.result({"schema_version": 1, "models": rows}, "\n\n".join(_summary(row) for row in rows))
    else:
        row = _describe(MODELS[name])
        console.result({"schema_version": 1, **row}, _details(row))


def _rank(entry: ModelEntry) -> tuple[bool, bool, bool]:
    """What most people look for comes first: the default, then what has weights here, baselines last."""
    from vfuse.models._weights import weights_of
    from vfuse.pipeline import DEFAULT_MODEL

    return entry.name != DEFAULT_MODEL, not entry.params, not weights_of(entry)


def _describe(entry: ModelEntry) -> dict[str, Any]:
    from vfuse.models._weights import Choice, weights_of

    row = {field.name: getattr(entry, field.name) for field in fields(entry) if field.name != "build"}
    row["script"] = asdict(entry.script)
    row["weights"] = [describe(Choice(entry, tag, weights)) for tag, weights in weights_of(entry).items()]
    return row


def _summary(row: dict[str, Any]) -> str:
    restores = ", restores both sources" if row["restores"] else ""
    size = f"{row['params']:,} parameters" if row["params"] else "no parameters"
    windows = "frame by frame" if row["window"] == 1 else f"windows of {row['window']} frames"
    lines = [f"{row['name']}: {size}, {windows}{restores}", f"  {row['paper']}"]
    lines += [
        f"  {w['name']} ({w['here']}): licence {w['licence']}, trained on: {w['trained_on']}"
        for w in row["weights"]
    ]
    return "\n".join(lines)


def _details(row: dict[str, Any]) -> str:
    lines = [f"{key.replace('_', ' '):16} {_plain(value)}" for key, value in row.items() if key != "weights"]
    for weights in row["weights"]:
        lines += ["", f"weights          {weights['name']}"]
        shown = (
            "here",
            "path",
            "file",
            "bytes",
            "sha256",
            "licence",
            "source",
            "trained_on",
            "url",
            "git",
            "scores",
        )
        lines += [f"  {key.replace('_', ' '):14} {_plain(weights[key])}" for key in shown if weights[key]]
    return "\n".join(lines)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
