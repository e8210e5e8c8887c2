"""The normal equations of registration on structure maps, and what they say about certainty.

Parameters are those of a homography near the identity, in coordinates of unit size about the frame's centre:
    ( 1 + p0   p1     p2 )
    (  p3    1 + p4   p5 )
    (  p6      p7     1  )
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.align._structure import Array, Structure
from vfuse.align._views import Matrix, corners

_INDEPENDENT = (
    1 / 200
)  # of the map values count as independent: maps are smooth, and so are their disagreements
_PRIOR = np.array(
    [0.02, 0.02, 0.02, 0.02]
)  # expected aspect, shear and both perspectives, as shares of the size
_BLOCK = 16  # pixels: regions whose disagreement is taken as independent


@dataclass(frozen=True)
class Sums:
    """Sums over the area that both views show; everything a step and its certainty need.

    Attributes:
        normal: (8, 8) Gauss-Newton matrix of the visible maps.
        blocks: (B, 2, 8) products of the derivatives with visible and infrared maps, by picture region.
        vis_energy, ir_energy, joint: sums of squares and of products of the maps.
        common: pixels both views show.
        overlap: the same as a share of the visible frame.
    """

    normal: NDArray[np.float64]
    blocks: NDArray[np.float64]
    vis_energy: float
    ir_energy: float
    joint: float
    common: float
    overlap: float

    @property
    def correlation(self) -> float:
        """Of the maps, in [-1, 1]."""
        return self.joint / float(np.sqrt(max(self.vis_energy * self.ir_energy, 1e-9)))

    @property
    def gain(self) -> float:
        """How strongly the infrared repeats the visible's structure, least squares."""
        return max(self.joint / max(self.vis_energy, 1e-9), 1e-3)


@dataclass(frozen=True)
class Template:
    """The visible maps and their derivative by each parameter.

    Attributes:
        structures: of each frame.
        jacobians: (8, 4, H, W) for each frame.
    """

    structures: list[Structure]
    jacobians: list[Array]

    @classmethod
    def of(cls, structures: list[Structure]) -> Template:
        """Derive the maps of the visible frames."""
        height, width = structures[0].mask.shape
        half = max(width, height) / 2
        x = ((np.arange(width, dtype=np.float32) - (width - 1) / 2) / half)[None, :]
        y = ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / half)[:, None]
        jacobians: list[Array] = []
        for each in structures:
            gx = np.stack([cv2.Sobel(m, cv2.CV_32F, 1, 0, scale=1 / 8) for m in each.maps]) * half
            gy = np.stack([cv2.Sobel(m, cv2.CV_32F, 0, 1, scale=1 / 8) for m in each.maps]) * half
            radial = gx * x + gy * y
            parts = (gx * x, gx * y, gx, gy * x, gy * y, gy, -radial * x, -radial * y)
            jacobians.append(np.stack(parts).astype(np.float32))
        return cls(structures, jacobians)

    def compare(self, ir: list[Structure]) -> Sums:
        """Compare with the infrared maps, already warped into the visible frame."""
        normal, products = np.zeros((8, 8)), 0.0
        vis_energy = ir_energy = joint = common = 0.0
        for vis, other, jacobian in zip(self.structures, ir, self.jacobians, strict=True):
            both = vis.mask * other.mask
            shown, seen, slope = vis.maps * both, other.maps * both, jacobian * both
            flat = slope.reshape(8, -1)
            normal += flat @ flat.T
            products = products + np.stack([_by_block((slope * maps).sum(1)) for maps in (shown, seen)], 1)
            vis_energy += float((shown * shown).sum())
            ir_energy += float((seen * seen).sum())
            joint += float((shown * seen).sum())
            common += float(both.sum())
        total = sum(each.mask.size for each in self.structures)
        return Sums(normal, np.asarray(products), vis_energy, ir_energy, joint, common, common / total)


def _by_block(values: Array) -> NDArray[np.float64]:
    """Sum (8, H, W) over blocks: (B, 8)."""
    height, width = values.shape[1:]
    pad = ((0, 0), (0, -height % _BLOCK), (0, -width % _BLOCK))
    padded = np.pad(values, pad).astype(np.float64)
    rows, columns = padded.shape[1] // _BLOCK, padded.shape[2] // _BLOCK
    return padded.reshape(8, rows, _BLOCK, columns, _BLOCK).sum((2, 4)).reshape(8, -1).T


