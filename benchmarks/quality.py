"""How well networks fuse and restore: scores on clips, clean and degraded, beside simple fusion.

    python benchmarks/quality.py m3svd/lossless/test/0111_1716 m3svd/lossless/train/0114_1609
    python benchmarks/quality.py msrs/test_registration

A clip is a folder with the four files of M3SVD: infrared_Enhance and visible_Enhance, and what its authors
made worse, infrared_noise and visible_Blur. A folder of stills holds `infrared` and `visible` with pictures
of the same names; each is fused on its own, and degraded as `vfuse degrade --kind ir` and `--kind vis` do.
Whatever a model is given, it is scored against the clean files; of stills the means are shown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vfuse import FuseOptions, fuse_video, load_model
from vfuse.evaluate import ClipFiles, ScoreOptions, Scores, evaluate
from vfuse.io.writer import WriteOptions
from vfuse.metrics import Metric, choose
from vfuse.models._run import LoadedModel
from vfuse.train._degrade_video import degrade_video

MODELS = ["videofusion-s", "visible", "average", "max", "laplacian"]
TEMPORAL = ["brightness_step", "warp"]
FUSED = ["en", "sd", "sf", "mi", "vif", "ssim", *TEMPORAL, "hot_target"]
RESTORED = ["psnr_ir", "psnr_vis"]
LOSSLESS = WriteOptions(codec="ffv1", pix_fmt="bgr0")


@dataclass(frozen=True)
class Pair:
    """Clean infrared and visible, and a degraded version of both."""

    name: str
    clean: tuple[Path, Path]
    degraded: tuple[Path, Path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="folder of a clip or of stills")
    parser.add_argument("--model", action="append", help="network or baseline; may be given again")
    parser.add_argument("--weights", type=Path, help="for the first model, instead of the shipped ones")
    args = parser.parse_args()
    print("| clip | input | model | " + " | ".join([*FUSED, *RESTORED]) + " |")
    print("|---" * (3 + len(FUSED) + len(RESTORED)) + "|")
    for clip in args.clips:
        with tempfile.TemporaryDirectory() as folder:
            stills = (clip / "infrared").is_dir()
            pairs = list(still_pairs(clip, Path(folder)) if stills else [video_pair(clip)])
            for kind in ("clean", "degraded"):
                for number, name in enumerate(args.model or MODELS):
                    model = load_model(name, weights=None if number else args.weights)
                    row(clip, kind, name, scores(pairs, kind, model, stills=stills))
            sources = [ClipFiles(name=p.name, ir=p.clean[0], vis=p.clean[1], fused={}) for p in pairs]
            found = evaluate(sources, options=ScoreOptions(metrics=metrics(FUSED, stills), baselines=1))
            for name in found.methods(trivial=True):
                row(clip, "clean", name, found)


def video_pair(clip: Path) -> Pair:
    """The four files of a clip of M3SVD."""
    ir, vis, noisy, blurred = (
        clip / f"{name}.mkv"
        for name in ("infrared_Enhance", "visible_Enhance", "infrared_noise", "visible_Blur")
    )
    return Pair(clip.name, (ir, vis), (noisy, blurred))


def still_pairs(folder: Path, made: Path) -> Iterator[Pair]:
    """Every picture of a folder of stills, its degraded version written to `made`."""
    for seed, vis in enumerate(sorted((folder / "visible").iterdir())):
        (ir,) = (folder / "infrared").glob(f"{vis.stem}.*")
        degraded = tuple(made / f"{vis.stem}-{kind}.mkv" for kind in ("ir", "vis"))
        for kind, source, out in zip(("ir", "vis"), (ir, vis), degraded, strict=True):
            degrade_video(source, out, kinds=[kind], seed=seed, options=LOSSLESS)
        yield Pair(vis.stem, (ir, vis), (degraded[0], degraded[1]))


def metrics(names: list[str], stills: bool) -> list[Metric]:
    return choose(names=[name for name in names if not (stills and name in TEMPORAL)])


def scores(pairs: list[Pair], kind: str, model: LoadedModel, *, stills: bool) -> Scores:
    """Fuse pairs and score them, with the restored streams, or the sources, beside the clean ones."""
    with tempfile.TemporaryDirectory() as folder:
        files = [fused(pair, kind, model, Path(folder)) for pair in pairs]
        return evaluate(
            files, options=ScoreOptions(metrics=metrics([*FUSED, *RESTORED], stills), baselines=0)
        )


def fused(pair: Pair, kind: str, model: LoadedModel, folder: Path) -> ClipFiles:
    ir, vis = pair.clean if kind == "clean" else pair.degraded
    out, restored_ir, restored_vis = (folder / f"{pair.name}-{name}.mkv" for name in ("fused", "ir", "vis"))
    restores = model.entry.restores
    options = FuseOptions(
        write=LOSSLESS,
        restored_ir=restored_ir if restores else None,
        restored_vis=restored_vis if restores else None,
    )
    fuse_video(ir, vis, out, model=model, options=options)
    return ClipFiles(
        name=pair.name,
        ir=restored_ir if restores else ir,
        vis=restored_vis if restores else vis,
        fused={model.entry.name: out},
        reference_ir=pair.clean[0],
        reference_vis=pair.clean[1],
    )


def row(clip: Path, kind: str, method: str, found: Scores) -> None:
    """One line of the table."""
    summaries = {label.partition("[")[0]: found.summary(method, label) for label in found.metrics}
    values = [summaries.get(label) for label in (*FUSED, *RESTORED)]
    shown = ["" if value is None else f"{value.mean:.4g}" for value in values]
    print(f"| {clip.name} | {kind} | {method} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
