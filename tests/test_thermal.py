"""The infrared in display range: palettes are undone, 16-bit counts are mapped steadily, nothing pumps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from _media import ramp, write_images, write_video

from vfuse.errors import UsageError
from vfuse.io.pairs import pair_warnings, plan_pair, read_pairs
from vfuse.io.palette import NAMES, invert, recognise, table
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames
from vfuse.io.thermal import Thermal, ThermalOptions, displayer

LEVEL = 1 / 255
COLOURED = [name for name in NAMES if name != "gray"]


def heat(index: int, height: int = 96, width: int = 128) -> np.ndarray:
    """(H, W) uint8: a cold wall, three warm bodies that move, a colder window, sensor noise."""
    y, x = np.mgrid[:height, :width].astype(float)
    scene = 60 + 0.5 * x + 0.2 * y
    for left, top, radius, warmth in ((40 + index, 40, 9, 150), (90, 60 + index, 14, 90)):
        scene += warmth * np.exp(-((x - left) ** 2 + (y - top) ** 2) / (2 * radius**2))
    scene[70:90, 20:60] -= 50
    scene += np.random.default_rng(index).normal(0, 1, scene.shape)
    return np.clip(scene, 0, 255).round().astype(np.uint8)


def read_ir(plan) -> torch.Tensor:
    with read_pairs(plan) as pairs:
        return torch.stack([pair.ir for pair in pairs])


@pytest.fixture(scope="module")
def visible(tmp_path_factory):
    folder = tmp_path_factory.mktemp("visible")
    return probe(write_video(folder / "vis.mkv", ramp(4, 128, 96, grey=False), pix_fmt="bgr0"))


@pytest.mark.parametrize("name", COLOURED)
def test_a_palette_through_h264_is_recognised_and_undone(tmp_path, visible, name):
    truth = [heat(k) for k in range(4)]
    path = tmp_path / "ir.mp4"
    options = {"crf": "20", "qp": "-1"}
    coloured = [table(name)[frame] for frame in truth]
    ir = probe(write_video(path, coloured, codec="libx264", pix_fmt="yuv420p", options=options))
    plan = plan_pair(ir, visible)
    assert plan.thermal == Thermal(palette=name)
    assert f"palette {name}" in pair_warnings(plan)[0]
    error = read_ir(plan)[:, 0] * 255 - torch.tensor(np.stack(truth), dtype=torch.float32)
    assert error.abs().mean() <= 3
    assert error.mean().abs() <= 1


@pytest.mark.parametrize("name", COLOURED)
def test_every_colour_of_a_palette_finds_its_place(name):
    colours = torch.tensor(table(name) / 255, dtype=torch.float32).T[:, None]
    error = (invert(colours, name)[0, 0] - torch.linspace(0, 1, 256)).abs() * 255
    assert error.mean() <= 1.5


def test_grey_is_grey_and_a_colour_film_has_no_palette():
    grey = torch.tensor(np.stack([heat(0)] * 3) / 255, dtype=torch.float32)
    assert recognise([grey]) == "gray"
    hues = np.zeros((96, 128, 3), np.uint8)
    hues[..., 0], hues[..., 1], hues[..., 2] = np.linspace(0, 179, 128), 120, heat(0)
    film = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)
    assert recognise([torch.tensor(film / 255, dtype=torch.float32).permute(2, 0, 1)]) is None


def test_a_palette_with_text_in_the_picture_is_still_recognised():
    picture = table("ironbow")[heat(0)]
    picture[4:14, 60:120] = 255, 255, 255
    picture[80:84, :60] = 0, 255, 0
    assert recognise([torch.tensor(picture / 255, dtype=torch.float32).permute(2, 0, 1)]) == "ironbow"


def test_a_palette_and_a_polarity_can_be_told(tmp_path, visible):
    truth = [heat(k) for k in range(4)]
    ir = probe(write_video(tmp_path / "ir.mkv", [table("jet")[f] for f in truth], pix_fmt="bgr0"))
    told = ThermalOptions(palette="gray")
    assert plan_pair(ir, visible, thermal=told).thermal.grey
    hot = read_ir(plan_pair(ir, visible))
    cold = read_ir(plan_pair(ir, visible, thermal=ThermalOptions(polarity="black-hot")))
    assert torch.equal(cold, 1 - hot)
    assert (hot[:, 0] * 255 - torch.tensor(np.stack(truth))).abs().mean() <= 1.5


@pytest.mark.parametrize("kind", ["video", "png", "tif"])
def test_16_bit_counts_are_mapped_once_per_clip(tmp_path, visible, kind):
    counts = [(7000 + 4 * heat(k).astype(np.uint16) + 100 * k).astype(np.uint16) for k in range(4)]
    if kind == "video":
        ir = probe(write_video(tmp_path / "ir.mkv", counts, pix_fmt="gray16le"))
    else:
        ir = probe(write_images(tmp_path / "ir", counts, "{:03d}." + kind))
    plan = plan_pair(ir, visible)
    low, high = np.percentile(np.stack(counts), [0.1, 99.9])
    assert plan.thermal.low * 65535 == pytest.approx(low, abs=20)
    assert plan.thermal.high * 65535 == pytest.approx(high, abs=20)
    span = 65535 * (plan.thermal.high - plan.thermal.low)
    expected = (np.stack(counts) - 65535 * plan.thermal.low) / span
    found = read_ir(plan)
    assert (found[:, 0] - torch.tensor(expected.clip(0, 1))).abs().max() < 2e-3
    # 100 counts more from frame to frame stay what they are: no frame is stretched to itself.
    assert (found[3] - found[0]).mean() == pytest.approx(300 / span, rel=0.1)


def test_a_range_can_be_told_in_stored_samples(tmp_path, visible):
    counts = [np.full((96, 128), 7000 + 500 * k, np.uint16) for k in range(4)]
    ir = probe(write_video(tmp_path / "ir.mkv", counts, pix_fmt="gray16le"))
    found = read_ir(plan_pair(ir, visible, thermal=ThermalOptions(span=(7000, 9000))))
    assert found.mean(dim=(1, 2, 3)).tolist() == pytest.approx([0, 0.25, 0.5, 0.75], abs=1e-4)
    whole = read_ir(plan_pair(ir, visible, thermal=ThermalOptions(span="full")))
    assert whole[1].mean().item() == pytest.approx(7500 / 65535, abs=1e-5)


def test_the_adaptive_range_never_pumps():
    """A still scene with sensor noise and a hot spot that blinks: brightness steps stay below 0.2 levels."""
    generator = torch.Generator().manual_seed(0)
    still = 0.1 + 0.02 * torch.rand(1, 60, 80, generator=generator)
    display = displayer(Thermal(low=0.1, high=0.12, adaptive=True))
    means, stretched = [], []
    for index in range(60):
        frame = still + 0.00005 * torch.randn(still.shape, generator=generator)
        if index % 2:
            frame[:, :6, :6] = 0.5
        means.append(display(frame)[:, 10:].mean())
        stretched.append(((frame - frame.min()) / (frame.max() - frame.min()))[:, 10:].mean())
    assert torch.tensor(means).diff().abs().max() / LEVEL <= 0.2
    assert torch.tensor(stretched).diff().abs().max() / LEVEL > 10


def test_the_adaptive_range_follows_at_its_pace():
    still = torch.linspace(0.3, 0.32, 4800).reshape(1, 60, 80)
    fire = still.clone()
    fire[:, :6] = 0.5
    display = displayer(Thermal(low=0.3, high=0.32, adaptive=True))
    frames = torch.stack([display(frame.clone()) for frame in [still] * 5 + [fire] * 400])
    steps = (frames[6:, 0, 10:] - frames[5:-1, 0, 10:]).abs() / LEVEL
    assert steps.max() <= 0.2
    assert steps.mean() > 0.01
    assert frames[-1, 0, 10:].mean() < 0.85 * frames[5, 0, 10:].mean()


def test_the_adaptive_range_is_for_the_whole_clip_when_it_begins(tmp_path, visible):
    counts = [(7000 + 4 * heat(k).astype(np.uint16)).astype(np.uint16) for k in range(4)]
    ir = probe(write_video(tmp_path / "ir.mkv", counts, pix_fmt="gray16le"))
    plan = plan_pair(ir, visible, thermal=ThermalOptions(span="adaptive"))
    fixed = read_ir(plan_pair(ir, visible, thermal=ThermalOptions(span="clip")))
    assert (read_ir(plan) - fixed).abs().max() / LEVEL <= 4 * 0.2


def test_8_bits_are_left_alone(tmp_path, visible):
    ir = probe(write_video(tmp_path / "ir.mkv", [heat(k) for k in range(4)]))
    plan = plan_pair(ir, visible)
    assert plan.thermal == Thermal(polarity="unclear")
    with read_frames(ir, grey=True) as frames:
        assert torch.equal(read_ir(plan), torch.stack([frame.pixels for frame in frames]))


@pytest.mark.parametrize(
    "wrong", [{"span": (5, 5)}, {"span": "nonsense"}, {"palette": "mauve"}, {"polarity": "grey-hot"}]
)
def test_impossible_requests_are_refused(wrong):
    with pytest.raises(UsageError):
        ThermalOptions(**wrong)
