"""Metrics: a file without a leading underscore is one family of measures."""

from __future__ import annotations

from vfuse.metrics._measure import measure
from vfuse.metrics._profiles import PRESETS, PROFILES, choose
from vfuse.metrics._registry import METRICS, Metric, metric
from vfuse.metrics._shared import Curves, Features, Flow, Frame, Image, Sources, SourceStep, Step

__all__ = [
    "METRICS",
    "PRESETS",
    "PROFILES",
    "Curves",
    "Features",
    "Flow",
    "Frame",
    "Image",
    "Metric",
    "SourceStep",
    "Sources",
    "Step",
    "choose",
    "measure",
    "metric",
]
