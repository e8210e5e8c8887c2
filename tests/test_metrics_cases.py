"""For every metric a case worked out by hand, and what it says where there is nothing to measure.

The tables are held to the registry: a metric without its rows is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from _media import write_images, write_video
from _scenes import RATE, frame_of, step_of

from vfuse.evaluate import ClipFiles, ScoreOptions, evaluate
from vfuse.metrics import METRICS, Curves, Features, Frame, Metric, Step, choose

INF = math.inf
SIZE = 192
ROWS_MEAN = Features("rows", lambda rgb: rgb.astype(np.float64).mean(axis=(1, 2)))


def even(value: int) -> np.ndarray:
    return np.full((SIZE, SIZE), value, np.uint8)


def halves(low: int = 0, high: int = 200) -> np.ndarray:
    """Left half and right half, 64 x 64."""
    image = np.full((64, 64), low, np.uint8)
    image[:, 32:] = high
    return image


def lower(low: int = 0, high: int = 200) -> np.ndarray:
    """Upper half and lower half: independent of `halves`."""
    return np.ascontiguousarray(halves(low, high).T)


def texture(gain: float = 1, shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    x = x - shift
    waves = 40 * np.sin(x / 7) * np.cos(y / 9) + 25 * np.sin((x + 2 * y) / 5)
    return np.clip(np.floor(110 + gain * waves + 0.5), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Case:
    """What is measured, and the value by hand."""

    what: Callable[[], Frame | Step | Curves]
    wanted: float
    relative: float = 1e-6
    absolute: float = 1e-9


def frame(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray, **restored: np.ndarray):
    return lambda: frame_of(ir, vis, fused, **restored)


def step(before: tuple[np.ndarray, ...], after: tuple[np.ndarray, ...]):
    return lambda: step_of(before, after, features=ROWS_MEAN)


def luminance(x: float, f: float, *, peak: float = 255) -> float:
    """SSIM of two even images."""
    c1 = (0.01 * peak) ** 2
    return (2 * x * f + c1) / (x * x + f * f + c1)


def kept(strength_ratio: float, aligned: float) -> float:
    """Qabf's quality of a pixel."""
    by_strength = 0.9994 / (1 + math.exp(-15 * (strength_ratio - 0.5)))
    return by_strength * 0.9879 / (1 + math.exp(-22 * (aligned - 0.8)))


def invented() -> float:
    """Nabf of an upright step between even sources: two columns of 64 that weigh as flat pixels do."""
    quality = 0.9999 / (1 + math.exp(19 * 0.5)) * 0.9995 / (1 + math.exp(22 * 0.5))
    return 2 / 64 * (1 - math.sqrt(quality))


# The fused frame is `halves`, the sources are the same and the independent `lower`, unless stated.
HALVES = frame(halves(), lower(), halves())
ERROR = 200**2 / 2 / 2  # no error to one source, 200 on half of the pixels to the other
FLAT_FUSED = frame(even(50), even(100), even(80))
BRIGHTER = step((even(60), texture(), texture()), (even(60), texture(), texture() + 10))
SWAYING = step((texture(), texture(), texture()), (texture(), texture(shift=2), texture()))
OPPOSED = step((even(60), even(60), even(70)), (even(70), even(70), even(60)))

