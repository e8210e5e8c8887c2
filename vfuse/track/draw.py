"""Boxes, identities and trails on frames, drawn by the package `supervision` (MIT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from vfuse.extras import need
from vfuse.track.boxes import Pixels
from vfuse.track.tracker import TrackedFrame

_TRAIL_SECONDS = 2.0


class Annotator:
    """Draws the tracks of one video; remembers the last two seconds for the trails.

    Args:
        labels: names of the detector's classes; a single one is not written.
        fps: frames a second.

    Raises:
        UsageError: the package `supervision` is missing.
    """

    def __init__(self, labels: Sequence[str], *, fps: float) -> None:
        sv = need("supervision", what="drawing", extra="track")
        look = {"color_lookup": sv.ColorLookup.TRACK}
        self._record: Any = sv.Detections
        self._labels = labels
        self._box = sv.BoxAnnotator(thickness=1, **look)
        self._name = sv.LabelAnnotator(text_scale=0.35, text_padding=2, smart_position=False, **look)
        length = max(round(_TRAIL_SECONDS * fps), 2)
        self._trail = sv.TraceAnnotator(trace_length=length, position=sv.Position.CENTER, thickness=1, **look)

    def __call__(self, frame: TrackedFrame) -> Pixels:
        """A copy of the frame, (H, W, 3) RGB uint8, with its tracks."""
        tracks = frame.tracks
        seen = self._record(
            xyxy=tracks.boxes.astype(np.float32),
            confidence=tracks.scores.astype(np.float32),
            class_id=tracks.classes.astype(int),
            tracker_id=tracks.ids.astype(int),
        )
        names = [
            f"{identity} {self._labels[kind]}" if len(self._labels) > 1 else f"{identity}"
            for identity, kind in zip(tracks.ids, tracks.classes, strict=True)
        ]
        picture = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)  # what the annotators draw on
        picture = self._trail.annotate(picture, seen)
        picture = self._box.annotate(picture, seen)
        picture = self._name.annotate(picture, seen, labels=names)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
