"""Score fused videos: one function, the files of a clip, the options, and what comes back."""

from __future__ import annotations

from vfuse.evaluate._networks import feature_network, flow_network
from vfuse.evaluate._options import ClipFiles, ScoreOptions
from vfuse.evaluate._run import evaluate
from vfuse.metrics._scores import Clip, Row, Run, Scores, Summary

__all__ = [
    "Clip",
    "ClipFiles",
    "Row",
    "Run",
    "ScoreOptions",
    "Scores",
    "Summary",
    "evaluate",
    "feature_network",
    "flow_network",
]
