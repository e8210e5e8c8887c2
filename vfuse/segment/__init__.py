"""Does fusion help segmentation? Masks compared with the truth, and predicted from words."""

from vfuse.segment.classes import Classes, read_classes
from vfuse.segment.confusion import Confusion
from vfuse.segment.masks import open_masks
from vfuse.segment.prompted import GroundedOptions, GroundedSegmenter
from vfuse.segment.run import SegmentedVideo, SegmentOptions, segment_videos
from vfuse.segment.scores import ClassScore, ScoreCounter, SegmentScores

__all__ = [
    "ClassScore",
    "Classes",
    "Confusion",
    "GroundedOptions",
    "GroundedSegmenter",
    "ScoreCounter",
    "SegmentOptions",
    "SegmentScores",
    "SegmentedVideo",
    "open_masks",
    "read_classes",
    "segment_videos",
]
