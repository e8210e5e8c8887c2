"""Farnebäck's optical flow (2003) with TecoGAN's settings: OpenCV's numbers, in half its time.

A frame of a video takes part in two flows, as the later and as the earlier one. OpenCV's function expands it
into polynomials for each of them; here that is a step of its own, whose result the two share.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.metrics._sampling import bilinear
from vfuse.metrics._shared import Bytes, Field

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


def _filters() -> list[tuple[Field, Field]]:
    """Weights along the rows and down the columns whose sums are the terms: least squares in a Gaussian
    neighbourhood, the projections onto 1, x and x² along each axis times the inverse of the normal matrix."""
    x = np.arange(-REACH, REACH + 1, dtype=np.float64)
    weights = np.exp(-x * x / (2 * SIGMA * SIGMA))
    weights /= weights.sum()
    right, down = np.meshgrid(x, x)
    basis = np.stack([np.ones_like(right), down, right, down * down, right * right, right * down])
    normal = np.einsum("ayx,byx,y,x->ab", basis, basis, weights, weights)
    inverse = np.linalg.inv(normal)
    plain, slope = weights, weights * x * inverse[1, 1]
    bend = weights * x * x * inverse[3, 3] + weights * inverse[0, 3]  # beside what the constant takes
    twist = weights * x * inverse[5, 5]
    pairs = ((plain, slope), (slope, plain), (plain, bend), (bend, plain), (twist, weights * x))
    return [
        ((share * along).astype(np.float32), down.astype(np.float32))
        for (along, down), share in zip(pairs, SHARES, strict=True)
    ]


FILTERS = _filters()


def _polynomials(pixels: Field) -> Expansion:
    terms = np.empty((5, *pixels.shape), dtype=np.float32)
    for number, (along, down) in enumerate(FILTERS):
        plane = terms[number]
        cv2.sepFilter2D(pixels, cv2.CV_32F, along, down, dst=plane, borderType=cv2.BORDER_REPLICATE)
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
            x, y = _solved(_equations(_met(first, (packed, second[4]), x, y), x, y))
    return np.asarray(cv2.merge([x, y]), dtype=np.float32)


def _met(first: Expansion, second: tuple[Field, Field], x: Field, y: Field) -> Expansion:
    """The earlier frame's terms y and x minus, and yy, xx and xy plus, those of the later one, four of them
    packed (H, W, 4), at the places where the earlier one's pixels have gone.

    Of what has left the frame nothing is known but the earlier frame's curvature.
    """
    height, width = x.shape
    at_x = x + np.arange(width, dtype=np.float32)
    at_y = y + np.arange(height, dtype=np.float32)[:, None]
    terms = np.empty_like(first)
    cv2.split(bilinear(second[0], at_x, at_y), list(terms[:4]))
    terms[4] = bilinear(second[1], at_x, at_y)
    left = _beyond(at_x, width - 1)
    left |= _beyond(at_y, height - 1)
    gone = np.flatnonzero(left)
    for number, term in enumerate(terms):
        term.ravel()[gone] = first[number].ravel()[gone] if number > 1 else 0
    np.subtract(first[:2], terms[:2], out=terms[:2])
    terms[2:] += first[2:]
    return terms


def _beyond(places: Field, last: int) -> NDArray[np.bool_]:
    """Which places are not in 0…last, `last` left out. The bits of floats are in their order, negative ones
    after all others, so one comparison does for both ends."""
    return places.view(np.uint32) >= np.float32(last).view(np.uint32)


def _equations(terms: Expansion, x: Field, y: Field) -> list[Field]:
    """Two equations for the displacement of each pixel, squared: yy, xy, xx and the right sides of y and x.

    In the place of the terms: memory that is written again is still in the cache.
    """
    down, right, yy, xx, xy = terms
    spare = yy * y
    down += spare
    down += np.multiply(xy, x, out=spare)
    right += np.multiply(xy, y, out=spare)
    right += np.multiply(xx, x, out=spare)
    side_y = np.multiply(yy, down, out=spare)
    side_y += xy * right
    side_x = np.multiply(down, xy, out=down)
    right *= xx
    side_x += right
    mixed = np.add(yy, xx, out=right)
    mixed *= xy
    xy *= xy
    yy *= yy
    yy += xy
    xx *= xx
    xx += xy
    system = [yy, mixed, xx, side_y, side_x]
    for plane in system:
        _distrust_rim(plane)
    return system


def _distrust_rim(plane: Field) -> None:
    squared = np.square(np.array(RIM_TRUST, dtype=np.float32))
    plane[: squared.size] *= squared[:, None]
    plane[-squared.size :] *= squared[::-1, None]
    plane[:, : squared.size] *= squared
    plane[:, -squared.size :] *= squared[::-1]


def _solved(system: Sequence[Field]) -> tuple[Field, Field]:
    """The displacement that fits best in a window around each pixel, in the place of the system."""
    for plane in system:
        cv2.blur(plane, (WINDOW, WINDOW), dst=plane, borderType=cv2.BORDER_REPLICATE)
    yy, xy, xx, side_y, side_x = system
    weight = yy * xx
    spare = xy * xy
    weight -= spare
    weight += DAMPING
    x = np.multiply(yy, side_x, out=yy)
    x -= np.multiply(xy, side_y, out=spare)
    x /= weight
    y = np.multiply(xx, side_y, out=xx)
    y -= np.multiply(xy, side_x, out=spare)
    y /= weight
    return x, y
