"""Masks: the confusion matrix by hand, boundaries and stability with known answers, every form of file."""

import json
import struct
import zlib

import cv2
import numpy as np
import pytest

from vfuse.errors import InputError, UsageError
from vfuse.io.labels import read_labels
from vfuse.segment.boundary import BoundaryF, f_measure, outline
from vfuse.segment.classes import IGNORED, NO_CLASS, merge, read_classes
from vfuse.segment.coco import decode_run
from vfuse.segment.confusion import Confusion, mean
from vfuse.segment.masks import answers, check_masks, open_masks, with_classes
from vfuse.segment.scores import ScoreCounter
from vfuse.segment.stability import Motion, Stability, carried

TRUTH = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [2, 2, 1, IGNORED]], np.uint8)
FOUND = np.array([[0, 0, 1, 1], [0, 2, 1, 1], [2, 0, NO_CLASS, 0]], np.uint8)


def png(path, values, *, bits, colour, palette=None):
    """A PNG of small samples, which OpenCV does not write: `colour` is 0 for grey and 3 for a palette."""
    rows = np.asarray(values, np.uint8)
    plain = np.unpackbits(rows[..., None], axis=2)[..., 8 - bits :].reshape(len(rows), -1)
    lines = b"".join(b"\0" + np.packbits(row).tobytes() for row in plain)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], bits, colour, 0, 0, 0))]
    chunks += [] if palette is None else [(b"PLTE", bytes(np.asarray(palette, np.uint8)))]
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def test_confusion_by_hand():
    """Truth 0 has 5 pixels, of which 3 are found, one is taken for 1 and one for 2; and so on."""
    counted = Confusion(3)
    counted.add(TRUTH, FOUND)
    assert counted.matrix.tolist() == [[3, 1, 1, 0], [0, 3, 0, 1], [1, 0, 1, 0]]
    # IoU 3 / (5 + 4 - 3), 3 / (4 + 4 - 3), 1 / (2 + 2 - 1); accuracy 3/5, 3/4, 1/2; seven of eleven right
    np.testing.assert_allclose(counted.iou(), [3 / 6, 3 / 5, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(counted.accuracy(), [3 / 5, 3 / 4, 1 / 2], rtol=1e-15)
    assert counted.overall() == 7 / 11
    assert mean(counted.iou()) == pytest.approx((3 / 6 + 3 / 5 + 1 / 3) / 3)


def test_a_video_is_the_sum_of_its_frames_and_not_their_mean():
    counted = Confusion(2)
    counted.add(np.zeros((1, 9), np.uint8), np.zeros((1, 9), np.uint8))
    counted.add(np.zeros((1, 1), np.uint8), np.ones((1, 1), np.uint8))
    np.testing.assert_allclose(counted.iou(), [9 / 10, 0])
    np.testing.assert_allclose(counted.accuracy(), [9 / 10, np.nan])


def test_a_class_of_nobody_has_no_score_and_spoils_no_mean():
    counted = Confusion(4)
    counted.add(TRUTH, np.where(TRUTH == IGNORED, 0, TRUTH).astype(np.uint8))
    np.testing.assert_array_equal(counted.iou(), [1, 1, 1, np.nan])
    assert mean(counted.iou()) == 1


def test_confusion_agrees_with_scikit_learn_like_counting():
    """Against a loop over all pixels."""
    rng = np.random.default_rng(1)
    truth, found = rng.integers(0, 5, (2, 30, 40)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = IGNORED
    counted = Confusion(5)
    counted.add(truth, found)
    for one in range(5):
        t, f = (truth == one), (found == one) & (truth != IGNORED)
        assert counted.iou()[one] == (t & f).sum() / (t | f).sum()
        assert counted.accuracy()[one] == (t & f).sum() / t.sum()


def disk(x, y, radius, shape=(100, 100)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype(np.uint8)


def test_boundaries_within_reach_are_right():
    truth = disk(50, 50, 20)
    valid = np.ones_like(truth, bool)
    edge = outline(truth, valid)
    assert f_measure(edge, edge, reach=0) == 1
    assert f_measure(edge, outline(disk(51, 50, 20), valid), reach=2) == 1
    assert f_measure(edge, outline(disk(90, 50, 5), valid), reach=2) == 0
    half = f_measure(edge, outline(disk(56, 50, 20), valid), reach=2)
    assert 0 < half < 0.8
    nothing = np.zeros_like(valid)
    assert (f_measure(nothing, nothing, reach=2), f_measure(edge, nothing, reach=2)) == (1, 0)


def test_boundary_by_hand():
    """A 2x2 square moved by one: boundaries of 8 pixels each, of which 4 coincide: F = 1/2 without reach.

    Of the square in rows and columns 2 and 3, the pixels of rows and columns 1 to 3 differ from a right,
    lower or lower right neighbour, but for (2, 2).
    """
    squares = np.zeros((2, 8, 9), np.uint8)
    squares[0, 2:4, 2:4] = squares[1, 2:4, 3:5] = 1
    first, second = (outline(square, np.ones((8, 9), bool)) for square in squares)
    assert (first.sum(), second.sum()) == (8, 8)
    assert f_measure(first, second, reach=0) == 1 / 2
    assert f_measure(first, second, reach=1) == 1


def test_the_edge_of_what_is_ignored_is_no_boundary():
    truth = np.zeros((60, 60), np.uint8)
    truth[:, 30:] = IGNORED
    counted = BoundaryF(2)
    counted.add(truth, np.where(truth == IGNORED, 1, 0).astype(np.uint8))
    assert counted.result()[0] == 1
    assert np.isnan(counted.result()[1])  # class 1 is found where nothing is to be said alone


def noise_frame(shift):
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 255, (120, 200, 3)).astype(np.uint8), (0, 0), 2)
    return np.ascontiguousarray(wide[:, 40 - shift : 160 - shift])


def test_stability_follows_the_picture():
    """Everything moves 4 pixels to the right: a mask that does too is stable, one that stays is not."""
    frames = [noise_frame(shift) for shift in (0, 4)]
    with_picture = [disk(60 + shift, 60, 20, (120, 120)) for shift in (0, 4)]
    motion, moving, still = Motion(), Stability(2), Stability(2)
    for frame, labels in zip(frames, with_picture, strict=True):
        flow = motion(frame)
        moving.add(labels, flow)
        still.add(with_picture[0], flow)
    assert flow is not None
    assert flow[60, 60, 0] == pytest.approx(-4, abs=0.3)  # where it came from
    assert moving.result()[1] > 0.95
    overlap = (disk(64, 60, 20) & disk(60, 60, 20)).sum() / (disk(64, 60, 20) | disk(60, 60, 20)).sum()
    assert still.result()[1] == pytest.approx(overlap, abs=0.05)


def test_carrying_leaves_out_what_was_outside():
    flow = np.zeros((2, 3, 2), np.float32)
    flow[..., 0] = -1  # everything came from the left
    assert carried(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), flow).tolist() == [
        [IGNORED, 1, 2],
        [IGNORED, 4, 5],
    ]


def test_scores_of_a_perfect_answer_and_of_none():
    counter = ScoreCounter(["sky", "road", "car", "never"], with_truth=True)
    counter.add(TRUTH, np.where(TRUTH == IGNORED, 0, TRUTH).astype(np.uint8), None)
    got = counter.result()
    assert (got.miou, got.macc, got.accuracy, got.boundary, got.stability) == (1, 1, 1, 1, None)
    assert [one.name for one in got.classes] == ["sky", "road", "car"]
    blind = ScoreCounter(["sky"], with_truth=False)
    blind.add(None, FOUND, None)
    assert blind.result().miou is None
    assert blind.result().classes[0].pixels == (FOUND == 0).sum()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("colour", [0, 3])
def test_the_numbers_of_a_png_are_kept(tmp_path, bits, colour):
    values = np.random.default_rng(bits).integers(0, 2**bits, (5, 7))
    palette = np.random.default_rng(2).integers(0, 256, 3 * 2**bits) if colour == 3 else None
    png(tmp_path / "m.png", values, bits=bits, colour=colour, palette=palette)
    got = read_labels(tmp_path / "m.png")
    np.testing.assert_array_equal(got.values, values)
    if palette is not None:
        assert (got.palette[: 2**bits] == palette.reshape(-1, 3)).all()


def test_16_bits_colours_and_grey_in_colours(tmp_path):
    deep = np.array([[0, 300], [1000, 65535]], np.uint16)
    cv2.imwrite(str(tmp_path / "d.png"), deep)
    np.testing.assert_array_equal(read_labels(tmp_path / "d.png").values, deep)
    cv2.imwrite(str(tmp_path / "g.png"), np.full((3, 4, 3), 7, np.uint8))
    assert (read_labels(tmp_path / "g.png").values == np.full((3, 4), 7)).all()
    cv2.imwrite(str(tmp_path / "j.jpg"), np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="JPEG"):
        read_labels(tmp_path / "j.jpg")


def folder_of(path, frames, names=""):
    path.mkdir()
    for number, labels in enumerate(frames):
        cv2.imwrite(str(path / f"{number:03d}.png"), labels)
    if names:
        (path / "classes.txt").write_text(names)
    return path


def test_colours_are_classes_where_a_file_says_so(tmp_path):
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 0] = (128, 64, 32)  # BGR of #204080
    folder = folder_of(tmp_path / "m", [picture], "#204080 road\n#000000 sky\n")
    masks = open_masks(folder)
    assert masks.classes.names == ("road", "sky")
    assert masks.read(0).tolist() == [[0, 1], [1, 1]]
    picture[1, 1] = (1, 2, 3)
    cv2.imwrite(str(folder / "000.png"), picture)
    with pytest.raises(InputError, match="#030201"):
        masks.read(0)


