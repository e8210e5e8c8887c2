"""What a run tells: its settings, a line a step in `log.jsonl`, their curves, TensorBoard if installed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vfuse.errors import OutputError
from vfuse.train._config import TrainConfig
from vfuse.train._curves import curves, draw

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

LOG, CONFIG, CURVES, BOARD = "log.jsonl", "config.json", "curves.svg", "tensorboard"


class RunLog:
    """Keeps the record of a run open while it trains; use it in a `with`.

    Lines beyond the step that the run goes on from are removed: they will be written again.

    Args:
        run: its folder.
        config: written to `config.json`.
        step: steps done before.
        active: False in all processes but one.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, run: Path, config: TrainConfig, *, step: int, active: bool = True) -> None:
        self._run, self._active = run, active
        self._board: SummaryWriter | None = None
        if not active:
            return
        _write(run / CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")
        if (run / LOG).exists():
            _write(run / LOG, _until(run / LOG, step))
        self._board = _tensorboard(run / BOARD, step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()

    def step(
        self, number: int, *, seconds: float, lr: float, gradient: float, terms: dict[str, float]
    ) -> None:
        """One optimiser step: weighted loss terms by name and their sum."""
        record = {"loss": sum(terms.values()), "gradient_norm": gradient, **terms}
        self._line({"step": number, "seconds": round(seconds, 2), "lr": lr} | record)
        self._scalars("train", {"lr": lr} | record, number)

    def validation(self, number: int, figures: dict[str, float]) -> None:
        """Figures of the averaged network on the validation clips."""
        self._line({"step": number, "validation": figures})
        self._scalars("validation", figures, number)

    def picture(self) -> None:
        """Draw the curves so far; raises OutputError."""
        if self._active and (self._run / LOG).exists():
            with (self._run / LOG).open(encoding="utf-8") as lines:
                _write(self._run / CURVES, draw(curves(lines)))

    def _line(self, record: dict[str, Any]) -> None:
        if not self._active:
            return
        try:
            with (self._run / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(record) + "\n")
        except OSError as error:
            raise _unwritable(error, self._run / LOG) from error

    def _scalars(self, group: str, values: dict[str, float], number: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, number)


def _tensorboard(folder: Path, step: int) -> SummaryWriter | None:
    """A writer that hides what an interrupted run wrote beyond its last checkpoint; None if not installed."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def _until(log: Path, step: int) -> str:
    """The lines of a log up to a step; a last line that was cut off is none."""
    kept: list[str] = []
    for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    return "".join(kept)


def _write(path: Path, text: str) -> None:
    """Replace a text file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritable(error, path) from error


def _unwritable(error: OSError, path: Path) -> OutputError:
    return OutputError(f"cannot be written: {error.strerror}", where=path, todo="Free some space")
