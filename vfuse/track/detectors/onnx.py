"""`onnx`: the user's own detector, a YOLO-family or DETR-style export, run by onnxruntime (MIT)."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.errors import UsageError, WeightsError
from vfuse.extras import need
from vfuse.track.boxes import Detections, Pixels, detections
from vfuse.track.detectors._layouts import SUPPORTED, Candidates, Layout, find_layout
from vfuse.track.detectors._registry import DETECTORS, DetectorEntry, Request

_USUAL_SIDE = 640
_BAR = 114  # grey of the bars beside a picture (YOLO)
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet
_WEAKEST = 0.05
_SAME = 0.7  # IoU from which two boxes of a class are one (Ultralytics)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True, eq=False, kw_only=True)
class OnnxDetector:
    """A network in a session of onnxruntime; calling it detects, see `Detector`.

    Attributes:
        session: the session.
        labels: names of the classes.
        layout: what its outputs mean.
        size: width and height of its picture.
        kind: number format of its picture.
    """

    session: Any
    labels: tuple[str, ...]
    layout: Layout
    size: tuple[int, int]
    kind: type[np.floating[Any]]

    in_threads = False  # onnxruntime has its own

    def __call__(self, frame: Pixels) -> Detections:
        height, width = frame.shape[:2]
        picture, scale, shift = _fitted(frame, self.size, stretched=self.layout.stretched)
        given = _tensor(picture, self.kind, standardised=self.layout.standardised)
        outputs = [np.asarray(one, np.float32) for one in _run(self.session, given)]
        found = self.layout.decode(outputs, self.size)
        corners = (found.corners - np.tile(shift, 2)) / np.tile(scale, 2)
        corners = corners.clip(0, [width, height, width, height])
        kept = (found.scores >= _WEAKEST) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
        kept &= (found.classes >= 0) & (found.classes < len(self.labels))
        whole = Candidates(corners[kept], found.scores[kept].clip(0, 1), found.classes[kept])
        return _single(whole) if self.layout.doubled else _record(whole)


def _fitted(
    frame: Pixels, size: tuple[int, int], *, stretched: bool
) -> tuple[Pixels, NDArray[np.float64], NDArray[np.float64]]:
    """The frame in a picture of that size, and by how much and where to: x, y each."""
    height, width = frame.shape[:2]
    scale = np.array([size[0] / width, size[1] / height])
    if stretched:
        return np.asarray(cv2.resize(frame, size), np.uint8), scale, np.zeros(2)
    scale[:] = scale.min()
    inner = np.maximum(np.rint(scale * [width, height]), 1).astype(int)
    left, top = (np.array(size) - inner) // 2
    picture = np.full((size[1], size[0], 3), _BAR, np.uint8)
    shown = cv2.resize(frame, (int(inner[0]), int(inner[1])))
    picture[top : top + inner[1], left : left + inner[0]] = shown
    return picture, inner / [width, height], np.array([left, top], float)


def _tensor(picture: Pixels, kind: type[np.floating[Any]], *, standardised: bool) -> NDArray[Any]:
    """(1, 3, H, W) of (H, W, 3) RGB."""
    pixels = picture.astype(np.float32) / 255
    if standardised:
        pixels = (pixels - np.array(_MEAN, np.float32)) / np.array(_SPREAD, np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], kind)


def _run(session: Any, given: NDArray[Any]) -> list[Any]:  # noqa: ANN401 - of onnxruntime
    return session.run(None, {session.get_inputs()[0].name: given})


def _single(found: Candidates) -> Detections:
    """The surest of boxes of one class that lie on each other."""
    sizes = found.corners[:, 2:] - found.corners[:, :2]
    boxes = np.concatenate([found.corners[:, :2], sizes], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        boxes.tolist(), found.scores.tolist(), found.classes.tolist(), _WEAKEST, _SAME
    )
    chosen = np.asarray(kept, np.int64).reshape(-1)
    return _record(Candidates(found.corners[chosen], found.scores[chosen], found.classes[chosen]))


def _record(found: Candidates) -> Detections:
    return detections(found.corners, found.scores, found.classes)


def build(request: Request) -> OnnxDetector:
    """The detector of a file.

    Raises:
        UsageError: onnxruntime is missing, or nobody names the classes.
        WeightsError: the file cannot be read, or its inputs or outputs are none that are known.
    """
    path = Path(request.argument)
    session = _open(path)
    size, kind = _input(session, path)
    labels = request.classes or _labels(session)
    if not labels:
        raise UsageError(
            f"{path} does not name its classes",
            todo="Name them in order: --classes person,car or a file of lines",
        )
    layout = _layout(session, path, size, kind, classes=len(labels))
    return OnnxDetector(session=session, labels=labels, layout=layout, size=size, kind=kind)


def _open(path: Path) -> Any:  # noqa: ANN401 - of onnxruntime
    runtime = need("onnxruntime", what="the detector onnx", extra="onnx")
    if not path.is_file():
        raise WeightsError("no such file", where=path, todo="Export your detector to ONNX first")
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4  # what is wrong is said by the WeightsError
    try:
        return runtime.InferenceSession(str(path), settings, providers=runtime.get_available_providers())
    except Exception as error:  # onnxruntime's own errors have no common base but this
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"cannot be loaded ({reason})", where=path, todo="Export it again") from error


def _input(session: Any, path: Path) -> tuple[tuple[int, int], type[np.floating[Any]]]:  # noqa: ANN401
    """Width, height and number format of the only input."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    image = len(inputs) == 1 and len(shape) == 4 and inputs[0].type in _TYPES
    if not image or shape[1] not in (3, "3") or (isinstance(shape[0], int) and shape[0] != 1):
        told = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise WeightsError(
            f"takes {told}", where=path, todo="Supported is one input (1, 3, height, width) of float numbers"
        )
    usual = _usual_size(session)
    high, wide = (
        side if isinstance(side, int) else other for side, other in zip(shape[2:], usual, strict=True)
    )
    return (wide, high), _TYPES[inputs[0].type]