ANALYTIC = {
    "en": Case(HALVES, 1),
    "mi": Case(HALVES, 1),
    "mi_nats": Case(HALVES, math.log(2)),
    # 254 and 255 are one bin of the joint histogram: H(x) + H(f) - 0, and 0 + H(f) - 0 for an even source
    "mi_saturating": Case(frame(halves(254, 255), np.full((64, 64), 9, np.uint8), halves(254, 255)), 3),
    "nmi": Case(HALVES, 1),
    # 200 on a quarter of the fused pixels, on half of both sources' pixels
    "ce": Case(
        frame(halves(), lower(), np.minimum(halves(), lower())),
        math.log2(0.5 / 0.25) / 2 + math.log2(0.5 / 0.75) / 2,
    ),
    "cc": Case(HALVES, 0.5),
    "scd": Case(frame(halves(0, 90), lower(0, 90), halves(0, 90) + lower(0, 90)), 2),
    "mse": Case(HALVES, ERROR / 255**2),
    "mse_255": Case(HALVES, ERROR),
    "psnr": Case(HALVES, 20 * math.log10(255 * 255 / math.sqrt(ERROR))),
    "psnr_std": Case(HALVES, 20 * math.log10(255 / math.sqrt(ERROR))),
    "psnr_peak": Case(HALVES, 20 * math.log10(200 / math.sqrt(ERROR))),
    "psnr_vifb": Case(HALVES, 10 * math.log10(255**2 / (math.sqrt(2 * ERROR * 64 * 64) / 64**2 / 2))),
    "sd": Case(HALVES, 100),
    "sd_u8": Case(HALVES, math.sqrt(255 / 2)),
    "sf": Case(HALVES, math.sqrt(200**2 / 63)),
    "sf_hw": Case(HALVES, 25),
    "sf_unit": Case(HALVES, math.sqrt(200**2 / 63) / 255),
    "ag": Case(HALVES, 2 * 64 * math.sqrt(100**2 / 2) / 63**2),
    "ag_hw": Case(HALVES, 2 * 64 * math.sqrt(100**2 / 2) / 64**2),
    "ei": Case(HALVES, 2 * 4 * 200 / 64),
    "qabf": Case(frame(texture(), texture(), texture()), kept(1e9, 1), 1e-4),
    "nabf": Case(frame(halves(9, 9), halves(9, 9), halves()), invented()),
    "nabf_swapped": Case(frame(halves(), halves(9, 9), halves(9, 9)), invented()),
    "ssim": Case(FLAT_FUSED, (luminance(50, 80) + luminance(100, 80)) / 2),
    "ssim_sum": Case(FLAT_FUSED, luminance(50, 80) + luminance(100, 80)),
    "ssim_l1": Case(FLAT_FUSED, (luminance(50, 80, peak=1) + luminance(100, 80, peak=1)) / 2),
    "ssim_cdd": Case(FLAT_FUSED, luminance(50, 80, peak=2) + luminance(100, 80, peak=2)),
    "ms_ssim": Case(FLAT_FUSED, (luminance(50, 80) ** 0.1333 + luminance(100, 80) ** 0.1333) / 2),
    "mef_ssim_single": Case(frame(even(60), texture(), texture()), 1, 1e-4),
    "mef_ssim": Case(frame(even(60), texture(), texture()), 1, 1e-4),
    "vif": Case(frame(even(60), texture(), even(80)), 1),
    "vif_u8": Case(frame(even(60), even(60), texture()), 2),
    "psnr_ir": Case(frame(even(60), even(9), even(9), restored_ir=even(65)), 20 * math.log10(255 / 5)),
    "psnr_vis": Case(frame(even(9), even(60), even(9), restored_vis=even(65)), 20 * math.log10(255 / 5)),
    "ssim_ir": Case(frame(even(60), even(9), even(9), restored_ir=even(90)), luminance(60, 90)),
    "ssim_vis": Case(frame(even(9), even(60), even(9), restored_vis=even(90)), luminance(60, 90)),
    "hot_target": Case(lambda: hot(gain=0.4), 0.4),
    "detail": Case(frame(even(60), texture(), texture(gain=0.5)), 0.5, 2e-2),
    "feacd_cos": Case(OPPOSED, 4),
    "feacd_sign": Case(OPPOSED, 4),
    "flowd": Case(BRIGHTER, 10 * math.sqrt(3)),
    "flowd_l1": Case(BRIGHTER, 10),
    "flowd_released": Case(BRIGHTER, 10 * math.sqrt(3)),
    "warp": Case(BRIGHTER, 10),
    "warp_error": Case(BRIGHTER, (10 / 255) ** 2),
    "tof_vis": Case(SWAYING, 2, 5e-2),
    "tof_ir": Case(SWAYING, 0, absolute=1e-4),
    "brightness_step": Case(BRIGHTER, 10),
    "brightness_flicker": Case(BRIGHTER, 10),
    "brightness_change": Case(BRIGHTER, 10),
    "brightness_spread": Case(lambda: Curves(*(np.array([10.0, 20.0]),) * 3), 5),
}


def hot(*, gain: float) -> Frame:
    """A warm square of 100 grey levels above the rest, and a fused frame with that contrast times `gain`."""
    ir = even(50)
    ir[80:110, 90:120] = 150
    return frame_of(ir, texture(), (70 + gain * (ir.astype(float) - 50)).astype(np.uint8))


