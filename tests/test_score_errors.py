"""`vfuse score` on input that does not fit: the right exit code, both values named, nothing half written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from _media import write_images, write_video
from _scenes import RATE, Scene, scene
from typer.testing import CliRunner, Result

from vfuse.cli.main import app

MADE = scene()
FAST = ("--metrics", "en,mi,brightness_step")
CLEAN = ("--metrics", "psnr_ir,psnr_vis")


def vfuse(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    files = MADE.write(tmp_path / "clip")
    return files | {"reference_ir": files["ir"], "reference_vis": files["vis"]}


def score(paths: dict[str, Path], *extra: str | Path, reference: bool = False) -> Result:
    given = ["score", paths["fused"], "--ir", paths["ir"], "--vis", paths["vis"]]
    if reference:
        given += ["--reference-ir", paths["reference_ir"], "--reference-vis", paths["reference_vis"], *CLEAN]
    return vfuse(*given, *(() if reference else FAST), *extra)


def failed(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


def shorter(frames: list[np.ndarray]) -> list[np.ndarray]:
    return frames[:4]


def lower(frames: list[np.ndarray]) -> list[np.ndarray]:
    return [frame[:32] for frame in frames]


WRONG = {
    "count": (shorter, RATE, ("4 frames", "6")),
    "size": (lower, RATE, ("96x32", "96x64")),
    "rate": (list, RATE // 2, ("5 fps", "10 fps")),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("stream", ["fused", "ir", "reference_ir", "reference_vis"])
def test_what_differs_is_named_with_both_values(
    paths: dict[str, Path], tmp_path: Path, stream: str, wrong: str
):
    change: Callable[[list[np.ndarray]], list[np.ndarray]]
    change, rate, values = WRONG[wrong]
    frames = getattr(MADE, stream.removeprefix("reference_"))
    pix_fmt = "gray" if stream.endswith("ir") else "bgr0"
    paths[stream] = write_video(tmp_path / "odd.mkv", change(frames), pix_fmt=pix_fmt, rate=rate)
    outputs = [tmp_path / name for name in ("f.csv", "s.csv", "r.html")]
    options = zip(("--per-frame", "--csv", "--report"), outputs, strict=True)
    message = failed(
        score(paths, *(item for pair in options for item in pair), reference=stream.startswith("reference")),
        4,
    )
    assert message.startswith(f"vfuse: {paths[stream]}: ")
    assert all(value in message for value in values)
    assert "--sync" not in message  # an option of another command
    assert not any(path.exists() for path in outputs)
    assert not list(tmp_path.glob("*.partial.*"))


@pytest.mark.parametrize("stream", ["ir", "vis"])
def test_a_reference_that_is_missing_names_its_option(paths: dict[str, Path], stream: str):
    given = ("score", paths["fused"], "--ir", paths["ir"], "--vis", paths["vis"])
    message = failed(vfuse(*given, "--metrics", f"mi,ssim_{stream}"), 2)
    assert f"ssim_{stream}" in message
    assert f"--reference-{stream}" in message


@pytest.mark.parametrize(
    ("names", "said"),
    [("mi,ssimm", "Did you mean 'ssim'"), ("flowD", "Did you mean 'flowd'"), ("", "vfuse metrics")],
)
def test_a_metric_that_is_none(paths: dict[str, Path], names: str, said: str):
    given = ("score", paths["fused"], "--ir", paths["ir"], "--vis", paths["vis"])
    assert said in failed(vfuse(*given, "--metrics", names), 2)


@pytest.mark.parametrize("kind", ["video", "images"])
@pytest.mark.parametrize("stream", ["fused", "ir"])
def test_a_frame_that_is_unreadable_keeps_a_table_marked_partial(
    paths: dict[str, Path], tmp_path: Path, stream: str, kind: str
):
    frames = getattr(MADE, stream)
    if kind == "images":
        damaged = write_images(tmp_path / "damaged", frames)
        (damaged / "0003.png").write_bytes(b"gone")
    else:
        pix_fmt = "gray" if stream == "ir" else "bgr0"
        damaged = write_video(tmp_path / "damaged.mkv", frames, pix_fmt=pix_fmt, rate=RATE)
        content = bytearray(damaged.read_bytes())
        middle = len(content) * 6 // 10
        content[middle : middle + 40] = bytes(255 - byte for byte in content[middle : middle + 40])
        damaged.write_bytes(content)
    paths = paths | {stream: damaged}
    table, summary = tmp_path / "t.csv", tmp_path / "s.csv"
    result = score(paths, "--per-frame", table, "--csv", summary, "--baselines", "0")
    message = failed(result, 3)
    assert "frame 3" in message
    assert kind == "video" or "0003.png" in message
    assert not table.exists()
    assert not summary.exists()
    partial = tmp_path / "t.partial.csv"
    assert str(partial) in result.stderr
    *rows, end = partial.read_text().splitlines()[2:]
    assert [row.split(",")[2] for row in rows] == ["0", "1", "2"]
    assert end.startswith(f"# partial: {damaged}")


def test_a_whole_run_replaces_the_partial_table(paths: dict[str, Path], tmp_path: Path):
    (tmp_path / "t.partial.csv").write_text("from before")
    assert score(paths, "--per-frame", tmp_path / "t.csv").exit_code == 0
    assert "partial" not in (tmp_path / "t.csv").read_text()
    assert not (tmp_path / "t.partial.csv").exists()


def test_a_file_that_is_missing_and_one_given_twice(paths: dict[str, Path], tmp_path: Path):
    assert "does not exist" in failed(score(paths | {"fused": tmp_path / "no.mp4"}), 3)
    assert "is given twice" in failed(score(paths, paths["fused"]), 2)


def test_clips_that_are_no_clips(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    files = Scene(MADE.ir, MADE.vis, MADE.fused).write(tmp_path / "ok")
    assert failed(score(files | {"fused": tmp_path / "empty"}), 3)
