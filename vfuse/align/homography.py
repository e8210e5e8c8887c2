"""From a rough geometry to one homography: the evidence of all patches, MAGSAC++ and a climb upon it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.align._evidence import PATCH, Evidence, gather, peaks
from vfuse.align._newton import Summit, climb, flattened, increment, parameters
from vfuse.align._structure import Array
from vfuse.align._views import Matrix, View, corners, project, resize_matrix

COARSE, FINE = 160 * 120, 320 * 240  # pixels of the levels; finer, sensor noise hides what is shared
_REACH = 6  # pixels of the level
_BASINS = (2.0, 1.0, 0.6)  # pixels of the level: how much wider the peaks are made, climb after climb
_FOUND = (
    0.5  # nats (a quarter of the patch's own, as it overlaps with others) of one that has found its place
)
_AGREES = 2.0  # pixels of the level: error of an inlier
_NODES = 8  # pixels of the level: grid over the area in view
_FEWEST = 8  # peaks below which no homography is sought in them


@dataclass(frozen=True)
class Refined:
    """A homography after refinement.

    Attributes:
        matrix: visible to infrared pixels.
        nats: log posterior: how much better it explains the patches than chance does; comparable between
            geometries of one pair at one level.
        spread: expected corner error in visible pixels.
        overlap: share of the visible frame in which the infrared shows something.
    """

    matrix: Matrix
    nats: float
    spread: float
    overlap: float


@dataclass(frozen=True)
class Support:
    """What speaks for a homography, patch by patch.

    Attributes:
        points: (N, 2) centres, in visible pixels, of the patches that are sure of their place.
        inliers: (N,) bool: those that the homography explains.
        error: median reprojection error of the inliers in visible pixels; inf without any.
        halves: mean move of the corners, in visible pixels, when every second patch is left out.
    """

    points: NDArray[np.float64]
    inliers: NDArray[np.bool_]
    error: float
    halves: float


def refine(ir: View, vis: View, matrix: Matrix, *, pixels: int) -> Refined:
    """The likeliest homography near a rough one, from all time samples together.

    The infrared is warped by what is known and every patch of the visible looks for its place around. From
    there, and from the geometry that MAGSAC++ finds in the patches' peaks, the sum of all patches' log
    likelihoods is climbed, first with widened peaks. A mild prior says what rigs are: the closer to a
    similarity, the likelier. Distortion by the lenses is found along with it, so that the homography is the
    nearest one over the whole area in view.

    Args:
        ir: infrared view.
        vis: visible view, as many frames.
        matrix: visible to infrared pixels, right to within a few pixels of the level.
        pixels: resolution of the level.
    """
    level = _Level.of(ir, vis, matrix, pixels=pixels)
    basins = [level.evidence.blurred(width) for width in _BASINS]
    starts = [np.zeros(9), *_consensus(level)]
    summit = max((_climbed(level, basins, each) for each in starts), key=lambda each: each.nats)
    step, spread = flattened(summit, level.area, level.size)
    return Refined(
        matrix=normalised(level.matrix @ increment(step, level.size) @ np.linalg.inv(level.to_full)),
        nats=summit.nats,
        spread=spread * level.factor,
        overlap=level.overlap,
    )


def examine(ir: View, vis: View, matrix: Matrix, *, pixels: int) -> Support:
    """Ask every patch what it thinks of a refined homography; arguments as those of `refine`."""
    level = _Level.of(ir, vis, matrix, pixels=pixels)
    origin, target = peaks(level.evidence, least=_FOUND)
    errors = np.linalg.norm(target - origin, axis=1)
    inliers = errors <= _AGREES
    return Support(
        points=project(level.to_full, origin),
        inliers=inliers,
        error=float(np.median(errors[inliers])) * level.factor if inliers.any() else float("inf"),
        halves=_halves(level) * level.factor,
    )


@dataclass(frozen=True)
class _Level:
    """The evidence around a geometry at one resolution.

    Attributes:
        evidence: of the visible against the infrared seen through `matrix`.
        matrix: pixels of the level to infrared pixels.
        size: (width, height) of the level.
        to_full: pixels of the level to pixels of the visible frame.
        factor: pixels of the visible frame for one of the level.
        area: (N, 2) pixels of the level, spread evenly over where the infrared shows something.
        overlap: share of the level in which it does.
    """

    evidence: Evidence
    matrix: Matrix
    size: tuple[int, int]
    to_full: Matrix
    factor: float
    area: NDArray[np.float64]
    overlap: float

    @classmethod
    def of(cls, ir: View, vis: View, matrix: Matrix, *, pixels: int) -> _Level:
        size = level_size(vis.size, pixels)
        to_full = resize_matrix(size, vis.size)
        seen = ir.warped(matrix @ to_full, size)
        evidence = gather(vis.resized(size).structures(), seen.structures(), reach=_REACH)
        factor = sqrt(vis.size[0] * vis.size[1] / (size[0] * size[1]))
        shown = seen.masks[0]
        return cls(evidence, matrix @ to_full, size, to_full, factor, _spread(shown), float(np.mean(shown)))


def level_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """(width, height) of the same shape with about `pixels` pixels, never enlarged."""
    factor = min(1.0, sqrt(pixels / (size[0] * size[1])))
    return max(48, round(size[0] * factor)), max(48, round(size[1] * factor))


def _spread(mask: Array) -> NDArray[np.float64]:
    """(N, 2) points of a grid inside a mask; of the whole grid where it is too small for a homography."""
    grid: Array = np.indices(mask.shape)
    y, x = grid[0], grid[1]
    nodes = (x % _NODES == _NODES // 2) & (y % _NODES == _NODES // 2)
    inside = nodes & (mask > 0.5)
    chosen = inside if inside.any(0).sum() > 2 < inside.any(1).sum() else nodes
    return np.column_stack([x[chosen], y[chosen]]).astype(np.float64)


def _climbed(level: _Level, basins: Sequence[Evidence], step: NDArray[np.float64]) -> Summit:
    summit = climb(basins[0], level.matrix, level.size, start=step)
    for evidence in basins[1:]:
        summit = climb(evidence, level.matrix, level.size, start=summit.step)
    return summit


def _consensus(level: _Level) -> list[NDArray[np.float64]]:
    """The motion most peaks agree on (USAC_MAGSAC; Barath et al., "MAGSAC++", CVPR 2020), if any."""
    origin, target = peaks(level.evidence, least=_FOUND)
    if len(origin) < _FEWEST:
        return []
    found = cv2.findHomography(origin, target, cv2.USAC_MAGSAC, _AGREES, maxIters=3000, confidence=0.9999)
    motion = cast("Matrix | None", found[0])
    return [] if motion is None else [parameters(motion, level.size)]


def _halves(level: _Level) -> float:
    """Mean move of the level's corners when every second patch is left out, the larger of both ways."""
    odd = np.round(level.evidence.points).astype(int).sum(1) // (PATCH // 2) % 2 == 1
    smooth, ends = level.evidence.blurred(_BASINS[-1]), corners(level.size)
    moves: list[float] = []
    for half in (odd, ~odd):
        summit = climb(smooth.only(half), level.matrix, level.size, start=np.zeros(9))
        step, _ = flattened(summit, level.area, level.size)
        move = project(increment(step, level.size), ends) - ends
        moves.append(float(np.linalg.norm(move, axis=1).mean()))
    return max(moves)


def normalised(matrix: Matrix) -> Matrix:
    """The same homography with a last element of 1."""
    return matrix / matrix[2, 2]
