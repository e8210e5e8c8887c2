"""Apply metrics to what they look at, each under the name that tells what went into it."""

from __future__ import annotations

from collections.abc import Iterable

from vfuse.metrics._profiles import choose
from vfuse.metrics._registry import Metric, Value
from vfuse.metrics._shared import Curves, Features, Flow, Frame, Image, Pixels, Sources, Step


def label(metric: Metric, *, flow: Flow, features: Features | None = None) -> str:
    """Name of the value: the metric's, with the network that is part of it in brackets."""
    if metric.uses == "flow":
        return f"{metric.name}[{flow.name}]"
    if metric.uses == "features" and features is not None:
        return f"{metric.name}[{features.name}]"
    return metric.name


def of_frame(metrics: Iterable[Metric], frame: Frame) -> dict[str, Value]:
    """Values of the metrics over single frames, by name; None where undefined or the frame is too small."""
    return {m.name: _value(m, frame, frame.fused) for m in metrics if m.over == "frame"}


def of_step(metrics: Iterable[Metric], step: Step) -> dict[str, Value]:
    """Values of the metrics over neighbouring frames, by name; None where undefined or too small."""
    return {m.name: _value(m, step, step.after) for m in metrics if m.over == "neighbours"}


def of_video(metrics: Iterable[Metric], curves: Curves) -> dict[str, Value]:
    """Values of the metrics over a whole video, by name."""
    return {m.name: m.compute(curves) for m in metrics if m.over == "video"}


def _value(metric: Metric, what: Frame | Step, image: Image) -> Value:
    return metric.compute(what) if min(image.size) >= metric.min_side else None


def measure(
    fused: Pixels,
    *,
    ir: Pixels,
    vis: Pixels,
    metrics: Iterable[str] | None = None,
    preset: str = "default",
    profile: str = "definition",
) -> dict[str, Value]:
    """Score one fused image against its sources.

    Args:
        fused: uint8 array (H, W) or (H, W, 3) RGB, or float32 tensor (1 or 3, H, W) in [0, 1].
        ir: the clean infrared, likewise and of the same size.
        vis: the clean visible, likewise.
        metrics: names; without them those of the preset that look at single frames.
        preset: see `vfuse.metrics.PRESETS`.
        profile: whose convention, see `vfuse.metrics.PROFILES`.

    Returns:
        Metric name to value, None where it is undefined.

    Raises:
        UsageError: an unknown name.
        ValueError: images of another type, or of different sizes.
    """
    names = None if metrics is None else list(metrics)
    chosen = choose(names=names, preset=preset, profile=profile)
    return of_frame(chosen, Frame(Sources(Image(ir), Image(vis)), Image(fused)))
