"""What scoring costs: each metric alone, beside plain textbook code in the same run, and whole videos.

    python benchmarks/metrics.py [--size 640x480] [--frames 90] [--rounds 5] [--workers 2]

Times are processor time of one thread for single metrics, the best of the rounds, taken in turns so that
a busy machine slows all alike; whole videos are wall time, decoding included. Needs the dev extra (SciPy).
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import convolve2d

from vfuse.evaluate import ClipFiles, ScoreOptions, evaluate
from vfuse.metrics import METRICS, Frame, Image, Sources, SourceStep, Step, choose
from vfuse.metrics._flow import DIS

Array = NDArray[np.float64]


def scene(width: int, height: int, t: int) -> tuple[Array, Array, Array]:
    """Infrared (H, W), visible and fused (H, W, 3), uint8, textured and moving."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    noise = np.random.default_rng(t).normal(0, 2, (2, height, width))
    ir = 60 + 130 * np.exp(-((x - width / 3 - 2 * t) ** 2 + (y - height / 2) ** 2) / 900) + noise[0]
    vis = 110 + 50 * np.sin((x - t) / 9) * np.cos(y / 7) + 30 * np.sin((x + 3 * y) / 23) + noise[1]
    colour = np.stack([vis, 0.9 * vis + 8, 0.7 * vis + 20], axis=-1)
    ir8, vis8 = (np.clip(image, 0, 255).astype(np.uint8) for image in (ir, colour))
    return ir8, vis8, np.maximum(ir8[..., None], vis8)


def window(side: int, sigma: float) -> Array:
    line = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    square = np.outer(line, line)
    return square / square.sum()


def convolve(image: Array, kernel: Array) -> Array:
    """A full two-dimensional window at every place inside, as evaluators in circulation do it."""
    return convolve2d(image, kernel, mode="valid")


def plain_en(a: Array, b: Array, f: Array) -> float:
    p = np.histogram(f, bins=256, range=(0, 256))[0] / f.size
    return -sum(q * math.log2(q) for q in p if q)


def plain_mi(a: Array, b: Array, f: Array) -> float:
    total = 0.0
    for x in (a, b):
        p = np.histogram2d(x.ravel(), f.ravel(), bins=256, range=((0, 256), (0, 256)))[0] / f.size
        rows, columns = p.sum(1, keepdims=True), p.sum(0, keepdims=True)
        seen = p > 0
        total += (p[seen] * np.log2(p[seen] / (rows * columns)[seen])).sum()
    return total


def plain_sf(a: Array, b: Array, f: Array) -> float:
    return math.sqrt(np.mean(np.diff(f, axis=0) ** 2) + np.mean(np.diff(f, axis=1) ** 2))


def plain_sd(a: Array, b: Array, f: Array) -> float:
    return float(np.std(f))


def plain_ssim(a: Array, b: Array, f: Array) -> float:
    kernel, total = window(11, 1.5), 0.0
    for x in (a, b):
        mx, mf = convolve(x, kernel), convolve(f, kernel)
        vx, vf = convolve(x * x, kernel) - mx * mx, convolve(f * f, kernel) - mf * mf
        c = convolve(x * f, kernel) - mx * mf
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        total += np.mean((2 * mx * mf + c1) * (2 * c + c2) / ((mx**2 + mf**2 + c1) * (vx + vf + c2)))
    return total / 2


def plain_vif(a: Array, b: Array, f: Array) -> float:
    total = 0.0
    for x in (a, b):
        first, second, kept, whole = x, f, 0.0, 0.0
        for scale in range(4):
            side = 2 ** (4 - scale) + 1
            kernel = window(side, side / 5)
            if scale:
                first, second = convolve(first, kernel)[::2, ::2], convolve(second, kernel)[::2, ::2]
                first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
            m1, m2 = convolve(first, kernel), convolve(second, kernel)
            v1 = np.maximum(convolve(first**2, kernel) - m1**2, 0)
            v2 = np.maximum(convolve(second**2, kernel) - m2**2, 0)
            c = convolve(first * second, kernel) - m1 * m2
            g = c / (v1 + 1e-10)
            r = v2 - g * c
            g[v1 < 1e-10], r[v1 < 1e-10], v1[v1 < 1e-10] = 0, v2[v1 < 1e-10], 0
            g[v2 < 1e-10], r[v2 < 1e-10] = 0, 0
            r[g < 0], g[g < 0] = v2[g < 0], 0
            kept += np.log10(1 + g**2 * v1 / (np.maximum(r, 1e-10) + 2)).sum()
            whole += np.log10(1 + v1 / 2).sum()
        total += kept / whole
    return total


