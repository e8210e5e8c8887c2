"""The command line when all goes well: results on stdout, talk on stderr, help, completion, progress."""

import json
import os
import subprocess
import sys

import pytest
from _media import ramp, warm_body, write_video
from typer.testing import CliRunner

import vfuse
from vfuse.cli import _console
from vfuse.cli.main import app
from vfuse.io.probe import probe

runner = CliRunner()


@pytest.fixture
def pair(tmp_path):
    ir = write_video(tmp_path / "ir.mkv", warm_body(6))
    vis = write_video(tmp_path / "vis.mkv", ramp(6, grey=False), pix_fmt="bgr0", audio_seconds=0.24)
    return ir, vis


def fuse(*arguments):
    return runner.invoke(app, ["fuse", *map(str, arguments), "--model", "average"])


def test_a_pair_becomes_one_video_and_one_line(pair, tmp_path):
    out = tmp_path / "out.mp4"
    done = fuse(*pair, "-o", out)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{out}: 6 frames of 64x48, average on ")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    info = probe(out)
    assert (info.num_frames, info.width, info.height, info.has_audio) == (6, 64, 48, True)


def test_json_is_one_object_and_the_report_file_holds_the_same(pair, tmp_path):
    done = fuse(*pair, "-o", tmp_path / "out.mp4", "--json", "--report", tmp_path / "report.json")
    told = json.loads(done.stdout)
    assert told["schema_version"] == 1
    assert told["frames"] == {"read": 6, "fused": 6, "written": 6}
    assert json.loads((tmp_path / "report.json").read_text()) == told


