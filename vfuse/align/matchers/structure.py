"""`structure`: the rough geometry of two cameras without learned weights.

The search tries every scale and rotation of a grid at low resolution and correlates the structure maps over
all shifts at once with the FFT; several time samples add their correlations, because a rig has one geometry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, radians, sin, sqrt

import numpy as np
import torch
from torch import Tensor

from vfuse.align._structure import Structure
from vfuse.align._views import Matrix, View, apart, corners, project, resize_matrix
from vfuse.align.homography import COARSE, level_size
from vfuse.align.matchers._registry import MATCHERS, MatcherEntry

SCALES = tuple(2.0 ** (step / 8) for step in range(-9, 10))
ROTATIONS = tuple(range(-12, 13, 4))  # degrees
_MARGIN = 0.3  # of the visible frame: how far the infrared may be shifted
_OVERLAP = 0.35  # least share of the smaller view that must be common
_OVERLAP_POWER = 0.4  # score = correlation * overlap ** this; 0.5 would be the significance under white noise
_APART = 0.06  # of the width: candidates nearer than this are one
_KEEP = 10  # candidates; on training pairs the right one was among the first five


def search(ir: View, vis: View) -> list[Matrix]:
    """The best geometries of similarity type over scale, rotation and shift, best first.

    Scale is relative to both cameras seeing the same field; the range is x0.46 to x2.2, +-12 degrees, +-30 %.
    """
    size = level_size(vis.size, COARSE)
    spectrum = _VisSpectrum.of(vis.resized(size).structures())
    found: list[_Candidate] = []
    for matrix in _similarities(ir.size, size, spectrum.canvas):
        score = spectrum.scores(ir.warped(matrix, spectrum.canvas).structures())
        found += _peaks(score, matrix)
    found.sort(key=lambda candidate: -candidate.score)
    ends = [project(candidate.matrix, corners(size)) for candidate in found]
    best = [found[index] for index in apart(ends, tolerance=_APART * ir.size[0])[:_KEEP]]
    to_level = resize_matrix(vis.size, size)
    return [candidate.matrix @ to_level for candidate in best]


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
class _Candidate:
    """A geometry of the level, and its correlation weighted by the common area."""

    matrix: Matrix
    score: float


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
        score = score * (common / area).clamp(1e-4, 1) ** _OVERLAP_POWER
        score[common < _OVERLAP * min(area, float(mask.sum()))] = 0
        return score[: self.canvas[1] - self.size[1] + 1, : self.canvas[0] - self.size[0] + 1]


def _stack(structures: Sequence[Structure]) -> tuple[Tensor, Tensor]:
    maps = torch.from_numpy(np.stack([s.maps for s in structures]))
    return maps, torch.from_numpy(np.stack([s.mask for s in structures]))


def _fast(length: float) -> int:
    """The next length that the FFT likes: 2^a, 3 * 2^a or 5 * 2^a."""
    return min(base << power for base in (1, 3, 5) for power in range(16) if base << power >= length)


def _peaks(score: Tensor, matrix: Matrix, *, most: int = 3, radius: int = 4) -> list[_Candidate]:
    around = torch.nn.functional.max_pool2d(score[None, None], 2 * radius + 1, 1, radius)[0, 0]
    places = ((score == around) & (score > 0)).nonzero()
    values = score[places[:, 0], places[:, 1]]
    found: list[_Candidate] = []
    for index in values.topk(min(most, len(values))).indices.tolist():
        y, x = places[index].tolist()
        shift = np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
        found.append(_Candidate(matrix @ shift, float(values[index])))
    return found


MATCHERS.add(
    MatcherEntry(
        name="structure",
        build=lambda _: search,
        summary="maps of edge orientation, correlated over every scale, rotation and shift; needs no weights",
        origin="after CFOG (Ye et al., TGRS 2019)",
    )
)
