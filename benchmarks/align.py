"""How accurate `vfuse align` is: random homographies on registered pairs, and the true flow of MSRS.

    python benchmarks/align.py --data ../shared/data --split test --trials 100

Each trial warps the infrared of a registered pair by a random homography (scale x0.5 to x2, rotation +-10
degrees, shift +-20 %, corners moved by up to 3 %) and asks for it back. The error is the mean distance, in
visible pixels, at the corners of the area both views show. Published registrations are themselves off by some
pixels, so the error against the pair's own fit without the warp stands beside: over the whole frame, and over
the area that is left after the warp, since no homography describes these pairs everywhere.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from vfuse.align import fit_views
from vfuse.align._views import View, corners, project
from vfuse.align.fit import common_corners
from vfuse.align.homography import FINE, refine

SIZE = (640, 480)
NUMBERS = (
    "scale",
    "matches",
    "inliers",
    "cells",
    "error",
    "spread",
    "stability",
    "lead",
    "evidence",
    "overlap",
)


def pairs(data: Path, split: str, samples: int) -> Iterator[tuple[str, list[np.ndarray], list[np.ndarray]]]:
    """Name, infrared and visible luma frames of every registered pair of a split."""
    for folder in sorted((data / "m3svd/lossless" / split).iterdir()):
        ir, vis = folder / "infrared_Enhance.mkv", folder / "visible_Enhance.mkv"
        yield folder.name, video(ir, samples), video(vis, samples)
    for vis in sorted((data / "m3svd/video" / split / "visible").glob("*.mp4")):
        ir = data / "m3svd/video" / split / "infrared" / vis.name
        yield vis.name, video(ir, samples), video(vis, samples)
    stills = data / ("msrs/train" if split == "train" else "msrs/test_registration")
    for vis in sorted((stills / "visible").iterdir()):
        (ir,) = (stills / "infrared").glob(f"{vis.stem}.*")
        yield f"msrs {vis.stem}", [picture(ir)], [picture(vis)]


def picture(path: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.float32) / 255


def video(path: Path, samples: int) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    chosen = np.linspace(0, len(frames) - 1, min(samples, len(frames)) + 2)[1:-1].round().astype(int)
    return [frames[index].astype(np.float32) / 255 for index in sorted(set(chosen))]


def random_rig(rng: np.random.Generator) -> np.ndarray:
    """Visible to infrared pixels, over the range that `align` promises."""
    scale, angle = 2 ** rng.uniform(-1, 1), np.radians(rng.uniform(-10, 10))
    centre = (np.array(SIZE) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix[:2, 2] = centre + rng.uniform(-0.2, 0.2, 2) * SIZE - matrix[:2, :2] @ centre
    ends = corners(SIZE).astype(np.float32)
    moved = (ends + rng.uniform(-0.03, 0.03, (4, 2)) * SIZE).astype(np.float32)
    return matrix @ cv2.getPerspectiveTransform(ends, moved)


def error(found: np.ndarray, true: np.ndarray) -> float:
    area = common_corners(true, SIZE, SIZE)
    return float(np.linalg.norm(project(np.linalg.inv(found), project(true, area)) - area, axis=1).mean())


def own_fit(ir: View, vis: View) -> np.ndarray:
    """The registration of the pair as it is, from the published one on."""
    first = refine(ir, vis, np.eye(3), pixels=FINE)
    return refine(ir, vis, first.matrix, pixels=FINE).matrix


def left_by(warp: np.ndarray, view: View) -> View:
    """The view, masked to what a warp leaves in the frame."""
    everything = np.ones(SIZE[::-1], np.float32)
    kept = cv2.warpPerspective(everything, np.linalg.inv(warp), SIZE, flags=cv2.INTER_NEAREST)
    return View(view.frames, tuple(mask * kept for mask in view.masks))


def trials(data: Path, split: str, count: int, seed: int) -> None:
    sources, own, rows = list(pairs(data, split, 5)), dict[str, np.ndarray](), []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        name, ir, vis = sources[int(rng.integers(len(sources)))]
        true = random_rig(rng)
        views = View.of(ir), View.of(vis)
        if name not in own:
            own[name] = own_fit(*views)
        same_area = own_fit(left_by(true, views[0]), views[1])
        begun = time.process_time()
        fit = fit_views([cv2.warpPerspective(frame, true, SIZE) for frame in ir], vis)
        row = {
            "trial": index,
            "pair": name,
            "published": error(fit.matrix, true),
            "own": error(fit.matrix, true @ own[name]),
            "own, same area": error(fit.matrix, true @ same_area),
            "trusted": fit.trusted,
            "cpu_seconds": time.process_time() - begun,
            **{key: getattr(fit, key) for key in NUMBERS},
        }
        rows.append(
            {key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}
        )
        print(json.dumps(rows[-1]), flush=True)
    for title, mine in kinds(rows).items():
        report(title, mine)


def kinds(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        "all": rows,
        "clips of M3SVD": [row for row in rows if not row["pair"].startswith("msrs")],
        "still pairs of MSRS, by day": [row for row in rows if row["pair"].endswith("D")],
        "still pairs of MSRS, by night": [row for row in rows if row["pair"].endswith("N")],
    }


def report(title: str, rows: list[dict[str, Any]]) -> None:
    trusted = np.array([row["trusted"] for row in rows], bool)
    print(f"{title}: {len(rows)} trials, {trusted.sum()} accepted")
    for reference in ("own", "own, same area", "published"):
        errors = np.array([row[reference] for row in rows])
        accepted = errors[trusted]
        print(
            f"  against the {reference} registration: <= 4 px in {(errors <= 4).sum()}, of the accepted in "
            f"{(accepted <= 4).sum()}; median of the accepted "
            f"{np.median(accepted) if len(accepted) else 0:.1f} px, worst {accepted.max(initial=0):.1f} px"
        )


def true_flow(data: Path) -> None:
    """End-point error before and after one homography, on pairs that were warped non-rigidly."""
    folder, before, after = data / "msrs/test_registration", [], []
    for vis in sorted((folder / "visible").iterdir()):
        (warped,) = (folder / "infrared_warped").glob(f"{vis.stem}.*")
        flow = np.load(folder / "flow" / f"{vis.stem}.npz")["flow"].reshape(-1, 2)
        grid = (
            np.stack(np.meshgrid(np.arange(4, 640, 8), np.arange(4, 480, 8)), -1).reshape(-1, 2).astype(float)
        )
        true = (flow + 1) / 2 * (np.array(SIZE) - 1)  # warped(p) = infrared(true(p))
        fit = fit_views([picture(warped)], [picture(vis)])
        found = project(np.linalg.inv(fit.matrix), grid)
        before.append(np.linalg.norm(grid - true, axis=1).mean())
        after.append(np.linalg.norm((found if fit.trusted else grid) - true, axis=1).mean())
        print(
            f"{vis.stem}: {before[-1]:.2f} px before, {after[-1]:.2f} after, {fit.problems or 'accepted'}",
            flush=True,
        )
    print(f"mean end-point error {np.mean(before):.2f} px before, {np.mean(after):.2f} px after")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--flow", action="store_true", help="the true flow of MSRS instead of random homographies"
    )
    chosen = parser.parse_args()
    if chosen.flow:
        true_flow(chosen.data)
    else:
        trials(chosen.data, chosen.split, chosen.trials, chosen.seed)


if __name__ == "__main__":
    main()
