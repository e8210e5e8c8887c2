"""pair.json: a round trip, parts that complete each other, and refusals that say what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from vfuse.align.rig import Clocks, Geometry, Rig, Source, load_rig, store
from vfuse.errors import InputError, OutputError, PairError
from vfuse.io.probe import VideoInfo

CLOCKS = Clocks(offset=0.25, rate=1.001, significance=5.0, distinct=1.2, segments=8, agreeing=7)
GEOMETRY = Geometry(
    matrix=(1.5, 0.1, -3, 0, 1.5, 4, 0, 1e-5, 1),
    samples=5,
    inliers=80,
    matches=100,
    error=1.2,
    spread=0.4,
    stability=1.1,
    evidence=90.0,
    overlap=0.8,
)


def video(path: Path, *, width: int = 64, content: bytes = b"x") -> VideoInfo:
    path.write_bytes(content)
    return VideoInfo(
        path=str(path),
        kind="video",
        container="matroska",
        codec="ffv1",
        width=width,
        height=48,
        fps=Fraction(25),
        num_frames=10,
        counted=True,
        duration=0.4,
        pix_fmt="gray",
        bit_depth=8,
        channels=1,
        colour_matrix="grey",
        colour_range="pc",
    )


@pytest.fixture
def pair(tmp_path: Path) -> tuple[VideoInfo, VideoInfo]:
    return video(tmp_path / "ir.mkv"), video(tmp_path / "vis.mkv", width=128, content=b"y")


def test_clocks_and_geometry_complete_each_other(pair: tuple[VideoInfo, VideoInfo], tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    store(path, *pair, clocks=CLOCKS, overwrite=False)
    store(path, *pair, geometry=GEOMETRY, overwrite=False)
    rig = load_rig(path)
    assert rig == Rig(Source.of(pair[0]), Source.of(pair[1]), CLOCKS, GEOMETRY)
    assert rig.geometry_for(*pair, where=path).as_matrix()[0, 2] == -3
    assert rig.clocks_for(*pair, where=path).offset == 0.25


def test_a_part_is_replaced_only_on_request(pair: tuple[VideoInfo, VideoInfo], tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    store(path, *pair, clocks=CLOCKS, overwrite=False)
    with pytest.raises(OutputError, match="-y"):
        store(path, *pair, clocks=CLOCKS, overwrite=False)
    store(path, *pair, clocks=replace(CLOCKS, offset=9.0), overwrite=True)
    rig = load_rig(path)
    assert rig.clocks is not None
    assert rig.clocks.offset == 9.0


def test_geometry_serves_other_recordings_of_the_same_size_only(
    pair: tuple[VideoInfo, VideoInfo], tmp_path: Path
) -> None:
    path = tmp_path / "pair.json"
    store(path, *pair, clocks=CLOCKS, geometry=GEOMETRY, overwrite=False)
    rig = load_rig(path)
    later = video(tmp_path / "later.mkv", content=b"z")
    assert rig.geometry_for(later, pair[1], where=path) == GEOMETRY
    with pytest.raises(PairError, match=r"another recording than .*later\.mkv"):
        rig.clocks_for(later, pair[1], where=path)
    with pytest.raises(PairError, match="made for infrared of 64x48"):
        rig.geometry_for(pair[1], pair[1], where=path)


def test_a_missing_part_is_named(pair: tuple[VideoInfo, VideoInfo], tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    store(path, *pair, clocks=CLOCKS, overwrite=False)
    with pytest.raises(PairError, match="vfuse align"):
        load_rig(path).geometry_for(*pair, where=path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no pair.json"),
        ("[1, 2]", "no pair.json"),
        ('{"a": 1}', "no pair.json"),
        ('{"schema_version": 99}', "version 99"),
        ('{"schema_version": 1}', "damaged"),
    ],
)
def test_what_is_no_record_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load_rig(path)


def test_a_matrix_that_is_no_homography_is_refused(pair: tuple[VideoInfo, VideoInfo], tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    store(path, *pair, geometry=GEOMETRY, overwrite=False)
    record = json.loads(path.read_text())
    record["geometry"]["matrix"][4] = float("nan")
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="damaged"):
        load_rig(path)
