"""Metrics over time: does the fused video move as its sources do, and hold its brightness?"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._flow import (
    FLOW_SIDE,
    back_landing,
    farneback,
    farneback_ir,
    farneback_vis,
    forward_landing,
    inside,
    occluded,
    vis_back,
    vis_forward,
)
from vfuse.metrics._registry import metric
from vfuse.metrics._sampling import bilinear
from vfuse.metrics._shared import Curves, Field, Image, SourceStep, Step

TOF_MULTIPLE, TOF_RIM = 32, 16
"""TecoGAN compares flows on a central part: sides a multiple of 32, at least 16 pixels less in all."""


def brightness(image: Image) -> float:
    """Mean grey level."""
    return cv2.sumElems(image.grey)[0] / image.grey.size


def profile(image: Image, *, column: int) -> NDArray[np.uint8]:
    """One column of grey levels, (H,); side by side over time they are the temporal profile."""
    return image.grey[:, column].copy()


def carried(step: Step) -> Field:
    """The earlier fused frame carried along the visible motion to the later one, (H, W, 3) or grey (H, W)."""
    return bilinear(step.before.levels, *step.sources.once(back_landing))


def carried_grey(step: Step) -> Field:
    """The same of its grey levels, (H, W)."""
    if step.before.pixels.ndim == 2:
        return step.once(carried)
    return bilinear(step.before.grey.astype(np.float32), *step.sources.once(back_landing))


def _difference(step: Step) -> Field:
    """The later fused frame minus the one carried to it, (H, W, 3) or (H, W) where both are grey."""
    return _minus(step.after.levels, step.once(carried))


def _minus(a: Field, b: Field) -> Field:
    if a.ndim == b.ndim:
        return a - b
    return np.atleast_3d(a) - np.atleast_3d(b)  # a grey frame has three equal channels


def _lengths(difference: Field) -> Field:
    """Length over RGB at each pixel, (H, W)."""
    if difference.ndim == 2:
        return np.abs(difference) * np.float32(np.sqrt(3))
    squares = cv2.transform(difference * difference, np.ones((1, 3)))
    return np.asarray(cv2.sqrt(squares), dtype=np.float32)


def _mean_over(values: Field, where: NDArray[np.bool_]) -> float:
    """Mean over the pixels `where`, and over the channels where there are several."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    return sum(cv2.mean(values, where.view(np.uint8))[:channels]) / channels


def visible_inside(step: SourceStep) -> NDArray[np.bool_]:
    """Pixels of the later frame that come from within the earlier one."""
    return inside(step.once(vis_back))


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…442",
    unit="grey level",
    source="TemCoCo eq. 18, length over RGB as in its code; flow from the later to the earlier visible, "
    "pixels from outside the frame left out",
    uses="flow",
    min_side=FLOW_SIDE,
)
def flowd(step: Step) -> float | None:
    """How far the fused frame is from the one before carried along the visible motion. Static video has 0;
    undefined where every pixel comes from outside."""
    visible = step.sources.once(visible_inside)
    if not visible.any():
        return None
    return _mean_over(_lengths(_difference(step)), visible)


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…255",
    unit="grey level",
    source="TemCoCo eq. 18 as written: mean absolute difference over RGB",
    uses="flow",
    variant_of="flowd",
    min_side=FLOW_SIDE,
)
def flowd_l1(step: Step) -> float | None:
    """`flowd` with the paper's absolute difference."""
    visible = step.sources.once(visible_inside)
    return _mean_over(np.abs(_difference(step)), visible) if visible.any() else None


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…442",
    unit="grey level",
    source="TemCoCo's released function: forward flow sampled backwards, border repeated",
    uses="flow",
    variant_of="flowd",
    min_side=FLOW_SIDE,
)
def flowd_released(step: Step) -> float:
    """`flowd` as released: it warps against the motion, so moving scenes score worse than unwarped."""
    astray = bilinear(step.before.levels, *step.sources.once(forward_landing))
    return float(_lengths(_minus(step.after.levels, astray)).mean(dtype=np.float64))


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…255",
    unit="grey level",
    source="vfuse: mean absolute difference of 8-bit grey after the visible motion, border repeated",
    uses="flow",
    min_side=FLOW_SIDE,
)
def warp(step: Step) -> float:
    """How much the fused frame changes beyond the visible motion: flicker, noise and swimming texture. Static
    video has 0."""
    rounded = np.floor(step.once(carried_grey) + 0.5).astype(np.uint8)
    return cv2.norm(step.after.grey, rounded, cv2.NORM_L1) / rounded.size