def test_numbers_that_are_no_class_are_named(tmp_path):
    folder = folder_of(tmp_path / "m", [np.array([[0, 1, 255, 9]], np.uint8)], "sky\nroad\n")
    with pytest.raises(InputError, match=r"number 9, which is no class.*0 sky, 1 road"):
        open_masks(folder, ignore=255).read(0)
    with pytest.raises(InputError, match="number 255"):
        open_masks(folder, classes=read_classes("0=sky,1=road,9=car")).read(0)
    masks = open_masks(folder, classes=read_classes("0=sky,1=road,9=car"), ignore=255)
    assert masks.read(0).tolist() == [[0, 1, IGNORED, 2]]
    assert answers(masks).read(0).tolist() == [[0, 1, NO_CLASS, 2]]


def test_classes_in_every_form(tmp_path):
    (tmp_path / "c.json").write_text('{"classes": {"sky": 0, "car": 6}}')
    assert read_classes(str(tmp_path / "c.json")).values == (0, 6)
    (tmp_path / "c.txt").write_text("# a comment\n3 pole\n\n12 traffic light\n")
    got = read_classes(str(tmp_path / "c.txt"))
    assert (got.names, got.values) == (("pole", "traffic light"), (3, 12))
    assert read_classes("sky, traffic light").names == ("sky", "traffic light")
    for wrong, error in (("sky,sky", UsageError), ("1=a,1=b", UsageError), (" ,", UsageError)):
        with pytest.raises(error):
            read_classes(wrong)
    with pytest.raises(InputError, match="no such file"):
        read_classes("missing/c.txt")


