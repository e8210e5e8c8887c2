"""`hog`: people by their outline, in visible, infrared and fused video, without any download.

Histograms of oriented gradients and a linear classifier (Dalal and Triggs, CVPR 2005), with the coefficients
for windows of 48x96 pixels that OpenCV publishes (`getDaimlerPeopleDetector`, Apache-2.0): they were learnt
on grey pictures of pedestrians. OpenCV 5 no longer has the detector itself, so the descriptor is
computed here, as OpenCV 4 defines it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfuse.track.boxes import Detections, Pixels, detections, overlaps
from vfuse.track.detectors._registry import DETECTORS, DetectorEntry, Request

_CELL, _BLOCK, _BINS = 8, 16, 9
_WINDOW = (48, 96)
_ACROSS, _DOWN = _WINDOW[0] // _CELL - 1, _WINDOW[1] // _CELL - 1  # blocks of a window
_CLIP = 0.2  # L2-Hys
_BODY = (0.25, 0.125)  # margin of the window around the body, over its width and height
_ENLARGE = 1.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Hog:
    """The detector; calling it detects people, see `Detector`.

    Attributes:
        kernel: (11 * 5, 36) coefficients of the classifier for the blocks of a window, down and across.
        bias: its constant.
        enlarge: how far frames are enlarged, so that smaller people fill a window.
        step: from one size of the frame to the next.
        threshold: least score of a window.
        neighbours: windows that must agree.
    """

    kernel: Tensor
    bias: float
    enlarge: float = _ENLARGE
    step: float = 1.1
    threshold: float = 0.5
    neighbours: int = 2

    labels = ("person",)
    in_threads = True

    def __call__(self, frame: Pixels) -> Detections:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        boxes: list[np.ndarray] = [np.zeros((0, 4))]
        scores: list[np.ndarray] = [np.zeros(0)]
        scale = self.enlarge
        while min(grey.shape[1] * scale / _WINDOW[0], grey.shape[0] * scale / _WINDOW[1]) >= 1:
            size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
            marks = self.windows(np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8))
            rows, columns = np.nonzero(marks >= self.threshold)
            corner = np.stack([columns, rows], axis=1) * float(_CELL)
            boxes.append(np.concatenate([corner, corner + _WINDOW], axis=1) / scale)
            scores.append(marks[rows, columns].astype(np.float64))
            scale /= self.step
        return self._grouped(np.concatenate(boxes), np.concatenate(scores))

    def windows(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score of the window at every eighth pixel: (H / 8 - 11, W / 8 - 5), for (H, W) uint8."""
        blocks = _blocks(grey)
        rows, columns = blocks.shape[1] - _DOWN + 1, blocks.shape[2] - _ACROSS + 1
        # A convolution to one channel as a product of matrices and a sum of shifted results: five times as
        # fast as torch's own.
        parts = (self.kernel @ blocks.flatten(1)).view(_DOWN, _ACROSS, *blocks.shape[1:])
        found = torch.full((rows, columns), self.bias)
        for down in range(_DOWN):
            for across in range(_ACROSS):
                found += parts[down, across, down : down + rows, across : across + columns]
        return found.numpy()

    def _grouped(self, boxes: np.ndarray, scores: np.ndarray) -> Detections:
        """One box for windows that mean the same person: their mean, as sure as the surest of them."""
        left = np.argsort(-scores, kind="stable")
        bodies: list[np.ndarray] = []
        marks: list[float] = []
        while len(left):
            best = left[0]
            alike = overlaps(boxes[best : best + 1], boxes[left])[0]
            group = left[alike > 0.5]
            if len(group) >= self.neighbours:
                bodies.append(np.average(boxes[group], axis=0, weights=scores[group]))
                marks.append(float(1 / (1 + np.exp(-2.5 * (scores[best] - 1.0)))))
            left = left[alike <= 0.3]
        window = np.array(bodies).reshape(-1, 4)
        wide, high = window[:, 2] - window[:, 0], window[:, 3] - window[:, 1]
        inset = np.stack([_BODY[0] * wide, _BODY[1] * high, -_BODY[0] * wide, -_BODY[1] * high], axis=1)
        return detections(window + inset, marks)


