"""The architecture as a test: imports point one way, only cli talks, one file starts processes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vfuse

PACKAGE = Path(vfuse.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

BASE = {
    "allocator",
    "errors",
    "registry",
    "clip",
    "windows",
    "colour",
    "device",
    "prefetch",
    "download",
    "checkpoints",
    "extras",
    "",
}
TOOLS = {"io", "models", "metrics"}
# What each part may import besides itself. Files not named here join parts: pipeline, evaluate, report.
MAY_IMPORT = {
    **dict.fromkeys(BASE | TOOLS, BASE),
    **dict.fromkeys(("sync", "train", "lineup"), BASE | TOOLS),
    **dict.fromkeys(("track", "segment"), BASE | TOOLS | {"lineup"}),  # several videos of one scene
    "align": BASE | TOOLS | {"sync"},  # a rig file keeps what both found
}
JOINTS = BASE | TOOLS | {"align", "sync", "report", "forecast"}
ENTRANCES = ("cli", "__main__")
PROCESSES = {"subprocess", "multiprocessing", "pty"}


def part(path):
    top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if top == "__init__" else top


def imports(path):
    """Every module that a file names in an import, whether at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            yield node.module
            if node.module == "vfuse":
                yield from (f"vfuse.{alias.name}" for alias in node.names if not alias.name.startswith("__"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    here = part(path)
    for name in imports(path):
        root, *rest = name.split(".")
        if root in ("typer", "tqdm", "rich"):
            assert here == "cli", f"{path} imports {name}"
        if root in PROCESSES:
            assert path == PACKAGE / "io" / "ffmpeg.py", f"{path} imports {name}"
        if root == "vfuse" and here not in ENTRANCES and path.name != "__init__.py":
            allowed = MAY_IMPORT.get(here, JOINTS) | {here}
            assert (rest or [""])[0] in allowed, f"{path} imports {name}"


@pytest.mark.parametrize("path", [path for path in FILES if part(path) != "cli"], ids=lambda path: path.name)
def test_only_the_command_line_prints_or_exits(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "exit", "quit", "input"), f"{path}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            assert node.attr not in ("exit", "stdout", "stderr"), f"{path}:{node.lineno}"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fuse", "--help"]])
def test_help_answers_without_torch(arguments):
    code = (
        "import sys; sys.argv = ['vfuse', *sys.argv[1:]]\n"
        "heavy = {'torch', 'numpy', 'av', 'cv2'}\n"
        "import atexit; atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
        "from vfuse.cli.main import main; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=os.environ, check=True
    )
    assert "HEAVY []" in run.stdout


def test_importing_the_package_is_light():
    code = "import sys, vfuse; print(sorted({'torch', 'numpy', 'typer'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
