"""Ground truth as users have it, right and wrong, through the command; and what an interrupt leaves."""

import json
import signal
import subprocess
import sys
from time import monotonic, sleep

import numpy as np
import pytest
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.device import threads_of_torch
from vfuse.io.sample import render_sample
from vfuse.track import Request, TrackOptions, track_videos
from vfuse.track.mot import read_truth

MOT = "{frame},{id},{left},{top},{width},{height}"
FORMS = {
    "MOTChallenge": MOT + ",1,1,1.0",
    "results of a tracker": MOT + ",0.9,-1,-1,-1",
    "nine columns": MOT + ",1,1,1",
    "blanks": MOT.replace(",", " "),
    "six columns": MOT,
}


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    return render_sample(tmp_path_factory.mktemp("street") / "s", seconds=0.4, width=160, height=120)


def track(*arguments):
    pytest.importorskip("trackers")
    return CliRunner().invoke(app, ["track", *map(str, arguments), "--detector", "hot", "-q"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,1,5,5,10,20,1,1,1\n1,2,5,5\n", "line 2 has 4 columns"),
        ("1,1,5,5,10,20,1,1,1,1,1\n", "line 1 has 11 columns"),
        ("1,1,5,5,10,20\n\n1,1,9,9,10,20\n", "line 3 has identity 1 in frame 1 again, after line 1"),
        ("1,1,5,five,10,20\n", "line 1 is not numbers"),
        ("0,1,5,5,10,20\n", "line 1 has a frame"),
        ("1,1,5,5,0,20\n", "line 1 has a box of 0x20"),
        ("1,1,5,5,10,20\n900,1,5,5,10,20\n", "speaks of 900 frames, but"),
        ("1,1,900,5,10,20\n", "frame 1 has a box that ends at 909, 24, but"),
        ("1 2 3 4\n1 2 3\n", "line 2 has 3 columns"),
        ("1 2 3 4\n" * 9, "speaks of 9 frames, but"),
        ("1,1,5,5,10,20,1,7,1\n", "has no box of person that counts; its classes are 7"),
        ("1,1,5,5,10,20,0,1,1\n", "has no box of person that counts"),
        ("", "holds no boxes"),
        ("\0\1", "line 1"),
    ],
)
def test_bad_truth_ends_the_command_with_the_line(street, tmp_path, text, said):
    (tmp_path / "gt.txt").write_text(text)
    got = track(street.ir, "--gt", tmp_path / "gt.txt", "--mot", tmp_path / "out.txt")
    assert got.exit_code == 3, got.output
    assert said in got.stderr
    assert "gt.txt" in got.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gt.txt"]


def test_a_missing_truth_is_said(street, tmp_path):
    got = track(street.ir, "--gt", tmp_path / "none.txt")
    assert (got.exit_code, "none.txt: cannot be read" in got.stderr) == (3, True)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_truth_gives_the_same_marks(street, tmp_path, form):
    """The people of the sample, told in each form: precision and recall do not depend on it."""
    rows = np.loadtxt(street.boxes, delimiter=",")
    people = rows[rows[:, 7] == 1]
    keys = ("frame", "id", "left", "top", "width", "height")
    lines = [
        form.format(**dict(zip(keys, [int(row[0]), int(row[1]), *row[2:6]], strict=True))) for row in people
    ]
    (tmp_path / "gt.txt").write_text("\n".join(lines) + "\n")
    marks = []
    for truth in (street.boxes, tmp_path / "gt.txt"):
        got = track(street.ir, "--gt", truth, "--json")
        assert got.exit_code == 0, got.output
        marks.append(json.loads(got.stdout)["videos"][0]["accuracy"])
    assert marks[0]["boxes"] == marks[1]["boxes"] == len(people)
    assert marks[0]["recall"] == marks[1]["recall"] > 0


def test_classes_with_other_numbers_are_named_beside_the_file(street, tmp_path):
    """As CVAT writes them: people are class 2 there, cars 1."""
    rows = (
        street.boxes.read_text().replace(",1,3,", ",1,c,").replace(",1,1,", ",1,2,").replace(",1,c,", ",1,1,")
    )
    (tmp_path / "gt.txt").write_text(rows)
    known = json.loads(track(street.ir, "--gt", street.boxes, "--json").stdout)
    for labels in ("car\npedestrian\n", "1 car\n2 Person\n"):
        (tmp_path / "labels.txt").write_text(labels)
        got = track(street.ir, "--gt", tmp_path / "gt.txt", "--json")
        assert got.exit_code == 0, got.output
        assert json.loads(got.stdout)["videos"][0]["accuracy"] == known["videos"][0]["accuracy"]


def test_one_object_as_lasher_tells_it(street, tmp_path):
    rows = np.loadtxt(street.boxes, delimiter=",")
    lines = [",".join(map(str, row[2:6])) for row in rows[rows[:, 1] == 1]]
    (tmp_path / "init.txt").write_text("\n".join(lines))
    got = track(street.ir, "--gt", tmp_path / "init.txt", "--json")
    assert got.exit_code == 0, got.output
    accuracy = json.loads(got.stdout)["videos"][0]["accuracy"]
    assert (accuracy["objects"], accuracy["boxes"]) == (1, street.num_frames)


def test_frames_in_threads_are_tracked_as_one_after_the_other(street, tmp_path):
    pytest.importorskip("trackers")
    texts = []
    for threads in (1, 2):
        with threads_of_torch(threads):
            out = tmp_path / f"{threads}.txt"
            track_videos([street.ir], options=TrackOptions(request=Request(enlarge=2.0), mot=out))
            texts.append(out.read_text())
    assert texts[0].count("\n") > 3
    assert texts[0] == texts[1]


def test_an_interrupt_leaves_a_valid_text_that_is_marked(tmp_path):
    """Ctrl-C in mid-run: exit code 130, whole lines under NAME.partial.txt, nothing under NAME.txt."""
    pytest.importorskip("trackers")
    street = render_sample(tmp_path / "s", seconds=4, width=320, height=240)
    out, partial = tmp_path / "out.txt", tmp_path / "out.partial.txt"
    code = "from vfuse.cli.main import main; main()"
    words = ["track", str(street.ir), "--detector", "hog", "--mot", str(out), "-o", str(tmp_path / "o.mp4")]
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True) as run:
        begun = monotonic()
        while not (partial.exists() and partial.stat().st_size > 400):
            assert run.poll() is None, run.stderr.read()
            assert monotonic() - begun < 120
            sleep(0.05)
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)[1]
    assert (run.returncode, "interrupted" in said) == (130, True), said
    assert not out.exists()
    assert not (tmp_path / "o.mp4").exists()
    found = read_truth(partial)
    assert 1 < found.num_frames < street.num_frames
    assert partial.read_text().endswith("-1,-1\n")
