"""TemCoCo against its literal version: time of runs that take turns, equality, peak memory.

    python benchmarks/temcoco.py                                      # 640x480, 10 frames, 2 threads
    python benchmarks/temcoco.py --size 320x240 --frames 2 --threads 1 --runs 3
    python benchmarks/temcoco.py --frames 30 --memory

Every way of running is measured in a process of its own. Ours runs as `vfuse` runs it, which tells glibc to
keep freed memory and libgomp to wait briefly; the literal version runs as Python starts it, and a second time
("literal-kept") with what ours has. Times are medians, as elapsed and as processor seconds; the latter are
the fair number on a shared machine with one thread. A short run that sets things up does not count. Memory is
counted without computing anything. Weights and inputs follow the closed-form golden rule.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _turns import in_turn
from torch import Tensor

from vfuse.allocator import keep_freed_memory
from vfuse.models.temcoco import TemCoCo, convert_published

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from _temcoco_literal import golden_inputs, golden_parameter, relative_index, temcoco  # noqa: E402
from _temcoco_memory import peak_bytes  # noqa: E402

WAYS = ("literal", "literal-kept", "float32", "bfloat16")


def published() -> dict[str, Tensor]:
    """The golden checkpoint, float32."""
    shapes = json.loads((TESTS / "golden" / "temcoco_state.json").read_text())
    parameters = sorted(key for key in shapes if not key.endswith("relative_position_index"))
    state = {key: golden_parameter(i, key, tuple(shapes[key])).float() for i, key in enumerate(parameters)}
    return {key: state.get(key, relative_index()) for key in shapes}


def runner(way: str, state: dict[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """(ir, vis) to fused (B, T, 3, H, W)."""
    if way.startswith("literal"):
        return lambda ir, vis: temcoco(state, ir, vis)["fused"].transpose(1, 2)
    network = TemCoCo().eval()
    network.load_state_dict(convert_published(state))

    def run(ir: Tensor, vis: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=way == "bfloat16"):
            return network.features(ir, vis).fused

    return run


def inputs(size: str, frames: int) -> tuple[Tensor, Tensor]:
    width, height = (int(n) for n in size.split("x"))
    ir, vis = golden_inputs(1, frames, height, width)
    return ir.float(), vis.float()


@torch.inference_mode()
def measure(way: str, size: str, frames: int, keep: Path) -> dict[str, float]:
    """One run in this process: seconds per frame; the fused clip goes to a file."""
    if way != "literal":
        keep_freed_memory()
    run = runner(way, published())
    ir, vis = inputs(size, frames)
    run(ir[:, :1], vis[:, :1])
    start = time.perf_counter(), time.process_time()
    fused = run(ir, vis)
    end = time.perf_counter(), time.process_time()
    torch.save(fused.contiguous(), keep)
    elapsed, processor = ((b - a) / frames for a, b in zip(start, end, strict=True))
    return {"elapsed": elapsed, "processor": processor}


def compare(options: argparse.Namespace) -> None:
    """A process for each run of each way, in turn; then the table."""
    clip = ["--size", options.size, "--frames", str(options.frames), "--threads", str(options.threads)]
    with tempfile.TemporaryDirectory() as folder:
        found = in_turn(__file__, WAYS, clip, turns=options.runs, folder=Path(folder))
        fused = {way: torch.load(f"{folder}/{way}.pt") for way in WAYS}
    print(f"{options.size}, T = {options.frames}, {options.threads} threads, median of {options.runs}")
    print("| | s/frame | faster | CPU s/frame | faster (CPU) | max error | PSNR dB |")
    print("|---|---|---|---|---|---|---|")
    base = found["literal"]
    for way, times in found.items():
        cells = [f"{t:.2f} | {base[clock] / t:.2f}x" for clock, t in times.items()]
        error, psnr = distance(fused[way], fused["literal"])
        print(f"| {way} | {' | '.join(cells)} | {error:.1e} | {psnr:.1f} |")


def distance(fused: Tensor, exact: Tensor) -> tuple[float, float]:
    """(Largest difference, PSNR in dB of the clamped clips)."""
    noise = (fused.clamp(0, 1) - exact.clamp(0, 1)).square().mean().item()
    return (fused - exact).abs().max().item(), -10 * math.log10(noise) if noise else math.inf


@torch.no_grad()
def measure_memory(size: str, frames: int) -> None:
    state, (ir, vis) = published(), inputs(size, frames)
    print(f"{size}, T = {frames}: most bytes of tensors alive at once, weights and inputs not counted")
    peaks: dict[str, int] = {}
    for variant in ("literal", "float32", "bfloat16"):
        run = runner(variant, state)
        peaks[variant] = peak_bytes(lambda run=run: run(ir, vis))
        each = peaks[variant] / ir[:, :, 0].numel()
        share = peaks[variant] / peaks["literal"]
        print(f"{variant:10} {peaks[variant] / 2**30:6.2f} GiB, {each:5.0f} a pixel, {share:.2f} of literal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT, multiples of 16")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)  # what `compare` starts
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(measure(options.one, options.size, options.frames, options.keep)))
    elif options.memory:
        measure_memory(options.size, options.frames)
    else:
        compare(options)


if __name__ == "__main__":
    main()
