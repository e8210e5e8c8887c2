"""The sample: a believable pair whose every claim about itself is true."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vfuse.errors import OutputError, UsageError
from vfuse.io._scene import HIDDEN, Scene
from vfuse.io._street import Class
from vfuse.io.sample import render_sample

SIZE, SECONDS, FPS = (320, 240), 3.0, Fraction(10)
VIDEOS = ("ir", "vis", "ir_degraded", "vis_degraded")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "street"
    return render_sample(folder, seconds=SECONDS, width=SIZE[0], height=SIZE[1], fps=FPS)


@pytest.fixture(scope="module")
def frames(sample):
    """Each video as (T, H, W, 3) float in [0, 1]."""

    def read(path):
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]) / 255

    return {name: read(getattr(sample, name)) for name in VIDEOS}


@pytest.fixture(scope="module")
def rows(sample):
    """Frame, identity, left, top, width, height, confidence, class, visibility."""
    return np.loadtxt(sample.boxes, delimiter=",")


def masks(sample):
    return np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(sample.masks.iterdir())])


def brightness(pictures):
    return pictures.mean(axis=-1)


def test_files(sample, frames):
    names = sorted(path.name for path in sample.ir.parent.iterdir())
    assert names == sorted([f"{name}.mp4" for name in VIDEOS] + ["boxes.txt", "masks", "scene.json"])
    assert {name: video.shape for name, video in frames.items()} == dict.fromkeys(VIDEOS, (30, 240, 320, 3))
    with av.open(str(sample.vis)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.video[0].codec_context.name == "h264"
    assert len(sound) / 48000 == pytest.approx(SECONDS, abs=0.05)
    assert 0.005 < np.abs(sound).mean() < 0.5


def test_same_seed_same_frames():
    def play(seed):
        return list(Scene(width=160, height=120, seconds=1, seed=seed).frames([0.0, 0.4]))

    one, again, other = play(3), play(3), play(4)
    for first, second, third in zip(one, again, other, strict=True):
        for name in (*VIDEOS, "classes"):
            assert np.array_equal(getattr(first, name), getattr(second, name))
        assert first.boxes == second.boxes != third.boxes
        assert not np.array_equal(first.vis, third.vis)


def test_people_are_warm_and_the_sky_is_cold(sample, frames):
    ir, kinds = brightness(frames["ir"]), masks(sample)
    person, road, sky = (ir[kinds == kind].mean() for kind in (Class.PERSON, Class.ROAD, Class.SKY))
    assert sky < 0.2 < road < person - 0.15


def test_running_car_is_hot_in_front_and_the_parked_one_cold(frames, rows):
    def patch(identity):
        box = rows[(rows[:, 1] == identity) & (rows[:, 0] == 30)][0]
        left, top, width, height = box[2:6] - (1, 1, 0, 0)
        lower = slice(int(top + 0.5 * height), int(top + 0.85 * height))
        return brightness(frames["ir"])[29, lower, int(left + 0.2 * width) : int(left + 0.8 * width)].mean()

    assert patch(7) > patch(9) + 0.2


def test_smoke_hides_one_walker_from_the_visible_alone(sample, frames, rows):
    scene = json.loads(sample.scene.read_text())
    hidden = next(one for one in scene["objects"] if one["identity"] == HIDDEN)["hidden_by_smoke"]
    assert len(hidden) > 10
    assert hidden[0] > 5, "the walker is seen before the smoke takes him"
    contrast = {"ir": [], "vis": []}
    for number in hidden[3:]:
        left, top, width, height = rows[(rows[:, 0] == number) & (rows[:, 1] == HIDDEN)][0][2:6]
        middle = slice(int(left + 0.3 * width), int(left + 0.7 * width))
        beside = slice(int(left + width + 2), int(left + width + 8))
        band = slice(int(top + 0.2 * height), int(top + 0.5 * height))
        for name, values in contrast.items():
            picture = brightness(frames[name])[number - 1]
            values.append(abs(picture[band, middle].mean() - picture[band, beside].mean()))
    assert np.mean(contrast["ir"]) > 0.12
    assert np.mean(contrast["vis"]) < 0.04


def test_boxes_agree_with_masks(sample, rows):
    kinds = masks(sample)
    assert set(rows[:, 0]) == set(range(1, 31))
    assert set(rows[:, 7]) == {1, 3}
    assert ((rows[:, 2] >= 1) & (rows[:, 2] + rows[:, 4] <= SIZE[0] + 1.01)).all()
    assert ((rows[:, 8] > 0) & (rows[:, 8] <= 1)).all()
    for number, picture in enumerate(kinds, 1):
        covered = np.zeros_like(picture, bool)
        for left, top, width, height in rows[rows[:, 0] == number][:, 2:6]:
            x0, y0 = int(np.floor(left - 1)), int(np.floor(top - 1))
            covered[
                max(y0, 0) : int(np.ceil(top - 1 + height)) + 1,
                max(x0, 0) : int(np.ceil(left - 1 + width)) + 1,
            ] = True
        alive = np.isin(picture, (Class.PERSON, Class.CAR))
        assert alive[~covered].sum() == 0
        assert alive.any()


def test_boxes_are_tight(sample, rows):
    kinds = masks(sample)
    checked = 0
    for row in rows[(rows[:, 7] == 1) & (rows[:, 8] > 0.99)]:
        left, top, width, height = row[2:6] - (1, 1, 0, 0)
        others = rows[(rows[:, 0] == row[0]) & (rows[:, 1] != row[1])][:, 2:6] - (1, 1, 0, 0)
        apart = (others[:, 0] > left + width + 4) | (others[:, 0] + others[:, 2] < left - 4)
        if not apart.all() or left < 4 or left + width > SIZE[0] - 4 or top + height > SIZE[1] - 4:
            continue
        x, y = int(left) - 3, int(top) - 3
        found = np.argwhere(
            kinds[int(row[0]) - 1][y : int(top + height) + 4, x : int(left + width) + 4] == Class.PERSON
        )
        low, high = np.add(found.min(axis=0), (y, x)), np.add(found.max(axis=0), (y + 1, x + 1))
        assert np.abs(low - (top, left)).max() < 1.5
        assert np.abs(high - (top + height, left + width)).max() < 1.5
        checked += 1
    assert checked > 10


def shift_between(one, other, start):
    """(x, y) in pixels that the upper half, where nobody walks, moved."""
    warp = np.array([[1, 0, start[0]], [0, 1, start[1]]], np.float32)
    pictures = [cv2.GaussianBlur(picture[:95].astype(np.float32), (0, 0), 1.5) for picture in (one, other)]
    return cv2.findTransformECC(*pictures, warp, cv2.MOTION_TRANSLATION)[1][:, 2]


def test_camera_shakes_smoothly(frames):
    grey = brightness(frames["ir"])
    moves = [np.zeros(2, np.float32)]
    for later in grey[1:]:
        moves.append(shift_between(grey[0], later, moves[-1]))
    assert 0.3 < np.abs(moves).max() < 6
    assert 0 < np.abs(np.diff(moves, axis=0)).max() < 1.8


def test_pair_is_registered(frames):
    """Window frames, walls and roofs lie at the same place in both pictures."""

    def gradient(picture):
        soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1)
        return (
            np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))[20:170, 150:310]
            ** 0.5
        )

    for index in (0, 12, 29):
        ir, vis = (gradient(brightness(frames[name])[index]) for name in ("ir", "vis"))
        scores = {
            (dx, dy): np.corrcoef(np.roll(ir, (dy, dx), axis=(0, 1)).ravel(), vis.ravel())[0, 1]
            for dx in range(-4, 5)
            for dy in range(-4, 5)
        }
        best = max(scores, key=scores.get)
        assert max(map(abs, best)) <= 1


def test_degraded_twins_fail_as_measured_on_real_ones(frames):
    ir = brightness(frames["ir_degraded"] - frames["ir"])
    columns = ir.mean(axis=1)  # (T, W)
    assert 25 / 255 < ir.mean() < 52 / 255
    assert 6 / 255 < columns.std(axis=1).mean() < 13 / 255
    steady = np.corrcoef(columns)[0, 1:]
    assert steady.min() > 0.95, "the stripes stand still"
    change = np.diff(ir, axis=0)
    assert change.std() > 8 / 255, "the noise does not"
    vis, blurred = brightness(frames["vis"]), brightness(frames["vis_degraded"])
    assert 2 / 255 < (blurred - vis).mean() < 10 / 255
    assert np.abs(np.diff(blurred, axis=2)).mean() < 0.75 * np.abs(np.diff(vis, axis=2)).mean()


def test_visible_is_a_night_with_dark_and_glare(frames):
    level = brightness(frames["vis"])
    assert np.median(level) < 0.35
    assert (level < 0.12).mean() > 0.08
    assert (level > 0.97).mean() > 0.0005


def test_refuses_to_overwrite(sample):
    with pytest.raises(OutputError, match="-y"):
        render_sample(sample.ir.parent, seconds=0.2, width=64, height=64)
    assert len(list(sample.masks.iterdir())) == 30


def test_again_with_overwrite_and_the_smallest_size(tmp_path):
    for seconds in (0.2, 0.08):
        made = render_sample(tmp_path, seconds=seconds, width=65, height=64, overwrite=True)
    assert made.num_frames == len(list(made.masks.iterdir())) == 2


@pytest.mark.parametrize("wrong", [{"width": 16}, {"seconds": 0}, {"seconds": 3600}, {"fps": Fraction(1, 2)}])
def test_refuses_nonsense(tmp_path, wrong):
    with pytest.raises(UsageError):
        render_sample(tmp_path / "x", **wrong)
    assert not list(tmp_path.iterdir())


def test_needs_a_parent_folder(tmp_path):
    with pytest.raises(OutputError, match="parent"):
        render_sample(tmp_path / "a" / "b")
    Path(tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="not a folder"):
        render_sample(tmp_path / "file")


def test_command(tmp_path):
    import typer
    from typer.testing import CliRunner

    from vfuse.cli.sample import register

    app = typer.Typer()
    register(app)
    arguments = [str(tmp_path / "s"), "--size", "96x64", "--seconds", "0.2", "--fps", "10", "--json", "-q"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert (made["num_frames"], made["schema_version"]) == (2, 1)
    assert all(Path(made[name]).exists() for name in (*VIDEOS, "boxes", "masks", "scene"))
    wrong = CliRunner().invoke(app, [str(tmp_path / "t"), "--size", "96by64"])
    assert isinstance(wrong.exception, UsageError)
