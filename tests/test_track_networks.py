"""Detectors of torchvision and rfdetr: networks with random weights, held against their own direct call.

What a package downloads is not here, so a random network of the same class stands for it, with the same
names, numbers and files.
"""

import json
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.errors import UsageError, WeightsError
from vfuse.track.detectors import Request, load_detector
from vfuse.track.detectors._places import Places

ODD = (237, 321)  # height and width
LIGHT = "ssdlite320_mobilenet_v3_large"
NETWORKS = ["fasterrcnn_mobilenet_v3_large_320_fpn", LIGHT]


def picture(size=ODD, *, seed=0):
    """Blocks of random colours: edges of every length, nothing symmetric."""
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 13, 3)).astype(np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture(autouse=True)
def nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("VFUSE_OFFLINE", "1")
    monkeypatch.setenv("RF_HOME", str(tmp_path / "rf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_places_drop_the_weak_the_empty_and_numbers_without_a_name():
    places = Places.of({7: "car", 2: "person"})
    assert places.labels == ("person", "car")
    boxes = [[0, 0, 4, 8], [1, 1, 5, 9], [2, 2, 6, 9], [3, 3, 3, 9], [4, 4, 8, 9]]
    found = places.detections(boxes, [0.9, 0.8, 0.7, 0.6, 0.01], [7, 2, 5, 2, 2], weakest=0.05)
    assert found.boxes.tolist() == boxes[:2]
    assert found.classes.tolist() == [1, 0]
    assert len(places.detections(boxes[:1], [0.9], [99], weakest=0.05)) == 0


# torchvision


def vision(name, *, classes, seed=0):
    """A random network that is sure of something."""
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.manual_seed(seed)
    network = models.get_model(name, weights=None, weights_backbone=None, num_classes=classes + 1).eval()
    with torch.no_grad():
        for key, tensor in network.named_parameters():
            if tensor.dim() > 1:  # its own start lets a picture fade away on its way through
                torch.nn.init.kaiming_normal_(tensor, nonlinearity="relu")
            if "bbox" in key or "regression" in key:
                tensor.mul_(0.02)
    return network


def own_words(network, frame):
    """Boxes, scores and numbers of a direct call."""
    with torch.inference_mode():
        found = network([torch.from_numpy(frame).permute(2, 0, 1) / 255])[0]
    return found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_boxes_of_torchvision_are_those_of_its_own_call(tmp_path, name, suffix):
    network = vision(name, classes=2)
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pth":
        torch.save({"model": network.state_dict(), "epoch": 3}, path)  # as torchvision's training writes it
    else:
        from safetensors.torch import save_file

        save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, path)
    request = Request(weights=path, classes=("person", "car"), device="cpu")
    detector = load_detector(f"torchvision:{name}", request)
    assert detector.labels == ("person", "car")
    frame = picture()
    before = frame.copy()
    found = detector(frame)
    boxes, scores, numbers = own_words(network, frame)
    kept = (scores >= 0.05) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    assert kept.sum() > 3
    np.testing.assert_allclose(found.boxes, boxes[kept], atol=1e-3)
    np.testing.assert_allclose(found.scores, scores[kept], atol=1e-5)
    assert found.classes.tolist() == (numbers[kept] - 1).tolist()
    assert len(set(found.classes.tolist())) == 2
    assert found.boxes[:, 2].max() > ODD[0]  # wider than high: x and y are not swapped
    assert (found.boxes[:, 2:].max(axis=0) <= ODD[::-1]).all()
    assert (frame == before).all()


def published(monkeypatch, name, network):
    """Put a network where torch would have put the published file, under its name and digest."""
    import hashlib
    from pathlib import Path

    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "draft")
    digest = hashlib.sha256((folder / "draft").read_bytes()).hexdigest()[:8]
    path = (folder / "draft").rename(folder / f"{name}-{digest}.pth")
    enum = models.get_model_weights(name)
    told = enum.DEFAULT
    changed = type(told.value)(url=f"https://host/{path.name}", transforms=told.transforms, meta=told.meta)
    monkeypatch.setattr(told, "_value_", changed)
    for field in ("url", "meta", "transforms"):
        if field in vars(told):
            monkeypatch.setattr(told, field, getattr(changed, field))
    return path


def test_published_weights_of_torchvision_know_cocos_names(monkeypatch):
    network = vision(LIGHT, classes=90)
    path = published(monkeypatch, LIGHT, network)
    detector = load_detector(f"torchvision:{LIGHT}")
    assert (len(detector.labels), detector.labels[:3]) == (80, ("person", "bicycle", "car"))
    names = pytest.importorskip("torchvision.models").get_model_weights(LIGHT).DEFAULT.meta["categories"]
    frame = picture(seed=1)
    found = detector(frame)
    boxes, scores, numbers = own_words(network, frame)
    real = [
        index
        for index, number in enumerate(numbers)
        if names[number] not in ("N/A", "__background__")
        and scores[index] >= 0.05
        and (boxes[index, 2:] > boxes[index, :2]).all()
    ]
    assert len(real) > 3
    assert [detector.labels[kind] for kind in found.classes] == [names[numbers[index]] for index in real]
    np.testing.assert_allclose(found.boxes, boxes[real], atol=1e-3)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="damaged"):
        load_detector(f"torchvision:{LIGHT}")


