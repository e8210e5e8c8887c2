"""Scores as files: a table per clip, and a table per frame that grows while scoring goes on."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vfuse.errors import OutputError
from vfuse.evaluate import Scores
from vfuse.metrics._moment import Measured
from vfuse.metrics._registry import Value
from vfuse.metrics._scores import SCHEMA_VERSION

log = logging.getLogger(__name__)

MEAN = "(mean of clips)"


def check_new(path: Path, *, overwrite: bool) -> None:
    """Refuse an output that exists or whose folder does not; raises OutputError."""
    if not path.absolute().parent.is_dir():
        raise OutputError("its folder does not exist", where=path, todo="Create it first")
    if path.exists() and not overwrite:
        raise OutputError("exists already", where=path, todo="Use -y to overwrite it")


def write_text(path: Path, text: str) -> None:
    """Write a whole file under a temporary name, then rename it; raises OutputError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from error


def write_summary(path: Path, scores: Scores) -> None:
    """Every method on every clip, one line each, then its mean over clips; settings in comments above."""
    facts = scores.as_json()
    lines = [f"# vfuse score, schema_version {SCHEMA_VERSION}"]
    lines += [f"# {name} {json.dumps(facts[name], ensure_ascii=False)}" for name in ("settings", "clips")]
    lines.append(_line(["clip", "method", "trivial", "frames", *scores.metrics]))
    for run in scores.runs:
        means = [number(run.mean(label)) for label in scores.metrics]
        lines.append(_line([run.clip, run.method, str(run.trivial).lower(), str(len(run.rows)), *means]))
    for trivial in (False, True):
        for method in scores.methods(trivial=trivial):
            means = [_mean(scores, method, label) for label in scores.metrics]
            lines.append(_line([MEAN, method, str(trivial).lower(), "", *means]))
    write_text(path, "\n".join(lines) + "\n")


def _mean(scores: Scores, method: str, label: str) -> str:
    summary = scores.summary(method, label)
    return "" if summary is None else number(summary.mean)


def number(value: Value) -> str:
    """All digits; empty where undefined."""
    return "" if value is None else repr(value) if math.isfinite(value) else str(value)


def _line(cells: Sequence[str]) -> str:
    return ",".join(f'"{cell}"' if "," in cell or '"' in cell else cell for cell in cells)


@contextmanager
def frame_table(
    path: Path | None, labels: Sequence[str]
) -> Generator[Callable[[str, Measured], None], None, None]:
    """A function that adds each scored moment to the table; what was written before a failure is kept.

    The table is called NAME.partial.csv until the block ends well; when it does not, its last line says why,
    and a table without rows is not kept.
    """
    if path is None:
        yield lambda clip, measured: None
        return
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    rows = 0
    try:
        with open(partial, "w", encoding="utf-8", newline="", buffering=1) as file:
            table = csv.writer(file, lineterminator="\n")
            file.write(f"# vfuse score per frame, schema_version {SCHEMA_VERSION}\n")
            table.writerow(["clip", "method", "frame", "time", "brightness", *labels])

            def add(clip: str, measured: Measured) -> None:
                nonlocal rows
                for method, row in measured.rows.items():
                    values = (number(row.values.get(label)) for label in labels)
                    table.writerow([clip, method, row.frame, f"{row.time:.6f}", row.brightness, *values])
                    rows += 1

            try:
                yield add
            except BaseException as error:
                file.write(f"# partial: {' '.join(str(error).split()) or 'interrupted'}\n")
                raise
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from error
    finally:
        if rows and partial.exists():
            log.warning("what was scored before is kept in %s", partial)
        elif not rows:
            partial.unlink(missing_ok=True)
