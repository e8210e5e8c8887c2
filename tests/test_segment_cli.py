"""`vfuse segment` as a user runs it: on the rendered sample and its masks, and with what can be wrong."""

import json
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.io.probe import probe
from vfuse.io.sample import render_sample


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    return render_sample(tmp_path_factory.mktemp("street") / "s", seconds=0.4, width=160, height=120)


@pytest.fixture(scope="module")
def answers(street, tmp_path_factory):
    """Masks as the truth has them, and the same one pixel to the right."""
    folder = tmp_path_factory.mktemp("answers")
    for name, shift in (("right", 0), ("off", 1)):
        (folder / name).mkdir()
        for path in sorted(street.masks.iterdir()):
            labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(folder / name / path.name), np.roll(labels, shift, axis=1))
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["segment", *map(str, arguments), "-q"])


def test_two_videos_side_by_side(street, answers, tmp_path):
    page, out = tmp_path / "r.html", tmp_path / "o.mp4"
    got = run(
        *(street.ir, "--vs", street.vis, "--gt", street.masks),
        *("--pred", answers / "right", "--pred", answers / "off", "--report", page, "-o", out, "--json"),
    )
    assert got.exit_code == 0, got.output
    told = json.loads(got.stdout)
    right, off = (video["scores"] for video in told["videos"])
    assert (right["miou"], right["macc"], right["boundary"], right["frames"]) == (1, 1, 1, street.num_frames)
    assert 0.3 < off["miou"] < 0.95
    assert off["boundary"] > 0.95  # one pixel is within reach
    assert right["stability"] == pytest.approx(right["true_stability"])
    names = {one["name"] for one in right["classes"]}
    assert {"road", "building", "person", "car"} <= names
    assert "ir is better than vis" in told["verdict"]
    assert (probe(out).width, probe(out).num_frames) == (3 * 160, street.num_frames)  # the truth comes first
    HTMLParser().feed(page.read_text())
    assert page.read_text().count("class=bars") == 2


def test_the_matrix_of_the_sample_by_counting(street, answers):
    """IoU of the cars over the whole video, from the files themselves."""
    got = run(street.ir, "--gt", street.masks, "--pred", answers / "off", "--json")
    both = either = 0
    for path in sorted(street.masks.iterdir()):
        true, found = (cv2.imread(str(p), -1) == 6 for p in (path, answers / "off" / path.name))
        both, either = both + (true & found).sum(), either + (true | found).sum()
    classes = json.loads(got.stdout)["videos"][0]["scores"]["classes"]
    assert next(one["iou"] for one in classes if one["name"] == "car") == both / either


def test_a_part_compares_its_own_masks(street, answers, tmp_path):
    """The second half, with masks that are wrong in the first."""
    (tmp_path / "m").mkdir()
    for number, path in enumerate(sorted(street.masks.iterdir())):
        labels = cv2.imread(str(path), -1)
        cv2.imwrite(str(tmp_path / "m" / path.name), labels if number >= 5 else np.zeros_like(labels))
    got = run(street.ir, "--gt", street.masks, "--pred", tmp_path / "m", "--start", "0.2", "--json")
    assert json.loads(got.stdout)["videos"][0]["scores"]["miou"] == 1
    whole = run(street.ir, "--gt", street.masks, "--pred", tmp_path / "m", "--json")
    assert json.loads(whole.stdout)["videos"][0]["scores"]["miou"] < 0.8


def test_the_table_names_classes_and_means(street, answers):
    got = run(street.ir, "--gt", street.masks, "--pred", answers / "right")
    assert got.exit_code == 0, got.output
    for label in ("IoU person", "Acc car", "boundary F road", "mIoU", "mAcc", "stability of the truth"):
        assert label in got.stdout


def test_ignored_pixels_take_no_part(street, answers):
    got = run(street.ir, "--gt", street.masks, "--pred", answers / "right", "--ignore", "6", "--json")
    names = {one["name"] for one in json.loads(got.stdout)["videos"][0]["scores"]["classes"]}
    assert "car" not in names


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "either masks or a prompt"),
        (("--pred", "PRED"), 2, "--gt MASKS"),
        (("--gt", "GT"), 2, "either masks or a prompt"),
        (("--gt", "GT", "--pred", "PRED", "--pred", "PRED"), 2, "2 predictions for 1 videos"),
        (("--gt", "GT", "--pred", "PRED", "--prompt", "road"), 2, "either masks or a prompt"),
        (("--gt", "nowhere", "--pred", "PRED"), 3, "nowhere: holds no masks"),
        (("--gt", "SHORT", "--pred", "PRED"), 3, "holds 3 masks, but"),
        (("--gt", "GT", "--pred", "SMALL"), 3, "masks of 8x6"),
        (("--gt", "GT", "--pred", "PRED", "--classes", "a,b"), 3, "which is no class"),
        (("--gt", "GT", "--pred", "PRED", "--classes", "a,a"), 2, "'a' twice"),
        (("--gt", "GT", "--pred", "PRED", "--masks", "x"), 2, "--masks"),
        (("--gt", "GT", "--prompt", "zebra"), 2, "no class 'zebra'"),
        (("--gt", "GT", "--pred", "PRED", "--vs", "OTHER", "--pred", "PRED"), 4, "differ in size"),
    ],
)
def test_what_is_wrong_is_said(street, answers, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    for name, count, shape in (("short", 3, (120, 160)), ("small", street.num_frames, (6, 8))):
        (tmp_path / name).mkdir()
        for number in range(count):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.zeros(shape, np.uint8))
    known = {
        "GT": street.masks,
        "PRED": answers / "right",
        "SHORT": tmp_path / "short",
        "SMALL": tmp_path / "small",
        "OTHER": tmp_path / "small",
    }
    got = run(street.ir, *(known.get(one, one) for one in arguments))
    assert got.exit_code == code, got.output
    assert said in got.stderr
    assert "Traceback" not in got.stderr


@pytest.mark.parametrize(
    ("command", "package", "line"),
    [
        (["segment", "--prompt", "road"], "transformers", "pip install 'vfuse[segment]'"),
        (["track", "--detector", "onnx:net.onnx"], "onnxruntime", "pip install 'vfuse[onnx]'"),
    ],
)
def test_a_missing_extra_is_named_with_its_install_line(street, monkeypatch, command, package, line):
    monkeypatch.setitem(sys.modules, package, None)
    got = CliRunner().invoke(app, [*command, str(street.ir), "-q"])
    assert got.exit_code == 2, got.output
    assert line in got.stderr
