"""Two inputs as one sequence of frame pairs: find every disagreement before decoding, then read in step."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

from vfuse.clip import FramePair
from vfuse.errors import PairError, UsageError
from vfuse.io._clocks import PairLink, nearest_frames, read_indices
from vfuse.io.images import missing_numbers
from vfuse.io.interlace import fields_of
from vfuse.io.probe import VideoInfo, is_same_file
from vfuse.io.reader import Frame, frame_range, read_frames, read_range
from vfuse.io.thermal import Thermal, ThermalOptions, displayer, look, thermal_warnings
from vfuse.io.warp import Place, Warp, placer

_GREY_SPREAD = 5 / 255  # mean distance between the largest and the smallest of R, G and B of compressed grey
_SAME_RATE = 1e-3  # relative: 29.97 and 30 fps may pass, if the clip is too short for half a frame of drift


@dataclass(frozen=True)
class PairPlan:
    """Two inputs that fit together, and the part of them to fuse.

    Attributes:
        ir, vis: the inputs as probed.
        width, height: pixels of the pairs.
        fps: frames a second of the pair; the mean when its times are uneven.
        num_frames: number of pairs that `read_pairs` yields.
        start, end: times in seconds where the visible video is cut; None where it is not.
        first: index of the first pair in the visible input, and in the infrared unless `ir_indices` says.
        times: seconds from the first frame of the inputs, one per pair.
        thermal: how the infrared is brought to one channel in display range.
        ir_indices: infrared frame of each pair, where they are paired by time; else empty.
        warp: how the frames come onto one canvas, where they do not fit as they are.
    """

    ir: VideoInfo
    vis: VideoInfo
    width: int
    height: int
    fps: Fraction
    num_frames: int
    start: float | None
    end: float | None
    first: int
    times: tuple[float, ...] = field(repr=False)
    thermal: Thermal = field(default=Thermal())
    ir_indices: tuple[int, ...] = field(default=(), repr=False)
    warp: Warp | None = None

    @property
    def repeated(self) -> int:
        """How many pairs show an infrared frame again."""
        return sum(a == b for a, b in zip(self.ir_indices, self.ir_indices[1:], strict=False))


def plan_pair(
    ir: VideoInfo,
    vis: VideoInfo,
    *,
    fps: Fraction | None = None,
    start: float | None = None,
    end: float | None = None,
    frames: int | None = None,
    thermal: ThermalOptions | None = None,
    link: PairLink | None = None,
) -> PairPlan:
    """Check that two inputs agree in size, length and rate, and choose the frames to fuse.

    Args:
        fps: play one pair after the other at this rate, whatever the inputs say; it also gives images a rate.
        start, end: seconds from the first frame; `end` is exclusive.
        frames: at most so many pairs, counted from `start`.
        thermal: how to understand the infrared; a few of its frames are decoded for that.
        link: how inputs of other clocks or views belong together.

    Raises:
        PairError: the inputs disagree (each value is named), or no frame lies between `start` and `end`.
        UsageError: an impossible range, or two streams.
    """
    _check_request(ir, vis, fps=fps, start=start, end=end, frames=frames)
    link = link or PairLink()
    _check_agreement(ir, vis, retimed=fps is not None, link=link)
    clock = vis if link.clocks else _clock(ir, vis)
    times = clock.times or ()
    if fps is not None:
        times = tuple(k / float(fps) for k in range(len(times)))
    first, stop = frame_range(times, start=start, end=end)
    begin, indices = 0, list[int]()
    if link.clocks is not None:
        begin, indices = nearest_frames(ir, vis, offset=link.clocks[0], rate=link.clocks[1])
        first, stop = max(first, begin), min(stop, begin + len(indices))
    stop = stop if frames is None else min(stop, first + frames)
    if first >= stop:
        raise PairError(
            f"no frame lies between {start or 0:g} s and {'the end' if end is None else f'{end:g} s'}",
            where=vis.path,
            todo=f"The last of its {len(times)} frames is at {max(times, default=0):.2f} s",
        )
    chosen = indices[first - begin : stop - begin]
    seen = chosen or [first, stop - 1]
    return PairPlan(
        ir=ir,
        vis=vis,
        width=link.warp.width if link.warp else vis.width,
        height=link.warp.height if link.warp else vis.height,
        fps=fps or clock.fps,
        num_frames=stop - first,
        start=times[first] if first else None,
        end=times[stop] if stop < len(times) else None,
        first=first,
        times=times[first:stop],
        thermal=look(ir, thermal or ThermalOptions(), first=seen[0], stop=seen[-1] + 1),
        ir_indices=tuple(chosen),
        warp=link.warp,
    )


def read_pairs(plan: PairPlan, *, counts: bool = False) -> AbstractContextManager[Iterator[FramePair]]:
    """Decode the planned pairs in step.

    Args:
        plan: from `plan_pair`.
        counts: give the infrared as it is stored too.

    Yields:
        FramePair with `index` from 0 and `time` in seconds from the first pair.

    Raises:
        InputError: while iterating, when an input is damaged.
        PairError: while iterating, when one input ends before the other.
    """
    return closing(_read_pairs(plan, counts=counts))


def read_part(
    plan: PairPlan, info: VideoInfo, *, grey: bool = False, levels: bool = False
) -> AbstractContextManager[Iterator[Frame]]:
    """Decode the planned part of one of the two inputs, as it is; see `vfuse.io.reader.read_range`."""
    if info.stream is not None:
        return closing(_read_stream(plan, info, grey=grey, levels=levels))
    stop = plan.first + plan.num_frames
    return read_range(info, grey=grey, first=plan.first, stop=stop, levels=levels)


def pair_warnings(plan: PairPlan) -> list[str]:
    """What looks wrong about a usable pair, in one sentence each; decodes a second of each."""
    warnings: list[str] = []
    named = (("infrared", plan.ir), ("visible", plan.vis))
    if is_same_file(plan.ir.path, plan.vis.path):
        warnings.append(f"infrared and visible are the same file: {plan.vis.path}")
    elif not plan.thermal.recognised and plan.vis.stream is None and _spread(plan, plan.vis) < _GREY_SPREAD:
        warnings.append("the infrared is coloured and the visible is grey: are the two swapped?")
    else:
        warnings += thermal_warnings(plan.thermal)
    for name, info in named:
        fields = fields_of(info)
        if fields is not None:
            advice = "deinterlace it first for clean edges"
            warnings.append(f"the {name} video is interlaced, {fields}; {advice}: {info.path}")
        if info.transfer != "sdr":
            kind = info.transfer.upper()
            warnings.append(f"the {name} video is HDR ({kind}); it is converted to SDR: {info.path}")
        if info.kind == "video" and info.origin is None:
            spaced = "its frames are spaced evenly"
            warnings.append(f"the {name} video has no usable timestamps; {spaced}: {info.path}")
        gaps = missing_numbers(info.files)
        if gaps:
            more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            warnings.append(f"the {name} image numbers jump from {gaps[0]}{more}: {info.path}")
    if plan.repeated:
        warnings.append(f"{plan.repeated} of {plan.num_frames} infrared frames are shown again")
    return warnings


def _check_request(
    ir: VideoInfo,
    vis: VideoInfo,
    *,
    fps: Fraction | None,
    start: float | None,
    end: float | None,
    frames: int | None,
) -> None:
    if ir.stream is not None and vis.stream is not None:
        raise UsageError("only one input can be standard input", todo="Name a file for the other")
    if fps is not None and fps <= 0:
        raise UsageError(f"the rate must be above 0, not {float(fps):g} fps")
    if start is not None and start < 0:
        raise UsageError(f"the start must not be negative, it is {start:g} s")
    if end is not None and end <= (start or 0):
        raise UsageError(f"the end ({end:g} s) must lie behind the start ({start or 0:g} s)")
    if frames is not None and frames < 1:
        raise UsageError(f"the number of frames must be at least 1, not {frames}")


def _check_agreement(ir: VideoInfo, vis: VideoInfo, *, retimed: bool, link: PairLink) -> None:
    """Raise one PairError with all disagreements."""
    wrong: list[str] = []
    todo: list[str] = []
    if link.warp is None and (ir.width, ir.height) != (vis.width, vis.height):
        wrong.append(f"the infrared is {ir.width}x{ir.height}, the visible {vis.width}x{vis.height}")
        todo.append("bring them together with --align auto, or scale one to the size of the other")
    timed = link.clocks is not None
    rates = "" if retimed or timed else _rate_difference(ir, vis)
    if rates:
        wrong.append(rates)
        todo.append("pair by time with --sync auto, or frame by frame with --fps")
    if not timed and None not in (ir.num_frames, vis.num_frames) and ir.num_frames != vis.num_frames:
        wrong.append(f"the infrared has {_length(ir)}, the visible {_length(vis)}")
        way = "--sync auto" if ir.timed and vis.timed else "--sync 0, if both begin together"
        todo.append(f"take the common part with {way}, or cut both to it")
    if wrong:
        advice = ", then ".join(todo)
        raise PairError(
            "; ".join(wrong), where=f"{ir.path} and {vis.path}", todo=advice[0].upper() + advice[1:]
        )


def _length(info: VideoInfo) -> str:
    lasting = f" ({info.duration:.2f} s)" if info.duration is not None and info.timed else ""
    return f"{info.num_frames} frames{lasting}"


def _rate_difference(ir: VideoInfo, vis: VideoInfo) -> str:
    """Say how the frame times differ; "" when no frame is off by half a frame, or images follow the other."""
    if not (ir.timed and vis.timed):
        return ""
    if not (ir.vfr or vis.vfr) and abs(ir.fps - vis.fps) > _SAME_RATE * vis.fps:
        return _rates(ir, vis)
    if ir.times is None or vis.times is None:
        return ""
    half = 0.5 / float(max(ir.fps, vis.fps))
    for index, (a, b) in enumerate(zip(ir.times, vis.times, strict=False)):
        if abs(a - b) > half:
            shown = f"frame {index} is shown at {a:.3f} s and {b:.3f} s" if ir.vfr or vis.vfr else ""
            return f"{_rates(ir, vis)}, {shown}" if shown else _rates(ir, vis)
    return ""


def _rates(ir: VideoInfo, vis: VideoInfo) -> str:
    a, b = (f"{'a varying ' if info.vfr else ''}{float(info.fps):.5g} fps" for info in (ir, vis))
    return f"the infrared has {a}, the visible {b}"


def _clock(ir: VideoInfo, vis: VideoInfo) -> VideoInfo:
    """The input whose times count: the visible, unless it has none of its own and the infrared has."""
    if vis.times is None or (not vis.timed and ir.kind == "video"):
        return ir
    return vis


def _read_pairs(plan: PairPlan, *, counts: bool) -> Generator[FramePair]:
    display, place = displayer(plan.thermal), _placer(plan)
    with _open_ir(plan) as ir_frames, read_part(plan, plan.vis) as vis_frames:
        index = 0
        while True:
            ir, vis = next(ir_frames, None), next(vis_frames, None)
            if ir is None or vis is None:
                break
            time = plan.times[index] - plan.times[0]
            pixels = place(display(ir.pixels), vis.pixels)
            kept = ir.pixels if counts else None
            yield FramePair(ir=pixels[0], vis=pixels[1], index=index, time=time, counts=kept)
            index += 1
        if ir is not None or vis is not None or index != plan.num_frames:
            ended, path = ("infrared", plan.ir.path) if ir is None else ("visible", plan.vis.path)
            raise PairError(
                f"the {ended} ends after {plan.first + index} frames, before the other input",
                where=path,
                todo="Cut both to the common part",
            )


def _placer(plan: PairPlan) -> Place:
    if plan.warp is None:
        return lambda ir, vis: (ir, vis)
    ir_size, vis_size = ((info.width, info.height) for info in (plan.ir, plan.vis))
    return placer(plan.warp, ir_size=ir_size, vis_size=vis_size)


def _open_ir(plan: PairPlan) -> AbstractContextManager[Iterator[Frame]]:
    if plan.ir_indices:
        return closing(read_indices(plan.ir, plan.ir_indices, grey=plan.thermal.grey))
    return read_part(plan, plan.ir, grey=plan.thermal.grey)


def _read_stream(plan: PairPlan, info: VideoInfo, *, grey: bool, levels: bool) -> Generator[Frame]:
    stop = None if plan.end is None else plan.first + plan.num_frames
    with read_frames(info, grey=grey, levels=levels) as frames:
        yield from islice(frames, plan.first, stop)


def _spread(plan: PairPlan, info: VideoInfo) -> float:
    """Mean distance of a file's colours from grey, in [0, 1], over its first and middle frame."""
    spreads: list[float] = []
    for index in sorted({plan.first, plan.first + plan.num_frames // 2}):
        with read_range(info, grey=False, first=index, stop=index + 1) as frames:
            for frame in frames:
                spreads.append(float((frame.pixels.amax(0) - frame.pixels.amin(0)).mean()))
    return sum(spreads) / len(spreads)
