"""A report page that works offline: one style, tables, and bars to compare videos by."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #8884}"
    "td:first-child{text-align:left}img{max-width:100%}"
    ".bars td{padding:.1em .8em;text-align:left}"
    ".bars td:nth-last-child(2){width:32em}.bars i{display:block;height:.9em}"
    "@media(prefers-color-scheme:dark){body{background:#16181d;color:#ddd}img{background:#fff}}"
)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito, for all eyes


def page(title: str, parts: Sequence[str]) -> str:
    """A whole document from parts that are HTML already."""
    head = f"<meta charset=utf-8><title>vfuse {escape(title.lower())}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<h1>{escape(title)}</h1>{''.join(parts)}</html>\n"


def grid_table(lines: Sequence[Sequence[str]]) -> str:
    """A table whose first line is its head."""
    head, *body = lines
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in body)
    return f"<table><tr>{cells}</tr>{rows}</table>"


def bars(rows: Sequence[tuple[str, Sequence[float | None]]], names: Sequence[str]) -> str:
    """Shares in [0, 1] as bars, for each row one of every video; those below 0 have no length."""
    lines: list[str] = []
    for label, values in rows:
        for place, (name, value) in enumerate(zip(names, values, strict=True)):
            colour = _COLOURS[place % len(_COLOURS)]
            told = "-" if value is None else f"{value:.3f}"
            length = 100 * min(max(value or 0.0, 0.0), 1.0)
            bar = f"<i style='width:{length:.1f}%;background:{colour}'></i>"
            first = f"<td rowspan={len(names)}>{escape(label)}</td>" if place == 0 else ""
            lines.append(f"<tr>{first}<td>{escape(name)}</td><td>{bar}</td><td>{told}</td></tr>")
    return f"<table class=bars>{''.join(lines)}</table>"


def listed(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of names and what they stand for."""
    return "<ul>" + "".join(f"<li>{escape(name)}: {escape(text)}</li>" for name, text in pairs) + "</ul>"
