"""Match an infrared and a visible view without learned weights: global search, then local templates.

The search tries every scale and rotation of a grid at low resolution and correlates the structure maps over
all shifts at once with the FFT; several time samples add their correlations, because a rig has one geometry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, radians, sin, sqrt

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfuse.align._structure import Array, Structure
from vfuse.align._views import Matrix, View, corners, project, resize_matrix

SEARCH_PIXELS = 160 * 120  # resolution of the global search
SCALES = tuple(2.0 ** (step / 8) for step in range(-9, 10))
ROTATIONS = tuple(range(-12, 13, 4))  # degrees
_MARGIN = 0.3  # of the visible frame: how far the infrared may be shifted
_OVERLAP = 0.35  # least share of the smaller view that must be common
OVERLAP_POWER = 0.4  # score = correlation * overlap ** this; 0.5 would be the significance under white noise
_APART = 0.06  # of the width: candidates nearer than this are one


@dataclass(frozen=True)
class Candidate:
    """One possible geometry.

    Attributes:
        matrix: homography from visible pixels to infrared pixels.
        score: correlation weighted by the common area; comparable within one pair only.
    """

    matrix: Matrix
    score: float


@dataclass(frozen=True)
class Matches:
    """Point matches.

    Attributes:
        vis: (N, 2) float64 points in the visible frame, pixels.
        ir: (N, 2) float64 points in the infrared frame, pixels.
        score: (N,) float64 correlation of the templates at the match.
    """

    vis: NDArray[np.float64]
    ir: NDArray[np.float64]
    score: NDArray[np.float64]


def level_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """(width, height) of the same shape with about `pixels` pixels, never enlarged."""
    factor = min(1.0, sqrt(pixels / (size[0] * size[1])))
    return max(16, round(size[0] * factor)), max(16, round(size[1] * factor))


def search(ir: View, vis: View, *, keep: int = 8) -> list[Candidate]:
    """The best geometries of similarity type over scale, rotation and shift, best first.

    Scale is relative to both cameras seeing the same field; the range is x0.46 to x2.2, +-12 degrees, +-30 %.
    """
    size = level_size(vis.size, SEARCH_PIXELS)
    spectrum = _VisSpectrum.of(vis.resized(size).structures())
    found: list[Candidate] = []
    for matrix in _similarities(ir.size, size, spectrum.canvas):
        score = spectrum.scores(ir.warped(matrix, spectrum.canvas).structures())
        found += _peaks(score, matrix)
    found.sort(key=lambda candidate: -candidate.score)
    best = distinct(found, size, tolerance=_APART * ir.size[0], keep=keep)
    to_level = resize_matrix(vis.size, size)
    return [Candidate(candidate.matrix @ to_level, candidate.score) for candidate in best]


def _similarities(ir: tuple[int, int], vis: tuple[int, int], canvas: tuple[int, int]) -> Iterator[Matrix]:
    """Canvas to infrared, canvas centre on infrared centre, for each scale and rotation."""
    same_field = sqrt(ir[0] * ir[1] / (vis[0] * vis[1]))
    for scale in SCALES:
        for degrees in ROTATIONS:
            size, angle = same_field * scale, radians(degrees)
            matrix = np.eye(3)
            matrix[:2, :2] = size * np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
            centre = (np.array(canvas) - 1) / 2
            matrix[:2, 2] = (np.array(ir) - 1) / 2 - matrix[:2, :2] @ centre
            yield matrix


@dataclass(frozen=True)
class _VisSpectrum:
    """Conjugate spectra of the visible maps, their energy and their mask, on a canvas with a margin."""

    canvas: tuple[int, int]
    size: tuple[int, int]
    frames: int
    maps: Tensor
    energy: Tensor
    mask: Tensor

    @classmethod
    def of(cls, structures: Sequence[Structure]) -> _VisSpectrum:
        height, width = structures[0].mask.shape
        canvas = (_fast(width * (1 + 2 * _MARGIN)), _fast(height * (1 + 2 * _MARGIN)))
        maps, mask = _stack(structures)
        shape = (canvas[1], canvas[0])
        parts = (maps, (maps * maps).sum(1), mask)
        spectra = [torch.fft.rfft2(part, s=shape).conj() for part in parts]
        return cls(canvas, (width, height), len(structures), *spectra)

    def scores(self, ir: Sequence[Structure]) -> Tensor:
        """Masked correlation for every shift of the visible frame over the canvas that stays inside it."""
        maps, mask = _stack(ir)
        shape = (self.canvas[1], self.canvas[0])

        def correlate(part: Tensor, with_: Tensor) -> Tensor:
            product = torch.fft.rfft2(part) * with_
            return torch.fft.irfft2(product.flatten(0, -3).sum(0), s=shape)

        joint = correlate(maps, self.maps)
        ir_energy = correlate((maps * maps).sum(1), self.mask)
        vis_energy = correlate(mask, self.energy)
        common = correlate(mask, self.mask)
        area = self.size[0] * self.size[1] * self.frames
        score = joint / (ir_energy * vis_energy).clamp_min(1e-3).sqrt()
        score = score * (common / area).clamp(1e-4, 1) ** OVERLAP_POWER
        score[common < _OVERLAP * min(area, float(mask.sum()))] = 0
        return score[: self.canvas[1] - self.size[1] + 1, : self.canvas[0] - self.size[0] + 1]


def _stack(structures: Sequence[Structure]) -> tuple[Tensor, Tensor]:
    maps = torch.from_numpy(np.stack([s.maps for s in structures]))
    return maps, torch.from_numpy(np.stack([s.mask for s in structures]))


def _fast(length: float) -> int:
    """The next length that the FFT likes: 2^a, 3 * 2^a or 5 * 2^a."""
    return min(base << power for base in (1, 3, 5) for power in range(16) if base << power >= length)


def _peaks(score: Tensor, matrix: Matrix, *, most: int = 3, radius: int = 4) -> list[Candidate]:
    around = torch.nn.functional.max_pool2d(score[None, None], 2 * radius + 1, 1, radius)[0, 0]
    places = ((score == around) & (score > 0)).nonzero()
    values = score[places[:, 0], places[:, 1]]
    found: list[Candidate] = []
    for index in values.topk(min(most, len(values))).indices.tolist():
        y, x = places[index].tolist()
        shift = np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
        found.append(Candidate(matrix @ shift, float(values[index])))
    return found


def distinct(
    found: list[Candidate], size: tuple[int, int], *, tolerance: float, keep: int
) -> list[Candidate]:
    """The best of each group of candidates whose corners nearly agree; `found` is sorted, best first."""
    best: list[Candidate] = []
    placed: list[NDArray[np.float64]] = []
    for candidate in found:
        ends = project(candidate.matrix, corners(size))
        if all(np.abs(ends - other).mean() > tolerance for other in placed):
            best.append(candidate)
            placed.append(ends)
        if len(best) == keep:
            break
    return best


def local_matches(ir: View, vis: View, matrix: Matrix, *, pixels: int, patch: int, reach: int) -> Matches:
    """Match a grid of templates around a known geometry.

    The infrared is warped into the visible frame first, so that templates differ by a small shift only; the
    correlation surfaces of all time samples are added before the peak is taken, to a fraction of a pixel.

    Args:
        ir: infrared view.
        vis: visible view, as many frames.
        matrix: visible to infrared pixels, right to within `reach`.
        pixels: resolution of the level at which to match.
        patch: side of a template in pixels of that level; the grid steps by half of it.
        reach: search radius in pixels of that level.
    """
    size = level_size(vis.size, pixels)
    to_full = resize_matrix(size, vis.size)
    pairs = list(
        zip(vis.resized(size).structures(), ir.warped(matrix @ to_full, size).structures(), strict=True)
    )
    origins, targets, scores = [], [], []
    for y in range(reach, size[1] - patch - reach + 1, patch // 2):
        for x in range(reach, size[0] - patch - reach + 1, patch // 2):
            surface = _surface(pairs, x=x, y=y, patch=patch, reach=reach)
            peak = None if surface is None else _subpixel_peak(surface)
            if peak is None:
                continue
            centre = (x + (patch - 1) / 2, y + (patch - 1) / 2)
            origins.append(centre)
            targets.append((centre[0] + peak[0] - reach, centre[1] + peak[1] - reach))
            scores.append(peak[2])
    origin, target = np.array(origins).reshape(-1, 2), np.array(targets).reshape(-1, 2)
    return Matches(project(to_full, origin), project(matrix @ to_full, target), np.array(scores))


def _surface(
    pairs: Sequence[tuple[Structure, Structure]], *, x: int, y: int, patch: int, reach: int
) -> Array | None:
    """Normalised correlation over all shifts within reach, summed over frames; None where little is shown."""
    inner = np.s_[y : y + patch, x : x + patch]
    outer = np.s_[y - reach : y + patch + reach, x - reach : x + patch + reach]
    joint = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    vis_energy, ir_energy = 0.0, np.zeros_like(joint)
    for vis, ir in pairs:
        if vis.mask[inner].mean() < 0.8 or ir.mask[outer].mean() < 0.8:
            return None
        template = np.ascontiguousarray(vis.maps[(slice(None), *inner)].transpose(1, 2, 0))
        field = np.ascontiguousarray(ir.maps[(slice(None), *outer)].transpose(1, 2, 0))
        joint += cv2.matchTemplate(field, template, cv2.TM_CCORR)
        squares = cv2.boxFilter((field * field).sum(2), -1, (patch, patch), normalize=False, anchor=(0, 0))
        ir_energy += squares[: 2 * reach + 1, : 2 * reach + 1]
        vis_energy += float((template * template).sum())
    if vis_energy <= 0:
        return None
    return joint / np.sqrt(np.maximum(ir_energy * vis_energy, 1e-6))


def _subpixel_peak(surface: Array) -> tuple[float, float, float] | None:
    """(x, y, value) of the maximum by a parabola in each direction; None when it lies on the rim."""
    _, value, _, (x, y) = cv2.minMaxLoc(surface)
    if not (0 < x < surface.shape[1] - 1 and 0 < y < surface.shape[0] - 1):
        return None

    def offset(before: float, after: float) -> float:
        bend = before - 2 * value + after
        return 0.5 * (before - after) / bend if bend < 0 else 0.0

    dx = offset(float(surface[y, x - 1]), float(surface[y, x + 1]))
    dy = offset(float(surface[y - 1, x]), float(surface[y + 1, x]))
    return x + dx, y + dy, float(value)