def _usual_size(session: Any) -> Sequence[int]:  # noqa: ANN401 - of onnxruntime
    """Height and width for an input that takes any: what the export says, else 640."""
    told = _literal(session, "imgsz")
    if isinstance(told, int):
        return (told, told)
    return tuple(map(int, told)) if isinstance(told, list | tuple) and len(told) == 2 else (_USUAL_SIDE,) * 2


def _labels(session: Any) -> tuple[str, ...]:  # noqa: ANN401 - of onnxruntime
    """Names as Ultralytics' exports carry them: a dictionary or list in the metadata."""
    told = _literal(session, "names")
    if isinstance(told, dict):
        return tuple(str(told[number]) for number in sorted(told))
    return tuple(map(str, told)) if isinstance(told, list | tuple) else ()


def _literal(session: Any, key: str) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return ast.literal_eval(session.get_modelmeta().custom_metadata_map.get(key, "None"))
    except (ValueError, SyntaxError):
        return None


def _layout(
    session: Any,  # noqa: ANN401 - of onnxruntime
    path: Path,
    size: tuple[int, int],
    kind: type[np.floating[Any]],
    *,
    classes: int,
) -> Layout:
    """Try it on a black picture: shapes in the file may be open."""
    try:
        outputs = _run(session, np.zeros((1, 3, size[1], size[0]), kind))
    except Exception as error:  # onnxruntime's own errors have no common base but this
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"cannot be run ({reason})", where=path, todo="Export it again") from error
    names = [one.name for one in session.get_outputs()]
    shapes = {name: tuple(np.shape(one)) for name, one in zip(names, outputs, strict=True)}
    layout = find_layout(shapes, classes=classes)
    if layout is None:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise WeightsError(
            f"has outputs of an unknown layout for {classes} classes: {told}",
            where=path,
            todo=f"Supported, for C classes and N boxes: {'; '.join(SUPPORTED)}. --classes sets the names",
        )
    return layout


DETECTORS.add(
    DetectorEntry(
        name="onnx",
        build=build,
        summary="your own network: a YOLO-family, DETR or RF-DETR export; pip install 'vfuse[onnx]'",
        origin="whoever trained the file",
        argument="FILE",
        named=True,
    )
)
