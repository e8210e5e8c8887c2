"""The curves of a run as one SVG picture: every term of the loss, and every figure of validation."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from statistics import fmean

Points = Sequence[tuple[float, float]]

COLUMNS, WIDTH, HEIGHT = 4, 240, 150  # panels in a row, and the size of one in pixels
LEFT, TOP, RIGHT, BOTTOM = 44, 26, 10, 22  # of a panel, around its plot
STEPS_SHOWN = 120  # of a curve; more are averaged
TIMES = ("step", "seconds", "validation")  # what a line of the log has beside its curves


def curves(log: Iterable[str]) -> dict[str, Points]:
    """The lines of `log.jsonl` as curves over the step, by name; validation figures begin with "val ".

    A line that was cut off is left out.
    """
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in log:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        for name, value in record.items():
            if name not in TIMES:
                found[name].append((record["step"], value))
        for name, value in record.get("validation", {}).items():
            found[f"val {name}"].append((record["step"], value))
    return {name: thinned(points, STEPS_SHOWN) for name, points in found.items()}


def thinned(points: Points, count: int) -> Points:
    """At most so many points, each the mean of as many neighbours as it takes."""
    size = -(-len(points) // count)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def draw(curves: Mapping[str, Points]) -> str:
    """One panel for each curve, as the text of an SVG file."""
    rows = -(-len(curves) // COLUMNS)
    panels = [
        f'<g transform="translate({i % COLUMNS * WIDTH} {i // COLUMNS * HEIGHT})">{_panel(name, points)}</g>'
        for i, (name, points) in enumerate(curves.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * WIDTH}" height="{rows * HEIGHT}"'
        f' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(panels)}</svg>\n"
    )


def _panel(name: str, points: Points) -> str:
    xs, ys = ([point[axis] for point in points] for axis in (0, 1))
    low, high = min(ys), max(ys)
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    line = " ".join(
        f"{LEFT + across * _share(x, min(xs), max(xs)):.1f},{TOP + down * (1 - _share(y, low, high)):.1f}"
        for x, y in points
    )
    grid = f"M{LEFT} {TOP}V{TOP + down}H{WIDTH - RIGHT}"
    mark = f'<circle cx="{line.split(",")[0]}" cy="{line.split(",")[1]}" r="2"/>' if len(points) == 1 else ""
    return (
        f'<text x="{LEFT}" y="{TOP - 9}" font-weight="bold">{escape(name)}</text>'
        f'<path d="{grid}" fill="none" stroke="#999"/>{mark}'
        f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>'
        f'<text x="{LEFT - 4}" y="{TOP + 9}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT - 4}" y="{TOP + down}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 7}" text-anchor="end">step {xs[-1]:.0f}</text>'
    )


def _share(value: float, low: float, high: float) -> float:
    """Where a value lies between two others, 0 to 1; in the middle when these are the same."""
    return (value - low) / (high - low) if high > low else 0.5
