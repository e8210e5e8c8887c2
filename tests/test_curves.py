"""The picture of a run: the right values in the right panels, whatever the log holds."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from vfuse.train._curves import STEPS_SHOWN, curves, draw, thinned

LOG = [
    *(json.dumps({"step": i, "seconds": 2 * i, "loss": 10.0 - i, "a&b": 1.0}) for i in range(1, 4)),
    json.dumps({"step": 3, "validation": {"mi": 2.5}}),
    '{"step": 4, "lo',
]


def test_a_log_becomes_curves_over_the_step() -> None:
    found = curves(LOG)
    assert found["loss"] == [(1, 9), (2, 8), (3, 7)]
    assert found["val mi"] == [(3, 2.5)]
    assert set(found) == {"loss", "a&b", "val mi"}


def test_long_curves_are_averaged_without_losing_their_ends() -> None:
    points = thinned([(float(i), float(i)) for i in range(1000)], STEPS_SHOWN)
    assert len(points) <= STEPS_SHOWN
    assert points[0] == (4, 4)
    assert points[-1] == (995, 995) or points[-1][0] > 990
    assert all(x == y for x, y in points)


def test_the_picture_falls_where_the_curve_falls() -> None:
    root = ElementTree.fromstring(draw(curves(LOG)))
    lines = root.findall(".//{*}polyline")
    assert len(lines) == 3
    places = [tuple(map(float, place.split(","))) for place in lines[0].attrib["points"].split()]
    assert places[0][0] < places[1][0] < places[2][0]
    assert places[0][1] < places[1][1] < places[2][1]  # y grows downwards in a picture
    assert [text.text for text in root.findall(".//{*}text")][:4] == ["loss", "9", "7", "step 3"]


@pytest.mark.parametrize("log", [[], ["{"]])
def test_an_empty_log_is_an_empty_picture(log: list[str]) -> None:
    assert not ElementTree.fromstring(draw(curves(log))).findall(".//{*}polyline")
