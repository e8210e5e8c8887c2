"""Reference figures on a real clip: the sources and their trivial fusions, clean and degraded."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from vfuse.metrics import Frame, Image, Sources, SourceStep, Step, choose
from vfuse.metrics._flow import DIS
from vfuse.metrics._measure import of_frame, of_step

CLIP = Path(__file__).parents[1].parent / "shared/data/m3svd/lossless/test/0111_1716"
NAMES = ("en", "sd", "sf", "mi", "vif", "ssim", "brightness_step", "warp", "hot_target")
# 20 frames, image metrics on every third; the degraded input is scored against the clean sources.
FIGURES = {
    ("visible", "clean"): (7.16, 40.9, 25.6, 7.82, 1.02, 0.631, 0, 1.52, -0.36),
    ("infrared", "clean"): (5.60, 35.0, 7.3, 6.25, 1.01, 0.631, 0.17, 1.07, 1),
    ("average", "clean"): (6.26, 20.9, 13.0, 2.90, 0.66, 0.646, 0.08, 1.08, 0.32),
    ("max", "clean"): (7.12, 39.7, 24.3, 7.34, 1.01, 0.630, 0.10, 1.72, 0.72),
    ("visible", "degraded"): (7.06, 35.0, 6.4, 3.05, 0.36, 0.526, 0.04, 0.99, -0.35),
    ("average", "degraded"): (6.16, 18.3, 11.2, 1.08, 0.24, 0.421, 0.14, 5.10, 0.27),
}
LAST_DIGIT = (0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.01, 0.01, 0.01)
needs_clip = pytest.mark.skipif(not CLIP.is_dir(), reason=f"no {CLIP.name} in the shared data folder")


def frames(name: str, pixel_format: str) -> list[np.ndarray]:
    with av.open(str(CLIP / f"{name}.mkv")) as container:
        return [frame.to_ndarray(format=pixel_format) for frame in container.decode(video=0)]


def fused_by(rule: str, ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    grey = Image(vis).grey
    if rule == "average":
        return ((ir.astype(int) + grey + 1) // 2).astype(np.uint8)
    return {"visible": vis, "infrared": ir, "max": np.maximum(ir, grey)}[rule]


@needs_clip
@pytest.mark.parametrize(("rule", "state"), FIGURES)
def test_reference_figures(rule: str, state: str):
    clean = [frames("infrared_Enhance", "gray"), frames("visible_Enhance", "rgb24")]
    given = clean if state == "clean" else [frames("infrared_noise", "gray"), frames("visible_Blur", "rgb24")]
    sources = [Sources(Image(ir), Image(vis)) for ir, vis in zip(*clean, strict=True)]
    fused = [Image(fused_by(rule, ir, vis)) for ir, vis in zip(*given, strict=True)]
    metrics = choose(names=NAMES)
    rows = [of_frame(metrics, Frame(sources[t], fused[t])) for t in range(0, len(fused), 3)]
    steps = [
        of_step(metrics, Step(SourceStep(sources[t], sources[t + 1], flow=DIS), fused[t], fused[t + 1]))
        for t in range(len(fused) - 1)
    ]
    values = {name: np.mean([row[name] for row in group]) for group in (rows, steps) for name in group[0]}
    for name, wanted, digit in zip(NAMES, FIGURES[rule, state], LAST_DIGIT, strict=True):
        assert values[name] == pytest.approx(wanted, abs=0.6 * digit), name
