"""How fast VideoFusion runs next to its literal statement, at equal output; and where the time goes.

    python benchmarks/videofusion.py                     # 640x480, 7 frames, 2 threads: about ten minutes
    python benchmarks/videofusion.py --repeats 1 --size 320x240 --frames 2
    python benchmarks/videofusion.py --profile bfloat16

Every way of running is measured in a process of its own, in turn, so that load on the machine falls on all
of them and their peaks of memory can be told apart. Ours runs as `vfuse` runs it, which tells glibc to keep
freed memory and libgomp to wait briefly; the literal version runs as Python starts it, and a second time
("literal-kept") with what ours has. Times are seconds per frame, medians over the repeats, of
the wall clock and of the processor (all threads); ratios are those of the medians. Weights and inputs follow
the rule of the golden numbers; the first, short call of each process is not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from _turns import in_turn
from torch import Tensor

from vfuse.allocator import keep_freed_memory
from vfuse.models._rounding import round_kernels
from vfuse.models.videofusion import SMALL, VideoFusion, convert_published

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from _videofusion_golden import golden_inputs, golden_state
from _videofusion_literal import Literal

WAYS = (
    "literal",
    "literal-kept",
    "float32",
    "float32-fused",
    "bfloat16",
    "bfloat16-fused",
    "s-float32",
    "s-bfloat16",
)
LITERAL = ("literal", "literal-kept")
ABOUT = {
    "literal": "the paper word for word, float32",
    "literal-kept": "the same, freed memory kept",
    "float32": "videofusion",
    "float32-fused": "videofusion, fused stream only",
    "bfloat16": "videofusion, bfloat16",
    "bfloat16-fused": "videofusion, bfloat16, fused stream only",
    "s-float32": "videofusion-s",
    "s-bfloat16": "videofusion-s, bfloat16",
}


def runner(way: str):  # noqa: ANN201
    """The function (ir, vis) -> three streams that a way stands for."""
    if way in LITERAL:
        literal = Literal(golden_state())
        return lambda ir, vis: tuple(literal(ir, vis).values())
    torch.manual_seed(0)
    small = way.startswith("s-")
    net = VideoFusion(SMALL if small else None).eval()
    if not small:
        net.load_state_dict(convert_published(golden_state()))
    if "bfloat16" in way:
        round_kernels(net)  # as `load_model` does
    streams = ("fused",) if way.endswith("-fused") else ("fused", "ir", "vis")

    def call(ir: Tensor, vis: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in way):
            return net(ir, vis, streams=streams)

    return call


@torch.inference_mode()
def measure(
    way: str, *, frames: int, height: int, width: int, threads: int, keep: Path | None
) -> dict[str, float]:
    """One run: wall and processor seconds per frame, MB by which the peak of memory grew."""
    if way != "literal":
        keep_freed_memory()
    torch.set_num_threads(threads)
    run = runner(way)
    ir, vis = golden_inputs(1, frames, height, width)
    run(ir[..., :64, :64], vis[..., :64, :64])
    idle = peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    out = run(ir, vis)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if keep:
        torch.save([x for x in out if x is not None], keep)
    return {"wall": wall / frames, "cpu": cpu / frames, "memory": peak_memory() - idle}


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All ways in turn, `repeats` times over, then how far their outputs are apart."""
    clip = ["--size", args.size, "--frames", str(args.frames), "--threads", str(args.threads)]
    with tempfile.TemporaryDirectory() as folder:
        rows = in_turn(__file__, args.ways, clip, turns=args.repeats, folder=Path(folder))
        for way, row in rows.items():
            if "literal" in rows and way not in LITERAL and not way.startswith("s-"):
                row |= distance(Path(folder) / f"{way}.pt", Path(folder) / "literal.pt")
    return rows


def distance(one: Path, other: Path) -> dict[str, float]:
    """Largest difference and worst PSNR over the streams that both made."""
    pairs = list(zip(torch.load(one), torch.load(other), strict=False))
    return {
        "error": max(float((a - b).abs().max()) for a, b in pairs),
        "psnr": min(-10 * math.log10(float((a - b).square().mean()) + 1e-20) for a, b in pairs),
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """The rows as Markdown; ratios against the literal version where it ran."""
    base = rows.get("literal")
    head = (
        "",
        "s/frame",
        "CPU s/frame",
        "faster",
        "faster (CPU)",
        "MB",
        "of literal",
        "max error",
        "PSNR dB",
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for way, row in rows.items():
        cells = [
            ABOUT[way],
            f"{row['wall']:.2f}",
            f"{row['cpu']:.2f}",
            "",
            "",
            f"{row['memory']:.0f}",
            "",
            "",
            "",
        ]
        if base and way != "literal" and not way.startswith("s-"):
            cells[3:5] = [f"{base[clock] / row[clock]:.2f}x" for clock in ("wall", "cpu")]
        if base and "error" in row:
            cells[6] = f"{100 * row['memory'] / base['memory']:.0f} %"
            cells[7:] = [f"{row['error']:.1e}", f"{row['psnr']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@torch.inference_mode()
def profile(way: str, *, frames: int, height: int, width: int, threads: int) -> str:
    torch.set_num_threads(threads)
    run = runner(way)
    ir, vis = golden_inputs(1, frames, height, width)
    run(ir, vis)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as trace:
        run(ir, vis)
    return trace.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="640x480", help="width x height (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=7, help="frames of the clip (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: %(default)s)")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=WAYS, help="what to run (default: everything)"
    )
    parser.add_argument("--profile", choices=WAYS, help="instead, show where this way spends its time")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    clip = {"frames": args.frames, "height": height, "width": width, "threads": args.threads}
    if args.one:
        print(json.dumps(measure(args.one, keep=args.keep, **clip)))
    elif args.profile:
        print(profile(args.profile, **clip))
    else:
        print(table(compare(args)))


if __name__ == "__main__":
    main()
