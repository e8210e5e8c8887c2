"""Farnebäck's optical flow (2003) with TecoGAN's settings: OpenCV's numbers, in half its time.

A frame of a video takes part in two flows, as the later and as the earlier one. OpenCV's function expands it
into polynomials for each of them; here that is a step of its own, whose result the two share.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vfuse.metrics._sampling import bilinear
from vfuse.metrics._shared import Bytes, Field, Floats

HALVINGS = 3
MIN_SIDE = 32
"""No coarser level is made than this."""
WINDOW = 15
ROUNDS = 3
REACH, SIGMA = 5, 1.2
"""Of the Gaussian neighbourhood that a polynomial is fitted to."""
RIM_TRUST = (0.14, 0.14, 0.4472, 0.4472, 0.4472)
"""Weight of the outermost pixels, whose neighbourhoods are partly made up."""
DAMPING = 1e-3
SHARES = (1 / 2, 1 / 2, 1 / 2, 1 / 2, 1 / 4)
"""Of each term in the mean polynomial of two frames; an xy term counts in two equations."""

Expansion = Field
"""A frame at one size as a quadratic polynomial around each pixel: its terms y, x, yy, xx and xy, already
multiplied by `SHARES`, (5, H, W) float32."""


def expand(grey: Bytes) -> list[Expansion]:
    """Grey (H, W) as polynomials, from its coarsest level to its full size."""
    height, width = grey.shape
    halvings = 0
    while halvings < HALVINGS and min(height, width) >= MIN_SIDE << (halvings + 1):
        halvings += 1
    pixels = grey.astype(np.float32)
    pixels -= pixels.mean()  # which no motion depends on, but rounding errors do
    levels: list[Expansion] = []
    for parts in (1 << halving for halving in range(halvings, -1, -1)):
        sigma = (parts - 1) / 2
        side = max(round(sigma * 5) | 1, 3)
        smooth = cv2.GaussianBlur(pixels, (side, side), sigma)
        small = cv2.resize(smooth, (round(width / parts), round(height / parts)))
        levels.append(_polynomials(np.asarray(small, dtype=np.float32)))
    return levels


def _kernels() -> tuple[list[Field], Floats]:
    """The neighbourhood's weights times 1, x and x² along an axis, and the inverse of the normal matrix."""
    x = np.arange(-REACH, REACH + 1, dtype=np.float64)
    weights = np.exp(-x * x / (2 * SIGMA * SIGMA))
    weights /= weights.sum()
    right, down = np.meshgrid(x, x)
    basis = np.stack([np.ones_like(right), down, right, down * down, right * right, right * down])
    normal = np.einsum("ayx,byx,y,x->ab", basis, basis, weights, weights)
    return [(weights * x**power).astype(np.float32) for power in range(3)], np.linalg.inv(normal)


KERNELS, INVERSE = _kernels()


def _polynomials(pixels: Field) -> Expansion:
    """Least squares in a Gaussian neighbourhood: the projections onto the basis times the inverse matrix."""
    one = np.ones(1, dtype=np.float32)

    def along(image: Field, x: Field, y: Field) -> Field:
        filtered = cv2.sepFilter2D(image, cv2.CV_32F, x, y, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(filtered, dtype=np.float32)

    plain, slope, bend = (along(pixels, one, kernel) for kernel in KERNELS)
    terms = np.empty((5, *pixels.shape), dtype=np.float32)
    projections = ((slope, 0), (plain, 1), (bend, 0), (plain, 2), (slope, 1))
    for number, (rows, power) in enumerate(projections):
        factor = np.float32(SHARES[number] * INVERSE[number + 1, number + 1])
        np.multiply(along(rows, KERNELS[power], one), factor, out=terms[number])
    terms[2:4] += along(plain, KERNELS[0], one) * np.float32(SHARES[2] * INVERSE[0, 3])
    return terms


def flow_between(before: Sequence[Expansion], after: Sequence[Expansion]) -> Field:
    """The motion between two frames of one size, (H, W, 2) as x and y, refined from the coarsest level on."""
    x = y = np.zeros(before[0].shape[1:], dtype=np.float32)
    for level, (first, second) in enumerate(zip(before, after, strict=True)):
        if level:
            size = first.shape[2], first.shape[1]
            x, y = (np.asarray(2 * cv2.resize(part, size), dtype=np.float32) for part in (x, y))
        packed = np.asarray(cv2.merge(list(second[:4])), dtype=np.float32)
        for _ in range(ROUNDS):
            x, y = _solved(_equations(first, _moved(first, (packed, second[4]), x, y), x, y))
    return np.stack([x, y], axis=-1)


def _moved(first: Expansion, second: tuple[Field, Field], x: Field, y: Field) -> list[Field]:
    """Terms of the later frame, four of them packed (H, W, 4), where the earlier one's pixels have gone.

    Of what has left the frame nothing is known but the earlier frame's curvature.
    """
    height, width = x.shape
    at_x = x + np.arange(width, dtype=np.float32)
    at_y = y + np.arange(height, dtype=np.float32)[:, None]
    packed = cv2.split(bilinear(second[0], at_x, at_y))
    terms = [np.asarray(term, dtype=np.float32) for term in (*packed, bilinear(second[1], at_x, at_y))]
    gone = np.flatnonzero(~((at_x >= 0) & (at_y >= 0) & (at_x < width - 1) & (at_y < height - 1)))
    for number, term in enumerate(terms):
        term.ravel()[gone] = first[number].ravel()[gone] if number > 1 else 0
    return terms


def _equations(first: Expansion, moved: Sequence[Field], x: Field, y: Field) -> Field:
    """Two equations for the displacement of each pixel, squared: yy, xy, xx and the right side, (5, H, W)."""
    yy, xx, xy = (first[number] + moved[number] for number in (2, 3, 4))
    down, right = first[0] - moved[0], first[1] - moved[1]
    down += yy * y
    down += xy * x
    right += xy * y
    right += xx * x
    system = np.empty_like(first)
    both = xy * xy
    np.add(yy * yy, both, out=system[0])
    np.multiply(yy + xx, xy, out=system[1])
    np.add(xx * xx, both, out=system[2])
    np.add(yy * down, xy * right, out=system[3])
    np.add(xy * down, xx * right, out=system[4])
    squared = np.square(np.array(RIM_TRUST, dtype=np.float32))
    system[:, : squared.size] *= squared[:, None]
    system[:, -squared.size :] *= squared[::-1, None]
    system[..., : squared.size] *= squared
    system[..., -squared.size :] *= squared[::-1]
    return system


def _solved(system: Field) -> tuple[Field, Field]:
    """The displacement that fits best in a window around each pixel."""
    yy, xy, xx, down, right = (
        cv2.blur(term, (WINDOW, WINDOW), borderType=cv2.BORDER_REPLICATE) for term in system
    )
    weight = yy * xx
    weight -= xy * xy
    weight += DAMPING
    x, y = yy * right, xx * down
    x -= xy * down
    y -= xy * right
    x /= weight
    y /= weight
    return x, y
