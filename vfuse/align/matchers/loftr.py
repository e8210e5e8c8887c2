"""`loftr`: LoFTR and networks trained anew in its form, such as MINIMA's, with weights that the user brings.

The network is kornia's (Apache-2.0), its method that of Sun et al., "LoFTR: Detector-Free Local Feature
Matching with Transformers", CVPR 2021. Weights have terms of their own, and none ship here: those of the
LoFTR authors were trained on visible pictures only, those of MINIMA (Ren et al., CVPR 2025) on pairs of
unlike cameras. A file must fit the network exactly; XoFTR's has other layers and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vfuse.align._structure import Array
from vfuse.align._views import Matrix, View, resize_matrix
from vfuse.align.homography import level_size, normalised
from vfuse.align.matchers._registry import MATCHERS, MatcherEntry
from vfuse.extras import need
from vfuse.models._convert import read_weights
from vfuse.models._load import check_state

_PIXELS = 640 * 480  # of the pictures it sees: what it was trained on
_FEWEST = 8  # matches below which no homography is sought
_AGREES = 3.0  # pixels of its pictures: error of an inlier


@dataclass(frozen=True, eq=False)
class Loftr:
    """The network, ready to match; calling it proposes one geometry or none, see `Matcher`.

    Attributes:
        network: kornia's LoFTR in evaluation mode.
    """

    network: nn.Module

    def __call__(self, ir: View, vis: View, /) -> list[Matrix]:
        sizes = level_size(ir.size, _PIXELS), level_size(vis.size, _PIXELS)
        pairs = zip(ir.resized(sizes[0]).frames, vis.resized(sizes[1]).frames, strict=True)
        found = [self._matches(*pair) for pair in pairs]
        seen_ir, seen_vis = (np.concatenate(points) for points in zip(*found, strict=True))
        if len(seen_vis) < _FEWEST:
            return []
        matrix, _ = cv2.findHomography(
            seen_vis, seen_ir, cv2.USAC_MAGSAC, _AGREES, maxIters=5000, confidence=0.9999
        )
        if cast("Matrix | None", matrix) is None:
            return []
        to_ir, from_vis = resize_matrix(sizes[0], ir.size), resize_matrix(vis.size, sizes[1])
        return [normalised(to_ir @ matrix @ from_vis)]

    def _matches(self, ir: Array, vis: Array) -> tuple[Array, Array]:
        """(N, 2) points in both pictures."""
        with torch.inference_mode():
            given = {"image0": torch.from_numpy(ir)[None, None], "image1": torch.from_numpy(vis)[None, None]}
            matches: dict[str, Tensor] = self.network(given)
        return matches["keypoints0"].numpy(), matches["keypoints1"].numpy()


def load_loftr(file: str) -> Loftr:
    """kornia's LoFTR with the weights of a file: `.ckpt` or `.pth` as published, or safetensors.

    Raises:
        UsageError: kornia is not installed.
        WeightsError: the file is missing, damaged, holds more than tensors, or is of another network.
    """
    feature = need("kornia.feature", what="matcher loftr", extra="match")
    path = Path(file)
    read = read_weights(path)
    network: nn.Module = feature.LoFTR(pretrained=None)
    state = {name.removeprefix("matcher."): tensor for name, tensor in read.items()}
    check_state(state, network, where=path, model="loftr")
    network.load_state_dict(state, strict=True)
    return Loftr(network.eval())


MATCHERS.add(
    MatcherEntry(
        name="loftr",
        build=load_loftr,
        summary="LoFTR or MINIMA's LoFTR with weights of yours; needs the extra match",
        origin="Sun et al., CVPR 2021; kornia, Apache-2.0",
        argument="FILE",
    )
)
