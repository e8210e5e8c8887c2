"""`vfuse metrics`: the metrics that there are, and all about one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfuse.cli import _options as o
from vfuse.cli._console import Console

if TYPE_CHECKING:
    from vfuse.metrics import Metric

ARROWS = {"higher": "↑", "lower": "↓", "neither": "·"}
OVER = {"frame": "each frame", "neighbours": "each frame and the one before", "video": "the whole video"}
NEEDS = {
    "fused": "the fused video",
    "sources": "the fused video and both sources",
    "reference": "a restored source and its clean reference",
}


def _complete(incomplete: str) -> Iterator[str]:
    from vfuse.metrics import METRICS

    return (name for name in METRICS.names() if name.startswith(incomplete))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("metrics")(metrics)


def metrics(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Explain this metric.", autocompletion=_complete),
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """List the metrics, presets and profiles, or explain one metric."""
    from vfuse.metrics import METRICS, PRESETS, PROFILES
    from vfuse.metrics._scores import describe

    console = Console(as_json=as_json)
    if name is not None:
        console.result({"schema_version": 1, **describe(METRICS[name])}, explanation(METRICS[name]))
        return
    presets = {entry.name: {"about": entry.about, "metrics": list(entry.metrics)} for entry in PRESETS}
    profiles = {entry.name: {"about": entry.about, "variants": dict(entry.variants)} for entry in PROFILES}
    facts: dict[str, Any] = {"metrics": [describe(entry) for entry in METRICS]}
    facts |= {"presets": presets, "profiles": profiles}
    console.result({"schema_version": 1, **facts}, catalogue(list(METRICS), presets, profiles))


def catalogue(entries: list[Metric], presets: dict[str, Any], profiles: dict[str, Any]) -> str:
    """The metrics in a line each, then the presets and the profiles."""
    main = [entry for entry in entries if not entry.variant_of]
    wide = max(len(entry.name) for entry in main)
    ranges = max(len(entry.range) for entry in main)
    lines = [
        f"{entry.name:{wide}} {ARROWS[entry.better]}  {entry.range:{ranges}}  {entry.over:10}  "
        f"{entry.needs:9}  {entry.source}"
        for entry in main
    ]
    lines += ["", "Other conventions of some of them, used by name or by profile:"]
    lines += [
        f"  {entry.name} (of {entry.variant_of}): {entry.source}" for entry in entries if entry.variant_of
    ]
    lines += ["", "Presets:"]
    lines += [f"  {name}: {row['about']}" + _listed(row["metrics"]) for name, row in presets.items()]
    lines += ["", "Profiles:"]
    lines += [f"  {name}: {row['about']}" for name, row in profiles.items()]
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def explanation(entry: Metric) -> str:
    """All about one metric."""
    better = {"higher": "higher is better", "lower": "lower is better", "neither": "a description, no score"}
    facts = {
        "what": entry.doc,
        "better": better[entry.better],
        "range": entry.range,
        "unit": entry.unit or "none",
        "looks at": OVER[entry.over],
        "needs": NEEDS[entry.needs],
        "source": entry.source,
        "smallest side": f"{entry.min_side} pixels",
        "version": str(entry.version),
    }
    networks = {"flow": "an optical flow (--flow)", "features": "a feature network (--features)"}
    if entry.uses:
        facts["network"] = f"{networks[entry.uses]}, named in brackets behind the metric"
    if entry.variant_of:
        facts["variant of"] = entry.variant_of
    wide = max(map(len, facts))
    return "\n".join([entry.name, *(f"  {key:{wide}}  {value}" for key, value in facts.items())])