def test_fewer_classes_leave_the_others_to_the_background(tmp_path):
    folder = folder_of(tmp_path / "m", [np.array([[0, 1, 2, 255]], np.uint8)], "sky\nRoad\ncar\n")
    masks = with_classes(open_masks(folder, ignore=255), ("background", "road"))
    assert masks.read(0).tolist() == [[0, 1, 0, IGNORED]]
    with pytest.raises(UsageError, match=r"no class 'raod'.*sky, Road, car"):
        merge(("sky", "Road", "car"), ("raod",), where=folder)


def compressed(mask):
    """COCO's code, written from its description: the mirror of what is tested."""
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, mask.ravel(order="F"), 2])))
    lengths = [0, *runs.tolist()] if mask.ravel(order="F")[0] else runs.tolist()
    text = ""
    for place, length in enumerate(lengths):
        value = length - lengths[place - 2] if place > 2 else length
        while True:
            bits, value = value & 31, value >> 5
            more = not (value == -1 and bits & 16) if bits & 16 else value != 0
            text += chr(48 + bits + (32 if more else 0))
            if not more:
                break
    return {"size": list(mask.shape), "counts": text}


def test_run_lengths_as_pycocotools_writes_them(tmp_path):
    """`pycocotools.mask.encode` 2.0.11 of the disk below gives this text."""
    assert compressed(disk(6, 5, 4, (12, 14)))["counts"] == GOLDEN_RUN
    golden = {"size": [12, 14], "counts": GOLDEN_RUN}
    np.testing.assert_array_equal(decode_run(golden, size=(12, 14), where=tmp_path), disk(6, 5, 4, (12, 14)))
    plain = {"size": [2, 3], "counts": [1, 2, 3]}
    assert decode_run(plain, size=(2, 3), where=tmp_path).tolist() == [
        [False, True, False],
        [True, False, False],
    ]
    for wrong in ({"size": [2, 3], "counts": [1, 2, 2]}, {"size": [3, 2], "counts": [1, 2, 3]}):
        with pytest.raises(InputError):
            decode_run(wrong, size=(2, 3), where=tmp_path)


