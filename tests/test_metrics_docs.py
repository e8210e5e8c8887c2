"""docs/METRICS.md says of every metric what the registry says."""

from __future__ import annotations

from pathlib import Path

import pytest

from vfuse.metrics import METRICS, PRESETS, PROFILES

PAGE = (Path(__file__).parents[1] / "docs" / "METRICS.md").read_text(encoding="utf-8")
ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}


@pytest.mark.parametrize("entry", METRICS, ids=lambda entry: entry.name)
def test_every_metric_has_its_line(entry):
    line = f"| `{entry.name}` {ARROWS[entry.better]} | {entry.range} | {entry.doc} | {entry.source} |"
    assert line in PAGE, f"docs/METRICS.md needs the line\n{line}"


def test_presets_and_profiles_are_described():
    for entry in (*PRESETS, *PROFILES):
        assert f"| `{entry.name}` | {entry.about} |" in PAGE
