"""Our degraded clips have the statistics that were measured on real ones."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from _media import write_images
from torch import Generator, Tensor
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.errors import UsageError
from vfuse.train._degrade import (
    KINDS,
    Ranges,
    apply,
    degrade_infrared,
    degrade_visible,
    draw,
    draw_infrared,
    gaussian_blur,
    motion_blur,
    quantise,
)
from vfuse.train._degrade_video import degrade_video

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


def test_a_clip_gives_what_its_frames_give_one_by_one() -> None:
    ranges = Ranges(bias_chance=1, rows_chance=1, lines_chance=1)
    drawn = draw_infrared((120, 160), 1.0, rng=rng(2), ranges=ranges)
    clip = torch.rand(5, 1, 120, 160, generator=rng(1))
    together = apply(drawn, clip, rng=rng(3))
    noise = rng(3)
    alone = torch.cat([apply(drawn, frame[None], rng=noise) for frame in clip])
    assert torch.equal(together, alone)


def test_rows_are_fixed_and_lines_are_not() -> None:
    for kind, fixed in (("rows", True), ("lines", False)):
        (drawn,) = draw([kind], (120, 160), 1.0, rng=rng(4))
        rows = (apply(drawn, GREY, rng=rng(5)) - GREY).mean(-1)[:, 0]  # (T, H)
        assert 255 * float(rows.std()) > 1.5
        similarity = float(torch.corrcoef(rows[:2])[0, 1])
        assert (similarity > 0.95) == fixed
        assert abs(similarity) < 0.4 or fixed


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_does_something_and_more_at_more_strength(kind: str) -> None:
    clip = torch.rand(3, 1 if kind == "ir" else 3, 40, 48, generator=rng(6))
    damage: list[float] = []
    for strength in (0.1, 1.0):
        (drawn,) = draw([kind], (40, 48), strength, rng=rng(7))
        damage.append(float((apply(drawn, clip, rng=rng(8)) - clip).abs().mean()))
    assert 0 <= damage[0] < damage[1]
    assert damage[1] > 0.005
    assert draw([kind], (40, 48), 0.0, rng=rng(7)) == ()


def test_low_light_is_a_share_of_the_light() -> None:
    (drawn,) = draw(["dark"], (40, 48), 1.0, rng=rng(9))
    low, high = Ranges().dark
    share = float((apply(drawn, GREY, rng=rng()) / GREY).mean())
    assert low - 0.01 <= share <= high + 0.01


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'fog'.*stripes"):
        draw(["fog"], (40, 48), 1.0, rng=rng())


def test_a_video_keeps_its_stripes_and_renews_its_noise(tmp_path: Path) -> None:
    source = write_images(tmp_path / "in", [np.full((60, 80), 110, np.uint8)] * 6)
    done = CliRunner().invoke(
        app, ["degrade", str(source), "-o", str(tmp_path / "out"), "--kind", "ir", "--seed", "3", "-q"]
    )
    assert done.exit_code == 0, done.stderr
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 6
    noisy = torch.from_numpy(np.stack([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]))
    _, noise, similarity = stripes_and_noise(
        noisy[:, None].float() / 255, torch.full((6, 1, 60, 80), 110 / 255)
    )
    assert similarity > 0.9
    assert noise > 5
    again = degrade_video(source, tmp_path / "again", kinds=["ir"], seed=3)
    assert again == 6
    assert (tmp_path / "again" / files[2].name).read_bytes() == files[2].read_bytes()


def test_degrade_refuses_nonsense(tmp_path: Path) -> None:
    source = write_images(tmp_path / "in", [np.full((60, 80), 110, np.uint8)] * 2)
    unknown = CliRunner().invoke(app, ["degrade", str(source), "-o", str(tmp_path / "o"), "--kind", "fog"])
    assert (unknown.exit_code, "Known: ir, vis" in unknown.stderr) == (2, True)
    itself = CliRunner().invoke(app, ["degrade", str(source), "-o", str(source), "--kind", "ir", "-y"])
    assert itself.exit_code == 7
