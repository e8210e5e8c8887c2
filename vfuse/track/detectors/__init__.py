"""Detectors by name; a new one is a file here that ends in `DETECTORS.add(DetectorEntry(...))`."""

from vfuse.track.detectors._registry import DETECTORS, Detector, DetectorEntry, Request, load_detector

__all__ = ["DETECTORS", "Detector", "DetectorEntry", "Request", "load_detector"]
