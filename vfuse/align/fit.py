"""Estimate the one homography of a rig from frames of both cameras, and judge whether it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import atan2, degrees, hypot, sqrt
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.align._structure import Array
from vfuse.align._views import Matrix, View, corners, project
from vfuse.align.homography import Refined, Robust, refine, robust_homography
from vfuse.align.match import SEARCH_PIXELS, Candidate, Matches, distinct, local_matches, search

_MIDDLE = 320 * 240
_FULL = 640 * 480  # finer than this, the noise of infrared sensors leaves nothing to match
_RIVAL = 0.03  # of the width: geometries further apart than this are different
_GRID = 4  # the inliers must cover cells of a 4 x 4 grid over the common area


@dataclass(frozen=True)
class Gates:
    """What a fit must reach; see `Fit` for the quantities."""

    inliers: int = 20
    inlier_share: float = 0.4
    cells: int = 6
    error: float = 4.0
    spread: float = 6.0
    stability: float = 6.0
    lead: float = 1.2
    correlation: float = 0.08
    overlap: float = 0.10
    scale: tuple[float, float] = (0.4, 2.5)
    rotation: float = 15.0
    keystone: float = 0.3


@dataclass(frozen=True)
class Fit:
    """A homography with the numbers that speak for and against it; lengths in pixels of the visible frame.

    Attributes:
        matrix: (3, 3) visible to infrared pixels.
        ir_size, vis_size: (width, height).
        samples: time samples used.
        matches, inliers: local template matches, and those MAGSAC++ kept.
        cells: of a 4 x 4 grid over the common area that hold an inlier.
        error: median reprojection error of the inliers.
        spread: expected corner error, from how much the regions of the picture disagree.
        stability: mean move of the corners of the common area when half of the samples (of a single sample:
            half of the matches) is left out.
        lead: score over that of the best clearly different geometry.
        correlation: of the structure maps, in [-1, 1].
        overlap: share of the visible frame that the infrared covers.
        scale: magnification relative to equal fields of view; above 1 the infrared sees less.
        rotation: degrees.
        shift: distance of the centres as share of the visible width.
        keystone: largest relative change of scale across the common area.
        problems: the gates that failed, in words; empty for a fit to trust.
    """

    matrix: Matrix = field(repr=False)
    ir_size: tuple[int, int]
    vis_size: tuple[int, int]
    samples: int
    matches: int
    inliers: int
    cells: int
    error: float
    spread: float
    stability: float
    lead: float
    correlation: float
    overlap: float
    scale: float
    rotation: float
    shift: float
    keystone: float
    problems: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether every gate was passed."""
        return not self.problems


def fit_views(ir: Sequence[Array], vis: Sequence[Array], *, gates: Gates | None = None) -> Fit:
    """Register one rig from simultaneous frames of both cameras.

    Args:
        ir: infrared frames, each (H, W) float32 in [0, 1]; black bars are found and left out.
        vis: visible luma of the same moments, each (H', W') float32 in [0, 1].
        gates: what makes a fit trusted.

    Returns:
        The best fit in any case; ask `problems` whether to use it.
    """
    if len(ir) != len(vis) or not ir:
        raise ValueError(f"{len(ir)} infrared and {len(vis)} visible frames")
    a, b = View.of(ir), View.of(vis)
    few = _spaced(len(a), 3)
    start, lead = _best_start(a.only(few), b.only(few))
    matches = local_matches(a, b, start.matrix, pixels=_MIDDLE, patch=40, reach=6)
    robust = robust_homography(matches, start=start.matrix, threshold=4.0 * _level_factor(b.size))
    middle = start
    if robust is not None:
        other = refine(a.only(few), b.only(few), robust.matrix, pixels=_MIDDLE, steps=6)
        middle = max(start, other, key=lambda each: each.score)
    final = refine(a.only(few), b.only(few), middle.matrix, pixels=_FULL, steps=6)
    stability = _stability(a, b, final, robust, matches)
    fit = _describe(a, b, final, robust, matches)
    fit = replace(fit, stability=stability, lead=lead)
    return replace(fit, problems=tuple(_problems(fit, gates or Gates())))


