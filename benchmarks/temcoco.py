"""TemCoCo against its literal version: time of interleaved runs, equality, peak memory.

    python benchmarks/temcoco.py --size 320x240 --frames 5
    python benchmarks/temcoco.py --size 320x240 --frames 30 --memory

Times are medians of runs that take turns in one process, as elapsed and as processor seconds; the latter are
the fair number on a shared machine with one thread. Memory is counted without computing anything. Weights and
inputs follow the closed-form golden rule.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from vfuse.models.temcoco import TemCoCo, convert_published

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from _temcoco_literal import golden_inputs, golden_parameter, relative_index, temcoco  # noqa: E402
from _temcoco_memory import peak_bytes  # noqa: E402

VARIANTS = ("literal", "float32", "bfloat16")


def published() -> dict[str, Tensor]:
    """The golden checkpoint, float32."""
    shapes = json.loads((TESTS / "golden" / "temcoco_state.json").read_text())
    parameters = sorted(key for key in shapes if not key.endswith("relative_position_index"))
    state = {key: golden_parameter(i, key, tuple(shapes[key])).float() for i, key in enumerate(parameters)}
    return {key: state.get(key, relative_index()) for key in shapes}


def runner(variant: str, state: dict[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """(ir, vis) to fused (B, T, 3, H, W)."""
    if variant == "literal":
        return lambda ir, vis: temcoco(state, ir, vis)["fused"].transpose(1, 2)
    network = TemCoCo().eval()
    network.load_state_dict(convert_published(state))

    def run(ir: Tensor, vis: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "bfloat16"):
            return network.features(ir, vis).fused

    return run


def inputs(size: str, frames: int) -> tuple[Tensor, Tensor]:
    width, height = (int(n) for n in size.split("x"))
    ir, vis = golden_inputs(1, frames, height, width)
    return ir.float(), vis.float()


@torch.inference_mode()
def measure_time(size: str, frames: int, runs: int) -> None:
    ir, vis = inputs(size, frames)
    state = published()
    run = {variant: runner(variant, state) for variant in VARIANTS}
    wall: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    processor: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    fused: dict[str, Tensor] = {}
    for k in range(runs + 1):
        for variant in VARIANTS:
            start = time.perf_counter(), time.process_time()
            fused[variant] = run[variant](ir, vis)
            if k:  # the first round sets things up
                wall[variant].append((time.perf_counter() - start[0]) / frames)
                processor[variant].append((time.process_time() - start[1]) / frames)
    print(f"{size}, T = {frames}, {torch.get_num_threads()} threads, median of {runs}, seconds per frame")
    print("variant    elapsed  ratio  processor  ratio  max difference  PSNR of clamped output")
    for variant in VARIANTS:
        elapsed, cpu = (statistics.median(times[variant]) for times in (wall, processor))
        difference = (fused[variant] - fused["literal"]).abs().max().item()
        clamped = (fused[variant].clamp(0, 1) - fused["literal"].clamp(0, 1)).square().mean().item()
        psnr = -10 * math.log10(clamped) if clamped else math.inf
        ratios = [statistics.median(t["literal"]) / statistics.median(t[variant]) for t in (wall, processor)]
        print(
            f"{variant:10} {elapsed:7.2f} {ratios[0]:6.2f} {cpu:10.2f} {ratios[1]:6.2f}"
            f" {difference:15.1e} {psnr:8.1f} dB"
        )


@torch.no_grad()
def measure_memory(size: str, frames: int) -> None:
    state, (ir, vis) = published(), inputs(size, frames)
    print(f"{size}, T = {frames}: most bytes of tensors alive at once, weights and inputs not counted")
    peaks: dict[str, int] = {}
    for variant in VARIANTS:
        run = runner(variant, state)
        peaks[variant] = peak_bytes(lambda run=run: run(ir, vis))
        each = peaks[variant] / ir[:, :, 0].numel()
        share = peaks[variant] / peaks["literal"]
        print(f"{variant:10} {peaks[variant] / 2**30:6.2f} GiB, {each:5.0f} a pixel, {share:.2f} of literal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT, multiples of 16")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        measure_memory(options.size, options.frames)
    else:
        measure_time(options.size, options.frames, options.runs)


if __name__ == "__main__":
    main()
