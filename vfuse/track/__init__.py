"""Does fusion help the machines that watch? Detection, tracking and what they are worth."""

from vfuse.track.accuracy import Accuracy, AccuracyCounter
from vfuse.track.boxes import Detections, Tracks
from vfuse.track.detectors import DETECTORS, Request, load_detector
from vfuse.track.mot import read_truth
from vfuse.track.movement import Movement, MovementCounter
from vfuse.track.run import TrackedVideo, TrackOptions, track_videos
from vfuse.track.tracker import Tracker, TrackerOptions, track_frames

__all__ = [
    "DETECTORS",
    "Accuracy",
    "AccuracyCounter",
    "Detections",
    "Movement",
    "MovementCounter",
    "Request",
    "TrackOptions",
    "TrackedVideo",
    "Tracker",
    "TrackerOptions",
    "Tracks",
    "load_detector",
    "read_truth",
    "track_frames",
    "track_videos",
]