GOLDEN_RUN = "m0194M2O0O20N101N3LQ1"


@pytest.mark.parametrize("seed", range(5))
def test_any_mask_survives_run_lengths(tmp_path, seed):
    rng = np.random.default_rng(seed)
    mask = cv2.resize(
        rng.integers(0, 2, (5, 7)).astype(np.uint8), (300, 200), interpolation=cv2.INTER_NEAREST
    )
    np.testing.assert_array_equal(decode_run(compressed(mask), size=mask.shape, where=tmp_path), mask)


def test_coco_images_and_youtube_vis(tmp_path):
    person, crowd = disk(6, 5, 4, (12, 14)), disk(2, 2, 1, (12, 14))
    categories = [{"id": 7, "name": "car"}, {"id": 3, "name": "person"}]
    images = [{"id": number, "height": 12, "width": 14, "file_name": f"{number}.png"} for number in (2, 1)]
    annotations = [
        {"image_id": 2, "category_id": 3, "segmentation": compressed(person)},
        {"image_id": 2, "category_id": 7, "segmentation": compressed(crowd), "iscrowd": 1},
    ]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(data))
    masks = open_masks(tmp_path / "coco.json")
    assert (masks.classes.names, masks.classes.values) == (("background", "person", "car"), (0, 3, 7))
    assert len(masks) == 2
    assert not masks.read(0).any()
    np.testing.assert_array_equal(masks.read(1), np.where(crowd, IGNORED, person))
    video = {
        "videos": [{"id": 1, "length": 2, "height": 12, "width": 14}],
        "annotations": [{"video_id": 1, "category_id": 7, "segmentations": [None, compressed(person)]}],
        "categories": categories,
    }
    (tmp_path / "vis.json").write_text(json.dumps(video))
    np.testing.assert_array_equal(open_masks(tmp_path / "vis.json").read(1), person * 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"annotations": [{"image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]]}]},
            "polygons",
        ),
        (
            {"annotations": [{"image_id": 9, "category_id": 1, "segmentation": compressed(disk(1, 1, 1))}]},
            "KeyError",
        ),
        ({"categories": [{"id": 1, "name": "background"}]}, "background"),
        ({"videos": [{}, {}]}, "2 videos"),
        ({"images": 5}, "not a COCO"),
    ],
)
def test_bad_coco_says_what_is_wrong(tmp_path, change, said):
    data = {
        "images": [{"id": 1, "height": 2, "width": 2}],
        "annotations": [],
        "categories": [{"id": 1, "name": "a"}],
    }
    (tmp_path / "c.json").write_text(json.dumps(data | change))
    with pytest.raises(InputError, match=said):
        open_masks(tmp_path / "c.json")


def test_masks_of_another_length_or_size_are_refused(tmp_path):
    masks = open_masks(folder_of(tmp_path / "m", [np.zeros((4, 6), np.uint8)] * 2))
    check_masks(masks, num_frames=2, width=6, height=4, video="v")
    with pytest.raises(InputError, match="2 masks, but v has 3 frames"):
        check_masks(masks, num_frames=3, width=6, height=4, video="v")
    with pytest.raises(InputError, match="masks of 6x4, but v is 4x6"):
        check_masks(masks, num_frames=2, width=4, height=6, video="v")
