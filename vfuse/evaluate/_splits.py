"""Clips of known data sets, so that a score says which split it was measured on."""

from __future__ import annotations

from pathlib import Path

# arXiv 2503.23359, its official test split.
_M3SVD_TEST = """
0111_1716 0111_1753 0111_1803 0112_1705 0112_1707 0112_1722 0112_1732 0113_1647 0113_1714 0114_1537
0114_1551 0114_1609 0114_1611 0115_1829 0115_1831 0115_1834 0115_1847 0117_1605 0117_1620 0118_1803
0118_1904 0118_1913 1204_1139 1207_1712 1207_1739 1208_1654 1208_1711 1208_1717 1230_1154 1230_1202
"""
_SPLITS = {"M3SVD, official test split": frozenset(_M3SVD_TEST.split())}


def known_split(name: str, path: Path) -> str:
    """Data set and split of a clip, by its name or any part of its path; "" when it is not known."""
    words = {name, path.stem, *path.parts}
    return next((split for split, clips in _SPLITS.items() if clips & words), "")
