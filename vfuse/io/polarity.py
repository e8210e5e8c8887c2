"""Tell a white-hot thermal picture from a black-hot one by its shape: what is hot is small and stands out.

People, engines, lamps and animals are few and far from the temperature of their surroundings, so brightness
has its long tail on the hot side. Cold things that stand out as much are patches of sky, which lie at the
top and are left out. A picture without such tails, or with tails that contradict each other, tells nothing.

To invert by mistake is worse than to leave as it is: black-hot must show more clearly than white-hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Hot = Literal["white", "black"]

_SIDE = 160  # pixels of the longer side: noise and stripes are averaged away, people remain
_SMOOTHING = 0.7  # sigma in such pixels, against what noise is left
_SURROUNDINGS = (4.0, 8.0)  # sigmas in such pixels: a person stands out from both
_SKY = 0.25  # share of the height, from the top
# Skewness that tells, see benchmarks/polarity.py: 127 of 128 real white-hot clips and stills have more than
# this against both surroundings.
_TELLING = 0.5
_BEYOND_DOUBT = 1.5  # dark against its surroundings, even if the whole picture does not say the same
_NORMAL = 3.0  # kurtosis of a picture without tails; one with an equalised histogram, whose tails lie, has 2
_FAINT = 0.5 / 255  # a deviation below it is rounding and noise


def hot_side(frames: Sequence[Tensor]) -> Hot | None:
    """Which end of the brightness is hot.

    Args:
        frames: (1, H, W) float32 in [0, 1] each, of one clip.

    Returns:
        None where the pictures do not tell.
    """
    if not frames:
        return None
    pictures = [_reduced(frame[0].numpy()) for frame in frames]
    whole = np.stack([_below_the_sky(picture) for picture in pictures])
    whole -= whole.mean()
    skewness = _moment(whole, 3)
    standing_out: list[float] = []
    for sigma in _SURROUNDINGS:
        contrasts = [picture - cv2.GaussianBlur(picture, (0, 0), sigma) for picture in pictures]
        standing_out.append(_moment(np.stack([_below_the_sky(contrast) for contrast in contrasts]), 3))
    tailed = _moment(whole, 4) > _NORMAL
    if tailed and skewness > -_TELLING and min(standing_out) > _TELLING:
        return "white"
    dark = max(standing_out)
    if dark < -_TELLING and skewness < -_TELLING:
        return "black"
    return "black" if tailed and dark < -_BEYOND_DOUBT and skewness < _TELLING else None


def _reduced(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = picture.shape
    scale = min(_SIDE / max(height, width), 1)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _SMOOTHING), np.float32)


def _below_the_sky(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return picture[int(_SKY * len(picture)) :]


def _moment(deviations: NDArray[np.float32], order: int) -> float:
    """Over the standard deviation to the same power; 0 where there is next to no deviation."""
    spread = float(np.sqrt((deviations**2).mean()))
    return float(((deviations / spread) ** order).mean()) if spread > _FAINT else 0.0
