"""Alignment: maps blind to polarity, a refinement that converges, fits that are right or refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vfuse.align import fit_views, preview
from vfuse.align._evidence import gather, peaks
from vfuse.align._newton import climb, flattened, increment, parameters
from vfuse.align._structure import Array, structure, visible_area
from vfuse.align._views import View, corners, project, resize_matrix
from vfuse.align.fit import common_corners
from vfuse.align.homography import examine, refine

W, H = 320, 240


def scene(seed: int, *, shapes: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Infrared and visible pictures of one scene: shared outlines, unrelated brightness."""
    rng = np.random.default_rng(seed)
    ir, vis = np.full((H, W), 0.4, np.float32), np.full((H, W), 0.5, np.float32)
    for _ in range(shapes):
        centre, radius = rng.uniform((0, 0), (W, H)), rng.uniform(10, 45)
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
        outline = (centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.int32)
        cv2.fillPoly(ir, [outline], float(rng.uniform(0.15, 1)), cv2.LINE_AA)
        cv2.fillPoly(vis, [outline], float(rng.uniform(0, 1)), cv2.LINE_AA)
    vis += cv2.GaussianBlur(rng.normal(0, 1, vis.shape).astype(np.float32), (0, 0), 1.5) * 0.15
    ir += rng.normal(0, 0.02, ir.shape).astype(np.float32)
    return np.clip(ir, 0.05, 1), np.clip(vis, 0, 1)


