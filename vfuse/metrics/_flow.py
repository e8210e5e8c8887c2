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


def dis_of_grey(first: Bytes, second: Bytes) -> Field:
    """Where each pixel of the first goes in the second, both grey (H, W), as x and y (H, W, 2) in pixels."""
    # made anew for each call: it is not safe to share between threads
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    unguided: Any = None  # an array here would be taken for a first guess
    return np.asarray(method.calc(first, second, unguided), dtype=np.float32)


def _dis(first: Bytes, second: Bytes) -> Field:
    return dis_of_grey(*(np.asarray(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), np.uint8) for x in (first, second)))


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


def landing(flow: Field) -> tuple[Field, Field]:
    """Where each pixel lands: x and y, (H, W) each."""
    height, width = flow.shape[:2]
    x, y = (np.asarray(part, dtype=np.float32) for part in cv2.split(flow))
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    return x, y


def forward_landing(step: SourceStep) -> tuple[Field, Field]:
    """Where each pixel of the earlier visible frame lands in the later one."""
    return landing(step.once(vis_forward))


def back_landing(step: SourceStep) -> tuple[Field, Field]:
    """Where each pixel of the later visible frame lands in the earlier one."""
    return landing(step.once(vis_back))


def inside(flow: Field) -> NDArray[np.bool_]:
    """Pixels that land within the frame."""
    height, width = flow.shape[:2]
    x, y = np.arange(width), np.arange(height)[:, None]  # compared without a sum, which would be rounded
    within_x = (flow[..., 0] >= -x) & (flow[..., 0] <= width - 1 - x)
    return within_x & (flow[..., 1] >= -y) & (flow[..., 1] <= height - 1 - y)


def occluded(forward: Field, back: Field) -> NDArray[np.bool_]:
    """Pixels of the earlier frame that are hidden later or lie on a motion boundary (Lai et al. 2018)."""
    u, v = (np.asarray(part, dtype=np.float32) for part in cv2.split(forward))
    places = landing(forward)
    back_u, back_v = (bilinear(np.asarray(part, np.float32), *places) for part in cv2.split(back))
    length, spare = u * u, v * v
    length += spare
    bend = np.zeros_like(length)
    for component in (u, v):
        along = np.subtract(component[:, 1:], component[:, :-1], out=spare[:, 1:])
        bend[:, :-1] += np.square(along, out=along)
        down = np.subtract(component[1:], component[:-1], out=spare[1:])
        bend[:-1] += np.square(down, out=down)
    limit = np.multiply(length, 0.01, out=spare)
    limit += 0.002
    hidden = bend > limit
    mismatch = np.zeros_like(length)
    for there, back_again in ((u, back_u), (v, back_v)):
        length += np.square(back_again, out=spare)
        there += back_again
        mismatch += np.square(there, out=there)
    length *= 0.01
    length += 0.5
    hidden |= mismatch > length
    return hidden
