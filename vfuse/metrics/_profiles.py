"""Which metrics to take (presets) and in whose convention (profiles), as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vfuse.errors import UsageError
from vfuse.metrics._registry import METRICS, Metric
from vfuse.registry import Registry


@dataclass(frozen=True)
class Profile:
    """A convention in use: for some metrics, the variant that it computes.

    Attributes:
        name: what the user types.
        about: where it is found.
        variants: metric to the variant that stands for it; the variant's own name is printed, so values of
            two conventions never share a column.
    """

    name: str
    about: str
    variants: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Preset:
    """A set of metrics that are reported together."""

    name: str
    about: str
    metrics: tuple[str, ...]


PROFILES: Registry[Profile] = Registry("profile")
PROFILES.add(Profile(name="definition", about="each metric as its source defines it; the default"))
PROFILES.add(
    Profile(name="standard", about="as definition, with the true PSNR", variants={"psnr": "psnr_std"})
)
PROFILES.add(
    Profile(
        name="cddfuse",
        about="the CDDFuse evaluator: nats, summed SSIM with L = 2",
        variants={"ag": "ag_hw", "mi": "mi_nats", "mse": "mse_255", "psnr": "psnr_peak", "ssim": "ssim_cdd"},
    )
)
PROFILES.add(
    Profile(
        name="vifb",
        about="the VIFB benchmark: nats, summed SSIM, its own error measure",
        variants={"mi": "mi_nats", "sf": "sf_hw", "psnr": "psnr_vifb", "ssim": "ssim_sum"},
    )
)
PROFILES.add(
    Profile(
        name="legacy2022",
        about="fusion tables of 2021-22: saturating uint8 arithmetic",
        variants={"mi": "mi_saturating", "sd": "sd_u8", "sf": "sf_unit", "vif": "vif_u8"},
    )
)
PROFILES.add(
    Profile(
        name="published",
        about="released evaluation code as it runs: saturating histogram, SSIM with L = 1, MEF-SSIM for "
        "MS-SSIM, Nabf with swapped arguments, flow against the motion, cosine of single features",
        variants={
            "mi": "mi_saturating",
            "ssim": "ssim_l1",
            "ms_ssim": "mef_ssim",
            "nabf": "nabf_swapped",
            "flowd": "flowd_released",
            "feacd_cos": "feacd_sign",
        },
    )
)

PRESETS: Registry[Preset] = Registry("preset")
PRESETS.add(
    Preset(
        name="default",
        about="VideoFusion's table, steadiness and what is retained",
        metrics=(
            "en",
            "mi",
            "sf",
            "sd",
            "vif",
            "ssim",
            "qabf",
            "warp",
            "brightness_step",
            "hot_target",
            "detail",
        ),
    )
)
PRESETS.add(
    Preset(name="videofusion", about="VideoFusion's table", metrics=("en", "mi", "sf", "sd", "vif", "ssim"))
)
PRESETS.add(
    Preset(name="temcoco", about="TemCoCo's table", metrics=("mi", "sd", "vif", "flowd", "feacd_cos"))
)
PRESETS.add(Preset(name="all", about="every metric, one convention of each", metrics=()))


def choose(
    *, names: Sequence[str] | None = None, preset: str = "default", profile: str = "definition"
) -> list[Metric]:
    """The metrics asked for, in the profile's convention.

    Args:
        names: metrics by name; without them the preset decides.
        preset: see `PRESETS`.
        profile: see `PROFILES`.

    Raises:
        UsageError: an unknown name, or none.
    """
    if names is not None and not names:
        raise UsageError("no metric is named", todo="See: vfuse metrics")
    variants = PROFILES[profile].variants
    listed = PRESETS[preset].metrics
    if names is None:
        names = listed or [entry.name for entry in METRICS if not entry.variant_of]
    asked = [METRICS[name].name for name in names]
    return [METRICS[name] for name in dict.fromkeys(variants.get(name, name) for name in asked)]
