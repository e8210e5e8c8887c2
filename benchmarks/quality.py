"""How well networks fuse and restore: scores on clips, clean and degraded, beside simple fusion.

    python benchmarks/quality.py m3svd/lossless/test/0111_1716 m3svd/lossless/train/0114_1609

A clip is a folder with the four files of M3SVD: infrared_Enhance and visible_Enhance, and what its authors
made worse, infrared_noise and visible_Blur. Whatever a model is given, it is scored against the clean files.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from vfuse import FuseOptions, fuse_video, load_model
from vfuse.evaluate import ClipFiles, ScoreOptions, Scores, evaluate
from vfuse.io.writer import WriteOptions
from vfuse.metrics import choose
from vfuse.models._run import LoadedModel

MODELS = ["videofusion-s", "visible", "average", "max", "laplacian"]
FUSED = ["en", "sd", "sf", "mi", "vif", "ssim", "brightness_step", "warp", "hot_target"]
RESTORED = ["psnr_ir", "psnr_vis"]
FILES = {
    "clean": ("infrared_Enhance.mkv", "visible_Enhance.mkv"),
    "degraded": ("infrared_noise.mkv", "visible_Blur.mkv"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--model", action="append", help="network or baseline; may be given again")
    parser.add_argument("--weights", type=Path, help="for the first model, instead of the shipped ones")
    args = parser.parse_args()
    print("| clip | input | model | " + " | ".join([*FUSED, *RESTORED]) + " |")
    print("|---" * (3 + len(FUSED) + len(RESTORED)) + "|")
    for clip in args.clips:
        for kind in FILES:
            for number, name in enumerate(args.model or MODELS):
                model = load_model(name, weights=None if number else args.weights)
                with tempfile.TemporaryDirectory() as folder:
                    row(clip, kind, name, scores(clip, kind, model, Path(folder)))
        ir, vis = (clip / name for name in FILES["clean"])
        sources = ClipFiles(name=clip.name, ir=ir, vis=vis, fused={})
        found = evaluate([sources], options=ScoreOptions(metrics=choose(names=FUSED), baselines=1))
        for name in found.methods(trivial=True):
            row(clip, "clean", name, found)


def scores(clip: Path, kind: str, model: LoadedModel, folder: Path) -> Scores:
    """Fuse one clip and score it, with the restored streams, or the sources, beside the clean ones."""
    ir, vis = (clip / name for name in FILES[kind])
    clean_ir, clean_vis = (clip / name for name in FILES["clean"])
    fused, restored_ir, restored_vis = (folder / f"{name}.mkv" for name in ("fused", "ir", "vis"))
    restores = model.entry.restores
    options = FuseOptions(
        write=WriteOptions(codec="ffv1", pix_fmt="bgr0"),
        restored_ir=restored_ir if restores else None,
        restored_vis=restored_vis if restores else None,
    )
    fuse_video(ir, vis, fused, model=model, options=options)
    files = ClipFiles(
        name=clip.name,
        ir=restored_ir if restores else ir,
        vis=restored_vis if restores else vis,
        fused={model.entry.name: fused},
        reference_ir=clean_ir,
        reference_vis=clean_vis,
    )
    return evaluate([files], options=ScoreOptions(metrics=choose(names=[*FUSED, *RESTORED]), baselines=0))


def row(clip: Path, kind: str, method: str, found: Scores) -> None:
    """One line of the table."""
    values = [found.summary(method, label) for label in found.metrics]
    shown = ["" if value is None else f"{value.mean:.4g}" for value in values]
    shown += [""] * (len(FUSED) + len(RESTORED) - len(shown))
    print(f"| {clip.name} | {kind} | {method} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
