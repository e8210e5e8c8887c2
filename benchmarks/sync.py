"""How accurate `vfuse sync` is: known shifts, rates, drift and freezes on real pairs.

    python benchmarks/sync.py --data ../shared/data --trials 50

Each trial cuts 0 to 40 frames off one stream of a synchronised pair, plays the infrared at its own rate, 9,
25 or 30 Hz and the visible at its own, 25 or 30 Hz (nearest frames at the new times), lets the infrared's
clock drift by 0 or 0.1 %, and in two of five trials freezes the infrared for 2 s. The error is the largest
over the clip, in frames of 1/30 s.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import av
import numpy as np

from vfuse.sync import Thumbnails, match_streams, thumbnails

FRAME = 1 / 30


def load(path: Path) -> Thumbnails:
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate or 25)
        pictures = (frame.to_ndarray(format="gray") for frame in container.decode(video=0))
        return thumbnails((index / rate, p.astype(np.float32) / 255) for index, p in enumerate(pictures))


def played(source: Thumbnails, *, start: float, fps: float) -> Thumbnails:
    """The stream from `start` on, sampled at another rate by the nearest frame."""
    times = np.arange(int((source.times[-1] - start) * fps)) / fps
    nearest = np.abs(source.times[None, :] - (start + times)[:, None]).argmin(1)
    return Thumbnails(times, source.pictures[nearest])


def trial(ir: Thumbnails, vis: Thumbnails, rng: np.random.Generator) -> dict[str, object]:
    shift = rng.uniform(-40, 40) * vis.interval
    ir_start, vis_start = max(shift, 0.0), max(-shift, 0.0)
    ir_fps = float(rng.choice([1 / ir.interval, 9, 25, 30]))
    vis_fps = float(rng.choice([1 / vis.interval, 25, 30]))
    clock = 1 + float(rng.choice([0, 0.001, -0.001]))
    a, b = played(ir, start=ir_start, fps=ir_fps), played(vis, start=vis_start, fps=vis_fps)
    frozen = bool(rng.random() < 0.4)
    if frozen:
        begin = rng.uniform(0.2, 0.6) * a.times[-1]
        still = (a.times >= begin) & (a.times < begin + 2)
        a.pictures[still] = a.pictures[np.argmax(still)]
    fit = match_streams(Thumbnails(a.times * clock, a.pictures), b)
    moments = np.array([0.0, 0.5, 1.0]) * b.times[-1]
    true = (moments + vis_start - ir_start) * clock
    off = np.abs(fit.offset + fit.rate * moments - true).max() / FRAME
    return {
        "shift": round(shift, 3),
        "ir_fps": round(ir_fps, 2),
        "vis_fps": round(vis_fps, 2),
        "clock": clock,
        "frozen": frozen,
        "error_frames": round(float(off), 2),
        "confident": fit.confident,
        "problems": list(fit.problems),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    folders = [chosen.data / "m3svd/video" / split for split in ("train", "test")]
    names = [(folder, path.name) for folder in folders for path in sorted((folder / "visible").glob("*.mp4"))]
    loaded = [(name, load(f / "infrared" / name), load(f / "visible" / name)) for f, name in names]
    rows = []
    for index in range(chosen.trials):
        name, ir, vis = loaded[index % len(loaded)]
        rows.append({"pair": name, **trial(ir, vis, np.random.default_rng([chosen.seed, index]))})
        print(json.dumps(rows[-1]), flush=True)
    for name in [each[0] for each in loaded] + [""]:
        mine = [row for row in rows if name in row["pair"]]
        sure = np.array([row["error_frames"] for row in mine if row["confident"]])
        print(
            f"{name or 'all'}: {len(sure)} of {len(mine)} confident, {(sure <= 1).sum()} of them within a "
            f"frame, worst {sure.max(initial=0):.2f}; within a frame of all: "
            f"{sum(row['error_frames'] <= 1 for row in mine)}"
        )


if __name__ == "__main__":
    main()
