"""The commands inspect, sync and align on real files: results, pair.json, previews, refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from _media import write_video
from test_align import H, W, rig, scene, seen_by
from test_sync import scene as moving
from typer.testing import CliRunner

from vfuse.align.rig import Geometry, load_rig, store
from vfuse.cli.main import app
from vfuse.io.probe import probe

RUN = CliRunner()


def run(*words: object) -> tuple[int, str, str]:
    result = RUN.invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def image(path: Path, picture: np.ndarray) -> Path:
    cv2.imwrite(str(path), np.round(picture * 255).astype(np.uint8))
    return path


def film(path: Path, times: np.ndarray, *, infrared: bool, rate: int) -> Path:
    pictures = np.clip(moving(times, seed=1, infrared=infrared), 0, 1)
    frames = [cv2.resize(np.round(p * 255).astype(np.uint8), (128, 96)) for p in pictures]
    return write_video(path, frames, rate=rate)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("films")
    ir = film(folder / "ir.mkv", 0.8 + np.arange(120) / 10, infrared=True, rate=10)
    return ir, film(folder / "vis.mkv", np.arange(300) / 25, infrared=False, rate=25)


def test_sync_writes_the_clocks(films: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, err = run("sync", *films, "-o", tmp_path / "pair.json", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["confident"]
    assert said["offset_seconds"] + 6 * said["rate"] == pytest.approx(-0.8 + 6, abs=0.04)
    clocks = load_rig(tmp_path / "pair.json").clocks
    assert clocks is not None
    assert clocks.offset == said["offset_seconds"]


def test_sync_sees_motion_in_sixteen_bits(films: tuple[Path, Path], tmp_path: Path) -> None:
    pictures = moving(0.8 + np.arange(120) / 10, seed=1, infrared=True)
    counts = [
        cv2.resize((30000 + 600 * p).astype(np.uint16), (128, 96)) for p in pictures
    ]  # 1 % of the scale
    ir = write_video(tmp_path / "ir.mkv", counts, pix_fmt="gray16le", rate=10)
    code, out, err = run("sync", ir, films[1], "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["offset_seconds"] + 6 * said["rate"] == pytest.approx(-0.8 + 6, abs=0.04)


def test_a_known_geometry_says_where_motion_belongs(films: tuple[Path, Path], tmp_path: Path) -> None:
    turned = np.array([[-1.0, 0, 127], [0, -1.0, 95], [0, 0, 1]])  # the infrared camera hangs upside down
    frames = [
        cv2.warpPerspective(np.round(np.clip(p, 0, 1) * 255).astype(np.uint8), turned, (128, 96))
        for p in (cv2.resize(q, (128, 96)) for q in moving(0.8 + np.arange(120) / 10, seed=1, infrared=True))
    ]
    ir = write_video(tmp_path / "ir.mkv", frames, rate=10)
    code, _, _ = run("sync", ir, films[1])
    assert code == 4
    pair = tmp_path / "pair.json"
    geometry = Geometry(tuple(turned.ravel()), 5, 50, 60, 1.0, 1.0, 1.0, 40.0, 1.0)
    infos = probe(ir), probe(films[1])
    store(pair, *infos, geometry=geometry, overwrite=False)
    code, out, err = run("sync", ir, films[1], "-o", pair, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["offset_seconds"] + 6 * said["rate"] == pytest.approx(-0.8 + 6, abs=0.04)
    assert load_rig(pair).geometry == geometry


def test_sync_refuses_what_does_not_move(tmp_path: Path) -> None:
    still = [np.full((48, 64), 90, np.uint8)] * 60
    ir, vis = write_video(tmp_path / "a.mkv", still), write_video(tmp_path / "b.mkv", still)
    code, out, err = run("sync", ir, vis, "-o", tmp_path / "pair.json")
    assert code == 4
    assert "--sync" in err
    assert out == ""
    assert not (tmp_path / "pair.json").exists()


def test_sync_refuses_a_recording_far_longer_than_the_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (24, 32), np.uint8) for _ in range(700)]
    long, short = write_video(tmp_path / "a.mkv", frames), write_video(tmp_path / "b.mkv", frames[:7])
    code, _, err = run("sync", long, short)
    assert code == 4
    assert "lasts 28 s, but" in err
    assert "Cut the longer one" in err


def test_align_writes_the_geometry_and_a_preview(tmp_path: Path) -> None:
    ir, vis = scene(4)
    true = rig(scale=1.3, degrees=-5, shift=(-0.1, 0.05))
    files = image(tmp_path / "ir.png", seen_by(ir, true)), image(tmp_path / "vis.png", vis)
    pair, preview = tmp_path / "pair.json", tmp_path / "preview.png"
    code, out, err = run("align", *files, "-o", pair, "--preview", preview)
    assert code == 0, err
    assert "x1.3" in out
    assert cv2.imread(str(preview)).shape == (2 * H, 2 * W, 3)
    geometry = load_rig(pair).geometry
    assert geometry is not None
    assert geometry.as_matrix()[0, 0] == pytest.approx(true[0, 0], abs=0.02)


def test_align_refuses_unrelated_views_but_still_shows_them(tmp_path: Path) -> None:
    files = image(tmp_path / "ir.png", scene(12)[0]), image(tmp_path / "vis.png", scene(13)[1])
    code, _, err = run("align", *files, "-o", tmp_path / "pair.json", "--preview", tmp_path / "p.png")
    assert code == 4
    assert "cannot be aligned" in err
    assert (tmp_path / "p.png").exists()
    assert not (tmp_path / "pair.json").exists()


def test_a_refused_fit_is_shown_without_being_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = image(tmp_path / "ir.png", scene(12)[0]), image(tmp_path / "vis.png", np.full((H, W), 0.5))
    code, _, err = run("align", *files, "-o", tmp_path / "pair.json")
    assert code == 4
    assert "pair.refused.png" in err
    assert cv2.imread(str(tmp_path / "pair.refused.png")).shape == (2 * H, 2 * W, 3)
    code, _, err = run("align", *files)
    assert code == 4
    (shown,) = tmp_path.glob("vfuse-align-*.png")
    assert shown.name in err


def test_a_matcher_without_its_package_or_file_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    monkeypatch.setitem(sys.modules, "kornia.feature", None)
    files = image(tmp_path / "ir.png", scene(12)[0]), image(tmp_path / "vis.png", scene(12)[1])
    code, _, err = run("align", *files, "--matcher", "loftr:weights.ckpt")
    assert code == 2
    assert "pip install 'vfuse[match]'" in err
    code, _, err = run("align", *files, "--matcher", "loftr")
    assert code == 2
    assert "loftr:FILE" in err


def test_inspect_says_what_is_in_the_way(films: tuple[Path, Path]) -> None:
    code, out, err = run("inspect", *films, "--json", "--model", "average")
    assert code == 0, err
    said = json.loads(out)
    assert (said["ir"]["frames"], said["vis"]["frames"]) == (120, 300)
    assert said["vis"]["first_timestamp"] == 0
    assert any("--sync auto" in problem for problem in said["problems"])
    assert said["output"]["frames"] == pytest.approx(280, abs=3)
    assert said["thermal"]["palette"] == "gray"
    assert said["forecast"]["model"] == "average"
    assert said["forecast"]["seconds"] > 0
    assert said["forecast"]["disk"] == pytest.approx(280 * 128 * 96 * 0.15 / 8, rel=0.02)
    code, out, err = run("inspect", *films, "--strict", "--model", "average")
    assert code == 4
    assert "MB on disk" in out
    assert "infrared second -0.8" in out or "infrared second -0.7" in out


def test_inspect_advises_no_sync_that_would_refuse(films: tuple[Path, Path], tmp_path: Path) -> None:
    frozen = write_video(tmp_path / "ir.mkv", [np.full((96, 128), 90, np.uint8)] * 60)
    code, out, _ = run("inspect", frozen, films[1], "--model", "average", "--strict")
    assert code == 4
    assert "stands still from 0.00" in out
    assert "give --sync SECONDS" in out
    assert "use --sync auto" not in out


def test_a_strict_inspect_stops_two_clips_of_different_scenes(tmp_path: Path) -> None:
    ir = film(tmp_path / "ir.mkv", np.arange(60) / 25, infrared=True, rate=25)
    rng = np.random.default_rng(0)
    vis = write_video(tmp_path / "vis.mkv", [rng.integers(0, 255, (96, 128), np.uint8) for _ in range(60)])
    code, out, _ = run("inspect", ir, vis, "--model", "average", "--strict")
    assert code == 4
    assert "same scene?" in out


def test_fuse_of_what_does_not_move_needs_the_offset(tmp_path: Path) -> None:
    still = [np.full((48, 64), 90, np.uint8)] * 20
    ir, vis = write_video(tmp_path / "a.mkv", still), write_video(tmp_path / "b.mkv", still)
    words = ("fuse", ir, vis, "-o", tmp_path / "out.mkv", "--model", "average", "--sync")
    code, _, err = run(*words, "auto")
    assert code == 4
    assert "--sync SECONDS" in err
    assert sorted(tmp_path.iterdir()) == [ir, vis]
    code, _, err = run(*words, "none")
    assert code == 0, err
    code, _, err = run(*words, "0", "-y")
    assert code == 0, err


@pytest.mark.parametrize("option", ["--sync", "--align"])
@pytest.mark.parametrize(
    ("text", "said"), [("hello", "is no pair.json"), ('{"schema_version": 99}', "Update vfuse")]
)
def test_fuse_refuses_a_pair_file_it_cannot_read(
    films: tuple[Path, Path], tmp_path: Path, option: str, text: str, said: str
) -> None:
    pair = tmp_path / "pair.json"
    pair.write_text(text)
    code, _, err = run("fuse", *films, "-o", tmp_path / "out.mkv", "--model", "average", option, pair)
    assert code == 3
    assert said in err
    assert list(tmp_path.iterdir()) == [pair]


def test_fuse_refuses_the_geometry_of_another_size(films: tuple[Path, Path], tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.mkv", [np.full((48, 64), 90, np.uint8)] * 3)
    pair = tmp_path / "pair.json"
    geometry = Geometry((1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), 5, 50, 60, 1.0, 1.0, 1.0, 40.0, 1.0)
    store(pair, probe(small), probe(films[1]), geometry=geometry, overwrite=False)
    code, _, err = run("fuse", *films, "-o", tmp_path / "out.mkv", "--model", "average", "--align", pair)
    assert code == 4
    assert "made for infrared of 64x48" in err
    assert sorted(tmp_path.iterdir()) == [pair, small]


def test_fuse_pairs_by_the_clocks_and_refuses_a_canvas_alone(
    films: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "fused.mkv"
    code, _, err = run(
        "fuse", *films, "-o", out, "--model", "average", "--sync", "-0.8", "--frames", 12, "--json"
    )
    assert code == 0, err
    assert "shown again" in err
    code, _, err = run("fuse", *films, "-o", tmp_path / "no.mkv", "--model", "average", "--canvas", "ir")
    assert code == 2
    assert "--align" in err
