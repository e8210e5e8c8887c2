"""Every kind of hostile input in `_hostile.py` ends in the right result or in one line."""

from __future__ import annotations

import pytest
from _corpus import run_kind, verdict
from _hostile import FAST, KINDS


def test_there_are_at_least_forty_kinds():
    assert len(KINDS) >= 40
    assert set(FAST) <= set(KINDS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in KINDS]
)
def test_kind(tmp_path, name):
    outcome = run_kind(KINDS[name], tmp_path)
    assert verdict(KINDS[name], outcome) == "", outcome
