"""White-hot and black-hot are told apart where the picture tells, and nothing is inverted in silence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from _media import ramp, write_video
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.io.polarity import hot_side
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames, read_range
from vfuse.io.thermal import ThermalOptions, look

DATA = Path(__file__).parents[2] / "shared" / "data"


def street(index: int, width: int = 320, height: int = 240) -> np.ndarray:
    """(H, W) uint8, white-hot: uneven ground, a cold sky, walls, three warm people that walk."""
    rng = np.random.default_rng(5)
    ground = 100 + 12 * cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 6) * 6
    ground[: height // 5] -= 60
    ground[height // 4 : height // 2, : width // 3] += 15
    for left, top, warmth in ((60, 120, 110), (170, 110, 90), (250, 140, 120)):
        body = (left + 2 * index, top), (left + 2 * index + 9, top + 30)
        cv2.rectangle(ground, *body, 100 + warmth, -1)
    noise = np.random.default_rng(index).normal(0, 1.5, ground.shape)
    return np.clip(ground + noise, 0, 255).round().astype(np.uint8)


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.tensor(picture / 255, dtype=torch.float32)[None]


def test_people_tell_which_side_is_hot():
    frames = [tensor(street(k)) for k in (0, 5)]
    assert hot_side(frames) == "white"
    assert hot_side([1 - frame for frame in frames]) == "black"
    assert hot_side(frames[:1]) == "white"


@pytest.mark.parametrize(
    "picture",
    [
        np.full((96, 128), 90, np.uint8),
        np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8),
        ramp(2)[1],
        cv2.equalizeHist(street(0)),
        np.zeros((1, 1), np.uint8),
    ],
    ids=["flat", "noise", "ramp", "equalised", "one pixel"],
)
def test_a_picture_without_hot_things_tells_nothing(picture):
    assert hot_side([tensor(picture)]) is None
    assert hot_side([1 - tensor(picture)]) is None


def test_a_cold_sky_is_not_taken_for_black_hot():
    sky = np.full((240, 320), 120, np.uint8) + np.random.default_rng(1).integers(0, 9, (240, 320)).astype(
        np.uint8
    )
    sky[:50, 40:200] = 10
    assert hot_side([tensor(sky)]) != "black"


def test_counts_and_palettes_say_themselves_which_side_is_hot(tmp_path):
    black_hot = [65535 - 200 * street(k).astype(np.uint16) for k in range(2)]
    counts = probe(write_video(tmp_path / "a.mkv", black_hot, pix_fmt="gray16le"))
    found = look(counts, ThermalOptions(), first=0, stop=2)
    assert (found.black_hot, found.polarity) == (False, "told")


def fused(tmp_path: Path, ir: Path, *more: str) -> tuple[torch.Tensor, str]:
    """The first fused frame of `--model infrared`, and what was said."""
    vis = write_video(tmp_path / "vis.mkv", ramp(3, 320, 240, grey=False), pix_fmt="bgr0")
    out = tmp_path / "out.mkv"
    command = ["fuse", str(ir), str(vis), "-o", str(out), "--model", "infrared", "--codec", "ffv1", "-y"]
    done = CliRunner().invoke(app, [*command, *more])
    assert done.exit_code == 0, done.output
    with read_frames(probe(out), grey=True) as frames:
        return next(frames).pixels, done.stderr


def test_black_hot_is_inverted_and_said(tmp_path):
    ir = write_video(tmp_path / "ir.mkv", [255 - street(k) for k in range(3)])
    pixels, said = fused(tmp_path, ir)
    assert (pixels - tensor(street(0))).abs().max() <= 1.01 / 255
    assert said.count("looks black-hot and is inverted") == 1
    pixels, said = fused(tmp_path, ir, "--polarity", "white-hot")
    assert (pixels - tensor(255 - street(0))).abs().max() <= 1.01 / 255
    assert "hot" not in said


def test_black_hot_through_h264_is_recognised_and_undone(tmp_path):
    truth = [street(k) for k in range(3)]
    stored = [np.dstack([255 - image] * 3) for image in truth]
    options = {"crf": "20", "qp": "-1"}
    ir = write_video(tmp_path / "ir.mp4", stored, codec="libx264", pix_fmt="yuv420p", options=options)
    pixels, _ = fused(tmp_path, ir)
    assert (pixels - tensor(truth[0])).abs().mean() <= 3 / 255


def test_white_hot_is_left_alone_in_silence_and_the_unclear_with_one_line(tmp_path):
    pixels, said = fused(tmp_path, write_video(tmp_path / "a.mkv", [street(k) for k in range(3)]))
    assert (pixels - tensor(street(0))).abs().max() <= 1.01 / 255
    assert "hot" not in said
    unclear = ramp(3, 320, 240)
    pixels, said = fused(tmp_path, write_video(tmp_path / "b.mkv", unclear))
    assert (pixels - tensor(unclear[0])).abs().max() <= 1.01 / 255
    assert said.count("taken as white-hot") == 1


REAL = sorted(DATA.glob("m3svd/*/test/**/infrared*/*.mp4")) + sorted(
    DATA.glob("m3svd/lossless/test/*/infrared*.mkv")
) + sorted(DATA.glob("msrs/test_registration/infrared/*.png"))  # fmt: skip


@pytest.mark.skipif(not REAL, reason="needs ../shared/data")
def test_no_real_clip_is_mistaken():
    for path in REAL:
        info = probe(path)
        with read_range(info, grey=True, first=0, stop=1) as frames:
            pixels = next(frames).pixels
        assert hot_side([pixels]) in ("white", None), path
        assert hot_side([1 - pixels]) in ("black", None), path