def test_what_torchvision_cannot_do_is_said(tmp_path):
    network = vision(LIGHT, classes=2)
    with pytest.raises(UsageError) as said:
        load_detector("torchvision:fasterrcnn_resnet50_fnp")
    assert "Did you mean 'fasterrcnn_resnet50_fpn" in str(said.value.todo)
    with pytest.raises(WeightsError) as said:
        load_detector("torchvision")
    assert "offline" in str(said.value)
    assert "fasterrcnn_mobilenet_v3_large_fpn" in str(said.value)
    path = tmp_path / "mine.pth"
    torch.save(network.state_dict(), path)
    with pytest.raises(WeightsError, match="for 3 classes") as said:
        load_detector(f"torchvision:{LIGHT}", Request(weights=path, classes=("a", "b", "c")))
    assert "--classes" in str(said.value.todo)
    with pytest.raises(WeightsError, match="does not exist"):
        load_detector("torchvision", Request(weights=tmp_path / "none.pth"))
    path.write_bytes(b"hello")
    with pytest.raises(WeightsError, match="damaged"):
        load_detector("torchvision", Request(weights=path))


# rfdetr


@cache
def detr(classes, *, seed=0):
    """A random nano of the package itself; 8 classes or what is asked for."""
    package = pytest.importorskip("rfdetr", reason="rfdetr is not installed")
    torch.manual_seed(seed)
    whole = package.RFDETRNano(pretrain_weights=None, num_classes=classes, device="cpu")
    with torch.no_grad():  # sure of something, in boxes of every place
        whole.model.model.class_embed.weight.normal_(std=0.3)
        whole.model.model.class_embed.bias.fill_(-1.0)
        for layer in whole.model.model.bbox_embed.layers:
            layer.weight.normal_(std=0.1)
    whole.model.model.eval()
    return whole


def kept_by(whole, path, *, names, model_name="RFDETRNano"):
    """A checkpoint as its training writes it."""
    state = {
        "model": whole.model.model.state_dict(),
        "args": {"class_names": names},
        "model_name": model_name,
    }
    torch.save(state, path)
    return path


def direct(whole, frame):
    """The network itself, without the package's `predict`: a square picture, sigmoid, corners in pixels."""
    side = whole.model.resolution
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None] / 255
    square = torch.nn.functional.interpolate(
        pixels, (side, side), mode="bilinear", antialias=True, align_corners=False
    )
    mean, spread = (torch.tensor(values)[:, None, None] for values in (whole.means, whole.stds))
    with torch.inference_mode():
        said = whole.model.model((square - mean) / spread)
    scores = said["pred_logits"][0].sigmoid()
    middle, half = said["pred_boxes"][0][:, :2], said["pred_boxes"][0][:, 2:] / 2
    size = torch.tensor([*frame.shape[1::-1]] * 2)
    corners = torch.cat([middle - half, middle + half], dim=1) * size
    return corners.clamp(min=0).minimum(size), scores


def test_boxes_of_rfdetr_are_those_of_its_network(tmp_path):
    names = ("person", "car", "dog")
    whole = detr(3)
    path = kept_by(whole, tmp_path / "mine.pth", names=list(names))
    detector = load_detector("rfdetr", Request(weights=path, device="cpu"))
    assert detector.labels == names
    frame = picture()
    found = detector(frame)
    boxes, scores = direct(whole, frame)
    assert len(found) > 20
    assert len(set(found.classes.tolist())) > 1
    for box, score, kind in zip(found.boxes, found.scores, found.classes, strict=True):
        alike = (scores[:, kind] - score).abs() < 2e-3
        off = (boxes[alike] - torch.from_numpy(box)).abs().amax(dim=1)
        assert len(off), (box, score)
        assert off.min() < 1.0, (box, score)  # pixels; their resizing is not ours to the last bit
    assert np.ptp((found.boxes[:, 0] + found.boxes[:, 2]) / 2) > 20


