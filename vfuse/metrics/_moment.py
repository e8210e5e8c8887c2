"""Score one moment of a clip: every method and the trivial baselines, sharing the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vfuse.metrics._flow import DIS
from vfuse.metrics._measure import label, of_frame, of_step
from vfuse.metrics._registry import Metric, Value
from vfuse.metrics._repeats import change
from vfuse.metrics._scores import Row
from vfuse.metrics._shared import Features, Flow, Frame, Image, Sources, SourceStep, Step
from vfuse.metrics.temporal import brightness, profile

TRIVIAL = ("visible only", "infrared only", "mean of both", "maximum of both")


@dataclass(frozen=True)
class Moment:
    """All frames of one moment; what is derived from them serves the step to it and the step from it.

    Attributes:
        frame: index in the videos.
        time: seconds from their start.
        ir, vis: what was fused.
        fused: method to what it made of them.
        clean_ir, clean_vis: the references, where there are any.
    """

    frame: int
    time: float
    ir: Image
    vis: Image
    fused: Mapping[str, Image]
    clean_ir: Image | None = None
    clean_vis: Image | None = None


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What to measure.

    Attributes:
        metrics: those of frames and of steps; others are passed over.
        flow, features: networks of the temporal metrics.
        column: grey column to keep, as a part of the width; None keeps none.
    """

    metrics: Sequence[Metric]
    flow: Flow = DIS
    features: Features | None = None
    column: float | None = None

    @property
    def about_fusion(self) -> list[Metric]:
        """The metrics without those that judge a restored source, whatever was fused."""
        return [entry for entry in self.metrics if entry.needs != "reference"]

    def labelled(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values under their printed names."""
        entries = {entry.name: entry for entry in self.metrics}
        named = ((label(entries[name], flow=self.flow, features=self.features), name) for name in values)
        return {shown: values[name] for shown, name in named}


@dataclass(frozen=True)
class Measured:
    """What one moment yields.

    Attributes:
        rows: method, trivial ones included, to its row.
        sources: "ir" and "vis" to their row, without values.
        changes: "ir" and "vis" to their change since the moment before; empty for the first.
        flags: method to the metrics whose value was settled by definition.
    """

    rows: Mapping[str, Row]
    sources: Mapping[str, Row]
    changes: Mapping[str, float] = field(default_factory=dict[str, float])
    flags: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])


def measure_moment(
    now: Moment, before: Moment | None, measuring: Measuring, *, trivial: bool = False
) -> Measured:
    """Score a moment, and the step to it from the moment before where there is one.

    Args:
        now: the moment.
        before: the one directly before it.
        measuring: what to measure.
        trivial: whether to score the trivial baselines too.
    """
    sources, fused = _images(now, trivial=trivial)
    rows: dict[str, Row] = {}
    flags: dict[str, frozenset[str]] = {}
    step = earlier = None
    if before is not None:
        earlier_sources, earlier = _images(before, trivial=trivial)
        step = SourceStep(earlier_sources, sources, flow=measuring.flow, features=measuring.features)
    alone = sources.alone()
    for method, image in fused.items():
        frame = Frame(alone, image.alone())
        metrics = measuring.about_fusion if method in TRIVIAL else measuring.metrics
        values = of_frame(metrics, frame)
        if step is not None and earlier is not None:
            values |= of_step(metrics, Step(step, earlier[method], image))
        rows[method] = _row(now, image, measuring, values)
        flags[method] = frozenset(frame.flags.union(*(pair.flags for pair in frame.pairs)))
    streams = {"ir": sources.ir, "vis": sources.vis}
    return Measured(
        rows=rows,
        sources={name: _row(now, image, measuring, {}) for name, image in streams.items()},
        changes={} if step is None else {name: _change(step, name) for name in streams},
        flags=flags,
    )


def _images(moment: Moment, *, trivial: bool) -> tuple[Sources, dict[str, Image]]:
    sources = Sources(
        moment.clean_ir or moment.ir,
        moment.clean_vis or moment.vis,
        restored_ir=moment.ir if moment.clean_ir else None,
        restored_vis=moment.vis if moment.clean_vis else None,
    )
    return sources, {**moment.fused, **(_trivial(moment.ir, moment.vis) if trivial else {})}


def _trivial(ir: Image, vis: Image) -> dict[str, Image]:
    mean = ((ir.grey.astype(np.uint16) + vis.grey + 1) // 2).astype(np.uint8)
    return dict(zip(TRIVIAL, (vis, ir, Image(mean), Image(np.maximum(ir.grey, vis.grey))), strict=True))


def _row(moment: Moment, image: Image, measuring: Measuring, values: Mapping[str, Value]) -> Row:
    column = b""
    if measuring.column is not None:
        column = profile(image, column=int(measuring.column * (image.size[1] - 1))).tobytes()
    return Row(
        frame=moment.frame,
        time=moment.time,
        values=measuring.labelled(values),
        brightness=image.once(brightness),
        column=column,
    )


def _change(step: SourceStep, stream: str) -> float:
    before, after = step.before, step.after
    return change(before.ir, after.ir) if stream == "ir" else change(before.vis, after.vis)
