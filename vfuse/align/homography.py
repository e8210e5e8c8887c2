"""From matches to one homography: MAGSAC++ over all of them, then Gauss-Newton on the structure maps."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.align._newton import Template, corner_spread, cost, increment, newton_step
from vfuse.align._structure import Array
from vfuse.align._views import Matrix, View, corners, project, resize_matrix
from vfuse.align.match import OVERLAP_POWER, Matches, level_size

_STILL = 0.02  # pixels of the level: a smaller step ends the refinement


@dataclass(frozen=True)
class Robust:
    """A homography and the matches that support it.

    Attributes:
        matrix: visible to infrared pixels.
        inliers: (N,) bool over the matches.
        error: median reprojection error of the inliers in pixels of the visible frame.
    """

    matrix: Matrix
    inliers: NDArray[np.bool_]
    error: float


def robust_homography(matches: Matches, *, start: Matrix, threshold: float) -> Robust | None:
    """The homography most matches agree on (USAC_MAGSAC; Barath et al., "MAGSAC++", CVPR 2020).

    Errors are measured in the visible frame, through `start`: a threshold means the same at every zoom.

    Args:
        matches: point matches.
        start: visible to infrared pixels, nearly right.
        threshold: largest error of an inlier in visible pixels.
    """
    if len(matches.vis) < 6:
        return None
    seen = project(
        np.linalg.inv(start), matches.ir
    )  # the matches in the visible frame: a small motion is left
    found = cv2.findHomography(
        matches.vis, seen, cv2.USAC_MAGSAC, threshold, maxIters=3000, confidence=0.9999
    )
    motion, mask = cast("tuple[Matrix | None, Array | None]", found)
    if motion is None or mask is None:
        return None
    errors = np.linalg.norm(project(motion, matches.vis) - seen, axis=1)
    inliers = np.asarray(mask).ravel().astype(bool)
    if inliers.sum() < 5:
        return None
    return Robust(matrix=normalised(start @ motion), inliers=inliers, error=float(np.median(errors[inliers])))


@dataclass(frozen=True)
class Refined:
    """A homography after refinement.

    Attributes:
        matrix: visible to infrared pixels.
        correlation: of the structure maps over the common area, in [-1, 1].
        overlap: share of the visible frame in which the infrared shows something.
        spread: expected corner error in visible pixels, from how much the regions of the picture disagree;
            inf when it is undetermined.
    """

    matrix: Matrix
    correlation: float
    overlap: float
    spread: float

    @property
    def score(self) -> float:
        """Comparable between geometries of one pair."""
        return self.correlation * self.overlap**OVERLAP_POWER


def refine(ir: View, vis: View, matrix: Matrix, *, pixels: int, steps: int) -> Refined:
    """Maximise the correlation of the structure maps over all eight parameters.

    Inverse-compositional Gauss-Newton with a gain between the two cameras (ECC; Evangelidis and Psarakis,
    TPAMI 2008) on all time samples together, with a mild prior for what rigs do: the closer to a similarity,
    the likelier. A step that does not improve is shortened, then given up.

    Args:
        ir: infrared view.
        vis: visible view, as many frames.
        matrix: visible to infrared pixels, right to within a few pixels of the level.
        pixels: resolution of the level.
        steps: most Gauss-Newton steps; 0 only measures.
    """
    size = level_size(vis.size, pixels)
    to_full = resize_matrix(size, vis.size)
    template = Template.of(vis.resized(size).structures())
    current = matrix @ to_full
    sums = template.compare(ir.warped(current, size).structures())
    for _ in range(steps):
        before, step = cost(sums, current, size), newton_step(sums, current, size)
        for damping in (1.0, 0.5, 0.2):
            trial = current @ np.linalg.inv(increment(step * damping, size))
            after = template.compare(ir.warped(trial, size).structures())
            if cost(after, trial, size) < before:
                break
        else:
            break
        moved = np.abs(project(np.linalg.inv(trial) @ current, corners(size)) - corners(size)).max()
        current, sums = trial, after
        if moved < _STILL:
            break
    spread = corner_spread(sums, size) * sqrt(vis.size[0] * vis.size[1] / (size[0] * size[1]))
    return Refined(normalised(current @ np.linalg.inv(to_full)), sums.correlation, sums.overlap, spread)


def normalised(matrix: Matrix) -> Matrix:
    """The same homography with a last element of 1."""
    return matrix / matrix[2, 2]
