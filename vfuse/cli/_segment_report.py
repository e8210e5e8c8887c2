"""The report of `vfuse segment`: one page that works offline, with the table and the scores as bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from vfuse import __version__
from vfuse.cli._page import bars, grid_table, listed, page
from vfuse.cli._score_files import write_text
from vfuse.cli._segment_table import MEANS, class_values, rows, verdict
from vfuse.segment import SegmentedVideo


def write_page(path: Path, videos: Sequence[SegmentedVideo], *, versus: int) -> None:
    """Write the page; raises OutputError."""
    names = [video.name for video in videos]
    means = [(label, [getattr(video.scores, name) for video in videos]) for label, name in MEANS]
    parts = [
        f"<p>{videos[0].scores.frames} frames, vfuse {escape(__version__)}</p>",
        *(f"<p><b>{escape(line)}</b></p>" for line in verdict(videos, versus=versus)[1:]),
        grid_table(rows(videos)),
        "<h2>Comparison</h2>",
        bars([one for one in means if any(value is not None for value in one[1])], names),
    ]
    if videos[0].scores.miou is not None:
        parts += ["<h2>IoU of each class</h2>", bars(class_values(videos, "iou"), names)]
    parts += ["<h2>Files</h2>", listed([(video.name, video.path) for video in videos])]
    write_text(path, page("Segmentation", parts))