def _blocks(grey: NDArray[np.uint8]) -> Tensor:
    """Normalised histograms of all blocks of 16 pixels every 8: (36, rows, columns)."""
    levels = grey.astype(np.float32)
    across = cv2.filter2D(levels, -1, np.array([[-1, 0, 1]], np.float32), borderType=cv2.BORDER_REFLECT_101)
    down = cv2.filter2D(levels, -1, np.array([[-1], [0], [1]], np.float32), borderType=cv2.BORDER_REFLECT_101)
    strength, angle = cv2.cartToPolar(across, down)
    place = np.asarray(angle) * np.float32(_BINS / np.pi) - np.float32(0.5)
    planes = _bins(torch.from_numpy(np.asarray(strength)), torch.from_numpy(place))
    # Bilinear in space and Gaussian over the block, both separable: down first, then across.
    tall = _sums(planes, dim=1)  # (9, rows, 2, W)
    cells = _sums(tall, dim=3)  # (9, rows, 2, columns, 2)
    rows, columns = cells.shape[1], cells.shape[3]
    cells = cells.permute(4, 2, 0, 1, 3)  # across, down, bin
    blocks = cells.reshape(4 * _BINS, rows, columns)
    blocks = blocks / (blocks.square().sum(0).sqrt() + 0.1 * 4 * _BINS)
    blocks = blocks.clamp(max=_CLIP)
    return blocks / (blocks.square().sum(0).sqrt() + 1e-3)


def _bins(strength: Tensor, place: Tensor) -> Tensor:
    """(9, H, W): the strength of each gradient, shared between the two nearest of 9 directions."""
    low = place.floor()
    share = (place - low) * strength
    first = low.remainder(_BINS).long()
    planes = torch.zeros(_BINS, *strength.shape)
    planes.scatter_add_(0, first[None], (strength - share)[None])
    return planes.scatter_add_(0, ((first + 1) % _BINS)[None], share[None])


def _sums(planes: Tensor, *, dim: int) -> Tensor:
    """Weighted sums over every block of 16 along a dimension, two of them: its size becomes (blocks, 2).

    A block is two neighbouring runs of 8, so each run is summed once for the block that it begins and once
    for the one that it ends, by one product of matrices.
    """
    runs = planes.shape[dim] // _CELL
    parted = planes.narrow(dim, 0, runs * _CELL).unflatten(dim, (runs, _CELL))
    begin, end = _edge_weights().split(_CELL, dim=1)  # (2, 8) each
    weights = torch.cat([begin, end])
    last = parted.dim() - 1
    both = parted @ weights.T if dim + 1 == last else weights @ parted
    begun, ended = both.split(2, dim=dim + 1)
    return begun.narrow(dim, 0, runs - 1) + ended.narrow(dim, 1, runs - 1)


def _edge_weights() -> Tensor:
    """(2, 16): how much a pixel counts for the first and for the second cell along one side of a block."""
    pixel = torch.arange(_BLOCK, dtype=torch.float32)
    bell = torch.exp(-((pixel - _BLOCK / 2) ** 2) / (2 * (_BLOCK / 4) ** 2))
    inside = (pixel + 0.5) / _CELL - 0.5
    weights = [(1 - (inside - cell).abs()).clamp(min=0) for cell in (0, 1)]
    return torch.stack(weights) * bell


def build(request: Request) -> Hog:
    """The detector with OpenCV's coefficients."""
    with as_file(files("vfuse.track.detectors").joinpath("daimler.npy")) as path:
        numbers = torch.from_numpy(np.load(path))
    kernel = numbers[:-1].reshape(_ACROSS, _DOWN, 4 * _BINS).transpose(0, 1).flatten(0, 1).contiguous()
    return Hog(
        kernel=kernel,
        bias=float(numbers[-1]),
        enlarge=_ENLARGE if request.enlarge is None else request.enlarge,
    )


DETECTORS.add(
    DetectorEntry(
        name="hog",
        build=build,
        summary="people by their outline, at least 48 pixels tall; no download",
        origin="Dalal and Triggs, CVPR 2005; coefficients from OpenCV 4, Apache-2.0",
        enlarges=True,
    )
)
