"""Scores as one self-contained page that works offline: the data, put into the page's template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from vfuse.cli._report_images import extremes, profile
from vfuse.cli._score_table import notes
from vfuse.evaluate import Clip, ClipFiles, Run, Scores

DIGITS = 6
STREAMS = {"ir": "infrared", "vis": "visible"}


def page(scores: Scores, clips: Sequence[ClipFiles]) -> str:
    """The report as HTML.

    Args:
        scores: from `evaluate` with a column kept for the temporal profiles.
        clips: the files they were measured on, for thumbnails.
    """
    template = files("vfuse.cli").joinpath("report.html").read_text(encoding="utf-8")
    text = json.dumps(content(scores, clips), ensure_ascii=False, separators=(",", ":"))
    return template.replace("__DATA__", text.replace("<", "\\u003c"))


def content(scores: Scores, clips: Sequence[ClipFiles]) -> dict[str, Any]:
    """Everything that the page shows."""
    facts = scores.as_json()
    lead, *rest = notes(scores)
    return {
        "lead": f"{lead} · vfuse {scores.settings['vfuse']}",
        "notes": [note for note in rest if not note.startswith("*")],
        "metrics": [{"label": label, **entry} for label, entry in facts["metrics"].items()],
        "methods": [{"name": name, "trivial": row["trivial"]} for name, row in facts["methods"].items()],
        "scores": {name: _ranked(scores, row["scores"], name) for name, row in facts["methods"].items()},
        "clips": [_clip(scores, clip) for clip in scores.clips],
        "extremes": extremes(scores, clips),
        "settings": {name: facts[name] for name in ("schema_version", "settings", "clips", "runs")},
    }


def _ranked(scores: Scores, row: dict[str, Any], method: str) -> dict[str, Any]:
    return {
        label: score | {"rank": scores.ranks(label).get(method)}
        for label, score in row.items()
        if score is not None
    }


def _clip(scores: Scores, clip: Clip) -> dict[str, Any]:
    runs = [run for run in scores.runs if run.clip == clip.name]
    profiles = [profile(STREAMS[stream], rows) for stream, rows in clip.rows.items()]
    profiles += [profile(run.method, run.rows) for run in runs if not run.trivial]
    return {
        "name": clip.name,
        "sources": [
            {
                "stream": stream,
                "name": STREAMS[stream],
                "frames": [row.frame for row in rows],
                "brightness": [round(row.brightness, 3) for row in rows],
            }
            for stream, rows in clip.rows.items()
        ],
        "runs": [_run(run, list(scores.metrics)) for run in runs],
        "profiles": profiles,
    }


def _run(run: Run, labels: Sequence[str]) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        finite = value is not None and abs(value) != float("inf")
        return float(f"{value:.{DIGITS}g}") if finite else None

    return {
        "method": run.method,
        "trivial": run.trivial,
        "frames": [row.frame for row in run.rows],
        "brightness": [round(row.brightness, 3) for row in run.rows],
        "values": {label: [rounded(row.values.get(label)) for row in run.rows] for label in labels},
    }