def increment(step: NDArray[np.float64], size: tuple[int, int]) -> Matrix:
    """The homography of a parameter step in pixels of a frame of `size` (width, height)."""
    unit = _unit(size)
    return unit @ (np.eye(3) + np.append(step, 0.0).reshape(3, 3)) @ np.linalg.inv(unit)


def cost(sums: Sums, matrix: Matrix, size: tuple[int, int]) -> float:
    """Minus twice the log posterior: residual with gain and noise profiled out, and the prior."""
    if sums.correlation <= 0 or sums.common < 100:
        return float("inf")
    return _values(sums) * float(np.log(1 - sums.correlation**2)) + float((_oddity(matrix, size) ** 2).sum())


def newton_step(sums: Sums, matrix: Matrix, size: tuple[int, int]) -> NDArray[np.float64]:
    """The visible-side motion that best explains the infrared: `matrix @ inv(increment(step))` is better."""
    precision = 1 / _noise(sums)
    normal = sums.normal * precision + _PICK.T @ _PICK + 1e-9 * np.trace(sums.normal) * precision * np.eye(8)
    towards = sums.blocks.sum(0)
    slope = (towards[1] / sums.gain - towards[0]) * precision + _PICK.T @ _oddity(matrix, size)
    return np.linalg.solve(normal, slope)


def corner_spread(sums: Sums, size: tuple[int, int]) -> float:
    """Expected corner error in pixels of the level: a sandwich estimate over picture regions."""
    if sums.correlation <= 0 or sums.common < 100:
        return float("inf")
    pull = sums.blocks[:, 1] / sums.gain - sums.blocks[:, 0]
    pull = pull - pull.mean(0)
    prior = _PICK.T @ _PICK * _noise(sums)
    bread = np.linalg.pinv(sums.normal + prior)
    covariance = bread @ (pull.T @ pull + prior) @ bread
    half = max(size) / 2
    x, y = ((corners(size) - (np.array(size) - 1) / 2) / half).T
    zero, one = np.zeros(4), np.ones(4)
    along_x = np.stack([x, y, one, zero, zero, zero, -x * x, -x * y], 1) * half
    along_y = np.stack([zero, zero, zero, x, y, one, -x * y, -y * y], 1) * half
    variance = sum(np.einsum("ij,jk,ik->i", part, covariance, part) for part in (along_x, along_y))
    return float(np.sqrt(np.mean(variance)))


def _pick() -> NDArray[np.float64]:
    """Rows: aspect, shear, both perspectives, each divided by what is expected of a rig."""
    rows = np.zeros((4, 8))
    rows[0, [0, 4]] = 0.5, -0.5
    rows[1, [1, 3]] = 0.5, 0.5
    rows[2, 6] = rows[3, 7] = 1.0
    return rows / _PRIOR[:, None]


_PICK = _pick()


def _oddity(matrix: Matrix, size: tuple[int, int]) -> NDArray[np.float64]:
    """How far a homography is from a similarity, in units of the prior: aspect, shear, two perspectives."""
    unit = _unit(size)
    local = matrix @ unit
    origin = local[:, 2] / local[2, 2]
    jacobian = (local[:2, :2] - np.outer(origin[:2], local[2, :2])) / local[2, 2]
    cosine, sine = jacobian[0, 0] + jacobian[1, 1], jacobian[1, 0] - jacobian[0, 1]
    length = np.hypot(cosine, sine)
    turn = np.array([[cosine, sine], [-sine, cosine]]) / (length**2 / 2)
    shape = turn @ jacobian
    steps = np.array(
        [shape[0, 0] - 1, shape[0, 1], 0, shape[1, 0], shape[1, 1] - 1, 0, *(local[2, :2] / local[2, 2])]
    )
    return _PICK @ steps


def _values(sums: Sums) -> float:
    return _INDEPENDENT * 4 * sums.common


def _noise(sums: Sums) -> float:
    """Variance of one map value about the scaled template, spread over its independent neighbours."""
    residual = sums.ir_energy - sums.gain * sums.joint
    return max(residual, 1e-9) / (sums.common * 4) / sums.gain**2 / _INDEPENDENT


def _unit(size: tuple[int, int]) -> Matrix:
    """Maps coordinates of unit size about the centre to pixels."""
    half = max(size) / 2
    return np.array([[half, 0, (size[0] - 1) / 2], [0, half, (size[1] - 1) / 2], [0, 0, 1]])
