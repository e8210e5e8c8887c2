"""A fused excerpt against the whole sources, and infrared that is stored black-hot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from _media import ramp, write_video
from _scenes import RATE, scene
from test_polarity import street
from typer.testing import CliRunner, Result

from vfuse.cli.main import app

FAST = ("--metrics", "mi,psnr,warp,brightness_step", "--json", "--baselines", "0")
PART = ("--start", "0.3", "--end", "0.8")


def vfuse(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def facts(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def clip(tmp_path: Path) -> dict[str, Path]:
    """Sources of 12 frames, at 10 a second, and what vfuse makes of all and of five of them."""
    files = scene(12).write(tmp_path / "clip")
    for name, part in (("whole", ()), ("part", PART)):
        files[name] = tmp_path / f"{name}.mkv"
        fusing = ("fuse", files["ir"], files["vis"], "-o", files[name], "--model", "max", "--codec", "ffv1")
        assert vfuse(*fusing, *part, "-q").exit_code == 0
    return files


def score(clip: dict[str, Path], *more: str | Path) -> Result:
    return vfuse("score", *more, "--ir", clip["ir"], "--vis", clip["vis"], *FAST)


def test_an_excerpt_has_the_scores_of_that_part_of_the_whole(clip: dict[str, Path], tmp_path: Path):
    tables = {name: tmp_path / f"{name}.csv" for name in ("whole", "part")}
    found = {
        name: facts(score(clip, clip[name], *PART, "--per-frame", table)) for name, table in tables.items()
    }
    rows = {name: table.read_text().replace(f"clip,{name},", "clip,") for name, table in tables.items()}
    assert rows["part"] == rows["whole"]
    assert rows["part"].splitlines()[2].startswith("clip,3,0.3")
    assert [found[name]["runs"][0]["begins"] for name in ("whole", "part")] == [0, 3]
    together = facts(score(clip, clip["whole"], clip["part"], *PART))["methods"]
    assert together["whole"]["scores"] == together["part"]["scores"]


def test_an_excerpt_that_is_shifted_by_a_frame_scores_worse(clip: dict[str, Path]):
    right = facts(score(clip, clip["part"], *PART))["methods"]["part"]["scores"]
    for shifted in (("--start", "0.2", "--end", "0.7"), ("--start", "0.4", "--end", "0.9")):
        wrong = facts(score(clip, clip["part"], *shifted))["methods"]["part"]["scores"]
        assert wrong["mi"]["mean"] < right["mi"]["mean"] - 0.2
        assert wrong["psnr"]["mean"] < right["psnr"]["mean"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ((), "the visible 12;"),
        (("--start", "0.3"), "the visible 12, and 9 of them between --start and --end"),
    ],
)
def test_an_excerpt_of_another_length_is_refused_with_what_to_do(
    clip: dict[str, Path], part: tuple[str, ...], said: str
):
    result = score(clip, clip["part"], *part)
    assert result.exit_code == 4
    assert "it has 5 frames" in result.stderr
    assert said.rstrip(";") in result.stderr
    assert "--start and --end that it was fused with" in result.stderr


def test_thumbnails_of_an_excerpt_are_those_of_the_whole(clip: dict[str, Path], tmp_path: Path):
    from vfuse.cli import _report_images
    from vfuse.evaluate import ClipFiles, ScoreOptions, evaluate
    from vfuse.metrics import choose

    shown = []
    for name in ("whole", "part"):
        files = [ClipFiles(name="c", ir=clip["ir"], vis=clip["vis"], fused={"f": clip[name]})]
        options = ScoreOptions(metrics=choose(names=["mi"]), baselines=0, start=0.3, end=0.8)
        shown.append(_report_images.extremes(evaluate(files, options=options), files))
    assert shown[0] == shown[1]


@pytest.fixture
def black_hot(tmp_path: Path) -> dict[str, Path]:
    """Black-hot infrared, the visible, and what vfuse makes of them."""
    files = {
        "ir": write_video(tmp_path / "ir.mkv", [255 - street(k) for k in range(4)], rate=RATE),
        "white": write_video(tmp_path / "white.mkv", [street(k) for k in range(4)], rate=RATE),
        "vis": write_video(tmp_path / "vis.mkv", ramp(4, 320, 240, grey=False), pix_fmt="bgr0", rate=RATE),
        "fused": tmp_path / "fused.mkv",
    }
    fusing = ("fuse", files["ir"], files["vis"], "-o", files["fused"], "--model", "max", "--codec", "ffv1")
    assert vfuse(*fusing, "-q").exit_code == 0
    return files


def hot(files: dict[str, Path], ir: str, *more: str) -> tuple[dict, Result]:
    given = ("score", files["fused"], "--ir", files[ir], "--vis", files["vis"])
    result = vfuse(*given, "--metrics", "hot_target,mi", "--json", *more)
    return facts(result), result


def test_black_hot_infrared_is_scored_as_it_is_fused(black_hot: dict[str, Path]):
    stored, result = hot(black_hot, "ir")
    assert result.stderr.count("looks black-hot and is inverted") == 1
    assert stored["clips"][0]["infrared"]["black_hot"] is True
    upright, result = hot(black_hot, "white")
    assert "hot" not in result.stderr
    assert stored["methods"] == upright["methods"]
    assert stored["methods"]["fused"]["scores"]["hot_target"]["mean"] > 0.3
    told, _ = hot(black_hot, "white", "--polarity", "black-hot")
    kept, _ = hot(black_hot, "ir", "--polarity", "white-hot")
    assert told["methods"] == kept["methods"] != stored["methods"]
