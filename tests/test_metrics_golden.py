"""Golden numbers: every metric against values of independent implementations (spec in docs/METRICS.md).

`golden/metrics.npz` holds four image triples A to D and a video V, `golden/metrics.json` what MATLAB, the
released evaluators and published libraries return for them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vfuse.metrics import (
    METRICS,
    PROFILES,
    Curves,
    Features,
    Flow,
    Frame,
    Image,
    Sources,
    SourceStep,
    Step,
    measure,
)
from vfuse.metrics._flow import inside, landing, occluded
from vfuse.metrics._sampling import bilinear
from vfuse.metrics.fidelity import fidelity
from vfuse.metrics.temporal import brightness, profile

GOLDEN = Path(__file__).parent / "golden"
ARRAYS = dict(np.load(GOLDEN / "metrics.npz"))
VALUES = json.loads((GOLDEN / "metrics.json").read_text())

EXACT, WINDOWED = 1e-9, 1e-6
"""Relative tolerance of metrics made of sums and histograms, and of those made of windowed means."""
IMAGE_ROWS = {
    "en": ("group", "EN", EXACT),
    "mi": ("group", "MI", EXACT),
    "mi_nats": ("cddfuse", "MI", EXACT),
    "mi_saturating": ("group", "MI_uint8_saturating", EXACT),
    "nmi": ("other", "NMI_Hossny", EXACT),
    "ce": ("vifb", "Cross_entropy", EXACT),
    "sd": ("group", "SD", EXACT),
    "sd_u8": ("group", "legacy_SD_u8", EXACT),
    "sf": ("group", "SF", EXACT),
    "sf_hw": ("vifb", "Spatial_frequency", EXACT),
    "sf_unit": ("group", "legacy_SF_unit", EXACT),
    "ag": ("group", "AG", EXACT),
    "ag_hw": ("cddfuse", "AG", EXACT),
    "ei": ("vifb", "Edge_intensity", EXACT),
    "cc": ("group", "CC", EXACT),
    "scd": ("group", "SCD", EXACT),
    "mse": ("group", "MSE", EXACT),
    "mse_255": ("cddfuse", "MSE", EXACT),
    "psnr": ("group", "PSNR", EXACT),
    "psnr_peak": ("cddfuse", "PSNR", EXACT),
    "psnr_vifb": ("vifb", "Psnr", EXACT),
    "vif": ("group", "VIF", WINDOWED),
    "vif_u8": ("group", "legacy_VIF_u8", WINDOWED),
    "ssim": ("group", "SSIM", WINDOWED),
    "ssim_sum": ("vifb", "Ssim", WINDOWED),
    "ssim_l1": ("group", "SSIM_replicate_L1(MATLAB ssim on double)", WINDOWED),
    "ssim_cdd": ("cddfuse", "SSIM", WINDOWED),
    # the golden value comes from a float32 library
    "ms_ssim": ("group", "MS_SSIM", 2e-6),
    "mef_ssim_single": ("group", "MEF_SSIM", WINDOWED),
    "mef_ssim": ("group", "MEF_MS_SSIM", WINDOWED),
    "qabf": ("group", "Qabf", WINDOWED),
    "nabf": ("group", "Nabf", WINDOWED),
    "nabf_swapped": ("group", "Nabf_as_called", WINDOWED),
}
VIDEO_ROWS = {
    "flowd": ("flowD_recommended", WINDOWED),
    "flowd_l1": ("flowD_recommended_L1", WINDOWED),
    "flowd_released": ("flowD_code_direction(fw flow)", WINDOWED),
    "warp_error": ("warp_error", WINDOWED),
    "tof_vis": ("tOF_vis", WINDOWED),
    "tof_ir": ("tOF_ir", WINDOWED),
    "feacd_cos": ("feaCD_cosine", EXACT),
    "feacd_sign": ("feaCD_official", EXACT),
    "brightness_change": ("brightness_mean_abs_step_fus", EXACT),
}
# Defined by vfuse: figures on real frames in test_metrics_real.py, properties in test_metrics.py.
WITHOUT_GOLDEN = {
    "psnr_std",
    "psnr_ir",
    "psnr_vis",
    "ssim_ir",
    "ssim_vis",
    "hot_target",
    "detail",
    "warp",
    "brightness_step",
    "brightness_flicker",
}


def triple(name: str) -> Frame:
    ir, vis, fused = (Image(ARRAYS[f"{name}_{stream}"]) for stream in ("ir", "vis", "fus"))
    return Frame(Sources(ir, vis), fused)


def test_every_metric_has_a_golden_row_or_says_why_not():
    assert {*IMAGE_ROWS, *VIDEO_ROWS, "brightness_spread"} | WITHOUT_GOLDEN == set(METRICS.names())


@pytest.mark.parametrize("name", IMAGE_ROWS)
def test_image_metric(name: str):
    table, key, tolerance = IMAGE_ROWS[name]
    cases = [case for case in "ABCD" if key in VALUES[case][table]]
    assert cases
    for case in cases:
        wanted = VALUES[case][table][key]
        assert METRICS[name].compute(triple(case)) == pytest.approx(wanted, rel=tolerance), case


@pytest.mark.parametrize("case", "ABCD")
def test_vif_of_each_source(case: str):
    of_ir, of_vis = (fidelity(pair) for pair in triple(case).pairs)
    assert of_ir == pytest.approx(VALUES[case]["group"]["VIF_ir"], rel=WINDOWED)
    assert of_vis == pytest.approx(VALUES[case]["group"]["VIF_vis"], rel=WINDOWED)


def test_psnr_std_is_psnr_without_the_odd_constant():
    frame = triple("C")
    difference = METRICS["psnr"].compute(frame) - METRICS["psnr_std"].compute(frame)
    assert difference == pytest.approx(20 * np.log10(255), rel=1e-12)


@pytest.mark.parametrize(
    ("profile", "table", "keys"),
    [
        (
            "cddfuse",
            "cddfuse",
            {"en": "EN", "mi": "MI", "ag": "AG", "psnr": "PSNR", "vif": "VIFF", "ssim": "SSIM"},
        ),
        (
            "vifb",
            "vifb",
            {
                "mi": "Mutinf",
                "ssim": "Ssim",
                "psnr": "Psnr",
                "sf": "Spatial_frequency",
                "ce": "Cross_entropy",
            },
        ),
        ("legacy2022", "group", {"sd": "legacy_SD_u8", "vif": "legacy_VIF_u8", "sf": "legacy_SF_unit"}),
        (
            "published",
            "group",
            {"mi": "MI_uint8_saturating", "nabf": "Nabf_as_called", "ms_ssim": "MEF_MS_SSIM"},
        ),
    ],
)
def test_profile_reproduces_its_convention(profile: str, table: str, keys: dict[str, str]):
    images = {stream: ARRAYS[f"C_{stream}"] for stream in ("ir", "vis")}
    values = measure(ARRAYS["C_fus"], **images, metrics=keys, profile=profile)
    wanted = [VALUES["C"][table][key] for key in keys.values()]
    assert list(values.values()) == pytest.approx(wanted, rel=WINDOWED)
    renamed = PROFILES[profile].variants
    assert list(values) == [renamed.get(name, name) for name in keys]


def test_grey_conversion_rounds_before_measuring():
    assert np.array_equal(Image(ARRAYS["C_vis_rgb"]).grey, ARRAYS["C_vis"])


class Given:
    """Flow and features of video V, as stored, looked up by the frames they belong to."""

    def __init__(self) -> None:
        self.flows: dict[tuple[bytes, bytes], np.ndarray] = {}
        self.vectors: dict[bytes, np.ndarray] = {}
        vis = ARRAYS["V_vis"]
        for t in range(5):
            self.flows[vis[t].tobytes(), vis[t + 1].tobytes()] = ARRAYS["V_flow_fw"][t]
            self.flows[vis[t + 1].tobytes(), vis[t].tobytes()] = ARRAYS["V_flow_bw"][t]
        for t in range(6):
            for letter, stream in (("f", "fus"), ("v", "vis"), ("i", "ir")):
                rgb = Image(ARRAYS[f"V_{stream}"][t]).rgb
                self.vectors[rgb.tobytes()] = ARRAYS[f"V_feat_{letter}"][t]

    def steps(self) -> list[Step]:
        flow = Flow("given", lambda first, second: self.flows[first.tobytes(), second.tobytes()])
        features = Features("given", lambda rgb: self.vectors[rgb.tobytes()])
        sources = [
            Sources(Image(ir), Image(vis)) for ir, vis in zip(ARRAYS["V_ir"], ARRAYS["V_vis"], strict=True)
        ]
        fused = [Image(pixels) for pixels in ARRAYS["V_fus"]]
        return [
            Step(SourceStep(sources[t], sources[t + 1], flow=flow, features=features), fused[t], fused[t + 1])
            for t in range(5)
        ]


@pytest.mark.parametrize("name", VIDEO_ROWS)
def test_video_metric(name: str):
    key, tolerance = VIDEO_ROWS[name]
    values = [METRICS[name].compute(step) for step in Given().steps()]
    assert np.mean(values) == pytest.approx(VALUES["V"][key], rel=tolerance)
    assert values == pytest.approx(VALUES["V"].get(f"{key}_per_pair", values), rel=tolerance)


def test_occlusion_mask():
    flows = zip(ARRAYS["V_flow_fw"], ARRAYS["V_flow_bw"], strict=True)
    shares = [occluded(forward, back).mean() for forward, back in flows]
    assert shares == pytest.approx(VALUES["V"]["occluded_fraction_per_pair"], rel=EXACT)


def test_clamped_sampling():
    fused, flows = [Image(pixels).levels for pixels in ARRAYS["V_fus"]], ARRAYS["V_flow_bw"]
    lengths = [
        np.linalg.norm(fused[t + 1] - bilinear(fused[t], *landing(flows[t])), axis=-1).mean(dtype=float)
        for t in range(5)
    ]
    assert lengths == pytest.approx(VALUES["V"]["flowD_bw_flow_clamped_per_pair"], rel=WINDOWED)
    assert not inside(flows[0]).all()


def test_brightness_curve_and_temporal_profile():
    curves = {
        stream: np.array([brightness(Image(pixels)) for pixels in ARRAYS[f"V_{stream}"]])
        for stream in ("fus", "ir", "vis")
    }
    for stream, curve in curves.items():
        assert curve == pytest.approx(VALUES["V"][f"brightness_{stream}"], rel=EXACT)
    spread = METRICS["brightness_spread"].compute(
        Curves(fused=curves["fus"], ir=curves["ir"], vis=curves["vis"])
    )
    assert spread == pytest.approx(VALUES["V"]["brightness_std_fus"], rel=EXACT)
    slices = np.stack([profile(Image(pixels), column=48) for pixels in ARRAYS["V_fus"]]).astype(int)
    assert slices.sum() == VALUES["V"]["temporal_profile_sum_col48"]
    assert np.abs(np.diff(slices, axis=0)).mean() == pytest.approx(
        VALUES["V"]["temporal_profile_mean_abs_dt_col48"]
    )
