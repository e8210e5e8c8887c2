"""`rfdetr`: RF-DETR of the package `rfdetr` (Apache-2.0), with its weights for COCO or the user's own.

RF-DETR: Robinson et al., "RF-DETR: Neural Architecture Search for Real-Time Detection Transformers", 2025.
Its larger sizes, which stand under another licence, are in a package of their own and not offered here.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from vfuse.device import resolve_device
from vfuse.download import is_offline
from vfuse.errors import UsageError, WeightsError, did_you_mean
from vfuse.extras import need
from vfuse.models._convert import require_file
from vfuse.track.boxes import Detections, Pixels
from vfuse.track.detectors._places import Places
from vfuse.track.detectors._registry import DETECTORS, DetectorEntry, Request

_SIZES = {"nano": "RFDETRNano", "small": "RFDETRSmall", "medium": "RFDETRMedium", "large": "RFDETRLarge"}
_DEFAULT = "nano"
_WEAKEST = 0.05
_part = partial(need, what="the detector rfdetr", extra="rfdetr")


@dataclass(frozen=True, eq=False, kw_only=True)
class RfdetrDetector:
    """A network of the package `rfdetr`; calling it detects, see `Detector`.

    Attributes:
        network: resizes and normalises frames itself.
        places: of its classes.
    """

    network: Any
    places: Places

    in_threads = False  # torch has its own

    @property
    def labels(self) -> tuple[str, ...]:
        return self.places.labels

    def __call__(self, frame: Pixels) -> Detections:
        found = self.network.predict(frame, threshold=_WEAKEST, include_source_image=False)
        return self.places.detections(found.xyxy, found.confidence, found.class_id, weakest=_WEAKEST)


def build(request: Request) -> RfdetrDetector:
    """The network of a size, or of a file.

    Raises:
        UsageError: the package is missing, there is no such size, or nobody names the classes of a file.
        WeightsError: the published weights are not here and cannot be fetched, or the file cannot be used.
        DeviceError: the device is absent.
    """
    device = str(resolve_device(request.device))
    size = request.argument
    if size and size not in _SIZES:
        guess = did_you_mean(size, _SIZES)
        raise UsageError(f"rfdetr has no size {size!r}", todo=f"{guess}Known: {', '.join(_SIZES)}")
    package = _part("rfdetr")
    getLogger("rf-detr").setLevel(ERROR)  # it would write among the results
    if request.weights is None:
        network = _published(package, size or _DEFAULT, device=device, offline=request.offline)
    else:
        network = _own(package, size, request.weights, device=device)
    return RfdetrDetector(network=network, places=_places(network, request))


def _published(package: Any, size: str, *, device: str, offline: bool) -> Any:  # noqa: ANN401 - of rfdetr
    """The network with the weights for COCO, which the package downloads once and checks."""
    assets = _part("rfdetr.assets.model_weights")
    config = getattr(_part("rfdetr.config"), f"{_SIZES[size]}Config")
    path = Path(assets.get_model_cache_dir()) / config().pretrain_weights
    if (offline or is_offline()) and not path.is_file():
        raise WeightsError(
            "is not on this machine, and vfuse is offline",
            where=path,
            todo="Leave out --offline and VFUSE_OFFLINE once, or put it there",
        )
    with _said(path, "Delete it, if it is there, and try again with a connection"):
        return getattr(package, _SIZES[size])(pretrain_weights=str(path), device=device)


def _own(package: Any, size: str, path: Path, *, device: str) -> Any:  # noqa: ANN401 - of rfdetr
    """The network of a checkpoint, which usually tells its size; a size that is given wins."""
    require_file(path)
    whole = str(path.absolute())  # a bare name would be looked for among the published ones
    with _said(path, "Give a checkpoint of rfdetr, and its size where it does not tell it: rfdetr:small"):
        if size:
            return getattr(package, _SIZES[size])(pretrain_weights=whole, device=device)
        return package.from_checkpoint(whole, device=device)


def _places(network: Any, request: Request) -> Places:  # noqa: ANN401 - of rfdetr
    """From --classes or the file, numbered from 0; weights for COCO have COCO's numbers, with gaps."""
    slots = network.model_config.num_classes
    coco = _part("rfdetr.assets.coco_classes")
    names = list(request.classes or network.class_names)  # COCO's, where the file names none
    if names == coco.COCO_CLASS_NAMES and slots > len(names):
        return Places.of(coco.COCO_CLASSES)
    if len(names) > slots:
        raise UsageError(
            f"{request.weights} finds {slots} classes, not {len(names)}",
            todo=f"Name {slots} in order: --classes person,car or a file of lines",
        )
    return Places.of(dict(enumerate(names)))


@contextmanager
def _said(path: Path, todo: str) -> Generator[None]:
    """Turn whatever loading raises into a WeightsError: requests, pickle, torch and pydantic all may."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own deprecated sizes
            yield
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"cannot be loaded ({reason})", where=path, todo=todo) from error


DETECTORS.add(
    DetectorEntry(
        name="rfdetr",
        build=build,
        summary="RF-DETR: nano, small, medium or large; pip install 'vfuse[rfdetr]'",
        origin="Robinson et al. 2025, Apache-2.0; its weights were trained on COCO",
        argument="[SIZE]",
        named=True,
        network=True,
    )
)
