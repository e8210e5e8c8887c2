"""README as a test: every command in it parses, and those that need neither network nor hours are run."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vfuse.cli.main import app

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
LINES = [
    part.strip()
    for language, block in BLOCKS
    if language in ("sh", "bash", "console")
    for line in block.replace("\\\n", " ").splitlines()
    for part in re.split(r"&&|\|\|", line.split("#")[0])
]
COMMANDS = [shlex.split(line)[1:] for line in LINES if line.startswith("vfuse ")]
PYTHON = [block for language, block in BLOCKS if language == "python"]

# Need a connection, hours, an extra, or files of the reader's own; `sample` is run by the fixture.
NOT_RUN = {
    "train",
    "weights",
    "data",
    "score",
    "degrade",
    "align",
    "sync",
    "inspect",
    "compare",
    "sample",
    "track",
}
RUN = [
    words for words in COMMANDS if words[0] not in NOT_RUN and "$" not in "".join(words)
]  # no loops of the shell

runner = CliRunner()
if not LINES:
    pytest.skip("the README has no commands", allow_module_level=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands run: a sample pair and the shipped weights stand in for the reader's own files."""
    folder = tmp_path_factory.mktemp("readme")
    small = ["--size", "160x120", "--seconds", "3"]
    made = runner.invoke(app, ["sample", str(folder / "sample"), *small])
    assert made.exit_code == 0, made.stderr
    for name in ("ir.mp4", "vis.mp4"):
        shutil.copy(folder / "sample" / name, folder / name)
    run = folder / "runs" / "videofusion-s"
    run.mkdir(parents=True)
    shutil.copy(README.parent / "weights" / "videofusion-s.safetensors", run / "weights.safetensors")
    return folder


def test_the_first_screen_holds_the_two_commands():
    top = README.read_text(encoding="utf-8")[:3000]
    assert "pip install -c constraints.txt . && vfuse sample sample/ && vfuse fuse sample/ir.mp4" in top
    assert "pip install -c constraints.txt '.[dev]' && pytest" in top


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_and_option_exists(command):
    words = [word for word in command if re.fullmatch(r"[a-z]+", word)][:2]
    for names in (words[:2], words[:1]):  # `weights list` has a help of its own, `fuse` has one
        shown = runner.invoke(app, [*names, "--help"], env={"COLUMNS": "300", "NO_COLOR": "1"})
        if shown.exit_code == 0:
            break
    assert shown.exit_code == 0, shown.stderr
    for option in command:
        if re.match(r"--?[a-z]", option):
            assert re.search(rf"(^|\W){re.escape(option.split('=')[0])}\b", shown.stdout), option


@pytest.mark.parametrize("command", RUN, ids=" ".join)
def test_the_commands_work(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    few = ["--frames", "2", "-y"] if command[0] == "fuse" else []
    done = runner.invoke(app, [*command, *few])
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("block", PYTHON)
def test_the_python_examples_work(folder, monkeypatch, block):
    monkeypatch.chdir(folder)
    for path in folder.glob("out*"):
        path.unlink()
    exec(compile(block, "README.md", "exec"), {})
