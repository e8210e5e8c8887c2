"""Masks from words: Grounding DINO finds what is named, SAM 2 follows it through the video.

Grounding DINO (Liu et al., ECCV 2024) and SAM 2 (Ravi et al., 2024) of the package `transformers`
(Apache-2.0), put together as in Grounded SAM 2, with weights that the user has. Every `again` frames the
words are looked for anew and SAM 2 starts from these boxes: what comes into the picture is found, and memory
stays bounded.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from vfuse.device import resolve_device
from vfuse.errors import UsageError, WeightsError
from vfuse.extras import need
from vfuse.segment.classes import BACKGROUND, NO_CLASS, Labels

Pixels = NDArray[np.uint8]

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as SAM 2 was trained
_CORNERS = (2, 3)  # SAM's labels of the first and the second corner of a box


@dataclass(frozen=True, kw_only=True)
class GroundedOptions:
    """Which networks, and how sure they must be.

    Attributes:
        detector: Grounding DINO, a folder as `save_pretrained` writes it, or a name in the local cache of
            models.
        segmenter: SAM 2 for video, likewise.
        sure: least score of a box.
        again: frames after which the words are looked for anew.
        device: as of `vfuse.device.resolve_device`.
    """

    detector: str = "IDEA-Research/grounding-dino-tiny"
    segmenter: str = "facebook/sam2.1-hiera-tiny"
    sure: float = 0.35
    again: int = 20
    device: str = "auto"


class GroundedSegmenter:
    """Both networks, for all videos of a call; no connection is opened.

    Args:
        names: of the classes; one called "background" stands for all that is not found.
        options: which networks.

    Raises:
        UsageError: `transformers` is missing, or no class to look for.
        WeightsError: a network is not there, is another one, or has not all of its weights.
    """

    def __init__(self, names: Sequence[str], *, options: GroundedOptions) -> None:
        hub = need("transformers", what="a prompt", extra="segment")
        self.names = [name.lower() for name in names]
        self.words = [name for name in self.names if name != BACKGROUND]
        if not self.words:
            raise UsageError(
                "the prompt names nothing", todo="Name what to look for: --prompt 'road, person'"
            )
        self.rest = self.names.index(BACKGROUND) if BACKGROUND in self.names else NO_CLASS
        self.options, self.device = options, resolve_device(options.device)
        hub.utils.logging.disable_progress_bar()
        self._session = _kind("Sam2VideoInferenceSession", module="transformers.models.sam2_video")
        with _said(options.detector, "Grounding DINO"):
            self._processor = _kind("GroundingDinoProcessor").from_pretrained(
                options.detector, local_files_only=True
            )
        self._finder = _network("GroundingDinoForObjectDetection", options.detector, self.device)
        self._follower = _network("Sam2VideoModel", options.segmenter, self.device)
        self._spans = spans_of(self.words, self._processor.tokenizer)
        if self._spans[-1].stop >= self._finder.config.max_text_len:
            raise UsageError("the prompt is too long for Grounding DINO", todo="Name fewer classes")

    def video(self) -> GroundedVideo:
        """A function from the frames of one video, in order, to their labels."""
        return GroundedVideo(self)

    @torch.inference_mode()
    def find(self, frame: Pixels) -> tuple[Tensor, list[int]]:
        """Boxes (N, 4) left, top, right, bottom in pixels of (H, W, 3) RGB, and the class of each.

        A box is of the class whose words it fits best, and counts when it fits them well enough.
        """
        text = ". ".join(self.words) + "."
        given = self._processor(images=frame, text=text, return_tensors="pt").to(self.device)
        found = self._finder(**given)
        fits = found.logits[0].sigmoid().cpu()  # (queries, tokens)
        marks, words = torch.stack([fits[:, span].amax(dim=1) for span in self._spans], dim=1).max(dim=1)
        kept = marks > self.options.sure
        middle, half = found.pred_boxes[0].cpu()[kept].float().split(2, dim=1)
        height, width = frame.shape[:2]
        boxes = torch.cat([middle - half / 2, middle + half / 2], dim=1)
        places = [self.names.index(self.words[word]) for word in words[kept].tolist()]
        return boxes * torch.tensor([width, height, width, height]), places

    def begin(self, boxes: Tensor, size: tuple[int, int]) -> Any:  # noqa: ANN401 - of transformers
        """A session of SAM 2 whose first frame, (H, W) = `size`, has an object in each box."""
        session = self._session(
            video_height=size[0],
            video_width=size[1],
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=torch.float32,
        )
        side = self._follower.config.image_size
        corners = boxes.reshape(-1, 2, 2) * torch.tensor([side / size[1], side / size[0]])
        for number, pair in enumerate(corners):
            prompt = {
                "point_coords": pair[None, None],
                "point_labels": torch.tensor([[_CORNERS]], dtype=torch.int32),
            }
            session.add_point_inputs(session.obj_id_to_idx(number), 0, prompt)
        session.obj_with_new_inputs = list(range(len(boxes)))
        return session

    @torch.inference_mode()
    def follow(self, session: Any, frame: Pixels, number: int) -> Tensor:  # noqa: ANN401 - of transformers
        """(N, H, W) logits of each object, above 0 where it is, in frame `number` of a session."""
        pixels = prepared(frame, side=self._follower.config.image_size).to(self.device)
        masks = self._follower(inference_session=session, frame_idx=number, frame=pixels).pred_masks
        session.processed_frames.pop(number)  # SAM 2 remembers features; the picture is not needed again
        shown = interpolate(masks.float().reshape(-1, 1, *masks.shape[-2:]), frame.shape[:2], mode="bilinear")
        return shown[:, 0].cpu()


class GroundedVideo:
    """Labels of one video; keeps what SAM 2 remembers of the last frames."""

    def __init__(self, segmenter: GroundedSegmenter) -> None:
        self._segmenter = segmenter
        self._session: Any = None
        self._places: list[int] = []
        self._number = 0

    def __call__(self, frame: Pixels) -> Labels:
        """Classes (H, W) of the next frame (H, W, 3) RGB; of two objects the surer one is seen."""
        if self._session is None or self._number == self._segmenter.options.again:
            boxes, self._places = self._segmenter.find(frame)
            self._session = self._segmenter.begin(boxes, frame.shape[:2]) if self._places else None
            self._number = 0
        labels = np.full(frame.shape[:2], self._segmenter.rest, np.uint8)
        if self._session is None:
            return labels
        sure, which = self._segmenter.follow(self._session, frame, self._number).max(dim=0)
        self._number += 1
        classes = np.array(self._places, np.uint8)[which.numpy()]
        return np.where(sure.numpy() > 0, classes, labels)


def spans_of(words: Sequence[str], tokenizer: Any) -> list[slice]:  # noqa: ANN401 - of transformers
    """Where the tokens of each name are in "name. name.", which begins with a token of its own."""
    spans: list[slice] = []
    start = 1
    for word in words:
        stop = start + len(tokenizer(word, add_special_tokens=False)["input_ids"])
        spans.append(slice(start, stop))
        start = stop + 1
    return spans


def prepared(frame: Pixels, *, side: int) -> Tensor:
    """(1, 3, side, side) normalised as SAM 2 expects it, from (H, W, 3) RGB."""
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    small = interpolate(pixels, (side, side), mode="bilinear", antialias=True).round().clamp(0, 255) / 255
    return (small - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_SPREAD)[:, None, None]


def _kind(name: str, *, module: str = "transformers") -> Any:  # noqa: ANN401 - of transformers
    """A class of transformers, which imports its parts when they are asked for."""
    try:
        return getattr(need(module, what="a prompt", extra="segment"), name)
    except (AttributeError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"the installed transformers gives no {name} ({reason})",
            todo="Install what was tested with  pip install -c constraints.txt 'vfuse[segment]'",
        ) from error


def _network(kind: str, name: str, device: torch.device) -> Any:  # noqa: ANN401 - of transformers
    """A network with all of its weights, from safetensors alone."""
    what = {"Sam2VideoModel": "SAM 2"}.get(kind, "Grounding DINO")
    with _said(name, what):
        network, report = _kind(kind).from_pretrained(
            name, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(
            f"is not {what}: it lacks {len(missing)} of its weights, such as {missing[0]}",
            where=name,
            todo="Give a folder that `save_pretrained` wrote, or a name in the local cache",
        )
    return network.to(device).eval()


@contextmanager
def _said(name: str, what: str) -> Generator[None]:
    """Turn what loading raises into a WeightsError that says where such weights come from."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"holds no {what} ({reason})",
            where=name,
            todo="Give the folder of such weights, or fetch them once with  hf download NAME",
        ) from error
