"""The report of `vfuse track`: one page that works offline, with the table and the plot."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from vfuse import __version__
from vfuse.cli._page import grid_table, listed, page
from vfuse.cli._score_files import write_text
from vfuse.cli._track_table import rows, verdict
from vfuse.track import TrackedVideo
from vfuse.track.plot import draw


def write_page(path: Path, videos: Sequence[TrackedVideo], *, detector: str, versus: int) -> None:
    """Write the page; raises OutputError."""
    about = f"{videos[0].movement.frames} frames, detector {detector}, ByteTrack, vfuse {__version__}"
    picture = b64encode(draw(videos)).decode()
    parts = [
        f"<p>{escape(about)}</p>",
        *(f"<p><b>{escape(line)}</b></p>" for line in verdict(videos, versus=versus)),
        grid_table(rows(videos)),
        f"<h2>Trajectories and marks</h2><img alt='plot' src='data:image/png;base64,{picture}'>",
        "<h2>Files</h2>",
        listed([(video.name, video.path) for video in videos]),
    ]
    write_text(path, page("Tracks", parts))