def test_rfdetr_takes_cocos_numbers_for_weights_of_coco(tmp_path):
    pytest.importorskip("rfdetr", reason="rfdetr is not installed")
    whole = detr(90)
    (tmp_path / "rf").mkdir()
    kept_by(whole, tmp_path / "rf" / "rf-detr-nano.pth", names=None)
    detector = load_detector("rfdetr:nano", Request(device="cpu"))
    assert (len(detector.labels), detector.labels[:3]) == (80, ("person", "bicycle", "car"))
    assert detector.labels[-1] == "toothbrush"  # number 90
    frame = picture(seed=2)
    seen = whole.predict(frame, threshold=0.05)
    real = (seen.xyxy[:, 2:] > seen.xyxy[:, :2]).all(axis=1)
    wanted = [name for name in seen.data["class_name"][real] if name]
    found = detector(frame)
    assert [detector.labels[kind] for kind in found.classes] == wanted
    assert len(set(wanted)) > 3


def test_what_rfdetr_cannot_do_is_said(tmp_path):
    pytest.importorskip("rfdetr", reason="rfdetr is not installed")
    with pytest.raises(UsageError) as said:
        load_detector("rfdetr:smal")
    assert "Did you mean 'small'" in str(said.value.todo)
    with pytest.raises(WeightsError, match="offline") as said:
        load_detector("rfdetr")
    assert "rf-detr-nano.pth" in str(said.value)
    with pytest.raises(WeightsError, match="does not exist"):
        load_detector("rfdetr", Request(weights=tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_detector("rfdetr", Request(weights=tmp_path / "text.pth"))
    path = kept_by(detr(3), tmp_path / "mine.pth", names=None)
    with pytest.raises(UsageError, match="3 classes, not 80"):
        load_detector("rfdetr", Request(weights=path))
    named = load_detector("rfdetr:nano", Request(weights=path, classes=("a", "b", "c"), device="cpu"))
    assert named.labels == ("a", "b", "c")


# both


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"weights": "x.pth"}, "--weights is for rfdetr and torchvision"),
        ({"device": "cpu"}, "--device"),
        ({"classes": ("a",)}, "--classes"),
    ],
)
def test_hog_has_no_network(request_, said):
    with pytest.raises(UsageError) as refused:
        load_detector("hog", Request(**request_))
    assert said in str(refused.value.todo)


@pytest.mark.parametrize("name", ["torchvision", "rfdetr"])
def test_published_classes_are_not_renamed_and_nothing_is_enlarged(name):
    with pytest.raises(UsageError, match="know their classes") as refused:
        load_detector(name, Request(classes=("person",)))
    assert "--keep" in str(refused.value.todo)
    with pytest.raises(UsageError, match="does not enlarge"):
        load_detector(name, Request(enlarge=2.0))


@pytest.mark.parametrize("name", ["torchvision", "rfdetr"])
def test_a_missing_package_is_named_with_its_install_line(name, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, name, None)
    for part in [part for part in sys.modules if part.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, part)
    run = CliRunner().invoke(app, ["track", "x.mp4", "--detector", name])
    assert run.exit_code == 2, run.output
    assert f"pip install 'vfuse[{name}]'" in run.stderr


def test_the_command_tracks_with_a_network_and_says_nothing_else(tmp_path):
    pytest.importorskip("trackers")
    path = kept_by(detr(3), tmp_path / "mine.pth", names=["person", "car", "dog"])
    (tmp_path / "v").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "v" / f"{number}.png"), picture())
    command = ["track", str(tmp_path / "v"), "--detector", "rfdetr", "--weights", str(path), "--json", "-q"]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    (every,) = json.loads(run.stdout)["videos"]  # nothing but the result, whatever rfdetr logs
    run = CliRunner().invoke(app, [*command, "--keep", "car"])
    (cars,) = json.loads(run.stdout)["videos"]
    assert 0 < cars["movement"]["detections"] < every["movement"]["detections"]
