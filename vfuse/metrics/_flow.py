"""Optical flow for the temporal metrics, and the warp that follows it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._farneback import Expansion, expand, flow_between
from vfuse.metrics._sampling import bilinear
from vfuse.metrics._shared import Bytes, Field, Flow, Image, SourceStep

FLOW_SIDE = 16
"""Smallest height and width that the built-in flow can match."""


def _dis(first: Bytes, second: Bytes) -> Field:
    # made anew for each call: it is not safe to share between threads
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second)]
    unguided: Any = None  # an array here would be taken for a first guess
    return np.asarray(method.calc(grey[0], grey[1], unguided), dtype=np.float32)


DIS = Flow(name="dis", between=_dis)
"""Dense inverse search (Kroeger et al. 2016), OpenCV's fast preset, on grey frames."""


def vis_forward(step: SourceStep) -> Field:
    """Where each pixel of the earlier visible frame goes."""
    return step.flow.between(step.before.vis.rgb, step.after.vis.rgb)


def vis_back(step: SourceStep) -> Field:
    """Where each pixel of the later visible frame comes from."""
    return step.flow.between(step.after.vis.rgb, step.before.vis.rgb)


def expansions(image: Image) -> list[Expansion]:
    """The image as polynomials, for Farnebäck's flow to and from it."""
    return expand(image.grey)


def farneback(before: Image, after: Image) -> Field:
    """Farnebäck's flow with TecoGAN's settings."""
    return flow_between(before.once(expansions), after.once(expansions))


def farneback_ir(step: SourceStep) -> Field:
    """Farnebäck's flow of the infrared."""
    return farneback(step.before.ir, step.after.ir)


def farneback_vis(step: SourceStep) -> Field:
    """Farnebäck's flow of the visible."""
    return farneback(step.before.vis, step.after.vis)


def follow(pixels: Field, flow: Field) -> Field:
    """`pixels` (H, W) or (H, W, 3) at each pixel + flow, bilinear, edge pixels repeated outside."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return bilinear(pixels, x, y)


def inside(flow: Field) -> NDArray[np.bool_]:
    """Pixels that land within the frame."""
    height, width = flow.shape[:2]
    x, y = np.arange(width), np.arange(height)[:, None]  # compared without a sum, which would be rounded
    within_x = (flow[..., 0] >= -x) & (flow[..., 0] <= width - 1 - x)
    return within_x & (flow[..., 1] >= -y) & (flow[..., 1] <= height - 1 - y)


def occluded(forward: Field, back: Field) -> NDArray[np.bool_]:
    """Pixels of the earlier frame that are hidden later or lie on a motion boundary (Lai et al. 2018)."""
    u, v = (np.ascontiguousarray(forward[..., axis]) for axis in (0, 1))
    back_u, back_v = (follow(np.ascontiguousarray(back[..., axis]), forward) for axis in (0, 1))
    length = u * u + v * v
    bend = np.zeros_like(length)
    for component in (u, v):
        bend[:, :-1] += np.square(component[:, 1:] - component[:, :-1])
        bend[:-1] += np.square(component[1:] - component[:-1])
    boundary = bend > 0.01 * length + 0.002
    length += back_u * back_u + back_v * back_v
    mismatch = np.square(back_u + u) + np.square(back_v + v)
    return boundary | (mismatch > 0.01 * length + 0.5)
