"""Climb to the likeliest homography on the evidence of all patches, and say how certain it is.

Parameters are those of a homography near the identity, in coordinates of unit size about the frame's centre:
    ( 1 + p0   p1     p2 )
    (  p3    1 + p4   p5 )
    (  p6      p7     1  )
A ninth moves a point at distance r from the centre outwards by p8 r^3 first: lenses bend straight lines, and
a homography that has to explain this from the middle of the picture goes astray in its corners. The climb
finds all nine; `flattened` gives the homography that is nearest to them over the area in view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfuse.align._evidence import Evidence
from vfuse.align._structure import Array
from vfuse.align._views import Matrix, corners, project

# Expected aspect, shear, both perspectives and radial distortion, as shares of the size.
_PRIOR = np.array([0.02, 0.02, 0.02, 0.02, 0.03])
_LOOSE = 1e-3  # precision of everything else: none to speak of, but even a blank picture can be solved for
_STEPS = 12
_TRIES = 6  # each with eight times the damping
_ENOUGH = 1e-3  # nats: a smaller gain ends the climb
_FLAT = 0.01  # nats/pixel^2: curvature given to patches that say nothing, so that steps stay bounded


@dataclass(frozen=True)
class Summit:
    """Where a climb ended.

    Attributes:
        step: (9,) parameters.
        nats: log posterior, relative to patches that say nothing and to a similarity.
        curvature: (9, 9) negative Hessian of it.
    """

    step: NDArray[np.float64]
    nats: float
    curvature: NDArray[np.float64]


def increment(step: NDArray[np.float64], size: tuple[int, int]) -> Matrix:
    """The homography of the first eight parameters in pixels of a frame of `size` (width, height)."""
    unit = _unit(size)
    return unit @ (np.eye(3) + np.append(step[:8], 0.0).reshape(3, 3)) @ np.linalg.inv(unit)


def parameters(motion: Matrix, size: tuple[int, int]) -> NDArray[np.float64]:
    """(9,) the inverse of `increment`, without distortion."""
    unit = _unit(size)
    local = np.linalg.inv(unit) @ motion @ unit
    return np.append((local / local[2, 2] - np.eye(3)).ravel()[:8], 0.0)


def climb(evidence: Evidence, matrix: Matrix, size: tuple[int, int], *, start: NDArray[np.float64]) -> Summit:
    """Damped Newton steps (Levenberg and Marquardt) to a maximum of the log posterior.

    Args:
        evidence: gathered with the infrared seen through `matrix`.
        matrix: visible pixels of the level to infrared pixels.
        size: (width, height) of the level.
        start: (9,) parameters to begin from.
    """
    slopes = _slopes(evidence)
    step, nats = start, _posterior(evidence, matrix, size, start)
    damping = 1e-3
    for _ in range(_STEPS):
        normal, towards = _equations(evidence, slopes, matrix, size, step)
        for _ in range(_TRIES):
            move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), towards)
            higher = _posterior(evidence, matrix, size, step + move)
            if higher > nats:
                break
            damping *= 8
        else:
            break
        gain, step, nats = higher - nats, step + move, higher
        damping = max(damping / 8, 1e-4)
        if gain < _ENOUGH:
            break
    return Summit(step, nats, _equations(evidence, slopes, matrix, size, step)[0])


def flattened(
    summit: Summit, points: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float64], float]:
    """The parameters, without distortion, of the homography nearest to a summit, and its uncertainty.

    Args:
        summit: of a climb.
        points: (N, 2) pixels of the level, spread over the area that both cameras see.
        size: (width, height) of the level.

    Returns:
        (9,) parameters, the last 0, and the expected corner error in pixels of the level, of the Gaussian
        that the posterior looks like.
    """
    moves = np.concatenate(_motions(points, size))  # (2N, 9)
    nearest = np.linalg.lstsq(moves[:, :8], moves, rcond=None)[0]  # (8, 9)
    covariance = nearest @ np.linalg.inv(summit.curvature) @ nearest.T
    along_x, along_y = (part[:, :8] for part in _motions(corners(size), size))
    variance = sum(np.einsum("ij,jk,ik->i", part, covariance, part) for part in (along_x, along_y))
    return np.append(nearest @ summit.step, 0.0), float(np.sqrt(np.mean(variance)))


def _slopes(evidence: Evidence) -> Array:
    """(5, P, S, S) derivatives of the surfaces by the shift: x, y, xx, yy, xy."""
    y, x = np.gradient(evidence.nats, axis=(1, 2))
    return np.stack([x, y, np.gradient(x, axis=2), np.gradient(y, axis=1), np.gradient(x, axis=1)])


def _equations(
    evidence: Evidence, slopes: Array, matrix: Matrix, size: tuple[int, int], step: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(9, 9) curvature, made positive patch by patch, and (9,) slope."""
    gx, gy, xx, yy, xy = _look(slopes, _shifts(evidence, step, size))
    xx, yy, xy = _bent_down(xx, yy, xy)
    mx, my = _motions(evidence.points, size)
    mixed = (mx.T * xy) @ my
    normal = (mx.T * xx) @ mx + (my.T * yy) @ my + mixed + mixed.T + _PICK.T @ _PICK + _LOOSE * np.eye(9)
    oddity = _oddity(matrix, step, size)
    return normal, mx.T @ gx + my.T @ gy - _PICK.T @ oddity