def _best_start(ir: View, vis: View) -> tuple[Refined, float]:
    """The geometry whose structure agrees best of all that are proposed, and its lead over the next."""
    rough = [refine(ir, vis, one.matrix, pixels=SEARCH_PIXELS, steps=8) for one in search(ir, vis)]
    rough.sort(key=lambda each: -each.score)
    proposals = [Candidate(each.matrix, each.score) for each in rough]
    best = distinct(proposals, vis.size, tolerance=0.02 * ir.size[0], keep=3)
    middle = [refine(ir, vis, one.matrix, pixels=_MIDDLE, steps=8) for one in best]
    middle.sort(key=lambda each: -each.score)
    proposals = [Candidate(each.matrix, each.score) for each in middle]
    apart = distinct(proposals, vis.size, tolerance=_RIVAL * ir.size[0], keep=2)
    rival = apart[1].score if len(apart) > 1 else 0.0
    return middle[0], middle[0].score / max(rival, 0.01)


def _spaced(count: int, most: int) -> list[int]:
    """At most `most` indices spread evenly."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _level_factor(size: tuple[int, int]) -> float:
    """Pixels of the frame for one pixel of the middle level, relative to a 640 x 480 frame."""
    return sqrt(size[0] * size[1] / _FULL)


def _stability(ir: View, vis: View, final: Refined, robust: Robust | None, matches: Matches) -> float:
    if robust is None:
        return float("inf")
    area = common_corners(final.matrix, ir.size, vis.size)
    if len(area) < 3:
        return float("inf")
    if len(ir) >= 2:
        halves = [list(range(first, len(ir), 2))[:2] for first in (0, 1)]
        fits = [refine(ir.only(h), vis.only(h), final.matrix, pixels=_MIDDLE, steps=5).matrix for h in halves]
    else:
        fits = _half_fits(final.matrix, robust, matches)
    ends = [project(np.linalg.inv(each) @ final.matrix, area) - area for each in fits]
    return float(max(np.linalg.norm(each, axis=1).mean() for each in ends)) if ends else float("inf")


def _half_fits(start: Matrix, robust: Robust, matches: Matches) -> list[Matrix]:
    """Least-squares affine corrections from two interleaved halves of the inliers."""
    seen = project(np.linalg.inv(start), matches.ir)
    kept = np.flatnonzero(robust.inliers)
    fits: list[Matrix] = []
    for half in (kept[0::2], kept[1::2]):
        if len(half) < 6:
            return []
        points = np.column_stack([matches.vis[half], np.ones(len(half))])
        solution = np.linalg.lstsq(points, seen[half], rcond=None)[0]
        fits.append(start @ np.vstack([solution.T, [0, 0, 1]]))
    return fits


def common_corners(
    matrix: Matrix, ir_size: tuple[int, int], vis_size: tuple[int, int]
) -> NDArray[np.float64]:
    """(N, 2) corners, in visible pixels, of the area that both cameras see; empty when there is none."""
    outline = project(np.linalg.inv(matrix), corners(ir_size)).astype(np.float32)
    found = cv2.intersectConvexConvex(corners(vis_size).astype(np.float32), outline)[1]
    polygon = cast("Array | None", found)
    return np.empty((0, 2)) if polygon is None else polygon.reshape(-1, 2).astype(np.float64)


def _describe(ir: View, vis: View, final: Refined, robust: Robust | None, matches: Matches) -> Fit:
    kept = robust.inliers if robust is not None else np.zeros(len(matches.vis), bool)
    area = common_corners(final.matrix, ir.size, vis.size)
    scale, rotation, shift = _geometry(final.matrix, ir.size, vis.size)
    return Fit(
        matrix=final.matrix,
        ir_size=ir.size,
        vis_size=vis.size,
        samples=len(ir),
        matches=len(matches.vis),
        inliers=int(kept.sum()),
        cells=_cells(matches.vis[kept], area),
        error=robust.error if robust is not None else float("inf"),
        spread=final.spread,
        stability=float("inf"),
        lead=0.0,
        correlation=final.correlation,
        overlap=final.overlap,
        scale=scale,
        rotation=rotation,
        shift=shift,
        keystone=_keystone(final.matrix, area),
    )


def _geometry(
    matrix: Matrix, ir_size: tuple[int, int], vis_size: tuple[int, int]
) -> tuple[float, float, float]:
    """At the centre: scale relative to equal fields, degrees of rotation, shift as share of the width."""
    centre = (np.array(vis_size) - 1) / 2
    points = project(matrix, centre + np.array([[0, 0], [1, 0], [0, 1]]))
    along, down = points[1] - points[0], points[2] - points[0]
    area = along[0] * down[1] - along[1] * down[0]
    same_field = sqrt(ir_size[0] * ir_size[1] / (vis_size[0] * vis_size[1]))
    scale = float(np.sign(area) * sqrt(abs(area)) / same_field)
    rotation = degrees(atan2(along[1] - down[0], along[0] + down[1]))
    back = project(np.linalg.inv(matrix), (np.array([ir_size]) - 1) / 2)[0] - centre
    return scale, rotation, hypot(*back) / vis_size[0]


def _keystone(matrix: Matrix, area: NDArray[np.float64]) -> float:
    if len(area) < 3:
        return float("inf")
    depth = np.column_stack([area, np.ones(len(area))]) @ matrix[2]
    if depth.min() <= 0:
        return float("inf")
    return float(depth.max() / depth.min() - 1)


def _cells(points: NDArray[np.float64], area: NDArray[np.float64]) -> int:
    if not len(points) or len(area) < 3:
        return 0
    low, high = area.min(0), area.max(0)
    cell = np.clip((points - low) / np.maximum(high - low, 1) * _GRID, 0, _GRID - 1).astype(int)
    return len({(x, y) for x, y in cell})


def _problems(fit: Fit, gates: Gates) -> list[str]:
    share = fit.inliers / max(fit.matches, 1)
    checks = (
        (fit.inliers >= gates.inliers, f"{fit.inliers} inliers, {gates.inliers} needed"),
        (share >= gates.inlier_share, f"{share:.0%} of the matches agree, {gates.inlier_share:.0%} needed"),
        (fit.cells >= gates.cells, f"inliers in {fit.cells} of {_GRID**2} cells, {gates.cells} needed"),
        (fit.error <= gates.error, f"reprojection error {fit.error:.1f} px, at most {gates.error:g}"),
        (fit.spread <= gates.spread, f"expected corner error {fit.spread:.1f} px, at most {gates.spread:g}"),
        (
            fit.stability <= gates.stability,
            f"unstable by {fit.stability:.1f} px, at most {gates.stability:g}",
        ),
        (
            fit.lead >= gates.lead,
            f"another geometry fits nearly as well (x{fit.lead:.2f}, {gates.lead:g} needed)",
        ),
        (
            fit.correlation >= gates.correlation,
            f"structure correlation {fit.correlation:.2f}, {gates.correlation:g} needed",
        ),
        (
            fit.overlap >= gates.overlap,
            f"{fit.overlap:.0%} of the view is common, {gates.overlap:.0%} needed",
        ),
        (gates.scale[0] <= fit.scale <= gates.scale[1], f"scale x{fit.scale:.2f} is implausible"),
        (abs(fit.rotation) <= gates.rotation, f"rotation by {fit.rotation:.0f} degrees is implausible"),
        (fit.keystone <= gates.keystone, f"perspective of {fit.keystone:.0%} is implausible"),
    )
    return [text for passed, text in checks if not passed]