@pytest.mark.parametrize("entry", METRICS, ids=lambda entry: entry.name)
def test_the_value_is_the_one_worked_out_by_hand(entry: Metric):
    case = ANALYTIC[entry.name]
    assert entry.compute(case.what()) == pytest.approx(case.wanted, rel=case.relative, abs=case.absolute)


# What stands where there is nothing to measure: even frames of 90, and black ones. The other conventions of a
# metric say what it says, unless they are listed.
EVEN_AND_BLACK = {
    **dict.fromkeys(("en", "mi", "nmi", "ce", "sd", "sf", "ag", "ei"), (0, 0)),
    **dict.fromkeys(("cc", "scd", "mse", "nabf"), (0, 0)),
    **dict.fromkeys(("psnr", "psnr_ir", "psnr_vis"), (INF, INF)),
    **dict.fromkeys(("ssim", "ssim_ir", "ssim_vis", "ms_ssim", "mef_ssim"), (1, 1)),
    **dict.fromkeys(("ssim_sum", "ssim_cdd", "vif"), (2, 2)),
    "qabf": (kept(1e9, 1), 0),  # zeros are assumed beyond the border: a bright frame has an edge there
    **dict.fromkeys(("hot_target", "detail"), (None, None)),
    **dict.fromkeys(("feacd_cos", "feacd_sign"), (2, 2)),
    **dict.fromkeys(("flowd", "warp", "warp_error", "tof_vis", "tof_ir"), (0, 0)),
    **dict.fromkeys(("brightness_step", "brightness_flicker", "brightness_change"), (0, 0)),
    "brightness_spread": (0, 0),
}


@pytest.mark.parametrize("number", [0, 1], ids=["even", "black"])
@pytest.mark.parametrize("entry", METRICS, ids=lambda entry: entry.name)
@pytest.mark.filterwarnings("error")
def test_documented_values_where_there_is_nothing_to_see(entry: Metric, number: int):
    wanted = EVEN_AND_BLACK[entry.name if entry.name in EVEN_AND_BLACK else entry.variant_of][number]
    image = even((90, 0)[number])
    moment = (image, image, image)
    what = {
        "frame": frame(*moment, restored_ir=image, restored_vis=image),
        "neighbours": step(moment, moment),
        "video": lambda: Curves(*(np.full(3, image.mean()),) * 3),
    }
    value = entry.compute(what[entry.over]())
    if wanted is None:
        assert value is None
    else:
        assert value == pytest.approx(wanted, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("entry", [e for e in METRICS if e.over != "frame"], ids=lambda entry: entry.name)
def test_a_static_video_changes_nothing(entry: Metric):
    moment = (texture(shift=5), texture(), np.maximum(texture(), texture(shift=5)))
    level = np.full(4, moment[2].mean())
    value = entry.compute(Curves(level, level, level) if entry.over == "video" else step(moment, moment)())
    assert value == pytest.approx(2 if entry.uses == "features" else 0, abs=1e-4)


@pytest.mark.parametrize("kind", ["images", "video"])
def test_a_single_frame(kind: str, tmp_path: Path):
    """Every metric of frames has its value on a video of one frame; those over time are undefined."""

    def write(name: str, image: np.ndarray) -> Path:
        if kind == "images":
            return write_images(tmp_path / name, [image]) / "0000.png"
        return write_video(tmp_path / f"{name}.mkv", [image], rate=RATE)

    hot_frame = hot(gain=0.9)
    ir, vis = (write(name, image.pixels) for name, image in (("ir", hot_frame.ir), ("vis", hot_frame.vis)))
    fused = write("fused", np.maximum(hot_frame.ir.pixels, hot_frame.vis.pixels))
    clip = ClipFiles(name="one", ir=ir, vis=vis, fused={"max": fused}, reference_ir=ir, reference_vis=vis)
    options = ScoreOptions(metrics=choose(names=METRICS.names()), features=ROWS_MEAN, workers=1)
    scores = evaluate([clip], options=options)
    for label, entry in scores.metrics.items():
        summary = scores.summary("max", label)
        if entry.over == "frame":
            assert summary is not None, label
            assert not math.isnan(summary.mean), label
        else:
            assert summary is None, label


def test_every_metric_has_its_rows():
    assert set(ANALYTIC) == set(METRICS.names())
    main = {entry.name for entry in METRICS if not entry.variant_of}
    assert main <= set(EVEN_AND_BLACK) <= set(METRICS.names())
