"""Tracks: the measures by hand, the detectors on what they must find, files, and the command as a whole."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.errors import InputError
from vfuse.io.sample import render_sample
from vfuse.track.boxes import Detections, Tracks, detections, overlaps
from vfuse.track.detectors import DETECTORS, Request, load_detector
from vfuse.track.mot import MOT_CLASSES, Truth, TruthFrame, mot_file, read_truth
from vfuse.track.movement import MovementCounter

ANY_TRUTH = Truth(Path("gt.txt"), 1, False, MOT_CLASSES, {})
A, B, FAR, CAR = (10, 10, 20, 40), (60, 10, 70, 40), (200, 200, 210, 230), (300, 10, 340, 30)


def tracked(**boxes):
    """Tracks of one frame: t3=BOX is track 3."""
    found = detections(list(boxes.values()) or (), [0.9] * len(boxes))
    return Tracks(found.boxes, found.scores, found.classes, np.array([int(n[1:]) for n in boxes], np.int64))


def truth(*boxes, classes=None, counted=None):
    count = len(boxes)
    kinds, flags = np.array(classes or [1] * count), np.array(counted or [True] * count)
    return TruthFrame(np.array(boxes, float), np.arange(1, count + 1), kinds, flags)


def test_accuracy_by_hand():
    """A is followed through 4 frames; B by track 2, lost, then by track 3; track 4 is a false alarm.

    TP 7, FN 1, FP 1, one switch: MOTA = 1 - 3/8. Identities: 4 + 2 of 8 and 8: IDF1 = 12/16. Boxes fit
    exactly, so at every overlap DetA = 7/9 and AssA = (4 * 4/4 + 2 * 2/4 + 1 * 1/4) / 7 = 3/4.
    """
    pytest.importorskip("trackers")
    from vfuse.track.accuracy import AccuracyCounter

    counter = AccuracyCounter(["person"], truth=ANY_TRUTH)
    frames = [{"t1": A, "t2": B, "t4": FAR}, {"t1": A, "t2": B}, {"t1": A}, {"t1": A, "t3": B}]
    for frame in frames:
        counter.add(truth(A, B), tracked(**frame))
    got = counter.result()
    assert got.mota == pytest.approx(5 / 8)
    assert got.idf1 == pytest.approx(12 / 16)
    assert (got.precision, got.recall) == (7 / 8, 7 / 8)
    assert (got.switches, got.breaks, got.objects, got.boxes) == (1, 1, 2, 8)
    assert got.deta == pytest.approx(7 / 9)
    assert got.assa == pytest.approx(3 / 4)
    assert got.hota == pytest.approx((7 / 12) ** 0.5)


@pytest.mark.parametrize(("kind", "counted"), [(3, True), (1, False)])
def test_what_does_not_count_is_neither_right_nor_wrong(kind, counted):
    pytest.importorskip("trackers")
    from vfuse.track.accuracy import AccuracyCounter

    counter = AccuracyCounter(["person"], truth=ANY_TRUTH)
    counter.add(truth(A, CAR, classes=[1, kind], counted=[True, counted]), tracked(t1=A, t2=CAR))
    assert (counter.result().precision, counter.result().boxes) == (1, 1)
    counter.add(truth(A), tracked(t1=A, t2=CAR))  # nothing is there now: a false alarm
    assert counter.result().precision == pytest.approx(2 / 3)


def test_movement_by_hand():
    counter = MovementCounter()
    for x in (0, 0, 0, 6):  # third difference of 0 0 0 6 is 6
        counter.add(detections([(x, 0, x + 2, 2)], [1]), tracked(t1=(x, 0, x + 2, 2)))
    counter.add(detections(), tracked())
    counter.add(detections([A, B], [1, 1]), tracked(t1=A, t2=B))
    got = counter.result()
    assert (got.frames, got.detections, got.tracks, got.fragmentations) == (6, 6, 2, 1)
    assert got.mean_length == 3
    assert got.jerk == pytest.approx(6)


def test_overlap():
    assert overlaps(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0]]))[0, 0] == pytest.approx(1 / 3)


def test_hog_scores_as_opencv_4():
    """Every fourth window of a formula picture, from cv2.HOGDescriptor.detect of OpenCV 4.14."""
    y, x = np.mgrid[:160, :120]
    picture = ((np.sin(x / 5.0) * np.cos(y / 9.0) + 1) * 127).astype(np.uint8)
    wanted = [
        [-3.56442491, -3.61306057, -3.49821736],
        [-3.51801949, -3.57282759, -3.49848817],
        [-1.53770948, -1.65717898, -1.68381202],
    ]
    np.testing.assert_allclose(load_detector("hog").windows(picture)[::4, ::4], wanted, atol=1e-3)


def test_hot_finds_an_upright_warm_blob_and_no_lying_one():
    frame = np.full((240, 320, 3), 60, np.uint8)
    cv2.rectangle(frame, (100, 100), (111, 139), (200, 200, 200), -1)
    cv2.rectangle(frame, (200, 100), (259, 119), (200, 200, 200), -1)
    found = load_detector("hot")(frame)
    assert found.boxes.tolist() == [[100, 100, 112, 140]]
    assert 0.5 < found.scores[0] < 1


@pytest.mark.parametrize(
    "entry", [entry for entry in DETECTORS if not entry.argument], ids=lambda entry: entry.name
)
def test_detectors_keep_their_word(entry):
    frame = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    before = frame.copy()
    found = entry.build(Request())(frame)
    assert isinstance(found, Detections)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (frame == before).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,1,5,5,10,20,1,1,1\n1,2,5,5\n", "line 2 has 4 columns"),
        ("1,1,5,5,10,20\n\n1,1,9,9,10,20\n", "line 3 has identity 1 in frame 1 again, after line 1"),
        ("1,1,5,five,10,20\n", "line 1 is not numbers"),
        ("0,1,5,5,10,20\n", "line 1"),
        ("1 2 3 4\n1 2 3\n", "line 2 has 3 columns"),
        ("", "no boxes"),
    ],
)
def test_bad_truth_names_the_line(tmp_path, text, said):
    (tmp_path / "gt.txt").write_text(text)
    with pytest.raises(InputError, match=said):
        read_truth(tmp_path / "gt.txt")


def test_truth_of_one_object_a_line(tmp_path):
    (tmp_path / "gt.txt").write_text("11\t21\t5\t6\n0\t0\t0\t0\n13\t21\t5\t6\n")
    found = read_truth(tmp_path / "gt.txt")
    assert found.num_frames == 3
    assert found.frame(0).boxes.tolist() == [[10, 20, 15, 26]]
    assert len(found.frame(1).ids) == 0
    with pytest.raises(InputError, match="3 frames, but v has 4"):
        found.check(num_frames=4, width=64, height=64, video="v")
    with pytest.raises(InputError, match="4x4"):
        found.check(num_frames=3, width=4, height=4, video="v")


def test_text_survives_a_round_trip_and_an_interrupt_leaves_a_partial_one(tmp_path):
    path = tmp_path / "out.txt"
    with mot_file(path, ["person"]) as add:
        add(0, tracked(t1=A, t2=B))
        add(1, tracked(t2=B))
    back = read_truth(path)
    assert back.frame(0).boxes.tolist() == [list(A), list(B)]
    assert back.frame(1).ids.tolist() == [2]

    def interrupted():
        with mot_file(tmp_path / "b.txt", ["person"]) as add:
            add(0, tracked(t1=A))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not (tmp_path / "b.txt").exists()
    assert read_truth(tmp_path / "b.partial.txt").num_frames == 1


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    return render_sample(tmp_path_factory.mktemp("street") / "s", seconds=0.8, width=320, height=240)


def test_the_command(street, tmp_path):
    pytest.importorskip("trackers")
    out = tmp_path / "out.mp4"
    run = CliRunner().invoke(
        app,
        [
            *(
                "track",
                str(street.ir),
                "--vs",
                str(street.vis),
                "--detector",
                "hot",
                "--gt",
                str(street.boxes),
            ),
            *("--mot", str(tmp_path / "mot"), "-o", str(out), "--report", str(tmp_path / "r.html")),
            *("--plot", str(tmp_path / "p.png"), "--json", "-q"),
        ],
    )
    assert run.exit_code == 0, run.output
    ir, vis = json.loads(run.stdout)["videos"]
    assert ir["accuracy"]["hota"] > vis["accuracy"]["hota"]  # warm people, dark people
    assert ir["movement"]["frames"] == street.num_frames
    assert "better than vis" in json.loads(run.stdout)["verdict"]
    assert read_truth(tmp_path / "mot" / "ir.txt").num_frames <= street.num_frames
    assert "<table>" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "p.png").stat().st_size > 1000
    from vfuse.io.probe import probe

    assert (probe(out).width, probe(out).num_frames) == (640, street.num_frames)


def test_the_truth_of_another_video_is_refused(street, tmp_path):
    pytest.importorskip("trackers")
    (tmp_path / "gt.txt").write_text("900,1,5,5,10,20\n")
    run = CliRunner().invoke(app, ["track", str(street.ir), "--gt", str(tmp_path / "gt.txt"), "-q"])
    assert run.exit_code == 3


def test_a_missing_package_is_named_with_its_install_line():
    from vfuse.errors import UsageError
    from vfuse.extras import need

    with pytest.raises(UsageError, match=r"pip install 'vfuse\[track\]'"):
        need("no_such_package_at_all", what="tracking", extra="track")
