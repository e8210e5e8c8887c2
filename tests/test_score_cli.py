"""`vfuse score` and `vfuse metrics` as a user meets them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from _media import write_images
from _scenes import Scene, scene
from typer.testing import CliRunner, Result

from vfuse.cli.main import app
from vfuse.metrics import METRICS, PRESETS

FAST = ("--metrics", "en,mi,brightness_step")


def vfuse(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sources(paths: dict[str, Path]) -> tuple[str | Path, ...]:
    return "--ir", paths["ir"], "--vis", paths["vis"]


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return scene().write(tmp_path / "0111_1716")


def failed(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("vfuse: ")
    return result.stderr


def test_table(paths: dict[str, Path]):
    result = vfuse("score", paths["fused"], *sources(paths), *FAST, "-q")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert " ".join(lines[0].split()) == "fused | visible only infrared only mean of both maximum of both"
    assert lines[2].startswith("en ↑")
    assert "split: M3SVD, official test split" in result.stdout
    assert "profile definition" in result.stdout
    assert result.stderr == ""


def test_json_csv_and_frames_agree(paths: dict[str, Path], tmp_path: Path):
    summary, frames = tmp_path / "s.csv", tmp_path / "f.csv"
    result = vfuse(
        "score", paths["fused"], *sources(paths), *FAST, "--json", "--csv", summary, "--per-frame", frames
    )
    facts = json.loads(result.stdout)
    mean = facts["methods"]["fused"]["scores"]["mi"]["mean"]
    rows = list(csv.DictReader(line for line in summary.read_text().splitlines() if line[0] != "#"))
    assert float(rows[0]["mi"]) == mean
    assert "schema_version 1" in summary.read_text().splitlines()[0]
    per_frame = list(csv.DictReader(line for line in frames.read_text().splitlines() if line[0] != "#"))
    own = [row for row in per_frame if row["method"] == "fused"]
    assert [row["frame"] for row in own] == [str(t) for t in range(6)]
    assert sum(float(row["mi"]) for row in own) / 6 == pytest.approx(mean, rel=1e-12)
    assert own[0]["brightness_step"] == "" != own[1]["brightness_step"]
    assert not list(tmp_path.glob("*.partial*"))
    failed(vfuse("score", paths["fused"], *sources(paths), *FAST, "--csv", summary), 7)


def test_folders_are_matched_by_name(tmp_path: Path):
    for clip, seed in (("a", 0), ("b", 3)):
        made = scene(3, seed=seed)
        write_images(tmp_path / "ir" / clip, made.ir)
        write_images(tmp_path / "vis" / clip, made.vis)
        write_images(tmp_path / "runs/one" / clip, made.fused)
        write_images(tmp_path / "runs/two" / clip, made.vis)
    runs = sorted((tmp_path / "runs").iterdir())
    given = "--ir", tmp_path / "ir", "--vis", tmp_path / "vis"
    facts = json.loads(vfuse("score", *runs, *given, *FAST, "--json").stdout)
    assert [clip["name"] for clip in facts["clips"]] == ["a", "b"]
    assert facts["methods"]["two"]["scores"]["mi"]["clips"] == 2
    result = vfuse("score", *runs, *given, *FAST)
    assert "±" in result.stdout
    assert "*" in result.stdout
    assert "+" in result.stdout
    for image in (tmp_path / "runs/two/b").iterdir():
        image.unlink()
    (tmp_path / "runs/two/b").rmdir()
    assert "two has no clip b" in failed(vfuse("score", *runs, *given, *FAST, "-q"), 4)
    assert "one clip" in failed(vfuse("score", runs[0] / "a", *given, *FAST), 2)


def test_profile_changes_names_and_values(paths: dict[str, Path]):
    def values(profile: str) -> dict[str, float]:
        result = vfuse("score", paths["fused"], *sources(paths), *FAST, "--profile", profile, "--json")
        facts = json.loads(result.stdout)
        assert facts["settings"]["profile"] == profile
        return {name: score["mean"] for name, score in facts["methods"]["fused"]["scores"].items()}

    bits, nats = values("definition"), values("cddfuse")
    assert set(nats) == {"en", "mi_nats", "brightness_step"}
    assert nats["mi_nats"] == pytest.approx(bits["mi"] * 0.6931471805599453)


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        (("--preset", "vidofusion"), 2, "Did you mean 'videofusion'"),
        (("--metrics", "feacd_cos"), 2, "feature network"),
        (("--every", "0"), 2, "--every"),
        (("--flow", "raft2"), 2, "Did you mean 'raft'"),
        (("--start", "99"), 4, "no frame lies between"),
        (("--csv", "no/such/folder.csv"), 7, "folder does not exist"),
    ],
)
def test_bad_requests(paths: dict[str, Path], extra: tuple[str, str], code: int, said: str):
    arguments = extra if extra[0] == "--metrics" else (*FAST, *extra)
    assert said in failed(vfuse("score", paths["fused"], *sources(paths), *arguments), code)


def test_preset_all_leaves_out_what_it_lacks(paths: dict[str, Path]):
    result = vfuse("score", paths["fused"], *sources(paths), "--preset", "all", "--json", "--every", "3")
    facts = json.loads(result.stdout)
    left_out = {entry.name for entry in METRICS if entry.needs == "reference" or entry.uses == "features"}
    plain = {entry.name for entry in METRICS if not entry.variant_of}
    assert {label.split("[")[0] for label in facts["metrics"]} == plain - left_out


def test_repeated_frames_are_told(tmp_path: Path):
    made = scene(3)
    doubled = Scene(
        *([frame for frame in frames for _ in range(2)] for frames in (made.ir, made.vis, made.fused))
    )
    paths = doubled.write(tmp_path)
    plain = vfuse("score", paths["fused"], *sources(paths), *FAST).stdout
    assert "3 of 6 visible frames repeat the one before (--unique leaves them out" in plain
    unique = vfuse("score", paths["fused"], *sources(paths), *FAST, "--unique").stdout
    assert "3 of 6 visible frames repeat the one before (left out of temporal metrics)" in unique


def test_thinned_frames_are_told(paths: dict[str, Path]):
    result = vfuse("score", paths["fused"], *sources(paths), *FAST, "--every", "3")
    assert "one frame in 3 is scored; repeated frames are not looked for then" in result.stdout


def test_metrics_lists_and_explains():
    listed = vfuse("metrics").stdout
    assert all(f"\n{entry.name} " in f"\n{listed}" for entry in METRICS if not entry.variant_of)
    assert all(preset.name in listed for preset in PRESETS)
    lines = {line.split()[0]: line for line in listed.splitlines() if line.strip()}
    for entry in (entry for entry in METRICS if not entry.variant_of):
        assert f"  {entry.range} " in lines[entry.name]
        assert f" {entry.over} " in lines[entry.name]
        assert f" {entry.needs} " in lines[entry.name]
        assert lines[entry.name].endswith(entry.source)
    facts = json.loads(vfuse("metrics", "--json").stdout)
    assert [row["name"] for row in facts["metrics"]] == METRICS.names()
    one = vfuse("metrics", "flowd").stdout
    assert "lower is better" in one
    assert "carried along the visible motion" in one
    assert json.loads(vfuse("metrics", "vif", "--json").stdout)["better"] == "higher"
    assert "Did you mean 'vif'" in failed(vfuse("metrics", "viff"), 2)
