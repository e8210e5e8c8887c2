"""Columns of text that line up: the first to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells as lines of text, with a rule under the first."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text: list[str] = []
    for first, *others in lines:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        text.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    text.insert(1, "-" * max(map(len, text)))
    return text


def cell(value: float | int | None) -> str:
    """Three digits behind the point; a dash where there is no value."""
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


def counted(number: int, what: str) -> str:
    """A number of things, in the singular or the plural."""
    return f"{number} {what}{'s' * (number != 1)}"