def test_every_option_reaches_the_library(pair, tmp_path):
    out = tmp_path / "out.mkv"
    options = ["--window", 3, "--overlap", 1, "--tile", 64, "--start", 0.04, "--end", 0.2, "--frames", 3]
    options += ["--fps", "25", "--device", "cpu", "--precision", "float32", "--threads", 1, "--no-audio"]
    options += [
        "--codec",
        "libx264",
        "--crf",
        30,
        "--pix-fmt",
        "yuv444p",
        "--encoder-opt",
        "preset=ultrafast",
    ]
    done = fuse(*pair, "-o", out, *options, "--offline", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["windows"] == {"window": 3, "overlap": 1, "blend": "linear", "tile": 64}
    assert told["frames"]["written"] == 3
    assert told["model"]["threads"] == 1
    assert told["model"]["precision"] == "float32"
    info = probe(out)
    assert (info.codec, info.pix_fmt, info.num_frames, info.has_audio) == ("h264", "yuv444p", 3, False)


def test_yes_overwrites(pair, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_text("old")
    assert fuse(*pair, "-o", out).exit_code == 7
    assert out.read_text() == "old"
    assert fuse(*pair, "-o", out, "-y").exit_code == 0
    assert probe(out).num_frames == 6


def test_warnings_go_to_stderr_and_into_the_report(pair, tmp_path):
    ir, _ = pair
    done = fuse(ir, ir, "-o", tmp_path / "out.mp4", "--json")
    assert done.exit_code == 0
    assert "warning: infrared and visible are the same file" in done.stderr
    assert "same file" in json.loads(done.stdout)["warnings"][0]


def test_the_quiet_are_not_told_but_the_report_keeps_warnings(pair, tmp_path):
    ir, _ = pair
    done = fuse(ir, ir, "-o", tmp_path / "out.mp4", "-q", "--report", tmp_path / "report.json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "same file" in json.loads((tmp_path / "report.json").read_text())["warnings"][0]


def test_swapped_inputs_are_noticed(pair, tmp_path):
    ir, vis = pair
    done = fuse(vis, ir, "-o", tmp_path / "out.mp4")
    assert done.exit_code == 0
    assert "swapped" in done.stderr or "colour" in done.stderr


def test_one_frame_and_odd_sizes_work(tmp_path):
    ir = write_video(tmp_path / "ir.mkv", ramp(1, 641, 479))
    vis = write_video(tmp_path / "vis.mkv", ramp(1, 641, 479, grey=False), pix_fmt="bgr0")
    assert fuse(ir, vis, "-o", tmp_path / "out.mp4").exit_code == 0
    info = probe(tmp_path / "out.mp4")
    assert (info.num_frames, info.width, info.height) == (1, 641, 479)


@pytest.mark.parametrize("name", ["with space", "quote'\"s", "ünïcode 视频", "100%d", "a;b|c&d", "[glob]*?"])
def test_names_are_only_names(pair, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    ir, vis = (path.rename(folder / f"{name} {path.name}") for path in pair)
    out = folder / f"{name}.mp4"
    done = fuse(ir, vis, "-o", out)
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted([ir.name, vis.name, out.name])


def test_a_leading_dash_works_after_two_dashes(pair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ir, vis = (path.rename(tmp_path / f"-{path.name}").name for path in pair)
    done = runner.invoke(app, ["fuse", "--model", "average", "--output=-out.mp4", "--", ir, vis])
    assert done.exit_code == 0, done.stderr
    assert probe("./-out.mp4").num_frames == 6


def test_one_input_can_be_stdin(pair, tmp_path):
    ir, vis = pair
    command = [
        sys.executable,
        "-m",
        "vfuse",
        "fuse",
        "-",
        vis,
        "-o",
        tmp_path / "out.mp4",
        "--model",
        "average",
    ]
    with ir.open("rb") as stream:
        subprocess.run(command, stdin=stream, capture_output=True, check=True)
    assert probe(tmp_path / "out.mp4").num_frames == 6


def test_help_names_defaults_units_and_exit_codes():
    text = " ".join(runner.invoke(app, ["fuse", "--help"], env={"COLUMNS": "200"}).stdout.split())
    for expected in ("--restored-ir", "SECONDS", "FRAMES", "PIXELS", "Default:", "130 interrupted"):
        assert expected in text
    bare = runner.invoke(app, [])
    assert "fuse" in bare.stdout
    assert bare.stderr == ""


def test_version():
    assert runner.invoke(app, ["--version"]).stdout == f"vfuse {vfuse.__version__}\n"


def test_module_and_script_are_the_same():
    run = subprocess.run(
        [sys.executable, "-m", "vfuse", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"vfuse {vfuse.__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("vfuse fu", "fuse"), ("vfuse fuse --mod", "--model"), ("vfuse fuse --model aver", "average")],
)
def test_completion_knows_commands_options_and_models(words, expected):
    completing = {
        **os.environ,
        "_VFUSE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    code = "from vfuse.cli.main import app; app(prog_name='vfuse')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=completing)
    assert expected in run.stdout.split()


def test_progress_is_plain_lines_where_stderr_is_no_terminal(capsys, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(_console, "monotonic", lambda: float(next(clock)))
    console = _console.Console()
    assert list(console.track(range(10), 10)) == list(range(10))
    lines = capsys.readouterr().err.splitlines()
    # a tick of 4 s a frame, so a line every 12 s, of the frames before
    assert lines == [
        "vfuse: 2/10 frames, 0.25 frames/s, 0:32 left",
        "vfuse: 5/10 frames, 0.25 frames/s, 0:20 left",
        "vfuse: 8/10 frames, 0.25 frames/s, 0:08 left",
    ]
    assert capsys.readouterr().out == ""


def test_rate_and_time_left_are_those_of_whole_windows(capsys, monkeypatch):
    clock = iter([0.0, *[60.0] * 20, *[120.0] * 20, *[180.0] * 20])  # bursts of 20 frames, one a minute
    monkeypatch.setattr(_console, "monotonic", lambda: next(clock))
    assert list(_console.Console().track(range(60), 60)) == list(range(60))
    assert capsys.readouterr().err.splitlines() == [
        "vfuse: first frame is ready",
        "vfuse: 20/60 frames, 0.33 frames/s, 2:00 left",
        "vfuse: 40/60 frames, 0.33 frames/s, 1:00 left",
    ]


def test_progress_is_a_bar_on_a_terminal_and_nothing_when_quiet(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(_console.Console().track(range(3), 3)) == [0, 1, 2]
    assert "0/3 [" in capsys.readouterr().err
    assert list(_console.Console(quiet=True).track(range(3), 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_no_colour_codes_when_refused(pair):
    done = runner.invoke(app, ["fuse", "--help"], env={"NO_COLOR": "1", "FORCE_COLOR": ""}, color=True)
    assert "\x1b[3" not in done.stdout


def test_an_opencv_that_needs_windows_is_said_with_the_line_that_helps(tmp_path):
    """What a server without graphics libraries answers when another package has brought opencv-python."""
    (tmp_path / "cv2").mkdir()
    missing = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2" / "__init__.py").write_text(f"raise ImportError({missing!r})\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "vfuse", "sample", str(tmp_path / "s")]
    run = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2, run.stderr
    assert missing in run.stderr
    assert "pip install --force-reinstall --no-deps opencv-python-headless" in run.stderr
