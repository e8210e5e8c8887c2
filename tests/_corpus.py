"""The hostile corpus as a table: what vfuse makes of every kind of input in `_hostile.py`.

    python tests/_corpus.py            all kinds, each in a process of its own with a time limit
    python tests/_corpus.py NAME ...   only these

A kind is either fused, with as many frames as it holds, or refused with one line and an exit code.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import resource
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import av
from _hostile import FRAMES, KINDS, Kind
from _media import ramp, write_video

HANGS = 300.0  # seconds on the wall clock after which a kind counts as hung
TIME_LIMIT = 20.0  # seconds of CPU time for one kind
MEMORY_LIMIT = 1024  # MiB on top of the interpreter with its libraries


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    code: int
    said: str
    frames: int | None
    seconds: float
    mebibytes: int
    leftovers: tuple[str, ...]


def run_kind(kind: Kind, folder: Path) -> Outcome:
    """Fuse the input with a visible video that fits a right one, in this process."""
    from vfuse.cli.main import app

    ir = kind.make(folder)
    count = kind.frames or FRAMES
    vis = write_video(folder / "vis.mkv", ramp(count, *kind.size, grey=False), pix_fmt="bgr0")
    out = folder / "out" / "fused.mkv"
    out.parent.mkdir()
    said = io.StringIO()
    begun = process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    arguments = ["fuse", str(ir), str(vis), "-o", str(out), "--model", "average", "-q"]
    code = 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            app(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    frames = None
    if out.exists():
        with av.open(str(out)) as fused:
            frames = sum(1 for packet in fused.demux(video=0) if packet.size)
    left = tuple(sorted(path.name for path in out.parent.iterdir() if path != out))
    return Outcome(code, said.getvalue(), frames, process_time() - begun, (after - before) // 1024, left)


def verdict(kind: Kind, outcome: Outcome) -> str:
    """ "" when all is well, else what is wrong."""
    wrong = []
    if outcome.code not in kind.codes:
        wrong.append(f"exit {outcome.code} instead of {' or '.join(map(str, kind.codes))}")
    if outcome.code and (len(outcome.said.splitlines()) != 1 or not outcome.said.startswith("vfuse: ")):
        wrong.append("not one line")
    if "Traceback" in outcome.said:
        wrong.append("a traceback")
    if outcome.leftovers or (outcome.code and outcome.frames is not None):
        wrong.append("a half file")
    if not outcome.code and outcome.frames != (kind.frames or FRAMES):
        wrong.append(f"{outcome.frames} frames instead of {kind.frames or FRAMES}")
    if outcome.seconds > TIME_LIMIT:
        wrong.append("too slow")
    if outcome.mebibytes > MEMORY_LIMIT:
        wrong.append(f"{outcome.mebibytes} MiB")
    return ", ".join(wrong)


def _isolated(name: str, answers: multiprocessing.Queue) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        answers.put(run_kind(KINDS[name], folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(names: list[str]) -> int:
    """Print the table; the number of kinds that went wrong."""
    import torch

    import vfuse.cli.main
    import vfuse.pipeline  # noqa: F401 - once for all children

    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")
    bad = 0
    for name in names or KINDS:
        answers = fork.Queue()
        child = fork.Process(target=_isolated, args=(name, answers))
        child.start()
        child.join(HANGS)
        if child.is_alive():
            child.kill()
            child.join()
        if answers.empty():
            bad += 1
            print(f"{name:24} WRONG: hung or crashed (status {child.exitcode})", flush=True)  # noqa: T201
            continue
        outcome = answers.get()
        wrong = verdict(KINDS[name], outcome)
        bad += bool(wrong)
        result = outcome.said.splitlines()[0] if outcome.code else f"{outcome.frames} frames"
        told = f"{'WRONG: ' + wrong + ' | ' if wrong else ''}{result}"
        cost = f"{outcome.code:3} {outcome.seconds:6.2f} s {outcome.mebibytes:5} MiB"
        print(f"{name:24} {cost}  {told}", flush=True)  # noqa: T201
    print(f"{len(names or KINDS)} kinds, {bad} wrong")  # noqa: T201
    return bad


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
