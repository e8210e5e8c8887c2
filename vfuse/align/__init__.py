"""Find how the picture of an infrared camera lies in that of a visible one."""

from __future__ import annotations

from vfuse.align.fit import Fit, Gates, fit_views
from vfuse.align.matchers import MATCHERS, load_matcher
from vfuse.align.preview import preview
from vfuse.align.rig import Clocks, Geometry, Rig, Source, load_rig
from vfuse.align.videos import Moments, align_videos, require_trusted, sample_moments

__all__ = [
    "MATCHERS",
    "Clocks",
    "Fit",
    "Gates",
    "Geometry",
    "Moments",
    "Rig",
    "Source",
    "align_videos",
    "fit_views",
    "load_matcher",
    "load_rig",
    "preview",
    "require_trusted",
    "sample_moments",
]
