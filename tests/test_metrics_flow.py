"""The flow and the sampling that the temporal metrics are made of, against what they stand for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import vfuse.metrics._sampling as sampling
from vfuse.metrics import Image
from vfuse.metrics._farneback import expand, flow_between
from vfuse.metrics._sampling import bilinear

WAYS = {"opencv": True, "torch": False}


def textured(height: int, width: int, *, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> str:
    if request.param == "opencv" and not sampling._opencv_is_exact():
        pytest.skip("this OpenCV rounds positions to 1/32 pixel")
    monkeypatch.setattr(sampling, "_opencv_is_exact", lambda: WAYS[request.param])
    return request.param


@pytest.mark.parametrize("size", [(48, 80), (200, 331), (33, 64), (480, 640)])
@pytest.mark.usefixtures("way")
def test_farneback_gives_opencvs_numbers(size: tuple[int, int]):
    before = textured(*size, seed=1)
    shift = cv2.warpAffine(before, np.float32([[1.01, 0.02, 1.5], [0, 1, -2]]), size[::-1])
    after = cv2.addWeighted(shift, 0.9, textured(*size, seed=2), 0.1, 0)
    start = np.zeros((*size, 2), np.float32)
    wanted = cv2.calcOpticalFlowFarneback(before, after, start, 0.5, 3, 15, 3, 5, 1.2, 0)
    found = flow_between(expand(before), expand(after))
    assert np.abs(wanted).mean() > 1
    error = np.abs(found - wanted)
    assert np.mean(error) < 1e-5
    assert np.quantile(error, 0.999) < 1e-3  # a pixel that leaves the frame by a rounding error may differ


@pytest.mark.usefixtures("way")
def test_bilinear_values_of_a_plane_are_exact():
    y, x = np.mgrid[:40, :70].astype(np.float32)
    rng = np.random.default_rng(0)
    at_x, at_y = (rng.uniform(-3, side + 2, (31, 53)).astype(np.float32) for side in (70, 40))
    inside_x, inside_y = np.clip(at_x, 0, 69), np.clip(at_y, 0, 39)
    wanted = 3 * inside_x + 2 * inside_y
    assert bilinear(3 * x + 2 * y, at_x, at_y) == pytest.approx(wanted, abs=1e-4)
    for channels in (3, 4):
        planes = np.dstack([(3 * x + 2 * y) * k for k in range(channels)])
        found = bilinear(planes, at_x, at_y)
        assert found == pytest.approx(wanted[..., None] * np.arange(channels), abs=5e-4)


def test_what_is_derived_alone_is_not_kept():
    image = Image(textured(8, 8, seed=0))
    calls: list[Image] = []
    for copy in (image, image, image.alone(), image.alone()):
        copy.once(calls.append)
    assert len(calls) == 3
