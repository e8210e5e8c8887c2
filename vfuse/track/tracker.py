"""ByteTrack over the frames of one video: detections in, identities out.

The tracker is ByteTrack (Zhang et al., ECCV 2022) of the package `trackers` (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from vfuse.device import threads_of_torch
from vfuse.errors import UsageError
from vfuse.extras import need
from vfuse.io.probe import VideoInfo
from vfuse.io.reader import Frame, read_frames
from vfuse.prefetch import prefetch, side_by_side
from vfuse.track.boxes import Detections, Pixels, Tracks
from vfuse.track.detectors import Detector

_AHEAD = 4  # frames that reading may be ahead


@dataclass(frozen=True, kw_only=True)
class TrackerOptions:
    """The settings of ByteTrack.

    Attributes:
        weakest: detections below this score are forgotten.
        sure: from this score on a detection is matched first; weaker ones only continue tracks.
        begin: score that begins a track.
        overlap: least IoU of a detection with where a track is expected.
        remember: seconds that a lost track is looked for.
        confirm: frames in a row until a track counts.
        keep: names of the classes to track; () for all.
    """

    weakest: float = 0.1
    sure: float = 0.5
    begin: float = 0.6
    overlap: float = 0.1
    remember: float = 1.0
    confirm: int = 2
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame after detection and tracking.

    Attributes:
        index: number of the frame, from 0.
        time: seconds from the first frame.
        pixels: (H, W, 3) RGB uint8.
        found: every detection that is strong enough.
        tracks: those that belong to a confirmed track.
    """

    index: int
    time: float
    pixels: Pixels = field(repr=False)
    found: Detections
    tracks: Tracks


class Tracker:
    """ByteTrack with the records of vfuse.

    Raises:
        UsageError: the package `trackers` is missing.
    """

    def __init__(self, *, fps: float, options: TrackerOptions | None = None) -> None:
        self.options = options = options or TrackerOptions()
        self._sv = need("supervision", what="tracking", extra="track")
        package = need("trackers", what="tracking", extra="track")
        self._byte: Any = package.ByteTrackTracker(
            lost_track_buffer=round(options.remember * 30),  # it counts in frames of 30 a second
            frame_rate=fps,
            track_activation_threshold=options.begin,
            minimum_consecutive_frames=options.confirm,
            minimum_iou_threshold=options.overlap,
            high_conf_det_threshold=options.sure,
        )

    def __call__(self, found: Detections) -> Tracks:
        """Continue the tracks with what was found in the next frame; boxes are those of the detector."""
        seen = self._sv.Detections(
            xyxy=found.boxes.astype(np.float32),
            confidence=found.scores.astype(np.float32),
            class_id=found.classes.astype(int),
            data={"place": np.arange(len(found))},
        )
        result = self._byte.update(seen)
        if not len(result):
            return _tracks(found, np.zeros(0, np.int64), np.zeros(0, np.int64))
        named = result.tracker_id >= 0
        order = np.argsort(result.tracker_id[named], kind="stable")
        return _tracks(found, result.data["place"][named][order], result.tracker_id[named][order])


def _tracks(found: Detections, places: np.ndarray, ids: np.ndarray) -> Tracks:
    chosen = found[places.astype(np.int64)]
    return Tracks(chosen.boxes, chosen.scores, chosen.classes, ids.astype(np.int64) + 1)


@contextmanager
def track_frames(
    info: VideoInfo,
    detector: Detector,
    *,
    options: TrackerOptions | None = None,
    start: float | None = None,
    end: float | None = None,
) -> Generator[Generator[TrackedFrame]]:
    """Detect and track in every frame of a video, one after the other; memory does not grow with its length.

    Args:
        info: what `probe` returned.
        detector: from `load_detector`.
        options: of the tracker.
        start, end: the part to track, in seconds from the first frame.

    Raises:
        UsageError: a missing package, or a class to keep that the detector does not know.
        InputError: while iterating, for a damaged frame.
    """
    options = options or TrackerOptions()
    tracker = Tracker(fps=float(info.fps), options=options)
    kept = _kept(detector.labels, options.keep)
    workers = torch.get_num_threads() if detector.in_threads else 1
    with (
        read_frames(info, grey=False, start=start, end=end, levels=True) as frames,
        prefetch(map(_picture, frames), _AHEAD) as coming,
        threads_of_torch(1 if detector.in_threads else torch.get_num_threads()),
    ):

        def detect(frame: tuple[Pixels, float]) -> tuple[Pixels, float, Detections]:
            return *frame, detector(frame[0])

        def tracked() -> Generator[TrackedFrame]:
            seen = side_by_side(detect, coming, workers)
            for index, (pixels, time, found) in enumerate(seen):
                found = found[(found.scores >= options.weakest) & np.isin(found.classes, kept)]
                yield TrackedFrame(index, time, pixels, found, tracker(found))

        yield tracked()


def _picture(frame: Frame) -> tuple[Pixels, float]:
    return frame.pixels.permute(1, 2, 0).contiguous().numpy(), frame.time


def _kept(labels: tuple[str, ...], keep: tuple[str, ...]) -> list[int]:
    if unknown := [name for name in keep if name not in labels]:
        raise UsageError(
            f"the detector knows no class {unknown[0]!r}", todo=f"It knows: {', '.join(labels[:100])}"
        )
    return [index for index, label in enumerate(labels) if not keep or label in keep]
