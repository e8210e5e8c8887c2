"""Where the infrared of MSRS lies against its published place, by mutual information alone.

    python benchmarks/field.py --data ../shared/data

For every patch of the visible, the mutual information with the infrared is added up over all training scenes
for each shift; its peak says where the infrared lies there, without any of the matcher's maps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

REACH, SIDE, LEVELS = 8, 64, 12  # pixels, pixels, grey levels of the histograms
LEAST = 3.0  # grey levels: standard deviation of a patch that shows something


def picture(path: Path) -> np.ndarray:
    grey = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.float32)
    return cv2.GaussianBlur(grey, (0, 0), 1.2)


def levels(patch: np.ndarray) -> np.ndarray:
    low, high = np.percentile(patch, (2, 98))
    return np.clip((patch - low) / (high - low + 1e-6) * LEVELS, 0, LEVELS - 1).astype(int)


def entropy(shares: np.ndarray) -> float:
    return -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())


def information(vis: np.ndarray, ir: np.ndarray, top: int, left: int) -> np.ndarray:
    """(2 * REACH + 1, 2 * REACH + 1) nats of a patch for each shift, rows are y; 0 where nothing is shown."""
    patch = vis[top : top + SIDE : 2, left : left + SIDE : 2]
    around = ir[top - REACH : top + SIDE + REACH, left - REACH : left + SIDE + REACH]
    nats = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    if min(patch.std(), around.std()) < LEAST:
        return nats
    a, b = levels(patch).ravel() * LEVELS, levels(around)
    for y, x in np.ndindex(*nats.shape):
        pairs = a + b[y : y + SIDE : 2, x : x + SIDE : 2].ravel()
        joint = np.bincount(pairs, minlength=LEVELS**2).reshape(LEVELS, LEVELS) / len(pairs)
        nats[y, x] = entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint)
    return nats


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--scenes", type=int, default=100)
    chosen = parser.parse_args()
    folder = chosen.data / "msrs/train"
    tops, lefts = range(12, 405, 48), range(12, 565, 64)
    total = np.zeros((len(tops), len(lefts), 2 * REACH + 1, 2 * REACH + 1))
    for path in sorted((folder / "visible").iterdir())[: chosen.scenes]:
        (other,) = (folder / "infrared").glob(f"{path.stem}.*")
        vis, ir = picture(path), picture(other)
        total += [[information(vis, ir, top, left) for left in lefts] for top in tops]
    for axis, name in ((1, "right"), (0, "down")):
        print(f"pixels that the infrared lies too far {name}, at rows of patches from top to bottom:")
        for row in total:
            smooth = [cv2.GaussianBlur(nats, (0, 0), 1) for nats in row]
            peaks = [np.unravel_index(nats.argmax(), nats.shape)[axis] - REACH for nats in smooth]
            print(" ".join(f"{peak:+d}" for peak in peaks))


if __name__ == "__main__":
    main()
