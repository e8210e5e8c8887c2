"""Find how the clocks of two cameras relate from what moves in front of both."""

from __future__ import annotations

from vfuse.sync.match import SyncFit, match_streams
from vfuse.sync.motion import Curve, Thumbnails, motion_curve, thumbnails
from vfuse.sync.videos import require_confident, sync_videos

__all__ = [
    "Curve",
    "SyncFit",
    "Thumbnails",
    "match_streams",
    "motion_curve",
    "require_confident",
    "sync_videos",
    "thumbnails",
]
