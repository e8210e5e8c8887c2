"""Properties of the metrics: analytic cases, the better input scores better, nothing degenerate gives NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from _scenes import frame_of, step_of
from hypothesis import given, settings
from hypothesis import strategies as st

from vfuse.errors import UsageError
from vfuse.metrics import (
    METRICS,
    PRESETS,
    PROFILES,
    Features,
    Frame,
    Image,
    Metric,
    choose,
    measure,
)
from vfuse.metrics._repeats import change, repeats

FRAME = [entry for entry in METRICS if entry.over == "frame"]
STEP = [entry for entry in METRICS if entry.over == "neighbours"]
HEIGHT, WIDTH = 192, 208
MEAN_LOGITS = Features("rows", lambda rgb: rgb.astype(np.float64).mean(axis=(1, 2)))


def scene(shift: int = 0, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth infrared with a warm spot and a textured visible, both moving right by `shift` pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    x = x - shift
    spot = 150 * np.exp(-((x - 90) ** 2 + (y - 80) ** 2) / 200)
    ir = 60 + 20 * np.sin(x / 30) + spot
    vis = 110 + 40 * np.sin(x / 7) * np.cos(y / 9) + 25 * np.sin((x + 2 * y) / 5)
    return quantised(ir), quantised(vis)


def quantised(values: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float, *, seed: int = 0) -> np.ndarray:
    return quantised(image + np.random.default_rng(seed).normal(0, sigma, image.shape))


def good_and_bad(entry: Metric) -> tuple[Frame, Frame]:
    """Two fused frames of one scene of which everybody would prefer the first."""
    ir, vis = scene()
    strongest = np.maximum(ir, vis)
    washed_out = quantised(0.2 * strongest + 100)
    if entry.needs == "reference":
        return (
            frame_of(ir, vis, vis, restored_ir=noisy(ir, 2), restored_vis=noisy(vis, 2)),
            frame_of(ir, vis, vis, restored_ir=noisy(ir, 20), restored_vis=noisy(vis, 20)),
        )
    if entry.name.startswith("nabf"):
        # the variant with swapped arguments prefers, absurdly, the frame that hides the infrared's own edges
        pair = (frame_of(ir, vis, strongest), frame_of(ir, vis, noisy(strongest, 30)))
        return (
            pair if entry.name == "nabf" else (frame_of(ir, vis, noisy(ir, 5)), frame_of(ir, vis, washed_out))
        )
    if entry.name.startswith(("cc", "ce", "mse", "psnr", "ssim", "scd")):
        mean = quantised(ir / 2 + vis / 2)
        return frame_of(ir, vis, mean), frame_of(ir, vis, noisy(255 - mean, 10))
    return frame_of(ir, vis, strongest), frame_of(ir, vis, washed_out)


@pytest.mark.parametrize("entry", FRAME, ids=lambda entry: entry.name)
def test_the_better_frame_scores_better(entry: Metric):
    better, worse = (entry.compute(frame) for frame in good_and_bad(entry))
    assert better > worse if entry.better == "higher" else better < worse


@pytest.mark.parametrize("entry", [e for e in STEP if e.better != "neither"], ids=lambda entry: entry.name)
def test_the_steadier_video_scores_better(entry: Metric):
    before, after = ((*scene(shift), quantised(sum(s / 2 for s in scene(shift)))) for shift in (0, 3))
    steady = entry.compute(step_of(before, after, features=MEAN_LOGITS))
    pumped = noisy(quantised(after[2] * 1.2), 8)[::-1].copy()
    assert steady < entry.compute(step_of(before, (*after[:2], pumped), features=MEAN_LOGITS))


DEGENERATE = {
    "constant": (np.full((HEIGHT, WIDTH), 90, np.uint8),) * 3,
    "black": (np.zeros((HEIGHT, WIDTH), np.uint8),) * 3,
    "white": (np.full((HEIGHT, WIDTH), 255, np.uint8),) * 3,
    "constant fused": (*scene(), np.full((HEIGHT, WIDTH), 90, np.uint8)),
    "black fused": (*scene(), np.zeros((HEIGHT, WIDTH), np.uint8)),
    "constant infrared": (np.full((HEIGHT, WIDTH), 90, np.uint8), scene()[1], scene()[1]),
    "fused is the visible": (*scene(), scene()[1]),
    "all equal": (scene()[0],) * 3,
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("entry", FRAME + STEP, ids=lambda entry: entry.name)
@pytest.mark.filterwarnings("error")
def test_degenerate_input_never_gives_nan(entry: Metric, case: str):
    ir, vis, fused = DEGENERATE[case]
    if entry.over == "frame":
        value = entry.compute(frame_of(ir, vis, fused, restored_ir=ir, restored_vis=vis))
    else:
        value = entry.compute(step_of((ir, vis, fused), (ir, vis, fused), features=MEAN_LOGITS))
        if entry.better != "neither":
            assert value == pytest.approx(2 if entry.uses == "features" else 0, abs=1e-4)
    assert value is None or not math.isnan(value)


def test_values_settled_by_definition_are_flagged():
    frame = frame_of(*DEGENERATE["black"])
    for name in ("cc", "scd", "qabf", "vif"):
        METRICS[name].compute(frame)
    assert frame.flags == {"cc", "scd", "qabf"}
    assert all(pair.flags == {"vif"} for pair in frame.pairs)


def test_identity():
    ir, _ = scene()
    frame = frame_of(ir, ir, ir)
    entropy = METRICS["en"].compute(frame)
    wanted = {
        "mi": 2 * entropy,
        "nmi": 2,
        "vif": 2,
        "ssim": 1,
        "ms_ssim": 1,
        "mef_ssim": 1,
        "cc": 1,
        "nabf": 0,
        "ce": 0,
        "scd": 0,
    }
    wanted |= {"hot_target": 1, "detail": 1}
    assert {name: METRICS[name].compute(frame) for name in wanted} == pytest.approx(
        wanted, rel=1e-6, abs=1e-9
    )
    assert 0.95 < METRICS["qabf"].compute(frame) < 0.976
    assert "scd" in frame.flags


@pytest.mark.parametrize(
    "entry",
    [e for e in FRAME if e.name not in ("nabf_swapped", "hot_target", "detail") and e.needs != "reference"],
    ids=lambda entry: entry.name,
)
def test_swapping_the_sources_changes_nothing(entry: Metric):
    ir, vis = scene()
    fused = np.maximum(ir, vis)
    swapped = entry.compute(frame_of(vis, ir, fused))
    assert entry.compute(frame_of(ir, vis, fused)) == pytest.approx(swapped, rel=1e-12)


def test_hot_target_is_the_ratio_of_contrasts():
    ir = np.full((HEIGHT, WIDTH), 50, np.uint8)
    ir[80:110, 90:120] = 150
    for gain in (-0.5, 0.0, 0.3, 1.2):
        fused = quantised(100 + gain * (ir.astype(float) - 50))
        assert measure(fused, ir=ir, vis=ir, metrics=["hot_target"])["hot_target"] == pytest.approx(
            gain, abs=0.01
        )


def test_detail_follows_the_sharper_source_and_ignores_noise():
    _, vis = scene()
    flat = np.full_like(vis, 100)

    def detail(fused: np.ndarray) -> float:
        return measure(fused, ir=flat, vis=vis, metrics=["detail"])["detail"]

    assert detail(vis) == pytest.approx(1)
    assert detail(quantised(vis / 2.0)) == pytest.approx(0.5, abs=0.02)
    assert detail(255 - vis) == 0
    assert detail(noisy(vis, 20)) < 1


def test_vif_rewards_contrast_and_a_frame_too_small_is_undefined():
    ir, vis = scene()
    assert measure(quantised(1.3 * (vis - 110.0) + 110), ir=vis, vis=vis, metrics=["vif"])["vif"] > 2
    assert measure(vis[:40, :40], ir=ir[:40, :40], vis=vis[:40, :40], metrics=["vif", "en"])["vif"] is None


def test_flow_direction_matters():
    """A translating scene is followed exactly one way round, and worse than not at all the other way."""
    before, after = ((*scene(shift), scene(shift)[1]) for shift in (0, 2))
    step = step_of(before, after)
    unwarped = np.sqrt(3) * np.abs(after[2].astype(float) - before[2]).mean()
    assert (
        METRICS["flowd"].compute(step) < 0.3 * unwarped < unwarped < METRICS["flowd_released"].compute(step)
    )


def test_brightness_step_sees_only_what_the_visible_has_not():
    ir, vis = scene()
    brighter = vis + 10
    with_it = step_of((ir, vis, vis), (ir, brighter, brighter))
    without = step_of((ir, vis, vis), (ir, vis, brighter))
    assert METRICS["brightness_step"].compute(with_it) == pytest.approx(0)
    assert METRICS["brightness_flicker"].compute(with_it) == pytest.approx(5)
    assert METRICS["brightness_step"].compute(without) == pytest.approx(10)


def test_repeated_frames():
    doubled = np.array([4, 0.3, 4, 0.3, 4, 0.3, 4])
    assert repeats(doubled).tolist() == [False, True] * 3 + [False]
    assert repeats(np.array([3.0, 2, 2.5, 3, 2, 2.5, 1.1, 2.2])).sum() == 0  # one drop is chance
    assert repeats(np.array([3.0, 0, 0, 2])).tolist() == [False, True, True, False]
    ir, vis = scene()
    assert change(Image(vis), Image(vis)) == 0 < change(Image(ir), Image(vis))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mi", "cc", "ssim", "vif", "qabf"]))
def test_noise_never_helps(seed: int, name: str):
    ir, vis = scene()
    fused = np.maximum(ir, vis)
    clean = measure(fused, ir=ir, vis=vis, metrics=[name])[name]
    assert measure(noisy(fused, 25, seed=seed), ir=ir, vis=vis, metrics=[name])[name] < clean


def test_tensors_and_arrays_are_one():
    ir, vis = scene()
    colour = np.stack([vis, vis // 2, 255 - vis], axis=-1)
    fused = torch.from_numpy(colour).permute(2, 0, 1).float() / 255
    from_tensors = measure(
        fused, ir=torch.from_numpy(ir)[None].float() / 255, vis=fused, metrics=["mi", "ssim"]
    )
    assert from_tensors == measure(colour, ir=ir, vis=colour, metrics=["mi", "ssim"])


def test_every_record_is_complete_and_documented():
    for entry in METRICS:
        assert entry.doc.endswith("."), entry.name
        assert entry.range
        assert entry.source
        assert not entry.variant_of or METRICS[entry.variant_of].variant_of == ""
    for profile in PROFILES:
        assert all(METRICS[v].variant_of == m or v == "mef_ssim" for m, v in profile.variants.items())
    for preset in PRESETS:
        assert {entry.name for entry in choose(preset=preset.name)}


def test_unknown_names_are_answered_with_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'ssim'"):
        choose(names=["sssim"])
    with pytest.raises(UsageError, match="unknown profile"):
        choose(names=["en"], profile="cdd")


def test_sizes_that_differ_and_types_that_do_not_fit_are_refused():
    ir, vis = scene()
    with pytest.raises(ValueError, match="sizes differ"):
        measure(vis, ir=ir[:-1], vis=vis)
    with pytest.raises(ValueError, match="uint8"):
        measure(vis.astype(np.float32), ir=ir, vis=vis)
