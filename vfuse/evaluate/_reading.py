"""The videos of a clip in step: every mismatch found before decoding, then moment by moment."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vfuse.errors import PairError, UsageError
from vfuse.evaluate._options import ClipFiles, ScoreOptions
from vfuse.io.pairs import PairPlan, plan_pair
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.reader import read_range
from vfuse.metrics import Image
from vfuse.metrics._moment import Moment
from vfuse.prefetch import prefetch

AHEAD = 2
"""Frames that each video is decoded ahead."""


@dataclass(frozen=True)
class Plan:
    """The probed streams of a clip and the frames to score."""

    pair: PairPlan
    infos: Mapping[str, VideoInfo]
    fused: Mapping[str, VideoInfo]


def plan_clip(clip: ClipFiles, options: ScoreOptions) -> Plan:
    """Probe the files of a clip; raises UsageError, InputError or PairError where they do not fit."""
    _check_references(clip, options)
    paths = {"ir": clip.ir, "vis": clip.vis, "clean_ir": clip.reference_ir, "clean_vis": clip.reference_vis}
    infos = {name: probe(path) for name, path in paths.items() if path is not None}
    fused = {method: probe(path) for method, path in clip.fused.items()}
    for info in (*infos.values(), *fused.values()):
        _check_fit(info, infos["vis"])
    pair = plan_pair(infos["ir"], infos["vis"], start=options.start, end=options.end)
    return Plan(pair=pair, infos=infos, fused=fused)


def _check_references(clip: ClipFiles, options: ScoreOptions) -> None:
    given = {"ir": clip.reference_ir, "vis": clip.reference_vis}
    for entry in options.metrics:
        stream = entry.name.rpartition("_")[2]
        if entry.needs == "reference" and given[stream] is None:
            raise UsageError(
                f"{entry.name} needs the clean frames", todo=f"Give them with --reference-{stream}"
            )


def _check_fit(info: VideoInfo, vis: VideoInfo) -> None:
    if info.stream is not None:
        raise UsageError("standard input cannot be scored", todo="Save it to a file first")
    wrong: list[str] = []
    if (info.width, info.height) != (vis.width, vis.height):
        wrong.append(f"it is {info.width}x{info.height}, the visible {vis.width}x{vis.height}")
    if info.num_frames != vis.num_frames:
        wrong.append(f"it has {info.num_frames} frames, the visible {vis.num_frames}")
    if "images" not in (info.kind, vis.kind) and abs(info.fps - vis.fps) > vis.fps / 100:
        wrong.append(f"it has {float(info.fps):.5g} fps, the visible {float(vis.fps):.5g} fps")
    if wrong:
        raise PairError(
            "; ".join(wrong), where=info.path, todo="Only frames of the same moment can be compared"
        )


@contextmanager
def read_moments(
    plan: Plan, options: ScoreOptions
) -> Generator[Iterator[tuple[Moment, Moment | None]], None, None]:
    """Decode all streams in step: each scored moment with the one before it."""
    with ExitStack() as opened:

        def pixels(info: VideoInfo, *, grey: bool) -> Iterator[Image]:
            stop = plan.pair.first + plan.pair.num_frames
            reader = read_range(info, grey=grey or info.channels == 1, first=plan.pair.first, stop=stop)
            frames = opened.enter_context(reader)
            return opened.enter_context(prefetch((Image(frame.pixels) for frame in frames), AHEAD))

        streams = {name: pixels(info, grey=name.endswith("ir")) for name, info in plan.infos.items()}
        fused = {method: pixels(info, grey=False) for method, info in plan.fused.items()}
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
