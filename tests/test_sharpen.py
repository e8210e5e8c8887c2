"""The bands of fine detail: exact frequency responses, silence where nothing is, and an inverse of blur."""

from __future__ import annotations

import math

import pytest
import torch

from vfuse.models._sharpen import GAINS, LIMIT, ORDERS, SMOOTHINGS, UNIT, sharp_planes
from vfuse.train._degrade import gaussian_blur, quantise


def grating(fx: float, fy: float, amplitude: float, size: int = 96) -> torch.Tensor:
    """A grey wave (1, 3, size, size) of so many radians a pixel, around 0.5."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (0.5 + amplitude * torch.cos(fx * x + fy * y)).expand(1, 3, -1, -1)


@pytest.mark.parametrize(("fx", "fy"), [(0.3, 0.0), (1.2, 0.4), (1.6, 1.6), (2.6, 0.1)])
def test_a_wave_comes_out_as_the_filters_say(fx: float, fy: float) -> None:
    kept = math.cos(fx / 2) ** 2 * math.cos(fy / 2) ** 2  # of one binomial mean
    inner = (slice(None), slice(None), slice(16, -16), slice(16, -16))
    for i, (order, smoothings) in enumerate(zip(ORDERS, SMOOTHINGS, strict=True)):
        response = kept**smoothings * (1 - kept) ** order * GAINS[i] / UNIT
        amplitude = 0.02 / max(response, 1.0)  # small enough for the limit not to matter
        wave = grating(fx, fy, amplitude)
        found = sharp_planes(wave)[:, i : i + 1][inner]
        wanted = (response * (wave[:, :1] - 0.5))[inner]
        assert (found - wanted).abs().max() < 0.05 * max(response * amplitude, 0.004)


def test_nothing_comes_of_a_flat_frame_and_much_detail_is_limited() -> None:
    assert sharp_planes(torch.full((2, 3, 20, 24), 0.7)).abs().max() < 0.05
    noise = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    planes = sharp_planes(noise)
    assert planes.shape == (2, 3, 32, 40)
    assert planes.abs().max() <= LIMIT


@pytest.mark.parametrize("sigma", [1.1, 1.5, 2.0])
def test_a_sum_of_the_bands_undoes_a_blur_of_8_bit_frames(sigma: float) -> None:
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 1, 160, 160, generator=rng)
    texture = sum(gaussian_blur(noise, s) * s for s in (0.7, 1.5, 3.0, 6.0))
    clean = quantise((0.5 + 0.08 * texture / texture.std()).expand(-1, 3, -1, -1))
    blurred = quantise(gaussian_blur(clean, sigma))
    lost = (clean - blurred)[:, 0, 16:-16, 16:-16].flatten()
    planes = sharp_planes(blurred)[0, :, 16:-16, 16:-16].flatten(1).T
    best = torch.linalg.lstsq(planes, lost[:, None]).solution
    left = (lost - (planes @ best)[:, 0]).square().mean() / lost.square().mean()
    one = torch.linalg.lstsq(planes[:, :1], lost[:, None]).solution
    left_by_one = (lost - (planes[:, :1] @ one)[:, 0]).square().mean() / lost.square().mean()
    assert left < 0.75 * left_by_one  # an unsharp mask alone does not get far
