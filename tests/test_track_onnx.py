"""Detectors from ONNX files: tiny networks of every layout that find a white patch, so places are tested."""

import ast

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.errors import UsageError, WeightsError
from vfuse.track.detectors import Request, load_detector
from vfuse.track.detectors._layouts import find_layout

WIDE, HIGH = 128, 64  # of the networks' picture
BOX = (16, 8)  # in pixels of it
PATCH = (200, 80)  # centre in the frame
NAMES = ("car", "person", "dog")


def frame():
    picture = np.zeros((200, 320, 3), np.uint8)
    cv2.rectangle(picture, (190, 60), (210, 100), (255, 255, 255), -1)
    return picture


class Graph:
    """A graph that grows node by node; values are names."""

    def __init__(self):
        self.onnx = pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        self.nodes, self.constants = [], []

    def constant(self, value, kind=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def __call__(self, operation, *inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def save(self, path, outputs, *, shape=(1, 3, HIGH, WIDE), names=None, half=False):
        helper = self.onnx.helper
        kind = self.onnx.TensorProto.FLOAT16 if half else self.onnx.TensorProto.FLOAT
        for told, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [told]))
        float32 = self.onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("images", kind, shape)],
            [helper.make_tensor_value_info(told, float32, None) for told in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        if names is not None:
            helper.set_model_props(model, {"names": str(dict(enumerate(names)))})
        self.onnx.save(model, str(path))
        return f"onnx:{path}"


def white(graph, *, least=0.8, half=False):
    """(1, 2): x and y of the middle of what is brighter than `least`, in pixels of the network's picture."""
    image = graph("Cast", "images", to=1) if half else "images"
    grey = graph("ReduceMean", image, axes=[1], keepdims=0)
    bright = graph("Relu", graph("Sub", grey, graph.constant(least)))
    axes = graph.constant([1, 2], np.int64)
    total = graph("Add", graph("ReduceSum", bright, axes, keepdims=0), graph.constant(1e-6))
    places = np.arange(WIDE) + 0.5, np.arange(HIGH)[:, None] + 0.5
    middles = [
        graph("Div", graph("ReduceSum", graph("Mul", bright, graph.constant(place)), axes, keepdims=0), total)
        for place in places
    ]
    return graph("Reshape", graph("Concat", *middles, axis=0), graph.constant([1, 2], np.int64))


def rows(graph, middle, *tail, count=2, weak=None):
    """(1, count, 2 + len(tail)): the middle and fixed numbers; every row but the first ends in `weak`."""
    first = graph("Concat", middle, graph.constant([tail]), axis=1)
    other = graph("Concat", middle, graph.constant([tail if weak is None else weak]), axis=1)
    every = graph("Concat", first, *[other] * (count - 1), axis=0)
    return graph("Unsqueeze", every, graph.constant([0], np.int64))


def relative(graph, middle):
    return graph("Div", middle, graph.constant([WIDE, HIGH]))


RELATIVE = (BOX[0] / WIDE, BOX[1] / HIGH)


def yolo_8(graph, path, **options):
    found = rows(graph, white(graph, **options), *BOX, 0.1, 0.9, 0.2, count=12, weak=(*BOX, 0.1, 0.8, 0.2))
    return graph.save(path, {"output0": graph("Transpose", found, perm=[0, 2, 1])}, names=NAMES, **options)


def yolo_5(graph, path):
    found = rows(graph, white(graph), *BOX, 0.9, 0.1, 1.0, 0.2, count=9)
    return graph.save(path, {"output": found}, names=NAMES)


def yolo_10(graph, path):
    middle = white(graph)
    corners = graph("Concat", graph("Sub", middle, graph.constant([8, 4])), middle, axis=1)
    far = graph("Add", corners, graph.constant([0, 0, 8, 4]))
    every = graph("Concat", far, graph.constant([[0.9, 1]]), axis=1)
    nothing = graph.constant(np.zeros((4, 6)))
    found = graph("Unsqueeze", graph("Concat", every, nothing, axis=0), graph.constant([0], np.int64))
    return graph.save(path, {"output0": found}, names=NAMES)


def rt_detr(graph, path):
    middle = relative(graph, white(graph))
    found = rows(graph, middle, *RELATIVE, 0.1, 0.9, 0.2, count=9, weak=(*RELATIVE, 0, 0, 0))
    return graph.save(path, {"output0": found}, names=NAMES)


def rf_detr(graph, path):
    """A slot more than classes, sigmoid; logits of 2.2 are a score of 0.9."""
    boxes = rows(graph, relative(graph, white(graph, least=1.5)), *RELATIVE, count=5)
    logits = graph.constant([[[-3, 2.1972246, -3, -3]] + [[-9] * 4] * 4])
    return graph.save(path, {"dets": boxes, "labels": logits}, names=NAMES)


def detr(graph, path):
    """The last slot is "nothing", softmax; 9 : 1 is a score of 0.9."""
    boxes = rows(graph, relative(graph, white(graph, least=1.5)), *RELATIVE, count=5)
    logits = graph.constant([[[-90, 2.1972246, -90, 0]] + [[-90, -90, -90, 0]] * 4])
    return graph.save(path, {"logits": logits, "pred_boxes": boxes}, names=NAMES)


KEPT_SHAPE, STRETCHED = 0.32, (0.4, 0.32)  # from frames to the networks' picture


@pytest.mark.parametrize(
    ("make", "scale"),
    [
        (yolo_8, (KEPT_SHAPE,) * 2),
        (yolo_5, (KEPT_SHAPE,) * 2),
        (yolo_10, (KEPT_SHAPE,) * 2),
        (rt_detr, STRETCHED),
        (rf_detr, STRETCHED),
        (detr, STRETCHED),
    ],
)
def test_every_layout_finds_the_patch_where_it_is(tmp_path, make, scale):
    detector = load_detector(make(Graph(), tmp_path / "net.onnx"))
    found = detector(frame())
    assert detector.labels == NAMES
    assert (len(found), found.classes.tolist()) == (1, [1])
    assert found.scores[0] == pytest.approx(0.9, abs=1e-3)
    left, top, right, bottom = found.boxes[0]
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(PATCH, abs=2)
    assert (right - left, bottom - top) == pytest.approx((BOX[0] / scale[0], BOX[1] / scale[1]), rel=0.02)


def test_half_precision_and_open_sizes(tmp_path):
    half = Graph()
    found = rows(half, white(half, half=True), *BOX, 0.1, 0.9, 0.2, count=12)
    name = half.save(
        tmp_path / "h.onnx", {"o": half("Transpose", found, perm=[0, 2, 1])}, names=NAMES, half=True
    )
    assert len(load_detector(name)(frame())) == 1
    free = Graph()
    grey = free("ReduceMean", "images", axes=[1, 2, 3], keepdims=0)
    column = free("Reshape", free("Mul", grey, free.constant(0)), free.constant([1, 1, 1], np.int64))
    name = free.save(
        tmp_path / "f.onnx",
        {"o": free("Expand", column, free.constant([1, 7, 50], np.int64))},
        shape=(1, 3, "h", "w"),
    )
    detector = load_detector(name, Request(classes=NAMES))
    assert detector.size == (640, 640)
    assert len(detector(frame())) == 0


def test_boxes_of_two_classes_or_places_are_kept(tmp_path):
    graph = Graph()
    middle = white(graph)
    several = [
        graph(
            "Concat",
            graph("Add", middle, graph.constant([shift, 0])),
            graph.constant([[*BOX, *scores]]),
            axis=1,
        )
        for shift, scores in ((0, (0, 0.9, 0)), (1, (0, 0.8, 0)), (0, (0.7, 0, 0)), (-30, (0, 0.6, 0)))
    ]
    column = graph(
        "Unsqueeze", graph("Concat", *several, *several, *several, axis=0), graph.constant([0], np.int64)
    )
    name = graph.save(tmp_path / "n.onnx", {"o": graph("Transpose", column, perm=[0, 2, 1])}, names=NAMES)
    found = load_detector(name)(frame())
    assert sorted(zip(found.scores.round(3).tolist(), found.classes.tolist(), strict=True)) == [
        (0.6, 1),
        (0.7, 0),
        (0.9, 1),
    ]


def test_what_cannot_be_used_is_said(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(UsageError, match="onnx:FILE"):
        load_detector("onnx")
    with pytest.raises(UsageError, match="not complete"):
        load_detector("hog:x")
    with pytest.raises(WeightsError, match="no such file"):
        load_detector(f"onnx:{tmp_path / 'none.onnx'}")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_detector(f"onnx:{tmp_path / 'text.onnx'}")
    graph = Graph()
    name = graph.save(tmp_path / "odd.onnx", {"thing": graph("ReduceMean", "images", axes=[1])})
    with pytest.raises(UsageError, match="--classes"):
        load_detector(name)
    with pytest.raises(WeightsError, match=r"3 classes: thing \(1, 1, 64, 128\).*YOLOv8.*RF-DETR"):
        load_detector(name, Request(classes=NAMES))
    graph = Graph()
    name = graph.save(tmp_path / "grey.onnx", {"o": "images"}, shape=(1, 1, 8, 8), names=NAMES)
    with pytest.raises(WeightsError, match=r"images tensor\(float\) \[1, 1, 8, 8\]"):
        load_detector(name)


def test_classes_settle_what_shapes_leave_open():
    assert find_layout({"o": (1, 25200, 6)}, classes=1).doubled  # YOLOv5 of one class
    assert not find_layout({"o": (1, 300, 6)}, classes=1).doubled
    assert find_layout({"o": (1, 84, 8400)}, classes=80).doubled
    assert find_layout({"o": (1, 300, 84)}, classes=80).stretched
    assert find_layout({"o": (1, 84, 8400)}, classes=3) is None
    assert find_layout({"a": (1, 300, 4), "b": (1, 300, 80)}, classes=80).standardised
    assert find_layout({"a": (1, 300, 4), "b": (1, 300, 80)}, classes=7) is None
    assert find_layout({"a": (1, 9, 4), "b": (1, 9, 4), "c": (1,)}, classes=4) is None


def test_the_command_runs_a_network_and_keeps_classes(tmp_path):
    pytest.importorskip("trackers")
    name = yolo_8(Graph(), tmp_path / "net.onnx")
    (tmp_path / "v").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / "v" / f"{number}.png"), frame())
    command = ["track", str(tmp_path / "v"), "--detector", name, "-q"]
    run = CliRunner().invoke(app, [*command, "--mot", str(tmp_path / "t.txt"), "--json"])
    assert run.exit_code == 0, run.output
    movement = ast.literal_eval(run.stdout.replace("null", "None"))["videos"][0]["movement"]
    assert (movement["detections"], movement["tracks"]) == (4, 1)
    assert (tmp_path / "t.txt").read_text().splitlines()[0].split(",")[7] == "1"  # a person
    run = CliRunner().invoke(app, [*command, "--keep", "dog", "--json"])
    assert '"detections": 0' in run.stdout
    run = CliRunner().invoke(app, [*command, "--keep", "cat"])
    assert (run.exit_code, "knows no class 'cat'" in run.stderr) == (2, True)
    run = CliRunner().invoke(app, ["track", str(tmp_path / "v"), "--detector", "onnx:none.onnx"])
    assert run.exit_code == 5
