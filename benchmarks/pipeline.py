"""How much the pipeline costs around a network: frames per second, total over network time, memory.

    python benchmarks/pipeline.py sample/ir.mp4 sample/vis.mp4 --model average --model videofusion-s

Run it on an idle machine; every number is the median of the rounds, models interleaved.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from pathlib import Path

from vfuse import FuseOptions, fuse_video, load_model
from vfuse.report import FuseReport


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ir", type=Path)
    parser.add_argument("vis", type=Path)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--frames", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    models = [load_model(name) for name in args.model or ["average"]]
    options = FuseOptions(frames=args.frames)
    reports: dict[str, list[FuseReport]] = {model.entry.name: [] for model in models}
    with tempfile.TemporaryDirectory() as folder:
        for k in range(args.rounds):
            for model in models:
                out = Path(folder) / f"{model.entry.name}-{k}.mp4"
                reports[model.entry.name].append(
                    fuse_video(args.ir, args.vis, out, model=model, options=options)
                )
    print("| network | frames | frames/s | read s | network s | write s | total s | total / network |")
    print("|---|---|---|---|---|---|---|---|")
    for name, runs in reports.items():
        read, fuse, write, total = (
            statistics.median(run.seconds[stage] for run in runs)
            for stage in ("read", "fuse", "write", "total")
        )
        count = runs[0].frames["written"]
        times = f"{read:.2f} | {fuse:.2f} | {write:.2f} | {total:.2f}"
        print(f"| {name} | {count} | {count / total:.1f} | {times} | {total / fuse:.3f} |")
    used = resource.getrusage(resource.RUSAGE_SELF)
    encoders = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime + encoders.ru_utime + encoders.ru_stime
    print(f"\npeak memory {used.ru_maxrss / 1024:.0f} MB, {cpu:.1f} s of CPU with the encoders")


if __name__ == "__main__":
    main()
