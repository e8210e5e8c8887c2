"""Whether fusion serves a detector on the rendered sample: the table and the picture of docs/TRACKING.md.

    python benchmarks/tracking.py --picture docs/tracking.jpg

Fuses the sample with the default network and with the plain average, tracks all four videos with `hot` and
`hog`, prints the table, and keeps one annotated frame of `hot`. The numbers do not depend on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2

from vfuse import fuse_video, load_model
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames
from vfuse.io.sample import render_sample
from vfuse.pipeline import DEFAULT_MODEL
from vfuse.track import TrackedVideo, TrackOptions, track_videos

MARKS = {"hota": "HOTA", "recall": "recall", "precision": "precision"}
MOMENT = 2.5  # seconds: a walker is behind the smoke
WIDTH = 960  # of the picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, help="where the annotated frame goes, a JPEG or PNG")
    parser.add_argument("--detector", action="append", default=[])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sample = render_sample(Path(folder) / "s")
        fused = {name: Path(folder) / f"{name}.mp4" for name in ("fused", "average")}
        for name, model in (("fused", DEFAULT_MODEL), ("average", "average")):
            fuse_video(sample.ir, sample.vis, fused[name], model=load_model(model, offline=True))
        videos = [fused["fused"], sample.ir, sample.vis, fused["average"]]
        print("| detector | | fused | infrared | visible | average |")
        print("|---|---|---|---|---|---|", flush=True)
        for detector in args.detector or ["hot", "hog"]:
            shown = Path(folder) / f"{detector}.mp4"
            options = TrackOptions(detector=detector, truth=sample.boxes, annotated=shown)
            print_rows(detector, track_videos(videos, options=options))
            if args.picture is not None and detector == "hot":
                save_frame(shown, args.picture)


def print_rows(detector: str, videos: list[TrackedVideo]) -> None:
    label = f"`{detector}`"
    for field, mark in MARKS.items():
        values = " | ".join(f"{getattr(video.accuracy, field):.3f}" for video in videos)
        print(f"| {label} | {mark} | {values} |", flush=True)
        label = ""


def save_frame(video: Path, picture: Path) -> None:
    """The frame at `MOMENT`."""
    with read_frames(probe(video), grey=False, start=MOMENT, end=MOMENT + 0.05, levels=True) as frames:
        pixels = next(iter(frames)).pixels.permute(1, 2, 0).numpy()
    size = (WIDTH, round(WIDTH * pixels.shape[0] / pixels.shape[1]))
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(picture), small)


if __name__ == "__main__":
    main()
