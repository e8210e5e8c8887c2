"""Optical flow for the temporal metrics, and the warp that follows it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from vfuse.metrics._shared import Bytes, Field, Floats, Flow, SourceStep

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


def farneback(first: Bytes, second: Bytes) -> Field:
    """Farnebäck's flow with TecoGAN's settings, from grey (H, W) to grey (H, W)."""
    flow = np.zeros((*first.shape, 2), dtype=np.float32)
    return np.asarray(
        cv2.calcOpticalFlowFarneback(first, second, flow, 0.5, 3, 15, 3, 5, 1.2, 0), dtype=np.float32
    )


def vis_forward(step: SourceStep) -> Field:
    """Where each pixel of the earlier visible frame goes."""
    return step.flow.between(step.before.vis.rgb, step.after.vis.rgb)


def vis_back(step: SourceStep) -> Field:
    """Where each pixel of the later visible frame comes from."""
    return step.flow.between(step.after.vis.rgb, step.before.vis.rgb)


def farneback_ir(step: SourceStep) -> Field:
    """Farnebäck's flow of the infrared."""
    return farneback(step.before.ir.grey, step.after.ir.grey)


def farneback_vis(step: SourceStep) -> Field:
    """Farnebäck's flow of the visible."""
    return farneback(step.before.vis.grey, step.after.vis.grey)


def landing(flow: Field) -> tuple[Floats, Floats]:
    """x and y, in pixels, where each pixel of the frame lands when it follows the flow."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float64)
    y = flow[..., 1] + np.arange(height, dtype=np.float64)[:, None]
    return x, y


def sample(planes: Floats, flow: Field) -> Floats:
    """`planes` (C, H, W) at each pixel + flow, bilinear and exact, edge pixels repeated outside."""
    height, width = flow.shape[:2]
    x, y = landing(flow)
    grid = np.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], axis=-1)
    found = grid_sample(
        torch.from_numpy(planes)[None],
        torch.from_numpy(grid)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return found[0].numpy()


def inside(flow: Field) -> NDArray[np.bool_]:
    """Pixels that land within the frame."""
    height, width = flow.shape[:2]
    x, y = landing(flow)
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def occluded(forward: Field, back: Field) -> NDArray[np.bool_]:
    """Pixels of the earlier frame that are hidden later or lie on a motion boundary (Lai et al. 2018)."""
    u, v = np.moveaxis(forward, -1, 0).astype(np.float64)
    back_u, back_v = sample(np.moveaxis(back, -1, 0).astype(np.float64), forward)
    length = u * u + v * v
    mismatch = (back_u + u) ** 2 + (back_v + v) ** 2
    hidden = mismatch > 0.01 * (back_u * back_u + back_v * back_v + length) + 0.5
    bend = np.zeros_like(length)
    for component in (u, v):
        bend[:, :-1] += np.diff(component, axis=1) ** 2
        bend[:-1] += np.diff(component, axis=0) ** 2
    return hidden | (bend > 0.01 * length + 0.002)
