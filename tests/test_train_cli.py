"""`vfuse train` and `vfuse train export`: two steps on a rendered pair, resuming, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from _media import ramp, write_images
from typer.testing import CliRunner, Result

pytest.importorskip("accelerate", reason="training is an extra: pip install 'vfuse[train]'")

from vfuse.cli.main import app
from vfuse.cli.train import seconds
from vfuse.errors import UsageError
from vfuse.models._load import load_model
from vfuse.train._checkpoint import load

SMALL = [
    *("--set", "sampling.frames=2", "--set", "sampling.height=32", "--set", "sampling.width=32"),
    *("--set", "sampling.batch=1", "--set", "precision=float32", "--cpu", "--threads", "1"),
]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for modality in ("ir", "vis"):
            frames = [
                f + rng.integers(0, 9, f.shape, np.uint8) for f in ramp(7, 48, 40, grey=modality == "ir")
            ]
            write_images(root / modality / name, frames)
    return root


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("runs") / "first"
    done = run(
        *("--data", data, "--cache", data.parent / "cache", "--run", folder, "--hold-out", "b"),
        *("--set", "optim.steps=2", "--set", "every=2", *SMALL),
    )
    return folder, done


def test_a_run_learns_validates_and_says_what_to_do_next(trained: tuple[Path, Result]) -> None:
    folder, done = trained
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert f"--weights {folder / 'weights.safetensors'}" in done.stderr
    assert load_model("videofusion-s", weights=folder / "weights.safetensors").sha256
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 2]
    assert {"ir_gain", "fused", "clean_sf"} <= set(lines[-1]["validation"])
    preview = cv2.imread(str(folder / "previews" / "b.png"))
    assert preview.shape == (40, 3 * 48, 3)


def test_it_goes_on_where_it_was_left_and_refuses_other_settings(
    data: Path, trained: tuple[Path, Result]
) -> None:
    folder, _ = trained
    again = ["--data", data, "--cache", data.parent / "cache", "--run", folder, "--hold-out", "b", *SMALL]
    refused = run(*again, "--set", "optim.steps=3", "--set", "every=2")
    assert refused.exit_code == 2
    assert "optim.steps: 2 -> 3" in refused.stderr
    assert "--fresh" in refused.stderr
    assert run(*again, "--set", "optim.steps=2", "--set", "every=2", "-q").exit_code == 0
    checkpoint = load(folder)
    assert checkpoint is not None
    assert checkpoint.step == 2


def test_exported_weights_fuse(trained: tuple[Path, Result], data: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    told = json.loads(run("export", trained[0], "-o", out, "--json").stdout)
    assert (told["model"], told["weights"]) == ("videofusion-s", str(out))
    assert run("export", trained[0], "-o", out).exit_code == 7
    fused = CliRunner().invoke(
        app,
        [
            *("fuse", str(data / "ir" / "a"), str(data / "vis" / "a"), "-o", str(tmp_path / "out")),
            *("--model", "videofusion-s", "--weights", str(out), "--frames", "2", "--threads", "1", "-q"),
        ],
    )
    assert fused.exit_code == 0, fused.stderr
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_run_can_start_from_weights_and_remembers_which(
    trained: tuple[Path, Result], data: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first.safetensors"
    run("export", trained[0], "-o", first)
    arguments = ["--data", data, "--cache", data.parent / "cache", "--run", tmp_path / "run", *SMALL]
    done = run(*arguments, "--set", "optim.steps=1", "--init", first, "-q")
    assert done.exit_code == 0, done.stderr
    told = json.loads((tmp_path / "run" / "config.json").read_text())
    assert told["init"] == hashlib.sha256(first.read_bytes()).hexdigest()
    refused = run(*arguments, "--set", "optim.steps=1")
    assert refused.exit_code == 2
    assert "init" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "no data to train on"),
        (["--data", "DATA", "--model", "videofusion-x"], 2, "Did you mean 'videofusion-s'"),
        (["--data", "DATA", "--preset", "defualt"], 2, "Did you mean 'default'"),
        (["--data", "DATA", "--set", "optim.lrr=1"], 2, "Did you mean 'lr'"),
        (["--data", "DATA", "--hold-out", "c"], 2, "names no clip c. There are: a, b"),
        (["--data", "DATA", "--hold-out", "a,b"], 3, "no clip is left to train on"),
        (["--data", "DATA"], 3, "crops need 5 of 256x192"),
        (["--data", "DATA", "--time-budget", "soon"], 2, "30m"),
        (["--data", "DATA", "--init", "NOWHERE"], 5, "does not exist"),
        (["--data", "m3sdv:DATA"], 2, "Did you mean 'm3svd'"),
        (["--data", "m3svd:NOWHERE"], 3, "github.com/Linfeng-Tang/M3SVD"),
        (["export", "NOWHERE", "-o", "w.safetensors"], 3, "holds no checkpoint"),
    ],
)
def test_what_cannot_be_is_refused(
    data: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given = [text.replace("DATA", str(data)).replace("NOWHERE", str(tmp_path / "no")) for text in arguments]
    more = [] if "export" in given else ["--cache", data.parent / "cache", "--run", tmp_path / "run", "-q"]
    refused = run(*given, *more)
    assert refused.exit_code == code, refused.stderr
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_times() -> None:
    assert [seconds(text) for text in ("90s", "30m", "1.5h", "2")] == [90, 1800, 5400, 120]
    with pytest.raises(UsageError):
        seconds("30x")
