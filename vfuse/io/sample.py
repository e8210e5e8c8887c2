"""Render the sample: a night street in infrared and visible video, with degraded twins, boxes and masks."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from vfuse.errors import OutputError, UsageError
from vfuse.io._atomic import atomic, output_error
from vfuse.io._scene import HIDDEN, Box, Scene, SceneFrame
from vfuse.io._sound import write_sound
from vfuse.io._street import Array, Class
from vfuse.io.writer import Sink, WriteOptions, check_output, write_video

_MASKS, _BOXES, _FACTS = "masks", "boxes.txt", "scene.json"
_VIDEOS = ("ir", "vis", "ir_degraded", "vis_degraded")
_MOT_CLASS = {Class.PERSON: 1, Class.CAR: 3}  # numbers of the MOTChallenge
_UNSEEN = 0.25  # whoever shows less of his light than this through the smoke counts as hidden
_SIZES = (64, 4096)
_LONGEST = 60.0  # seconds: by then the street is empty
Track = Callable[[Iterable[SceneFrame], int | None], Iterable[SceneFrame]]


def untracked(frames: Iterable[SceneFrame], total: int | None) -> Iterable[SceneFrame]:
    """Progress for nobody."""
    del total
    return frames


@dataclass(frozen=True)
class Sample:
    """Where the parts of a sample lie.

    Attributes:
        ir, vis: the clean pair; the visible has a sound track.
        ir_degraded, vis_degraded: the same frames with stripes and noise, and blurred.
        boxes: MOTChallenge ground truth, `frame,id,left,top,width,height,1,class,visibility`; frames, ids and
            pixels count from 1, classes are 1 person and 3 car, boxes include what is hidden.
        masks: folder of 8-bit grey PNG files, one a frame, counted from 0; values as in the scene's classes.
        scene: JSON with seed, sizes, classes, objects, and who is hidden by smoke in which frames.
        num_frames: how many frames each video has.
    """

    ir: Path
    vis: Path
    ir_degraded: Path
    vis_degraded: Path
    boxes: Path
    masks: Path
    scene: Path
    num_frames: int


def render_sample(
    folder: Path,
    *,
    seed: int = 0,
    seconds: float = 5.0,
    width: int = 640,
    height: int = 480,
    fps: Fraction = Fraction(25),
    overwrite: bool = False,
    track: Track = untracked,
) -> Sample:
    """Render a pair that shows what fusion is for: dark, glare and smoke for the eye, few details for heat.

    Both videos are registered and in step. One walker is hidden by smoke in the visible alone, others walk in
    the dark. The degradations have the kind and strength measured on the published M3SVD videos.

    Args:
        folder: created when missing; its parent must exist.
        seed: the same seed renders the same sample.
        seconds: length, up to 60.
        width, height: in pixels.
        fps: frames a second.
        overwrite: replace an earlier sample.
        track: wraps the frames, for progress.

    Raises:
        UsageError: a size or length out of range.
        OutputError: the folder cannot be written or holds a sample already.
    """
    num_frames = _check_request(seconds, width, height, fps)
    _make(folder)
    sample = _parts(folder, num_frames, overwrite=overwrite)
    scene = Scene(width=width, height=height, seconds=seconds, seed=seed)
    times = [float(index / fps) for index in range(num_frames)]
    boxes: list[tuple[Box, ...]] = []
    with TemporaryDirectory() as scratch:
        sound = Path(scratch) / "street.wav"
        write_sound(sound, seconds=num_frames / float(fps), walkers=scene.walkers, cars=scene.cars, seed=seed)
        with _sinks(sample, width=width, height=height, fps=fps, sound=sound, overwrite=overwrite) as sinks:
            for time, frame in zip(times, track(scene.frames(times), num_frames), strict=True):
                for name in _VIDEOS:
                    sinks[name].write(_tensor(getattr(frame, name)), time=time)
                sinks[_MASKS].write(_tensor(frame.classes.astype(np.float32) / 255), time=time)
                boxes.append(frame.boxes)
    _write_text(sample.boxes, _mot_lines(boxes), overwrite=overwrite)
    facts = {"seed": seed, "width": width, "height": height, "fps": str(fps), "num_frames": num_frames}
    text = json.dumps(facts | _facts(scene, boxes), indent=2)
    _write_text(sample.scene, text + "\n", overwrite=overwrite)
    return sample


def _check_request(seconds: float, width: int, height: int, fps: Fraction) -> int:
    low, high = _SIZES
    if not (low <= width <= high and low <= height <= high):
        raise UsageError(f"a sample of {width}x{height}", todo=f"Sides go from {low} to {high} pixels")
    if not 1 <= fps <= 240:
        raise UsageError(f"a sample of {float(fps):g} frames a second", todo="Rates go from 1 to 240")
    if not 0 < seconds <= _LONGEST:
        raise UsageError(f"a sample of {seconds:g} seconds", todo=f"Lengths go up to {_LONGEST:g} seconds")
    return max(round(seconds * fps), 1)


def _make(folder: Path) -> None:
    if not folder.absolute().parent.is_dir():
        raise OutputError("its parent folder does not exist", where=folder, todo="Create it first")
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise OutputError("is not a folder", where=folder, todo="Choose another name") from error
    except OSError as error:
        raise output_error(error, folder) from error


def _parts(folder: Path, num_frames: int, *, overwrite: bool) -> Sample:
    videos = [folder / f"{name}.mp4" for name in _VIDEOS]
    ir, vis, ir_degraded, vis_degraded = videos
    boxes, masks, facts = folder / _BOXES, folder / _MASKS, folder / _FACTS
    sample = Sample(ir, vis, ir_degraded, vis_degraded, boxes, masks, facts, num_frames)
    for path in (*videos, sample.masks):
        check_output(path, overwrite=overwrite)
    for path in (sample.boxes, sample.scene):
        if path.exists() and not overwrite:
            raise OutputError("exists already", where=path, todo="Use -y to overwrite it")
    return sample


@contextmanager
def _sinks(
    sample: Sample, *, width: int, height: int, fps: Fraction, sound: Path, overwrite: bool
) -> Generator[dict[str, Sink]]:
    """One sink for each video and one for the masks; all appear together."""
    options = WriteOptions(overwrite=overwrite)
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                write_video(
                    getattr(sample, name),
                    width=width,
                    height=height,
                    fps=fps,
                    num_frames=sample.num_frames,
                    copy_from=sound if name == "vis" else None,
                    options=options,
                )
            )
            for name in (*_VIDEOS, _MASKS)
        }


def _tensor(picture: Array) -> torch.Tensor:
    """(H, W) or (H, W, 3) to (C, H, W)."""
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes))


def _mot_lines(boxes: list[tuple[Box, ...]]) -> str:
    rows = [
        f"{number},{box.identity},{box.left + 1:.2f},{box.top + 1:.2f},{box.width:.2f},{box.height:.2f},"
        f"1,{_MOT_CLASS[box.kind]},{box.visibility:.3f}"
        for number, frame in enumerate(boxes, 1)
        for box in frame
    ]
    return "\n".join(rows) + "\n"


def _facts(scene: Scene, boxes: list[tuple[Box, ...]]) -> dict[str, object]:
    """What is on the street: classes, objects, and the frames (from 1) in which smoke hides somebody."""
    hidden: dict[int, list[int]] = {}
    for number, frame in enumerate(boxes, 1):
        for box in frame:
            if box.clearness < _UNSEEN:
                hidden.setdefault(box.identity, []).append(number)
    objects = [
        {"kind": kind, **asdict(one), "hidden_by_smoke": hidden.get(one.identity, [])}
        for kind, several in (("person", scene.walkers), ("car", scene.cars))
        for one in several
    ]
    classes = {kind.name.lower(): int(kind) for kind in Class}
    return {"classes": classes, "walker_in_smoke": HIDDEN, "objects": objects}


def _write_text(path: Path, text: str, *, overwrite: bool) -> None:
    with atomic(path, overwrite=overwrite) as part:
        try:
            part.write_text(text, encoding="utf-8")
        except OSError as error:
            raise output_error(error, path) from error
