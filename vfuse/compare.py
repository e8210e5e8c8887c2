"""Show infrared, visible and fused videos together in one: side by side, wiped, in turns or as insets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfuse.errors import PairError, UsageError
from vfuse.io._pixels import as_levels
from vfuse.io.pairs import PairPlan, pair_warnings, plan_pair, read_part
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.reader import read_range
from vfuse.io.thermal import ThermalOptions, displayer
from vfuse.io.writer import Sink, WriteOptions, check_output, write_video
from vfuse.prefetch import prefetch, write_behind

log = logging.getLogger(__name__)

Layout = Literal["grid", "strip", "wipe", "blink", "pip"]
Panels = Mapping[str, Tensor]
Track = Callable[[Iterable[int], int | None], Iterable[int]]

_AHEAD = 4  # frames that reading and writing may be ahead and behind
_WIPE_SECONDS = 4.0  # the line goes across and back
_BLINK_SECONDS = 1.0  # each picture is shown for so long
_INSET = 4  # an inset has a quarter of the width and height
_H264 = (".mp4", ".m4v", ".mov", ".mkv")  # suffixes of containers that get it unless told otherwise
_WHITE = 255
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """How to show the videos.

    Attributes:
        layout: "grid" is 2x2, "strip" a row, "wipe" a moving line between the visible (or the fused) and the
            last video, "blink" one after the other, "pip" the sources as insets of the last fused video.
        start, end: the part to show, in seconds from the first frame.
        thermal: how the infrared is shown.
        write: how the output is encoded.
    """

    layout: Layout = "grid"
    start: float | None = None
    end: float | None = None
    thermal: ThermalOptions = field(default_factory=ThermalOptions)
    write: WriteOptions = field(default_factory=WriteOptions)


def compare_videos(
    ir: str | Path,
    vis: str | Path,
    fused: str | Path,
    out: str | Path,
    *,
    fused_b: str | Path | None = None,
    options: CompareOptions | None = None,
    track: Track = lambda numbers, _: numbers,
) -> int:
    """Render the comparison, labelled, with frame number and time, and with the sound of the visible video.

    Returns:
        The number of frames written.

    Raises:
        UsageError: unknown layout.
        InputError, PairError: unreadable inputs, or sizes, rates and lengths that disagree.
        OutputError: from `write_video`.
    """
    options = options or CompareOptions()
    if options.layout not in get_args(Layout):
        known = ", ".join(get_args(Layout))
        raise UsageError(f"unknown layout {options.layout!r}", todo=f"Known: {known}")
    out, films = Path(out), {"fused": fused} | ({} if fused_b is None else {"fused B": fused_b})
    check_output(out, inputs=(ir, vis, *films.values()), overwrite=options.write.overwrite)
    plan = plan_pair(
        probe(ir, raw=options.thermal.raw),
        probe(vis),
        start=options.start,
        end=options.end,
        thermal=options.thermal,
    )
    for warning in pair_warnings(plan):
        log.warning(warning)
    infos = {name: _checked(probe(film), plan) for name, film in films.items()}
    width, height = _size(options.layout, plan, 2 + len(infos))
    with (
        write_video(
            out,
            width=width,
            height=height,
            fps=plan.fps,
            num_frames=plan.num_frames,
            copy_from=Path(plan.vis.path) if plan.vis.kind == "video" else None,
            start=plan.start,
            end=plan.end,
            sample_aspect=plan.vis.sample_aspect,
            options=_quick(options.write, out),
        ) as sink,
        ExitStack() as opened,
        prefetch(_panels(plan, infos, opened), _AHEAD) as coming,
        write_behind(_writer(sink), _AHEAD) as write,
    ):
        for index in track(range(plan.num_frames), plan.num_frames):
            time = plan.times[index] - plan.times[0]
            shown = arrange(next(coming), layout=options.layout, time=time)
            _write_text(shown, f"{plan.first + index}  {plan.times[index]:.2f} s", right=True, bottom=True)
            write((shown, time))
    return plan.num_frames


def _quick(write: WriteOptions, out: Path) -> WriteOptions:
    """Speed before size, where nothing else is asked for: half the time for 1.8 times the bytes."""
    if write.codec is None and out.suffix.lower() in _H264:
        return replace(write, codec="libx264", encoder_opts=(("preset", "ultrafast"), *write.encoder_opts))
    return write


def _writer(sink: Sink) -> Callable[[tuple[Tensor, float]], None]:
    return lambda frame: sink.write(frame[0], time=frame[1])


def arrange(panels: Panels, *, layout: Layout, time: float) -> Tensor:
    """Put the pictures of one moment together.

    Args:
        panels: name to (3, H, W) uint8, in the order infrared, visible, fused, and maybe another.
        time: seconds from the beginning, for "wipe" and "blink".

    Returns:
        (3, H', W') uint8: two by two panels for "grid", a row of them for "strip", else one.
    """
    names = list(panels)
    pictures = list(panels.values())
    height, width = pictures[0].shape[1:]
    if layout == "blink":
        return _labelled(panels, names[int(time / _BLINK_SECONDS) % len(names)])
    if layout == "wipe":
        phase = time / _WIPE_SECONDS % 1
        edge = round(width * (1 - abs(2 * phase - 1)))
        left, right = (_labelled(panels, name, right=k == 1) for k, name in enumerate(names[-2:]))
        left[:, :, edge:] = right[:, :, edge:]
        left[:, :, max(edge - 1, 0) : edge + 1] = _WHITE
        return left
    if layout == "pip":
        shown = _labelled(panels, names[-1])
        small = (width // _INSET, height // _INSET)
        for place, name in enumerate(names[:2]):
            across = slice(8 + place * (small[0] + 8), 8 + place * (small[0] + 8) + small[0])
            planes = [
                cv2.resize(plane, small, interpolation=cv2.INTER_AREA) for plane in panels[name].numpy()
            ]
            inset = torch.from_numpy(np.stack(planes))
            _write_text(inset, name)
            shown[:, height - 8 - small[1] : height - 8, across] = inset
        return shown
    columns = 2 if layout == "grid" else len(names)
    rows = 2 if layout == "grid" else 1
    shown = torch.empty(3, rows * height, columns * width, dtype=torch.uint8)
    shown[:, (rows - 1) * height :, (len(names) - 1) % columns * width + width :] = 0  # cells that stay free
    for place, name in enumerate(names):
        row, column = divmod(place, columns)
        panel = shown[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
        panel.copy_(panels[name])
        _write_text(panel, name)
    return shown


def _labelled(panels: Panels, name: str, *, right: bool = False) -> Tensor:
    picture = panels[name].clone()
    _write_text(picture, name, right=right)
    return picture


def _write_text(picture: Tensor, text: str, *, right: bool = False, bottom: bool = False) -> None:
    """Write white on a darkened bar into a corner of (3, H, W), the top left one unless told otherwise."""
    height, width = picture.shape[1:]
    ink = torch.from_numpy(_ink(text, max(min(height, width) / 800, 0.35))[:height, :width])
    top, left = (height - ink.shape[0]) * bottom, (width - ink.shape[1]) * right
    place = picture[:, top : top + ink.shape[0], left : left + ink.shape[1]]
    place.copy_(torch.maximum(place // 3, ink.expand_as(place)))


@lru_cache(maxsize=16)
def _ink(text: str, scale: float) -> NDArray[np.uint8]:
    """(H, W) white letters with a margin; the labels are the same in every frame."""
    (across, up), below = cv2.getTextSize(text, _FONT, scale, 1)
    bar = np.zeros((up + below + 6, across + 10), np.uint8)
    cv2.putText(bar, text, (5, up + 3), _FONT, scale, _WHITE, 1, cv2.LINE_AA)
    return bar


def _checked(info: VideoInfo, plan: PairPlan) -> VideoInfo:
    """A fused video that shows the pairs of the plan, or a PairError that says why not."""
    wanted = len(plan.vis.times or plan.ir.times or ())
    if (info.width, info.height) != (plan.width, plan.height) or info.num_frames not in (
        wanted,
        plan.num_frames,
    ):
        raise PairError(
            f"has {info.num_frames} frames of {info.width}x{info.height}, the sources {wanted} of "
            f"{plan.width}x{plan.height}",
            where=info.path,
            todo="Compare a video that was fused from these sources",
        )
    return info


def _size(layout: Layout, plan: PairPlan, count: int) -> tuple[int, int]:
    if layout == "grid":
        return 2 * plan.width, 2 * plan.height
    return (count * plan.width if layout == "strip" else plan.width), plan.height


def _panels(plan: PairPlan, infos: Mapping[str, VideoInfo], opened: ExitStack) -> Iterator[Panels]:
    """Panels of one moment after the other; a fused video of the cut alone is read from its beginning."""
    display = displayer(plan.thermal)
    ir = opened.enter_context(read_part(plan, plan.ir, grey=plan.thermal.grey))
    films = {"visible": opened.enter_context(read_part(plan, plan.vis, levels=True))}
    for name, info in infos.items():
        first = 0 if info.num_frames == plan.num_frames else plan.first
        reading = read_range(info, grey=False, first=first, stop=first + plan.num_frames, levels=True)
        films[name] = opened.enter_context(reading)
    for heat in ir:
        infrared = as_levels(display(heat.pixels)).expand(3, -1, -1)
        yield {"infrared": infrared} | {name: next(frames).pixels for name, frames in films.items()}