def rig(*, scale: float, degrees: float, shift: tuple[float, float], tilt: float = 0.0) -> np.ndarray:
    """Visible to infrared pixels."""
    a = np.radians(degrees)
    centre = np.array([(W - 1) / 2, (H - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix[:2, 2] = centre + np.array(shift) * (W, H) - matrix[:2, :2] @ centre
    keystone = np.eye(3)
    keystone[2, 0] = tilt / W
    return matrix @ keystone


def seen_by(ir: np.ndarray, matrix: np.ndarray, size: tuple[int, int] = (W, H)) -> np.ndarray:
    return cv2.warpPerspective(ir, resize_matrix((W, H), size) @ matrix, size)


def corner_error(found: np.ndarray, true: np.ndarray, ir_size: tuple[int, int]) -> float:
    area = common_corners(true, ir_size, (W, H))
    return float(np.linalg.norm(project(np.linalg.inv(found), project(true, area)) - area, axis=1).mean())


def test_structure_is_blind_to_polarity_and_gain() -> None:
    _, vis = scene(0)
    mask = np.ones_like(vis)
    maps = structure(vis, mask).maps
    np.testing.assert_allclose(structure(1 - vis, mask).maps, maps, atol=1e-4)
    np.testing.assert_allclose(structure(0.3 * vis + 0.2, mask).maps, maps, atol=1e-3)


def test_structure_tells_directions_apart() -> None:
    bars = np.tile((np.arange(64) // 8 % 2).astype(np.float32), (64, 1))
    mask = np.ones_like(bars)
    upright, lying = structure(bars, mask).maps, structure(bars.T.copy(), mask).maps
    assert upright[0, 20:-20, 20:-20].sum() > 0 > lying[0, 20:-20, 20:-20].sum()  # cos of the double angle
    assert (upright * lying.transpose(0, 2, 1)).sum() < (upright * upright).sum()


def test_black_bars_are_found_but_a_black_sky_is_not() -> None:
    frame = np.full((100, 160), 0.5, np.float32)
    frame[:12] = frame[-12:] = 0
    expected = np.zeros_like(frame)
    expected[12:-12] = 1
    np.testing.assert_array_equal(visible_area(frame), expected)
    sky = np.full((100, 160), 0.5, np.float32)
    for x in range(160):
        sky[: 20 + 15 * (x // 20 % 2), x] = 0
    assert visible_area(sky).all()


def test_refinement_converges_to_the_true_motion() -> None:
    _, vis = scene(1)
    true = rig(scale=1.02, degrees=0.5, shift=(0.004, -0.006), tilt=0.01)
    moved = cv2.warpPerspective(vis, true, (W, H), borderMode=cv2.BORDER_REPLICATE)
    views = View.of([moved]), View.of([vis])
    found = refine(*views, np.eye(3), pixels=W * H)
    assert corner_error(np.eye(3), true, (W, H)) > 1.5
    assert corner_error(found.matrix, true, (W, H)) < 0.25
    support = examine(*views, found.matrix, pixels=W * H)
    assert support.inliers.mean() > 0.9
    assert support.halves < 0.25
    wrong = examine(*views, rig(scale=1.1, degrees=3, shift=(0.05, 0.02)), pixels=W * H)
    assert wrong.inliers.mean() < 0.5


def bent(points: np.ndarray, amount: float) -> np.ndarray:
    """Points moved outwards by `amount` times the cube of their distance, in half widths, to the centre."""
    local = (points - (np.array([W, H]) - 1) / 2) / (W / 2)
    return points + W / 2 * amount * local * (local**2).sum(-1, keepdims=True)


def test_distortion_does_not_carry_the_corners_away() -> None:
    """The homography found is the nearest one over the whole frame, not the one that suits its middle."""
    _, vis = scene(1)
    grid = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1).astype(np.float64)
    vis[:20], vis[-20:] = 0.5, 0.5  # nothing to go by at the upper and the lower rim
    places = bent(grid, -0.03).astype(np.float32)
    inverse: Array = 2 * grid.astype(np.float32) - places  # to first order, a tenth of a pixel off
    x, y = inverse[..., 0], inverse[..., 1]
    moved: Array = cv2.remap(vis, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found = refine(View.of([moved]), View.of([vis]), np.eye(3), pixels=W * H).matrix
    nodes = grid[4::8, 4::8].reshape(-1, 2)
    nearest, _ = cv2.findHomography(nodes, bent(nodes, -0.03), 0)
    ends = corners((W, H))
    assert np.linalg.norm(project(nearest, ends) - ends, axis=1).mean() > 3
    assert np.linalg.norm(project(found, ends) - project(nearest, ends), axis=1).mean() < 0.8


def test_a_pair_turned_upside_down_gives_the_same_geometry() -> None:
    ir, vis = scene(11)
    true = rig(scale=1.03, degrees=1, shift=(0.005, -0.004), tilt=0.01)
    seen = seen_by(ir, true)
    turn = np.array([[-1.0, 0, W - 1], [0, -1, H - 1], [0, 0, 1]])
    turned = [View.of([np.ascontiguousarray(each[::-1, ::-1])]) for each in (seen, vis)]
    straight = refine(View.of([seen]), View.of([vis]), np.eye(3), pixels=W * H).matrix
    other = turn @ refine(turned[0], turned[1], np.eye(3), pixels=W * H).matrix @ turn
    assert corner_error(other, straight, (W, H)) < 0.05


def test_patches_find_a_shift_to_a_fraction_of_a_pixel() -> None:
    ir, vis = scene(2)
    true = rig(scale=1, degrees=0, shift=(2.4 / W, -1.3 / H))
    maps = (View.of([each]).structures() for each in (vis, seen_by(ir, true)))
    origin, target = peaks(gather(*maps, reach=6), least=0.5)
    assert len(origin) > 100
    np.testing.assert_allclose(np.median(target - origin, axis=0), (2.4, -1.3), atol=0.3)


def test_a_parameter_step_and_its_homography_are_inverse() -> None:
    step = np.array([0.01, -0.02, 0.03, 0.005, -0.01, 0.02, 0.004, -0.003, 0])
    np.testing.assert_allclose(parameters(increment(step, (W, H)), (W, H)), step, atol=1e-12)


def test_a_climb_never_ends_lower_and_knows_less_from_fewer_patches() -> None:
    ir, vis = scene(2)
    maps = (View.of([each]).structures() for each in (vis, ir))
    evidence = gather(*maps, reach=6)
    flat = climb(evidence.only(np.zeros(len(evidence.points), bool)), np.eye(3), (W, H), start=np.zeros(9))
    assert flat.nats == pytest.approx(0, abs=1e-9)
    full = climb(evidence, np.eye(3), (W, H), start=np.zeros(9))
    assert full.nats > 100
    few = climb(evidence.only(np.arange(len(evidence.points)) % 5 == 0), np.eye(3), (W, H), start=np.zeros(9))
    nodes = np.stack(np.meshgrid(np.arange(0, W, 8.0), np.arange(0, H, 8.0)), -1).reshape(-1, 2)
    assert flattened(few, nodes, (W, H))[1] > 1.3 * flattened(full, nodes, (W, H))[1]


@pytest.mark.parametrize(
    ("seed", "scale", "degrees", "shift", "size"),
    [
        (3, 0.6, 7.0, (0.1, -0.08), (W, H)),
        (4, 1.7, -6.0, (-0.15, 0.1), (W, H)),
        (5, 1.2, 3.0, (0.05, 0.15), (200, 160)),  # another size and shape, as thermal sensors have
    ],
)
def test_a_rig_is_found_over_the_range(
    seed: int, scale: float, degrees: float, shift: tuple[float, float], size: tuple[int, int]
) -> None:
    ir, vis = scene(seed)
    true = rig(scale=scale, degrees=degrees, shift=shift, tilt=0.03)
    fit = fit_views([seen_by(ir, true, size)], [vis])
    assert fit.problems == ()
    assert corner_error(fit.matrix, resize_matrix((W, H), size) @ true, size) < 2.5
    assert fit.ir_size == size


def test_views_of_different_scenes_are_refused() -> None:
    ir, _ = scene(6)
    _, vis = scene(7)
    fit = fit_views([ir], [vis])
    assert not fit.trusted
    assert any("agree" in problem or "inliers" in problem for problem in fit.problems)


def test_a_blank_view_is_refused() -> None:
    _, vis = scene(8)
    fit = fit_views([np.full_like(vis, 0.5)], [vis])
    assert not fit.trusted


def test_common_area_of_a_narrower_camera() -> None:
    half = rig(scale=2, degrees=0, shift=(0, 0))
    area = common_corners(half, (W, H), (W, H))
    assert sorted(map(tuple, area.round(2).tolist())) == sorted(
        [(79.75, 59.75), (239.25, 59.75), (239.25, 179.25), (79.75, 179.25)]
    )


def test_preview_shows_agreement_in_yellow_after_alignment() -> None:
    ir, vis = scene(9)
    true = rig(scale=1.2, degrees=4, shift=(0.05, 0.02))
    picture = preview(seen_by(ir, true), vis, true).astype(int)
    assert picture.shape == (2 * H, 2 * W, 3)
    yellow = np.minimum(picture[H:, :, 0], picture[H:, :, 1])
    assert yellow[:, W:].mean() > 1.2 * yellow[:, :W].mean()
    assert corners((W, H)).shape == (4, 2)
