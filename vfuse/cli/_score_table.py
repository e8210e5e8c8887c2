"""Scores as a table for people: metrics down, methods across, best and second best marked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vfuse.cli._table import counted
from vfuse.evaluate import Scores
from vfuse.metrics import Metric

ARROWS = {"higher": "↑", "lower": "↓", "neither": " "}
MARKS = {1: "*", 2: "+"}


def table(scores: Scores) -> str:
    """The table, what its marks mean, and what is worth knowing about the input."""
    methods, trivial = scores.methods(trivial=False), scores.methods(trivial=True)
    head = ["", *methods, *(["|"] if trivial else []), *trivial]
    rows = [_row(scores, label, entry, methods, trivial) for label, entry in scores.metrics.items()]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [_aligned(row, widths) for row in (head, *rows)]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, "", *notes(scores)])


def _row(
    scores: Scores, label: str, entry: Metric, methods: Sequence[str], trivial: Sequence[str]
) -> list[str]:
    ranks = scores.ranks(label)
    cells = [f"{label} {ARROWS[entry.better]}"]
    cells += [cell(scores, method, label) + MARKS.get(ranks.get(method, 0), " ") for method in methods]
    cells += ["|"] * bool(trivial)
    return cells + [cell(scores, method, label) for method in trivial]


def cell(scores: Scores, method: str, label: str) -> str:
    """Mean, with the spread over clips where there are several; a dash where it is undefined."""
    summary = scores.summary(method, label)
    if summary is None:
        return "-"
    spread = f" ±{digits(summary.spread)}" if summary.clips > 1 and math.isfinite(summary.spread) else ""
    return digits(summary.mean) + spread


def digits(value: float) -> str:
    """Four significant digits, without an exponent where that is readable."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    if abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (text.rjust(width) for text, width in zip(row, widths, strict=True))
    return "  ".join([row[0].ljust(len(first)), *rest]).rstrip()


def notes(scores: Scores) -> list[str]:
    """Profile, marks, baselines, undefined values, repeated frames and split, in a line each."""
    clips, settings = scores.clips, scores.settings
    frames = sum(clip.num_frames for clip in clips)
    lines = [f"{counted(len(clips), 'clip')}, {counted(frames, 'frame')}, profile {settings['profile']}"]
    if len(scores.methods(trivial=False)) > 1:
        lines.append("* best, + second best; the trivial baselines behind the bar take no part")
    baseline = next((run for run in scores.runs if run.trivial), None)
    if baseline is not None:
        total = max(len(run.rows) for run in scores.runs if run.clip == baseline.clip)
        lines.append(f"trivial baselines: no fusion at all; on {len(baseline.rows)} of {total} frames")
    lines += _undefined(scores)
    for clip in clips:
        for stream, repeated in clip.repeats.items():
            if repeated:
                name = {"ir": "infrared", "vis": "visible"}[stream]
                share = f"{len(repeated)} of {clip.num_frames} {name} frames repeat the one before"
                leaves = "left" if settings["unique"] else "--unique leaves them"
                lines.append(f"{clip.name}: {share} ({leaves} out of temporal metrics)")
    if settings["every"] > 1:
        lines.append(f"one frame in {settings['every']} is scored; repeated frames are not looked for then")
    splits = dict.fromkeys(clip.split for clip in clips if clip.split)
    return lines + [f"split: {split}" for split in splits]


def _undefined(scores: Scores) -> list[str]:
    lines: list[str] = []
    for label in scores.metrics:
        left_out = sum(run.undefined(label) for run in scores.runs if not run.trivial)
        applied = sum(len(run.values(label)) for run in scores.runs if not run.trivial)
        if left_out:
            lines.append(f"{label}: undefined on {left_out} of {applied} frames, which are left out")
    settled = sorted({name for run in scores.runs if not run.trivial for name in run.flags})
    if settled:
        lines.append(f"settled by definition (0/0) on some frames: {', '.join(settled)}")
    return lines
