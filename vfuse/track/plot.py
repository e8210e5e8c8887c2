"""Trajectories as a picture: where every track went, one panel for each video."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from vfuse.errors import OutputError, UsageError
from vfuse.extras import need
from vfuse.track.run import TrackedVideo

_SUFFIXES = (".png", ".svg", ".pdf")


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

    A dot is where a track begins; the number is its identity.
    """
    figure_type = need("matplotlib.figure", what="drawing trajectories", extra="track").Figure
    colours = need("matplotlib", what="drawing trajectories", extra="track").colormaps["tab20"]
    shape = videos[0].height / videos[0].width
    figure = figure_type(figsize=(4.6 * len(videos), 4.6 * shape + 0.6), layout="constrained")
    panels = figure.subplots(1, len(videos), squeeze=False)[0]
    for panel, video in zip(panels, videos, strict=True):
        for trail in video.trails:
            colour = colours(trail.identity % 20)
            panel.plot(*trail.points.T, color=colour, linewidth=1.2)
            panel.plot(*trail.points[0], "o", color=colour, markersize=3)
            panel.annotate(str(trail.identity), trail.points[-1], fontsize=7, color=colour)
        panel.set(xlim=(0, video.width), ylim=(video.height, 0), aspect="equal")
        marks = f", HOTA {video.accuracy.hota:.3f}" if video.accuracy is not None else ""
        panel.set_title(f"{video.name}: {video.movement.tracks} tracks{marks}", fontsize=9)
        panel.tick_params(labelsize=7)
    stream = BytesIO()
    figure.savefig(stream, format=suffix, dpi=110)
    return stream.getvalue()
