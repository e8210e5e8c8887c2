"""`torchvision`: the detectors of torchvision (BSD-3-Clause), with its weights for COCO or the user's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import nn

from vfuse.device import resolve_device
from vfuse.download import Digest, fetch
from vfuse.errors import UsageError, WeightsError, did_you_mean
from vfuse.extras import need
from vfuse.models._convert import read_weights
from vfuse.models._load import check_state
from vfuse.track.boxes import Detections, Pixels
from vfuse.track.detectors._places import Places
from vfuse.track.detectors._registry import DETECTORS, DetectorEntry, Request

_DEFAULT = "fasterrcnn_mobilenet_v3_large_fpn"
_NO_CLASS = ("__background__", "N/A", "no person")  # what torchvision calls numbers without a meaning
_WEAKEST = 0.05  # its own limit for most of its detectors


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchvisionDetector:
    """One of torchvision's networks; calling it detects, see `Detector`.

    Attributes:
        network: in evaluation mode; resizes and normalises frames itself.
        places: of its classes.
        device: where it is.
    """

    network: nn.Module
    places: Places
    device: torch.device

    in_threads = False  # torch has its own

    @property
    def labels(self) -> tuple[str, ...]:
        return self.places.labels

    @torch.inference_mode()
    def __call__(self, frame: Pixels) -> Detections:
        given = torch.from_numpy(frame).to(self.device).permute(2, 0, 1).float() / 255
        found = {key: value.cpu().numpy() for key, value in self.network([given])[0].items()}
        return self.places.detections(found["boxes"], found["scores"], found["labels"], weakest=_WEAKEST)


def build(request: Request) -> TorchvisionDetector:
    """The network of a name that torchvision lists.

    Raises:
        UsageError: torchvision is missing or broken, or has no such detector.
        WeightsError: the published weights are not here and cannot be fetched, or a file does not fit.
        DeviceError: the device is absent.
    """
    device = resolve_device(request.device)
    models = need("torchvision.models", what="the detector torchvision", extra="torchvision")
    name = request.argument or _DEFAULT
    if name not in (known := models.list_models(module=models.detection)):
        guess = did_you_mean(name, known)
        raise UsageError(
            f"torchvision has no detector {name!r}", todo=f"{guess}It has: {', '.join(sorted(known))}"
        )
    published = models.get_model_weights(name).DEFAULT
    names = dict(enumerate(published.meta["categories"]))
    if request.weights is None:
        _obtain(published.url, offline=request.offline)
        network = models.get_model(name, weights=published)
    else:
        names = dict(enumerate(request.classes, 1)) or names  # 0 is the background
        network = models.get_model(name, weights=None, weights_backbone=None, num_classes=max(names) + 1)
        _fill(network, request.weights, name=name, classes=len(names))
    places = Places.of({number: label for number, label in names.items() if label not in _NO_CLASS})
    return TorchvisionDetector(network=network.to(device).eval(), places=places, device=device)


def _obtain(url: str, *, offline: bool) -> None:
    """Have a published file where torch looks for it; its name ends in the start of its digest."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    told = re.search(r"-([0-9a-f]{8,})\.", path.name)
    digest = Digest("sha256 start", told[1] if told else "")
    if not path.is_file():
        fetch(url, path, digest=digest, offline=offline)
    elif not digest.fits(path):
        raise WeightsError(f"is damaged: its digest is not {digest}", where=path, todo="Delete it")


def _fill(network: nn.Module, path: Path, *, name: str, classes: int) -> None:
    state = read_weights(path)
    check_state(
        state,
        network,
        where=path,
        model=f"{name} for {classes} classes",
        todo="Name its network, as in torchvision:NAME, and with --classes what it was trained to find",
    )
    network.load_state_dict(state)


DETECTORS.add(
    DetectorEntry(
        name="torchvision",
        build=build,
        summary="Faster R-CNN, RetinaNet, FCOS and SSD of torchvision; pip install 'vfuse[torchvision]'",
        origin="torchvision, BSD-3-Clause; its weights were trained on COCO",
        argument="[NAME]",
        named=True,
        network=True,
    )
)
