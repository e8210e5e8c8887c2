"""Trajectories as a picture: where every track went, one panel for each video, and their marks as bars."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from vfuse.errors import OutputError, UsageError
from vfuse.extras import need
from vfuse.lineup import grid
from vfuse.track.run import TrackedVideo

_SUFFIXES = (".png", ".svg", ".pdf")
_WIDE, _BARS_HIGH = 4.6, 2.4  # inches, of a panel and of the bars below
_MARKS = {
    "hota": "HOTA",
    "deta": "DetA",
    "assa": "AssA",
    "mota": "MOTA",
    "idf1": "IDF1",
    "precision": "precision",
    "recall": "recall",
}


def check_plot(path: Path | None) -> None:
    """Refuse what cannot be drawn before anything is tracked; raises UsageError."""
    need("matplotlib", what="drawing trajectories", extra="track")
    if path is not None and path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"unknown suffix {path.suffix!r}", where=path, todo=f"Known: {', '.join(_SUFFIXES)}")


def write_plot(path: Path, videos: Sequence[TrackedVideo]) -> None:
    """Draw into a file; raises OutputError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(draw(videos, suffix=path.suffix.lower().lstrip(".")))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from error


def draw(videos: Sequence[TrackedVideo], *, suffix: str = "png") -> bytes:
    """The trajectories of all videos in one picture, of a format that matplotlib writes.

    A dot is where a track begins; the number is its identity. With the truth, bars below compare the videos.
    """
    figure_type = need("matplotlib.figure", what="drawing trajectories", extra="track").Figure
    columns, rows = grid(len(videos))
    marked = all(video.accuracy is not None for video in videos)
    high = _WIDE * videos[0].height / videos[0].width + 0.6
    heights = [high] * rows + [_BARS_HIGH] * marked
    figure = figure_type(figsize=(_WIDE * columns, sum(heights)), layout="constrained")
    cells = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for place, video in enumerate(videos):
        _trajectories(figure.add_subplot(cells[divmod(place, columns)]), video)
    if marked:
        _bars(figure.add_subplot(cells[rows, :]), videos)
    stream = BytesIO()
    figure.savefig(stream, format=suffix, dpi=110)
    return stream.getvalue()


def _trajectories(panel: Any, video: TrackedVideo) -> None:  # noqa: ANN401 - of matplotlib
    colours = need("matplotlib", what="drawing trajectories", extra="track").colormaps["tab20"]
    for trail in video.trails:
        colour = colours(trail.identity % 20)
        panel.plot(*trail.points.T, color=colour, linewidth=1.2)
        panel.plot(*trail.points[0], "o", color=colour, markersize=3)
        panel.annotate(str(trail.identity), trail.points[-1], fontsize=7, color=colour)
    panel.set(xlim=(0, video.width), ylim=(video.height, 0), aspect="equal")
    marks = f", HOTA {video.accuracy.hota:.3f}" if video.accuracy is not None else ""
    panel.set_title(f"{video.name}: {video.movement.tracks} tracks{marks}", fontsize=9)
    panel.tick_params(labelsize=7)


def _bars(panel: Any, videos: Sequence[TrackedVideo]) -> None:  # noqa: ANN401 - of matplotlib
    """Shares of every video side by side; what is below 0, as MOTA may be, has no bar."""
    width = 0.8 / len(videos)
    for place, video in enumerate(videos):
        values = [float(getattr(video.accuracy, name)) for name in _MARKS]
        middles = [mark + (place - (len(videos) - 1) / 2) * width for mark in range(len(_MARKS))]
        bars = panel.bar(middles, [max(value, 0) for value in values], width, label=video.name)
        panel.bar_label(bars, [f"{value:.2f}" for value in values], fontsize=6)
    panel.set_xticks(range(len(_MARKS)), _MARKS.values())
    panel.set_ylim(0, 1)
    panel.tick_params(labelsize=8)
    panel.legend(fontsize=8, ncols=len(videos), loc="upper left")
