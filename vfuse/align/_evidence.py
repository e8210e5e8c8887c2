"""What each region of the picture says about where it lies in the other camera's picture.

For a grid of patches, the correlation of the structure maps over all small shifts becomes a log likelihood:
of two maps with `n` independent values that correlate by `r`, common structure is `(1 - r^2)^(-n/2)` times
likelier than chance. A patch may also show nothing that both cameras see, so its voice is that of a mixture;
a pedestrian who is nearer than the wall, or a lamp that only one camera sees, cannot outvote the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfuse.align._structure import Array, Structure

PATCH = 24  # pixels of the level: side of a patch
_STRIDE = PATCH // 2  # pixels of the level: from one patch to the next
_INDEPENDENT = 0.15  # of the map values in a patch count; found by likelihood on training pairs
_SHARED = 0.8  # of the patches show something that both cameras see; found likewise
_MOST = 50.0  # nats: likelihoods beyond are equally sure
_SAYS = 0.02  # nats: a patch that never says more is left out
_SHOWN = 0.3  # of a patch must be seen by both cameras


@dataclass(frozen=True)
class Evidence:
    """Log likelihood of every patch over the shifts around where a geometry puts it.

    Attributes:
        points: (P, 2) float64 patch centres in pixels of the level.
        nats: (P, 2 * reach + 1, 2 * reach + 1) float32, rows are y; weighted so that overlapping patches
            count once in sum. Patches that say nothing are left out.
        reach: largest shift in pixels of the level.
    """

    points: NDArray[np.float64]
    nats: Array
    reach: int

    def only(self, chosen: NDArray[np.bool_]) -> Evidence:
        """The chosen patches."""
        return Evidence(self.points[chosen], self.nats[chosen], self.reach)

    def blurred(self, sigma: float) -> Evidence:
        """With a wider basin around each peak."""
        if sigma == 0 or not len(self.nats):
            return self
        border = cv2.BORDER_REPLICATE
        nats = np.stack([cv2.GaussianBlur(each, (0, 0), sigma, borderType=border) for each in self.nats])
        return Evidence(self.points, nats, self.reach)


def gather(vis: Sequence[Structure], ir: Sequence[Structure], *, reach: int) -> Evidence:
    """Compare all patches of the visible with the infrared around the same place.

    Frames of several moments are one sample: their products are added before anything is normalised, and
    their number counts by its root, since a scene that stands still shows the same thing again.

    Args:
        vis: structure maps of the visible frames at one level.
        ir: of the infrared frames of the same moments, warped into the visible frame.
        reach: largest shift in pixels of the level.
    """
    height, width = vis[0].mask.shape
    left, top = ((length - PATCH) % _STRIDE // 2 for length in (width, height))  # the grid lies in the middle
    maps, mask = _blocks(vis, PATCH, margin=0, first=(left, top))
    field, field_mask = _blocks(ir, PATCH + 2 * reach, margin=reach, first=(left, top))
    side = PATCH + 2 * reach  # of the transform: large enough that no wanted shift wraps around

    def correlate(template: Tensor, over: Tensor) -> Tensor:
        """Sum over everything before the patch grid: (rows, columns, shifts, shifts)."""
        product = torch.fft.rfft2(template, s=(side, side)).conj() * torch.fft.rfft2(over, s=(side, side))
        shifts = torch.fft.irfft2(product.flatten(0, -5).sum(0), s=(side, side))
        return shifts[..., : 2 * reach + 1, : 2 * reach + 1]

    joint = correlate(maps, field)
    energy = correlate((maps * maps).sum(1), field_mask) * correlate(mask, (field * field).sum(1))
    shown = correlate(mask, field_mask) / len(vis)
    r = (joint / energy.clamp_min(1e-6).sqrt()).clamp(0, 0.97)
    likelihood = -0.5 * _INDEPENDENT * len(vis) ** 0.5 * shown * torch.log1p(-r * r)
    likelihood = torch.where(shown > _SHOWN * PATCH**2, likelihood, 0.0)
    rows, columns = shown.shape[:2]
    middle = (PATCH - 1) / 2
    x, y = left + np.arange(columns) * _STRIDE + middle, top + np.arange(rows) * _STRIDE + middle
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float64)
    nats = _mixture(likelihood.flatten(0, 1)) / 4  # half-overlapping in both directions
    heard = (nats.amax((1, 2)) > _SAYS).numpy()
    return Evidence(points[heard], nats.numpy()[heard], reach)


def _mixture(likelihood: Tensor) -> Tensor:
    """(P, S, S): of a patch that shows something shared, against any shift alike."""
    odds = likelihood.clamp_max(_MOST).exp()
    return torch.log(1 - _SHARED + _SHARED * odds / odds.mean((1, 2), keepdim=True))


def _blocks(
    structures: Sequence[Structure], side: int, *, margin: int, first: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Maps (F, C, rows, columns, side, side) and masks (F, rows, columns, side, side) of all patches."""
    maps = torch.from_numpy(np.stack([each.maps for each in structures]))
    mask = torch.from_numpy(np.stack([each.mask for each in structures]))
    return _cut(maps, side, margin, first), _cut(mask, side, margin, first)


def _cut(planes: Tensor, side: int, margin: int, first: tuple[int, int]) -> Tensor:
    padded = torch.nn.functional.pad(planes, (margin,) * 4)[..., first[1] :, first[0] :]
    return padded.unfold(-2, side, _STRIDE).unfold(-2, side, _STRIDE)


def peaks(evidence: Evidence, *, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 2) centres of the patches that are sure of their place, and (N, 2) where they find it.

    Args:
        evidence: of one level.
        least: nats below which a patch has found nothing.
    """
    found: list[tuple[NDArray[np.float64], tuple[float, float]]] = []
    for point, surface in zip(evidence.points, evidence.nats, strict=True):
        place = _subpixel_peak(surface) if surface.max() >= least else None
        if place is not None:
            found.append((point, place))
    origin = np.array([point for point, _ in found]).reshape(-1, 2)
    shift = np.array([place for _, place in found]).reshape(-1, 2) - evidence.reach
    return origin, origin + shift


def _subpixel_peak(surface: Array) -> tuple[float, float] | None:
    """(x, y) of the maximum by a parabola in each direction; None when it lies on the rim."""
    _, _, _, (x, y) = cv2.minMaxLoc(surface)
    if not (0 < x < surface.shape[1] - 1 and 0 < y < surface.shape[0] - 1):
        return None

    def offset(before: float, after: float) -> float:
        bend = before - 2 * float(surface[y, x]) + after
        return 0.5 * (before - after) / bend if bend < 0 else 0.0

    dx = offset(float(surface[y, x - 1]), float(surface[y, x + 1]))
    dy = offset(float(surface[y - 1, x]), float(surface[y + 1, x]))
    return x + dx, y + dy
