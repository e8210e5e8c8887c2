"""Look at two inputs before fusing them: what each holds and how they belong together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vfuse.align.fit import Fit
from vfuse.align.videos import align_videos
from vfuse.errors import PairError, VfuseError
from vfuse.forecast import Forecast, forecast
from vfuse.io.interlace import Fields, fields_of
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.reader import read_range
from vfuse.io.thermal import Thermal, ThermalOptions, look
from vfuse.models._run import LoadedModel
from vfuse.sync.match import SyncFit, match_streams
from vfuse.sync.motion import Thumbnails, View, freezes, repeats
from vfuse.sync.videos import check_syncable, watch

_GREY_SPREAD = 5 / 255  # distance of R, G and B in a grey video after compression
_GAP = 2.5  # times the usual interval: a longer step between timestamps is a gap
_FEW_REPEATS = 0.02  # share of repeated frames that is nothing to speak of
_BLACK = 2 / 255
_SHIFTED = 0.01  # of the width: a smaller misregistration needs no --align


@dataclass(frozen=True)
class Finding:
    """One input.

    Attributes:
        info: the probed facts.
        grey: whether its pictures are grey, whatever the pixel format.
        darkest, brightest: 1st and 99th percentile of the luma in [0, 1].
        borders: black (left, top, right, bottom) in pixels, in all sampled frames.
        repeated: frames that show the one before them again; None for images and streams.
        freezes: (start, end) seconds of still stretches.
        gaps: steps between timestamps longer than two and a half frames.
        fields: how it is interlaced; None when it is not.
    """

    info: VideoInfo
    grey: bool
    darkest: float
    brightest: float
    borders: tuple[int, int, int, int]
    repeated: int | None
    freezes: tuple[tuple[float, float], ...]
    gaps: int
    fields: Fields | None


@dataclass(frozen=True)
class Inspection:
    """Two inputs and how they belong together.

    Attributes:
        ir, vis: each input.
        sync: estimated clocks; None when no motion could relate them.
        fit: estimated geometry; None without simultaneous frames.
        size: (width, height) of the fused video.
        frames: how many frames it will have.
        seconds: how long it will last.
        thermal: how the infrared would be read: palette, polarity, range.
        forecast: what fusing will take; None when no network was named.
        problems: what stands in the way of `vfuse fuse IR VIS` as the inputs are, each with the way out.
    """

    ir: Finding
    vis: Finding
    sync: SyncFit | None
    fit: Fit | None
    size: tuple[int, int]
    frames: int
    seconds: float
    thermal: Thermal
    forecast: Forecast | None
    problems: tuple[str, ...] = field(default=())


def inspect_pair(
    ir: str | Path, vis: str | Path, *, raw: tuple[int, int] | None = None, model: LoadedModel | None = None
) -> Inspection:
    """Decode both inputs once and say what they are.

    Args:
        ir, vis: the inputs.
        raw: width and height of the frames of a raw infrared file.
        model: what is to fuse them, for a forecast of its cost.

    Raises:
        InputError: an input cannot be read.
    """
    infos = probe(ir, raw=raw), probe(vis)
    thermal = look(infos[0], ThermalOptions(), first=0, stop=None)
    streams = tuple(
        watch(info, thermal=read) if info.kind == "video" else None
        for info, read in zip(infos, (thermal, None), strict=True)
    )
    found = _finding(infos[0], streams[0]), _finding(infos[1], streams[1])
    sync = _sync(infos[0], infos[1], streams)
    offset, rate = (sync.offset, sync.rate) if sync is not None and sync.confident else (0.0, 1.0)
    fit = _fit(infos[0], infos[1], offset, rate)
    if sync is not None and not sync.confident and fit is not None and fit.trusted:
        view = View(fit.matrix, (infos[1].width, infos[1].height))
        sync = _surer(sync, _sync(*infos, (watch(infos[0], thermal=thermal, view=view), streams[1])))
    frames, size = _common_frames(infos[0], infos[1], sync), (infos[1].width, infos[1].height)
    cost = forecast(model, width=size[0], height=size[1], frames=frames) if model is not None else None
    return Inspection(
        ir=found[0],
        vis=found[1],
        sync=sync,
        fit=fit,
        size=size,
        frames=frames,
        seconds=frames / float(infos[1].fps),
        thermal=thermal,
        forecast=cost,
        problems=tuple(_problems(found[0], found[1], sync, fit, thermal)),
    )


def _finding(info: VideoInfo, stream: Thumbnails | None) -> Finding:
    if info.times is None:
        raise PairError("standard input cannot be inspected", where=info.path, todo="Use a file")
    pictures = _pictures(info)
    luma = np.stack([picture.mean(0) for picture in pictures])
    low, high = np.percentile(luma, (1, 99))
    steps = np.diff(info.times)
    return Finding(
        info=info,
        grey=bool(np.mean([(p.max(0) - p.min(0)).mean() for p in pictures]) < _GREY_SPREAD),
        darkest=float(low),
        brightest=float(high),
        borders=_borders(luma.max(0)),
        repeated=int(repeats(stream).sum()) if stream is not None else None,
        freezes=tuple(freezes(stream)) if stream is not None else (),
        gaps=int((steps > _GAP * np.median(steps)).sum()) if len(steps) and info.kind == "video" else 0,
        fields=fields_of(info),
    )


def _pictures(info: VideoInfo) -> list[np.ndarray]:
    """(3, H, W) RGB of the first, middle and last frame."""
    last = len(info.times or ()) - 1
    pictures: list[np.ndarray] = []
    for index in sorted({0, last // 2, last}):
        with read_range(info, grey=False, first=index, stop=index + 1) as frames:
            pictures += [np.asarray(frame.pixels) for frame in frames]
    return pictures


def _borders(brightest: np.ndarray) -> tuple[int, int, int, int]:
    """Black columns and rows at the (left, top, right, bottom) of the brightest picture (H, W)."""
    shown = brightest > _BLACK
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    height, width = brightest.shape
    return int(columns[0]), int(rows[0]), width - 1 - int(columns[-1]), height - 1 - int(rows[-1])


def _sync(ir: VideoInfo, vis: VideoInfo, streams: tuple[Thumbnails | None, ...]) -> SyncFit | None:
    a, b = streams
    try:
        check_syncable(ir, vis)
    except VfuseError:
        return None
    return match_streams(a, b) if a is not None and b is not None else None


def _surer(first: SyncFit, second: SyncFit | None) -> SyncFit:
    return second if second is not None and second.confident else first


def _fit(ir: VideoInfo, vis: VideoInfo, offset: float, rate: float) -> Fit | None:
    try:
        return align_videos(ir, vis, offset=offset, rate=rate)[0]
    except PairError:
        return None


def _common_frames(ir: VideoInfo, vis: VideoInfo, sync: SyncFit | None) -> int:
    if sync is not None and sync.confident:
        return round(sync.common * float(vis.fps)) + 1
    return min(ir.num_frames or 0, vis.num_frames or 0)


def _problems(
    ir: Finding, vis: Finding, sync: SyncFit | None, fit: Fit | None, thermal: Thermal
) -> list[str]:
    problems = [*_own_problems("infrared", ir), *_own_problems("visible", vis)]
    if not ir.grey and not thermal.recognised:
        problems.append("the infrared is coloured, with no known palette: are the two swapped?")
    if vis.grey and not ir.grey:
        problems.append("the visible is grey")
    a, b = ir.info, vis.info
    found = sync is not None and sync.confident
    if a.num_frames != b.num_frames or (a.kind == b.kind == "video" and a.fps != b.fps):
        problems.append(
            f"{a.num_frames} frames at {float(a.fps):.5g} fps against {b.num_frames} at {float(b.fps):.5g}: "
            + ("use --sync auto" if found else "--sync auto would refuse, give --sync SECONDS")
        )
    elif sync is not None and found and abs(sync.offset) > 0.5 / float(b.fps):
        problems.append(f"the recordings start {abs(sync.offset):.3f} s apart: use --sync auto")
    if not found and (fit is None or not fit.trusted):
        problems.append("neither motion nor view relates the two: do they show the same scene?")
    if fit is not None and fit.trusted:
        apart = abs(fit.scale - 1) / 2 + fit.shift + abs(np.radians(fit.rotation)) / 2
        if apart > _SHIFTED:
            problems.append(
                f"the views differ (scale x{fit.scale:.3f}, rotation {fit.rotation:+.1f} degrees, shift "
                f"{fit.shift:.1%}): use --align auto"
            )
    if (a.width, a.height) != (b.width, b.height) and (fit is None or not fit.trusted):
        problems.append(
            f"the sizes differ ({a.width}x{a.height}, {b.width}x{b.height}) and no geometry was found"
        )
    return problems


def _own_problems(name: str, found: Finding) -> list[str]:
    problems: list[str] = []
    if any(found.borders):
        problems.append(f"the {name} has black borders (left, top, right, bottom: {found.borders})")
    for start, end in found.freezes:
        problems.append(f"the {name} stands still from {start:.2f} to {end:.2f} s")
    if found.repeated and not found.freezes and found.repeated > _FEW_REPEATS * (found.info.num_frames or 1):
        problems.append(f"the {name} shows {found.repeated} frames twice")
    if found.gaps:
        problems.append(f"the {name} has {found.gaps} gaps in its timestamps")
    if found.brightest - found.darkest < 0.1:
        problems.append(f"the {name} uses {found.brightest - found.darkest:.0%} of the brightness range")
    if found.fields is not None:
        problems.append(f"the {name} is interlaced, {found.fields}: deinterlace it first for clean edges")
    return problems