def plain_qabf(a: Array, b: Array, f: Array) -> float:
    def edges(x: Array) -> tuple[Array, Array]:
        gx, gy = (
            cv2.Sobel(x, cv2.CV_64F, *order, borderType=cv2.BORDER_CONSTANT) for order in ((1, 0), (0, 1))
        )
        with np.errstate(all="ignore"):
            return np.hypot(gx, gy), np.where(gx == 0, np.pi / 2, np.arctan(-gy / gx))

    strength_f, angle_f = edges(f)
    kept = whole = 0.0
    for x in (a, b):
        strength, angle = edges(x)
        with np.errstate(all="ignore"):
            g = np.minimum(strength, strength_f) / np.maximum(strength, strength_f)
        g = np.where(strength == strength_f, strength_f, g)
        aligned = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        q = 0.9994 / (1 + np.exp(-15 * (g - 0.5))) * 0.9879 / (1 + np.exp(-22 * (aligned - 0.8)))
        kept, whole = kept + (q * strength).sum(), whole + strength.sum()
    return kept / whole


PLAIN = {
    "en": plain_en,
    "mi": plain_mi,
    "sf": plain_sf,
    "sd": plain_sd,
    "vif": plain_vif,
    "ssim": plain_ssim,
    "qabf": plain_qabf,
}
SETS = {
    "videofusion": [entry.name for entry in choose(preset="videofusion")],
    "all over frames": [e.name for e in choose(preset="all") if e.over == "frame" and e.needs != "reference"],
    "all over steps": [
        e.name for e in choose(preset="all") if e.over == "neighbours" and e.uses != "features"
    ],
}


def seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def metric_costs(width: int, height: int, rounds: int) -> None:
    """One thread: every metric alone, sets of them that share, and plain code."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    frames = [scene(width, height, t) for t in range(3)]
    grey = [Image(pixels).grey.astype(np.float64) for pixels in frames[2]]

    def fresh(names: list[str]) -> Callable[[], object]:
        """Everything derived anew, but for what the step before has left, as in a video."""
        images = [[Image(pixels) for pixels in frame] for frame in frames]
        sources = [Sources(ir, vis) for ir, vis, _ in images]
        steps = [
            Step(SourceStep(sources[t], sources[t + 1], flow=DIS), images[t][2], images[t + 1][2])
            for t in (0, 1)
        ]
        entries = [METRICS[name] for name in names]
        for entry in entries:
            if entry.over == "neighbours":
                entry.compute(steps[0])
        frame = Frame(sources[2].alone(), images[2][2].alone())
        return lambda: [entry.compute(frame if entry.over == "frame" else steps[1]) for entry in entries]

    works = {name: partial(fresh, [name]) for names in list(SETS.values())[1:] for name in names}
    works |= {name: partial(fresh, names) for name, names in SETS.items()}
    works |= {f"plain {name}": lambda plain=plain: partial(plain, *grey) for name, plain in PLAIN.items()}
    best = dict.fromkeys(works, math.inf)
    for _ in range(rounds):
        for name, work in works.items():
            best[name] = min(best[name], seconds(work()))
    images = Frame(Sources(Image(frames[2][0]), Image(frames[2][1])), Image(frames[2][2]))
    for name, plain in PLAIN.items():
        assert math.isclose(plain(*grey), METRICS[name].compute(images), rel_tol=1e-6), name
    print(f"{'metric':20} {'ms':>8} {'textbook ms':>12} {'ratio':>7}")
    for name in works:
        if not name.startswith("plain "):
            print(_line(name, best[name], best.get(f"plain {name}")))
    print(_line("textbook videofusion", sum(best[f"plain {name}"] for name in SETS["videofusion"]), None))


def _line(name: str, own: float, plain: float | None) -> str:
    beside = f" {plain * 1e3:12.1f} {plain / own:7.1f}" if plain is not None else ""
    return f"{name:20} {own * 1e3:8.1f}{beside}"


def write(path: Path, frames: list[Array], pixel_format: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30), options={"crf": "16"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, pixel_format)))
        container.mux(stream.encode())
    return path


def video_speed(width: int, height: int, count: int, workers: int | None) -> None:
    """Decoded from H.264, scored in threads."""
    frames = [scene(width, height, t) for t in range(count)]
    ir, vis, fused = zip(*frames, strict=True)
    everything = [e for e in choose(preset="all") if e.uses != "features" and e.needs != "reference"]
    runs = {
        "videofusion": choose(preset="videofusion"),
        "default": choose(),
        "everything without tOF": [entry for entry in everything if not entry.name.startswith("tof")],
        "everything": everything,
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write(Path(folder) / f"{name}.mp4", list(pixels), kind)
            for name, pixels, kind in (("ir", ir, "gray"), ("vis", vis, "rgb24"), ("fused", fused, "rgb24"))
        ]
        clip = ClipFiles(name="clip", ir=paths[0], vis=paths[1], fused={"fused": paths[2]})
        print(f"\n{'video':24} {'baselines':>10} {'frames/s':>9} {'cpu ms/frame':>13}")
        for name, metrics in runs.items():
            for baselines in (0, None):
                wall, cpu = time.perf_counter(), time.process_time()
                evaluate([clip], options=ScoreOptions(metrics=metrics, baselines=baselines, workers=workers))
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                beside = "none" if baselines == 0 else "as usual"
                print(f"{name:24} {beside:>10} {count / wall:9.1f} {cpu / count * 1e3:13.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    metric_costs(width, height, asked.rounds)
    if asked.frames:
        video_speed(width, height, asked.frames, asked.workers)


if __name__ == "__main__":
    main()
