"""How often white-hot and black-hot are told apart: real infrared, as it is and inverted.

    python benchmarks/polarity.py DATA [train|test]

DATA holds `m3svd/` and `msrs/`. Videos count in pieces of 45 frames, each with its own answer; every answer
is asked for as `vfuse fuse` does, through the reader and two frames of the piece. All of these cameras write
white-hot, so the truth about an inverted copy is known. The constants were chosen on `train`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from vfuse.io.polarity import hot_side
from vfuse.io.probe import probe
from vfuse.io.reader import read_range

PIECE = 45


def pieces(data: Path, split: str) -> Iterator[tuple[str, list[Tensor]]]:
    """Two frames (1, H, W) of each clip, piece of a video, and still, with the kind of source."""
    stills = {"train": "train", "test": "test_registration"}[split]
    sources = {
        "lossless, clean": sorted(data.glob(f"m3svd/lossless/{split}/*/infrared_Enhance.mkv")),
        "lossless, degraded": sorted(data.glob(f"m3svd/lossless/{split}/*/infrared_noise.mkv")),
        "video": sorted(data.glob(f"m3svd/video/{split}/infrared/*.mp4")),
        "stills": sorted(data.glob(f"msrs/{stills}/infrared/*.png")),
    }
    for kind, paths in sources.items():
        for path in paths:
            info = probe(path)
            count = info.num_frames or 0
            for begin in range(0, max(count - PIECE, 0) + 1, PIECE):
                stop = min(begin + PIECE, count)
                frames: list[Tensor] = []
                for index in sorted({begin, (begin + stop) // 2}):
                    with read_range(info, grey=True, first=index, stop=index + 1) as read:
                        frames += [frame.pixels for frame in read]
                yield kind, frames


def main(data: Path, split: str) -> None:
    """Print a line for each kind of source."""
    told: Counter[tuple[str, str]] = Counter()
    for kind, frames in pieces(data, split):
        told[kind, f"as it is: {hot_side(frames)}"] += 1
        told[kind, f"inverted: {hot_side([1 - frame for frame in frames])}"] += 1
    for kind in dict.fromkeys(kind for kind, _ in told):
        answers = [f"{answer} {count}" for (of, answer), count in sorted(told.items()) if of == kind]
        print(f"{kind:20} {'   '.join(answers)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "test")
