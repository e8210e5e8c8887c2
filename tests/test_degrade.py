"""Our degraded clips have the statistics that were measured on real ones."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from vfuse.train._degrade import (
    Ranges,
    degrade_infrared,
    degrade_visible,
    gaussian_blur,
    motion_blur,
    quantise,
)

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "m3svd" / "lossless" / "train"
GREY = torch.full((8, 1, 120, 160), 0.4)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def stripes_and_noise(noisy: Tensor, clean: Tensor) -> tuple[float, float, float]:
    """Standard deviation of the static column part and of the rest, and how static the columns are."""
    error = 255 * (noisy - clean)
    columns = error.mean(2)  # (T, 1, W)
    columns = columns - columns.mean(-1, keepdim=True)
    static = columns.mean(0)
    first, second = columns[:4].mean(0).flatten(), columns[4:].mean(0).flatten()
    similarity = float(torch.corrcoef(torch.stack([first, second]))[0, 1])
    return float(static.std()), float((error - error.mean(0)).std()), similarity


def test_strength_zero_changes_nothing() -> None:
    assert torch.equal(degrade_infrared(GREY, 0.0, rng=rng()), GREY)
    vis = GREY.expand(-1, 3, -1, -1)
    assert torch.equal(degrade_visible(vis, 0.0, rng=rng()), vis)


@pytest.mark.parametrize("seed", range(5))
def test_infrared_stripes_stay_and_noise_does_not(seed: int) -> None:
    noisy = degrade_infrared(GREY, 1.0, rng=rng(seed), ranges=Ranges(bias_chance=0.0))
    stripes, noise, similarity = stripes_and_noise(noisy, GREY)
    low, high = Ranges().stripes
    assert 0.8 * low < stripes < 1.2 * high
    low, high = Ranges().noise
    assert 0.8 * low < noise < 1.1 * high
    assert similarity > 0.95
    assert 20 < 255 * float((noisy - GREY).mean()) < 70  # real frames are 30 to 47 levels brighter


def test_strength_scales_the_damage() -> None:
    damage = [float((degrade_infrared(GREY, s, rng=rng(3)) - GREY).square().mean()) for s in (0.1, 0.5, 1.0)]
    assert damage[0] < damage[1] < damage[2]


def test_same_seed_same_result() -> None:
    again = [degrade_infrared(GREY, 1.0, rng=rng(7)) for _ in range(2)]
    assert torch.equal(*again)
    assert not torch.equal(again[0], degrade_infrared(GREY, 1.0, rng=rng(8)))


@pytest.mark.parametrize("sigma", [0.8, 1.5, 2.0])
def test_gaussian_blur_has_its_width(sigma: float) -> None:
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    blurred = gaussian_blur(point, sigma)[0, 0]
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-4)
    n = torch.arange(41.0) - 20
    assert float((blurred.sum(0) * n.square()).sum()) == pytest.approx(sigma**2, rel=0.02)


def test_motion_blur_runs_along_its_angle() -> None:
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    spread = motion_blur(point, 9.0, angle=0.0)[0, 0]
    n = torch.arange(41.0) - 20
    along, across = ((spread.sum(axis) * n.square()).sum() for axis in (0, 1))
    assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
    assert float(along) > 20 * float(across)


def test_the_result_is_eight_bit() -> None:
    noisy = degrade_infrared(GREY, 1.0, rng=rng())
    assert torch.equal(noisy, quantise(noisy))
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="the M3SVD training clips are not here")
def test_real_degraded_frames_lie_in_our_ranges() -> None:
    av = pytest.importorskip("av")

    def decode(path: Path) -> Tensor:
        with av.open(str(path)) as file:
            frames = [frame.to_ndarray(format="gray") for frame in islice(file.decode(video=0), 8)]
        return torch.from_numpy(np.stack(frames))[:, None].float() / 255

    low_stripes, high_stripes = Ranges().stripes
    low_noise, high_noise = Ranges().noise
    for clip in ("0114_1551", "0115_1831"):
        noisy, clean = (decode(SHARED / clip / f"infrared_{kind}.mkv") for kind in ("noise", "Enhance"))
        high_pass = [x - gaussian_blur(x, 4.0) for x in (noisy, clean)]  # without the change of tone
        stripes, noise, similarity = stripes_and_noise(*high_pass)
        assert low_stripes - 2 < stripes < high_stripes + 2
        assert low_noise - 2 < noise < high_noise + 2
        assert similarity > 0.95
