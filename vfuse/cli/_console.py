"""What a command says: results on stdout, talk on stderr, progress for people and for log files."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

LINE_EVERY = 10.0  # seconds between progress lines where stderr is not a terminal


@dataclass(frozen=True, kw_only=True)
class Console:
    """How much a command says and in which form.

    Attributes:
        quiet: only errors on stderr.
        verbose: also details, and the traceback of an error.
        as_json: the result as one JSON object instead of a line of text.
    """

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        logger = logging.getLogger("vfuse")
        logger.setLevel(logging.DEBUG if self.verbose else logging.WARNING)
        for handler in list(logger.handlers):
            if isinstance(handler, _Talk):
                logger.removeHandler(handler)
        # The quiet are not told, but warnings are still made: a report keeps them.
        logger.addHandler(_Talk(logging.ERROR if self.quiet else logging.NOTSET))

    def result(self, data: dict[str, Any], text: str) -> None:
        """Print the result: the data with `--json`, the text otherwise."""
        print(json.dumps(data, ensure_ascii=False) if self.as_json else text)  # noqa: T201
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Tell the user something that is not the result."""
        if not self.quiet:
            print(f"vfuse: {text}", file=sys.stderr, flush=True)  # noqa: T201

    def track(self, items: Iterable[T], total: int | None, *, unit: str = "frame") -> Iterable[T]:
        """Show how far `items` are, with rate and remaining time."""
        if self.quiet:
            return items
        if sys.stderr.isatty():
            from tqdm import tqdm

            # Frames come by the window: the rate of the whole time is steadier than that of the last ones.
            return tqdm(
                items,
                total=total,
                unit=f" {unit}s",
                file=sys.stderr,
                dynamic_ncols=True,
                leave=False,
                smoothing=0,
            )
        return self._lines(items, total, unit)

    def _lines(self, items: Iterable[T], total: int | None, unit: str) -> Iterator[T]:
        begun = told = came = monotonic()
        for done, item in enumerate(items):  # those before this one; they come by the window, in bursts
            now = monotonic()
            if now - told >= LINE_EVERY:
                told = now
                self.say(
                    _progress(done, total, unit, spent=came - begun) if done else f"first {unit} is ready"
                )
            came = now
            yield item


def _progress(done: int, total: int | None, unit: str, *, spent: float) -> str:
    rate = done / max(spent, 1e-3)
    return f"{_of(done, total)} {unit}s, {rate:.2f} {unit}s/s{_left(done, total, rate)}"


def _of(done: int, total: int | None) -> str:
    return f"{done}" if total is None else f"{done}/{total}"


def _left(done: int, total: int | None, rate: float) -> str:
    if total is None:
        return ""
    seconds = round((total - done) / rate)
    return f", {seconds // 60}:{seconds % 60:02d} left"


class _Talk(logging.Handler):
    """Warnings of the library as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        line = f"vfuse: {record.levelname.lower()}: {record.getMessage()}"
        if "tqdm" in sys.modules and sys.stderr.isatty():  # without tearing the bar apart
            sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201
