"""The report of `vfuse track`: one page that works offline, with the table and the trajectories."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from vfuse import __version__
from vfuse.cli._score_files import write_text
from vfuse.cli._track_table import rows, verdict
from vfuse.track import TrackedVideo
from vfuse.track.plot import draw

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #8884}"
    "td:first-child{text-align:left}img{max-width:100%}"
    "@media(prefers-color-scheme:dark){body{background:#16181d;color:#ddd}img{background:#fff}}"
)


def write_page(path: Path, videos: Sequence[TrackedVideo], *, detector: str, versus: int) -> None:
    """Write the page; raises OutputError."""
    head, *body = rows(videos)
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in body)
    said = "".join(f"<p><b>{escape(line)}</b></p>" for line in verdict(videos, versus=versus))
    files = "".join(f"<li>{escape(video.name)}: {escape(video.path)}</li>" for video in videos)
    picture = b64encode(draw(videos)).decode()
    write_text(
        path,
        f"<!doctype html><html lang=en><meta charset=utf-8><title>vfuse track</title><style>{_STYLE}</style>"
        f"<h1>Tracks</h1><p>{videos[0].movement.frames} frames, detector {escape(detector)}, ByteTrack, "
        f"vfuse {escape(__version__)}</p>{said}<table><tr>{cells}</tr>{lines}</table>"
        f"<h2>Trajectories</h2><img alt='trajectories' src='data:image/png;base64,{picture}'>"
        f"<h2>Files</h2><ul>{files}</ul></html>\n",
    )