def hidden(step: SourceStep) -> NDArray[np.bool_]:
    """Pixels of the earlier visible frame that cannot be followed."""
    return occluded(step.once(vis_forward), step.once(vis_back))


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…1",
    source="Lai et al. 2018: squared error over RGB in [0, 1], occlusions and motion boundaries left out",
    uses="flow",
    min_side=FLOW_SIDE,
)
def warp_error(step: Step) -> float | None:
    """Warping error along the visible motion. Static video has 0; undefined where everything is occluded."""
    visible = ~step.sources.once(hidden)
    if not visible.any():
        return None
    followed = bilinear(step.after.levels, *step.sources.once(forward_landing))
    difference = _minus(followed, step.before.levels)
    return _mean_over(np.square(difference, out=difference), visible) / 255**2


def fused_flow(step: Step) -> Field:
    """Farnebäck's flow of the fused video."""
    return farneback(step.before, step.after)


def _flow_distance(target: Field, result: Field) -> float:
    cut = tuple(slice(*_central(side)) for side in target.shape[:2])
    lengths = cv2.magnitude(*cv2.split(target[cut] - result[cut]))
    return float(lengths.mean(dtype=np.float64))


def _central(side: int) -> tuple[int, int]:
    kept = (side - TOF_RIM) // TOF_MULTIPLE * TOF_MULTIPLE
    start = (side - kept) // 2
    return start, start + kept


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="≥ 0",
    unit="pixel",
    source="TecoGAN (Chu et al. 2020): Farnebäck flow, central part",
    min_side=TOF_MULTIPLE + TOF_RIM,
)
def tof_vis(step: Step) -> float:
    """How differently from the visible the fused video moves. Static video has 0."""
    return _flow_distance(step.sources.once(farneback_vis), step.once(fused_flow))


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="≥ 0",
    unit="pixel",
    source="TecoGAN (Chu et al. 2020): Farnebäck flow, central part",
    min_side=TOF_MULTIPLE + TOF_RIM,
)
def tof_ir(step: Step) -> float:
    """How differently from the infrared the fused video moves. Static video has 0."""
    return _flow_distance(step.sources.once(farneback_ir), step.once(fused_flow))


def _brightness_change(before: Image, after: Image) -> float:
    return after.once(brightness) - before.once(brightness)


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…510",
    unit="grey level",
    source="vfuse: change of mean brightness that the visible does not have",
)
def brightness_step(step: Step) -> float:
    """|Δ mean fused - Δ mean visible| from frame to frame: pumping. Static video has 0."""
    visible = _brightness_change(step.sources.before.vis, step.sources.after.vis)
    return abs(_brightness_change(step.before, step.after) - visible)


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…510",
    unit="grey level",
    source="vfuse, after the curves of VideoFusion fig. 6: against the mean of both sources",
)
def brightness_flicker(step: Step) -> float:
    """|Δ mean fused - mean of both sources' Δ| from frame to frame. Static video has 0."""
    before, after = step.sources.before, step.sources.after
    both = _brightness_change(before.vis, after.vis) + _brightness_change(before.ir, after.ir)
    return abs(_brightness_change(step.before, step.after) - both / 2)


@metric(
    better="neither",
    over="neighbours",
    needs="fused",
    range="0…255",
    unit="grey level",
    source="after the curves of VideoFusion fig. 6",
)
def brightness_change(step: Step) -> float:
    """|Δ mean fused| from frame to frame, whatever the sources do."""
    return abs(_brightness_change(step.before, step.after))


@metric(
    better="neither",
    over="video",
    needs="fused",
    range="0…127.5",
    unit="grey level",
    source="after the curves of VideoFusion fig. 6",
)
def brightness_spread(curves: Curves) -> float | None:
    """Standard deviation over time of the fused mean brightness; undefined for a single frame."""
    return float(curves.fused.std()) if len(curves.fused) > 1 else None
