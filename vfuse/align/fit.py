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
from vfuse.align._views import Matrix, View, apart, corners, project, resize_matrix
from vfuse.align.homography import COARSE, FINE, Refined, Support, examine, refine
from vfuse.align.matchers import Matcher, load_matcher

_APART = 0.03  # of the width: proposals nearer than this are one
_RIVAL = 0.06  # of the width: geometries further apart than this contradict each other
_GRID = 4  # the inliers must cover cells of a 4 x 4 grid over the common area
_FEW = 3  # time samples are enough to search with


@dataclass(frozen=True)
class Gates:
    """What a fit must reach; see `Fit` for the quantities.

    Set on training pairs of MSRS and M3SVD: of ten pairs of different scenes none reached 8 nats, a lead of 3
    or 20 inliers; of the right fits to warped pairs none had less than 10, 8 and 40.
    """

    inliers: int = 20
    inlier_share: float = 0.35
    cells: int = 6
    error: float = 4.0
    spread: float = 9.0
    stability: float = 6.0
    lead: float = 5.0
    evidence: float = 10.0
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
        matches, inliers: patches that are sure of their place, and those that agree with the homography.
        cells: of a 4 x 4 grid over the common area that hold an inlier.
        error: median reprojection error of the inliers.
        spread: expected corner error, from the curvature of the likelihood.
        stability: mean move of the corners of the common area when half of the samples (of a single sample:
            half of the patches) is left out.
        lead: nats over the best clearly different geometry.
        evidence: nats by which the homography explains the patches better than chance.
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
    evidence: float
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


def fit_views(
    ir: Sequence[Array], vis: Sequence[Array], *, matcher: Matcher | None = None, gates: Gates | None = None
) -> Fit:
    """Register one rig from simultaneous frames of both cameras.

    Args:
        ir: infrared frames, each (H, W) float32 in [0, 1]; black bars are found and left out.
        vis: visible luma of the same moments, each (H', W') float32 in [0, 1].
        matcher: proposes the rough geometry; None for "structure".
        gates: what makes a fit trusted.

    Returns:
        The best fit in any case; ask `problems` whether to use it.
    """
    if len(ir) != len(vis) or not ir:
        raise ValueError(f"{len(ir)} infrared and {len(vis)} visible frames")
    a, b = View.of(ir), View.of(vis)
    few = _spaced(len(a), _FEW)
    best, rival = _best_start(a.only(few), b.only(few), matcher or load_matcher("structure"))
    final = refine(a, b, best.matrix, pixels=FINE)
    fit = _describe(a, b, final, lead=final.nats - rival)
    return replace(fit, problems=tuple(_problems(fit, gates or Gates())))


def _best_start(ir: View, vis: View, matcher: Matcher) -> tuple[Refined, float]:
    """The likeliest geometry of all that are proposed, and the nats of the best that contradicts it."""
    proposals = matcher(ir, vis) or [resize_matrix(vis.size, ir.size)]
    coarse = _ranked(ir, vis, proposals, pixels=COARSE, apart_by=_APART)
    few = _ranked(ir, vis, [each.matrix for each in coarse[:3]], pixels=FINE, apart_by=_APART)
    best = _ranked(ir, vis, [each.matrix for each in few[:2]], pixels=FINE, apart_by=_RIVAL)
    return best[0], max(best[1].nats, 0.0) if len(best) > 1 else 0.0


def _ranked(
    ir: View, vis: View, proposals: Sequence[Matrix], *, pixels: int, apart_by: float
) -> list[Refined]:
    """Refined proposals that differ from each other, best first."""
    refined = [refine(ir, vis, each, pixels=pixels) for each in proposals]
    refined.sort(key=lambda each: -each.nats)
    ends = [project(each.matrix, corners(vis.size)) for each in refined]
    return [refined[index] for index in apart(ends, tolerance=apart_by * ir.size[0])]


def _spaced(count: int, most: int) -> list[int]:
    """At most `most` indices spread evenly."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _stability(ir: View, vis: View, final: Refined, support: Support) -> float:
    """Mean move, in visible pixels, of the corners of the common area between halves of the samples."""
    area = common_corners(final.matrix, ir.size, vis.size)
    if len(area) < 3:
        return float("inf")
    if len(ir) < 2:
        return support.halves
    halves = [list(range(first, len(ir), 2))[:2] for first in (0, 1)]
    fits = [refine(ir.only(h), vis.only(h), final.matrix, pixels=FINE).matrix for h in halves]
    ends = [project(np.linalg.inv(each) @ final.matrix, area) - area for each in fits]
    return float(max(np.linalg.norm(each, axis=1).mean() for each in ends))


def common_corners(
    matrix: Matrix, ir_size: tuple[int, int], vis_size: tuple[int, int]
) -> NDArray[np.float64]:
    """(N, 2) corners, in visible pixels, of the area that both cameras see; empty when there is none."""
    outline = project(np.linalg.inv(matrix), corners(ir_size)).astype(np.float32)
    found = cv2.intersectConvexConvex(corners(vis_size).astype(np.float32), outline)[1]
    polygon = cast("Array | None", found)
    return np.empty((0, 2)) if polygon is None else polygon.reshape(-1, 2).astype(np.float64)


def _describe(ir: View, vis: View, final: Refined, *, lead: float) -> Fit:
    support = examine(ir, vis, final.matrix, pixels=FINE)
    kept = support.points[support.inliers]
    area = common_corners(final.matrix, ir.size, vis.size)
    scale, rotation, shift = _geometry(final.matrix, ir.size, vis.size)
    return Fit(
        matrix=final.matrix,
        ir_size=ir.size,
        vis_size=vis.size,
        samples=len(ir),
        matches=len(support.points),
        inliers=len(kept),
        cells=_cells(kept, area),
        error=support.error,
        spread=final.spread,
        stability=_stability(ir, vis, final, support),
        lead=lead,
        evidence=final.nats,
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
            f"another geometry is likely too ({fit.lead:.0f} nats less, {gates.lead:g} needed)",
        ),
        (
            fit.evidence >= gates.evidence,
            f"{fit.evidence:.0f} nats of common structure, {gates.evidence:g} needed",
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