def _posterior(evidence: Evidence, matrix: Matrix, size: tuple[int, int], step: NDArray[np.float64]) -> float:
    likelihood = float(_look(evidence.nats[None], _shifts(evidence, step, size)).sum())
    return likelihood - 0.5 * float((_oddity(matrix, step, size) ** 2).sum())


def _shifts(evidence: Evidence, step: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """(P, 2) places (x, y) in the surfaces."""
    local, half = _local(evidence.points, size)
    bent = evidence.points + step[8] * half * local * (local**2).sum(1, keepdims=True)
    return project(increment(step, size), bent) - evidence.points + evidence.reach


def _look(surfaces: Array, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, P) values of (K, P, S, S) surfaces at (P, 2) places (x, y); the rim continues outwards.

    Cubic convolution (Keys, 1981): smooth across the grid, where bilinear interpolation puts a false summit
    on every grid point of a peak.
    """
    last = surfaces.shape[-1] - 1
    inside = np.clip(places, 0, last - 1e-3)
    first = inside.astype(int)
    taps = np.clip(first[:, None, :] + np.arange(-1, 3)[None, :, None], 0, last)  # (P, 4, 2)
    weights = _keys(inside - first)
    patch = np.arange(len(places))[:, None, None]
    around = surfaces[:, patch, taps[:, :, None, 1], taps[:, None, :, 0]]  # (K, P, 4, 4), rows are y
    return ((around * weights[:, None, :, 0]).sum(-1) * weights[:, :, 1]).sum(-1)


def _keys(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 4, 2) weights of the four neighbours of (P, 2) fractions."""
    return np.stack(
        [
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        ],
        1,
    )


def _bent_down(
    xx: NDArray[np.float64], yy: NDArray[np.float64], xy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """The negative of 2 x 2 matrices with all their eigenvalues at least `_FLAT`."""
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    first, second = (np.maximum(-each, 0) + _FLAT for each in (middle + half, middle - half))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    cosine, sine = np.cos(angle), np.sin(angle)
    return (
        first * cosine**2 + second * sine**2,
        first * sine**2 + second * cosine**2,
        (first - second) * cosine * sine,
    )


def _motions(
    points: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 9) how each parameter moves each point, in pixels along x and y."""
    local, half = _local(points, size)
    x, y = local.T
    r2, zero, one = x * x + y * y, np.zeros_like(x), np.ones_like(x)
    along_x = np.stack([x, y, one, zero, zero, zero, -x * x, -x * y, x * r2], 1) * half
    along_y = np.stack([zero, zero, zero, x, y, one, -x * y, -y * y, y * r2], 1) * half
    return along_x, along_y


def _local(points: NDArray[np.float64], size: tuple[int, int]) -> tuple[NDArray[np.float64], float]:
    """Points in coordinates of unit size about the centre, and the pixels of that unit."""
    half = max(size) / 2
    return (points - (np.array(size) - 1) / 2) / half, half


def _pick() -> NDArray[np.float64]:
    """Rows: aspect, shear, both perspectives, distortion, each divided by what is expected of a rig."""
    rows = np.zeros((5, 9))
    rows[0, [0, 4]] = 0.5, -0.5
    rows[1, [1, 3]] = 0.5, 0.5
    rows[2, 6] = rows[3, 7] = rows[4, 8] = 1.0
    return rows / _PRIOR[:, None]


_PICK = _pick()


def _oddity(matrix: Matrix, step: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """How far a stepped homography is from a similarity, in units of the prior: the rows of `_pick`."""
    unit = _unit(size)
    local = matrix @ increment(step, size) @ unit
    origin = local[:, 2] / local[2, 2]
    jacobian = (local[:2, :2] - np.outer(origin[:2], local[2, :2])) / local[2, 2]
    cosine, sine = jacobian[0, 0] + jacobian[1, 1], jacobian[1, 0] - jacobian[0, 1]
    length = np.hypot(cosine, sine)
    turn = np.array([[cosine, sine], [-sine, cosine]]) / (length**2 / 2)
    shape = turn @ jacobian
    tilt = local[2, :2] / local[2, 2]
    return _PICK @ np.array(
        [shape[0, 0] - 1, shape[0, 1], 0, shape[1, 0], shape[1, 1] - 1, 0, *tilt, step[8]]
    )


def _unit(size: tuple[int, int]) -> Matrix:
    """Maps coordinates of unit size about the centre to pixels."""
    half = max(size) / 2
    return np.array([[half, 0, (size[0] - 1) / 2], [0, half, (size[1] - 1) / 2], [0, 0, 1]])
