"""Run the ways of a benchmark in turn, each time in a process of its own.

So load on the machine falls on all of them, and their peaks of memory can be told apart. Ours are started as
`vfuse` starts, with libgomp told to wait briefly; "literal" as Python starts it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vfuse.cli.main import SPIN_COUNT

Run = dict[str, float]


def in_turn(
    script: str, ways: Sequence[str], clip: Sequence[str], *, turns: int, folder: Path
) -> dict[str, Run]:
    """Medians of what `script --one WAY --keep FOLDER/WAY.pt CLIP…` prints as JSON, by way."""
    found: dict[str, list[Run]] = {way: [] for way in ways}
    for turn in range(turns):
        for way in ways:
            command = [sys.executable, script, "--one", way, "--keep", str(folder / f"{way}.pt"), *clip]
            waits = {} if way == "literal" else {"GOMP_SPINCOUNT": SPIN_COUNT}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | waits)
            found[way].append(json.loads(done.stdout))
            print(f"turn {turn + 1}, {way}: {found[way][-1]}", file=sys.stderr, flush=True)
    return {
        way: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for way, runs in found.items()
    }
