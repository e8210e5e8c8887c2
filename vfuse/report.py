"""What a run did: seconds and frames per stage, warnings, and the record of it that `--report` writes."""

from __future__ import annotations

import logging
import platform
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import av
import torch

from vfuse import __version__
from vfuse.errors import OutputError
from vfuse.io.freeze import Freeze
from vfuse.io.pairs import PairPlan
from vfuse.io.probe import VideoInfo
from vfuse.models._run import LoadedModel

SCHEMA_VERSION = 1

T = TypeVar("T")


@dataclass(frozen=True)
class FuseReport:
    """The account of one call of `fuse_video`.

    Attributes:
        versions: of vfuse and what its results depend on.
        model: name, parameters, weights, their sha256, device and precision.
        windows: frames per window, overlap, blend and number of windows.
        inputs: the probed facts of "ir" and "vis", how the infrared was read, where it stood still, and the
            part that was fused.
        outputs: stream to path.
        frames: how many were read, fused and written; all equal.
        seconds: busy time of "read", "fuse" (the network) and "write", which overlap, and "total".
        warnings: what was worth saying.
    """

    versions: dict[str, str]
    model: dict[str, Any]
    windows: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, str]
    frames: dict[str, int]
    seconds: dict[str, float]
    warnings: tuple[str, ...] = ()

    @property
    def fps(self) -> float:
        """Frames per second of the whole run."""
        return self.frames["written"] / max(self.seconds["total"], 1e-9)

    def as_json(self) -> dict[str, Any]:
        """Plain types for a JSON file; rates are exact fractions as text ("30000/1001")."""
        return {"schema_version": SCHEMA_VERSION, **_plain(asdict(self)), "fps": round(self.fps, 3)}


@dataclass(frozen=True)
class Ledger:
    """Counts and times a run while it goes on; each stage is written by one thread only."""

    started: float = field(default_factory=perf_counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))
    items: defaultdict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    warnings: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls) -> Generator[Ledger, None, None]:
        """A ledger that hears the warnings of all of vfuse as long as the block lasts."""
        ledger = cls()
        handler = _Listener(ledger.warnings)
        logger = logging.getLogger("vfuse")
        logger.addHandler(handler)
        try:
            yield ledger
        finally:
            logger.removeHandler(handler)

    def watch(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Pass items on, counting them and the time it takes to get them."""
        iterator = iter(items)
        while True:
            begun = perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds[stage] += perf_counter() - begun
            self.items[stage] += 1
            yield item

    def watched(self, stage: str, call: Callable[[T], None]) -> Callable[[T], None]:
        """The same for a function: count its calls and the time they take."""

        def counted(item: T) -> None:
            begun = perf_counter()
            call(item)
            self.seconds[stage] += perf_counter() - begun
            self.items[stage] += 1

        return counted

    def check_no_frame_is_lost(self, *, where: Path) -> None:
        """Raise OutputError unless as many frames were written as fused and read."""
        read, fused, written = (self.items[stage] for stage in ("read", "fuse", "write"))
        if not read == fused == written:
            raise OutputError(
                f"{read} frames read, {fused} fused, {written} written",
                where=where,
                todo="Please report this as a bug",
            )

    def report(
        self,
        model: LoadedModel,
        plan: PairPlan,
        targets: Mapping[str, Path],
        *,
        windows: Mapping[str, Any],
        frozen: Sequence[Freeze] = (),
    ) -> FuseReport:
        """Close the account."""
        busy = {stage: self.seconds[stage] for stage in ("read", "write")}
        busy["fuse"] = self.seconds["fuse"] - self.seconds["wait"]  # the network's time, not its waiting
        return FuseReport(
            versions={
                "vfuse": __version__,
                "python": platform.python_version(),
                "torch": str(torch.__version__),
                "av": av.__version__,
            },
            model={
                "name": model.entry.name,
                "params": model.entry.params,
                "weights": model.weights,
                "sha256": model.sha256,
                "device": str(model.device),
                "precision": str(model.precision).removeprefix("torch."),
                "threads": torch.get_num_threads(),
            },
            windows=dict(windows),
            inputs={
                "ir": _facts(plan.ir),
                "vis": _facts(plan.vis),
                "thermal": asdict(plan.thermal),
                "frozen": [asdict(freeze) for freeze in frozen],
                "width": plan.width,
                "height": plan.height,
                "fps": plan.fps,
                "start": plan.start,
                "end": plan.end,
            },
            outputs={name: str(path) for name, path in targets.items()},
            frames={
                "read": self.items["read"],
                "fused": self.items["fuse"],
                "written": self.items["write"],
            },
            seconds={**busy, "total": perf_counter() - self.started},
            warnings=tuple(self.warnings),
        )


class _Listener(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


def _facts(info: VideoInfo) -> dict[str, Any]:
    """What `VideoInfo` shows of itself: not its lists of times and files."""
    return {item.name: getattr(info, item.name) for item in fields(info) if item.repr}


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON is of any type
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Fraction | Path):
        return str(value)
    return round(value, 6) if isinstance(value, float) else value
