"""What scoring returns: values per frame, per clip and over clips, as records and as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean, pstdev
from typing import Any

from vfuse.metrics._registry import Metric, Value

SCHEMA_VERSION = 1
ROUNDING = 1e-12
"""Relative differences below this come of the order of sums, not of the clips."""


@dataclass(frozen=True)
class Row:
    """One scored frame.

    Attributes:
        frame: its index in the videos.
        time: seconds from the start of the videos.
        values: label to value. A label is absent where it does not apply (a step needs a frame before),
            and None where the metric is undefined.
        brightness: mean grey level.
        column: grey levels of one column, for the temporal profile; empty unless asked for.
    """

    frame: int
    time: float
    values: Mapping[str, Value]
    brightness: float
    column: bytes = b""


@dataclass(frozen=True)
class Run:
    """One method on one clip.

    Attributes:
        clip: name of the clip.
        method: name of the method.
        trivial: whether it is a baseline made here: a source alone, their mean, their maximum.
        rows: scored frames in order.
        video: values over the whole video.
        flags: metric to the number of frames on which its value was settled by definition (0/0).
        file: path and sha256 of the fused video; empty for a baseline.
        begins: frame of the sources that its first one belongs to.
    """

    clip: str
    method: str
    trivial: bool
    rows: tuple[Row, ...]
    video: Mapping[str, Value] = field(default_factory=dict[str, Value])
    flags: Mapping[str, int] = field(default_factory=dict[str, int])
    file: Mapping[str, str] = field(default_factory=dict[str, str])
    begins: int = 0

    def values(self, label: str) -> list[Value]:
        """Values of one metric over the frames to which it applies."""
        return [row.values[label] for row in self.rows if label in row.values]

    def mean(self, label: str) -> Value:
        """Mean over the frames on which the metric is defined; None where it is nowhere."""
        if label in self.video:
            return self.video[label]
        defined = [value for value in self.values(label) if value is not None]
        return fmean(defined) if defined else None

    def undefined(self, label: str) -> int:
        """Number of frames left out of the mean."""
        return self.values(label).count(None)


@dataclass(frozen=True)
class Clip:
    """The sources of one clip as they were read.

    Attributes:
        name: of the clip.
        width, height: pixels.
        fps: frames per second, as an exact fraction in text.
        num_frames: frames between start and end.
        files: "ir", "vis" and, where given, "reference_ir" and "reference_vis", to path and sha256.
        infrared: how the infrared was read: its palette, polarity and range.
        split: the known data set and the part of it that the clip belongs to; empty otherwise.
        repeats: "ir" and "vis" to the frames that repeat the one before; empty when not every frame was read.
        rows: brightness and profile of "ir" and "vis" over time.
    """

    name: str
    width: int
    height: int
    fps: str
    num_frames: int
    files: Mapping[str, Mapping[str, str]]
    infrared: Mapping[str, Any] = field(default_factory=dict[str, Any])
    split: str = ""
    repeats: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict[str, tuple[Row, ...]])


@dataclass(frozen=True)
class Summary:
    """A metric of one method over all clips: mean and population spread of the clips' means."""

    mean: float
    spread: float
    clips: int


@dataclass(frozen=True)
class Scores:
    """Everything that one call measured.

    Attributes:
        metrics: label to the metric it stands for, in the order of the tables.
        clips: the sources.
        runs: every method, trivial ones too, on every clip.
        settings: what was asked for, and versions.
    """

    metrics: Mapping[str, Metric]
    clips: tuple[Clip, ...]
    runs: tuple[Run, ...]
    settings: Mapping[str, Any]

    def methods(self, *, trivial: bool) -> list[str]:
        """Names of the methods, or of the trivial baselines, in order."""
        return list(dict.fromkeys(run.method for run in self.runs if run.trivial == trivial))

    def summary(self, method: str, label: str) -> Summary | None:
        """Mean over clips of a method's mean over frames; None where it is undefined everywhere."""
        means = [run.mean(label) for run in self.runs if run.method == method]
        defined = [mean for mean in means if mean is not None]
        if not defined:
            return None
        mean = fmean(defined)
        spread = pstdev(defined) if all(map(math.isfinite, defined)) else math.nan
        if spread < ROUNDING * abs(mean):
            spread = 0.0
        return Summary(mean=mean, spread=spread, clips=len(defined))

    def ranks(self, label: str) -> dict[str, int]:
        """Method to its place (1 is best, equal values share one) among those that are not trivial."""
        sign = {"higher": -1, "lower": 1, "neither": 0}[self.metrics[label].better]
        found = {method: self.summary(method, label) for method in self.methods(trivial=False)}
        keys = {method: sign * summary.mean for method, summary in found.items() if summary is not None}
        if not sign or len(keys) < 2:
            return {}
        return {method: 1 + sum(other < key for other in keys.values()) for method, key in keys.items()}

    def as_json(self) -> dict[str, Any]:
        """Plain types for a JSON file; infinities are the texts "inf" and "-inf", undefined is null."""
        return _plain(
            {
                "schema_version": SCHEMA_VERSION,
                "settings": dict(self.settings),
                "metrics": {label: describe(entry) for label, entry in self.metrics.items()},
                "clips": [_clip(clip) for clip in self.clips],
                "methods": {
                    method: {
                        "trivial": trivial,
                        "scores": {label: self._summary_json(method, label) for label in self.metrics},
                    }
                    for trivial in (False, True)
                    for method in self.methods(trivial=trivial)
                },
                "runs": [self._run(run) for run in self.runs],
            }
        )

    def _summary_json(self, method: str, label: str) -> dict[str, Any] | None:
        summary = self.summary(method, label)
        return None if summary is None else asdict(summary)

    def _run(self, run: Run) -> dict[str, Any]:
        return {
            "clip": run.clip,
            "method": run.method,
            "trivial": run.trivial,
            "file": dict(run.file),
            "begins": run.begins,
            "frames": len(run.rows),
            "means": {label: run.mean(label) for label in self.metrics},
            "undefined": {label: count for label in self.metrics if (count := run.undefined(label))},
            "settled_by_definition": dict(run.flags),
        }


def describe(entry: Metric) -> dict[str, Any]:
    """All about a metric, as plain data."""
    facts = {name: getattr(entry, name) for name in entry.__dataclass_fields__ if name != "compute"}
    return facts | {"definition": entry.doc}


def _clip(clip: Clip) -> dict[str, Any]:
    facts = {name: getattr(clip, name) for name in clip.__dataclass_fields__ if name != "rows"}
    return facts | {"repeats": {stream: list(frames) for stream, frames in clip.repeats.items()}}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def table_rows(scores: Scores) -> Iterator[tuple[Run, Row]]:
    """Every scored frame of every run, for a table per frame."""
    for run in scores.runs:
        for row in run.rows:
            yield run, row
