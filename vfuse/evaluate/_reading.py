"""The videos of a clip in step: every mismatch found before decoding, then moment by moment."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vfuse.errors import PairError, UsageError
from vfuse.evaluate._options import ClipFiles, ScoreOptions
from vfuse.io.pairs import PairPlan, plan_pair
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.reader import read_range
from vfuse.io.thermal import Thermal, displayer, look, thermal_warnings
from vfuse.metrics import Image
from vfuse.metrics._moment import Moment
from vfuse.prefetch import prefetch

log = logging.getLogger(__name__)

AHEAD = 2
"""Frames that each video is decoded ahead."""


@dataclass(frozen=True)
class Plan:
    """The probed streams of a clip and the frames to score.

    Attributes:
        pair: the infrared and the visible, and their frames to score.
        infos: all sources by name, references too.
        fused: by method.
        thermal: how each infrared source is read, by name.
    """

    pair: PairPlan
    infos: Mapping[str, VideoInfo]
    fused: Mapping[str, VideoInfo]
    thermal: Mapping[str, Thermal]

    def begins(self, method: str) -> int:
        """The frame of the sources that the first one of a fused video belongs to."""
        whole = self.fused[method].num_frames == self.pair.vis.num_frames
        return 0 if whole else self.pair.first


def plan_clip(clip: ClipFiles, options: ScoreOptions) -> Plan:
    """Probe the files of a clip; raises UsageError, InputError or PairError where they do not fit."""
    _check_references(clip, options)
    paths = {"ir": clip.ir, "vis": clip.vis, "clean_ir": clip.reference_ir, "clean_vis": clip.reference_vis}
    infos = {name: probe(path) for name, path in paths.items() if path is not None}
    fused = {method: probe(path) for method, path in clip.fused.items()}
    for info in infos.values():
        _check_fit(info, infos["vis"])
    pair = plan_pair(infos["ir"], infos["vis"], start=options.start, end=options.end, thermal=options.thermal)
    for info in fused.values():
        _check_fit(info, infos["vis"], part=pair)
    thermal = {name: _look(info, pair, fused, options) for name, info in infos.items() if name.endswith("ir")}
    return Plan(pair=pair, infos=infos, fused=fused, thermal=thermal)


def _look(info: VideoInfo, pair: PairPlan, fused: Mapping[str, VideoInfo], options: ScoreOptions) -> Thermal:
    """How an infrared source is read: judged on the frames that were fused, as for fusing them."""
    scored = first, stop = pair.first, pair.first + pair.num_frames
    if any(video.num_frames == info.num_frames for video in fused.values()):
        first, stop = 0, info.num_frames
    known = info is pair.ir and (first, stop) == scored
    thermal = pair.thermal if known else look(info, options.thermal, first=first, stop=stop)
    for warning in thermal_warnings(thermal):
        log.warning("%s: %s", info.path, warning)
    return thermal


def _check_references(clip: ClipFiles, options: ScoreOptions) -> None:
    given = {"ir": clip.reference_ir, "vis": clip.reference_vis}
    for entry in options.metrics:
        stream = entry.name.rpartition("_")[2]
        if entry.needs == "reference" and given[stream] is None:
            raise UsageError(
                f"{entry.name} needs the clean frames", todo=f"Give them with --reference-{stream}"
            )


def _check_fit(info: VideoInfo, vis: VideoInfo, *, part: PairPlan | None = None) -> None:
    """Whether a stream belongs to the visible, or to that part of it."""
    if info.stream is not None:
        raise UsageError("standard input cannot be scored", todo="Save it to a file first")
    wrong: list[str] = []
    todo = "Only frames of the same moment can be compared"
    if (info.width, info.height) != (vis.width, vis.height):
        wrong.append(f"it is {info.width}x{info.height}, the visible {vis.width}x{vis.height}")
    if info.num_frames != vis.num_frames and (part is None or info.num_frames != part.num_frames):
        wrong.append(f"it has {info.num_frames} frames, the visible {_count(vis, part)}")
        if part is not None:
            todo = "If it is an excerpt, give the --start and --end that it was fused with"
    if "images" not in (info.kind, vis.kind) and abs(info.fps - vis.fps) > vis.fps / 100:
        wrong.append(f"it has {float(info.fps):.5g} fps, the visible {float(vis.fps):.5g} fps")
    if wrong:
        raise PairError("; ".join(wrong), where=info.path, todo=todo)


def _count(vis: VideoInfo, part: PairPlan | None) -> str:
    if part is None or part.num_frames == vis.num_frames:
        return str(vis.num_frames)
    return f"{vis.num_frames}, and {part.num_frames} of them between --start and --end"


@contextmanager
def read_moments(
    plan: Plan, options: ScoreOptions
) -> Generator[Iterator[tuple[Moment, Moment | None]], None, None]:
    """Decode all streams in step: each scored moment with the one before it."""
    with ExitStack() as opened:

        def pixels(info: VideoInfo, first: int, thermal: Thermal | None = None) -> Iterator[Image]:
            grey = thermal.grey if thermal else info.channels == 1
            stop = first + plan.pair.num_frames
            frames = opened.enter_context(read_range(info, grey=grey, first=first, stop=stop))
            tensors = (frame.pixels for frame in frames)
            images = map(Image, map(displayer(thermal), tensors) if thermal else tensors)
            return opened.enter_context(prefetch(images, AHEAD))

        first = plan.pair.first
        streams = {name: pixels(info, first, plan.thermal.get(name)) for name, info in plan.infos.items()}
        fused = {method: pixels(info, first - plan.begins(method)) for method, info in plan.fused.items()}
        yield _in_step(plan, streams, fused, every=options.every)


def _in_step(
    plan: Plan,
    streams: Mapping[str, Iterator[Image]],
    fused: Mapping[str, Iterator[Image]],
    *,
    every: int,
) -> Iterator[tuple[Moment, Moment | None]]:
    before: Moment | None = None
    for number, time in enumerate(plan.pair.times):
        now = Moment(
            frame=plan.pair.first + number,
            time=time,
            fused={method: next(frames) for method, frames in fused.items()},
            **{name: next(frames) for name, frames in streams.items()},
        )
        if number % every == 0:
            yield now, before
        before = now
