"""Score fused videos against their sources: readers and metrics joined, streaming, at constant memory."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from vfuse import __version__
from vfuse.allocator import keep_freed_memory
from vfuse.device import cores_left_free
from vfuse.errors import VfuseError
from vfuse.evaluate._options import ClipFiles, ScoreOptions
from vfuse.evaluate._reading import Plan, plan_clip, read_moments
from vfuse.evaluate._splits import known_split
from vfuse.io.probe import VideoInfo
from vfuse.metrics import Curves
from vfuse.metrics._measure import of_video
from vfuse.metrics._moment import TRIVIAL, Measured, Measuring, Moment, measure_moment
from vfuse.metrics._repeats import repeats
from vfuse.metrics._scores import Clip, Row, Run, Scores

T = TypeVar("T")
Track = Callable[[Iterable[T], int | None], Iterable[T]]


def untracked(items: Iterable[T], total: int | None) -> Iterable[T]:
    """Progress for nobody; `total` is the number of items."""
    del total
    return items


Told = Callable[[str, Measured], None]


def ignored(clip: str, measured: Measured) -> None:
    """Hears of each scored moment and does nothing."""
    del clip, measured


def evaluate(
    clips: Sequence[ClipFiles],
    *,
    options: ScoreOptions | None = None,
    track: Track[Measured] = untracked,
    told: Told = ignored,
) -> Scores:
    """Score every method on every clip, frame by frame; memory does not grow with the length of the videos.

    Args:
        clips: what belongs together.
        options: everything else.
        track: wraps the scored moments of a clip, for progress.
        told: called with the clip and each scored moment in order, so that a failure leaves what came before.

    Raises:
        UsageError: a metric of a reference without one.
        InputError: a file that cannot be read; in the middle of it the frame is named.
        PairError: sizes, counts or rates that differ.
    """
    options = options or ScoreOptions()
    plans = [plan_clip(clip, options) for clip in clips]  # every mismatch is found before a frame is decoded
    scored = [
        _score(clip, plan, options, track, partial(told, clip.name))
        for clip, plan in zip(clips, plans, strict=True)
    ]
    return Scores(
        metrics=options.labels,
        clips=tuple(clip for clip, _ in scored),
        runs=tuple(run for _, runs in scored for run in runs),
        settings=_settings(options),
    )


def _score(
    clip: ClipFiles,
    plan: Plan,
    options: ScoreOptions,
    track: Track[Measured],
    told: Callable[[Measured], None],
) -> tuple[Clip, list[Run]]:
    pair = plan.pair
    rows: dict[str, list[Row]] = {}
    sources: dict[str, list[Row]] = {"ir": [], "vis": []}
    changes: dict[str, list[float]] = {"ir": [], "vis": []}
    flags: dict[str, Counter[str]] = {}
    with read_moments(plan, options) as moments:
        total = -(-pair.num_frames // options.every)
        for measured in track(_measure(moments, options, total=total), total):
            told(measured)
            for method, row in measured.rows.items():
                rows.setdefault(method, []).append(row)
                flags.setdefault(method, Counter()).update(measured.flags[method])
            for stream in sources:
                sources[stream].append(measured.sources[stream])
            for stream, value in measured.changes.items():
                changes[stream].append(value)
    repeated = _repeated(changes, first=pair.first) if options.every == 1 else {}
    if options.unique:
        left_out = {frame for frames in repeated.values() for frame in frames}
        rows = {method: _without_steps(kept, left_out, options) for method, kept in rows.items()}
    curves = {stream: np.array([row.brightness for row in kept]) for stream, kept in (sources | rows).items()}
    runs = [
        Run(
            clip=clip.name,
            method=method,
            trivial=method in TRIVIAL,
            rows=tuple(kept),
            video={} if method in TRIVIAL else _video(curves, method, options),
            flags=flags[method],
            file=_file(plan.fused[method]) if method in plan.fused else {},
            begins=plan.begins(method) if method in plan.fused else 0,
        )
        for method, kept in rows.items()
    ]
    return _clip(clip, plan, repeated, sources), runs


def _clip(
    clip: ClipFiles, plan: Plan, repeated: Mapping[str, tuple[int, ...]], sources: Mapping[str, list[Row]]
) -> Clip:
    return Clip(
        name=clip.name,
        width=plan.pair.width,
        height=plan.pair.height,
        fps=str(plan.pair.fps),
        num_frames=plan.pair.num_frames,
        files={name.replace("clean", "reference"): _file(info) for name, info in plan.infos.items()},
        infrared=asdict(plan.thermal["ir"]),
        split=known_split(clip.name, clip.vis),
        repeats=repeated,
        rows={stream: tuple(kept) for stream, kept in sources.items()},
    )


def _repeated(changes: Mapping[str, list[float]], *, first: int) -> dict[str, tuple[int, ...]]:
    """Stream to the frames that repeat the one before; the changes start at frame `first`."""
    found = {stream: repeats(np.array(values)) for stream, values in changes.items()}
    return {
        stream: tuple(first + int(t) + 1 for t in np.flatnonzero(marks)) for stream, marks in found.items()
    }


def _without_steps(rows: list[Row], left_out: set[int], options: ScoreOptions) -> list[Row]:
    steps = {name for name, entry in options.labels.items() if entry.over == "neighbours"}

    def thinned(row: Row) -> Row:
        values = {name: value for name, value in row.values.items() if name not in steps}
        return Row(row.frame, row.time, values, row.brightness, row.column)

    return [thinned(row) if row.frame in left_out else row for row in rows]


def _video(curves: Mapping[str, Any], method: str, options: ScoreOptions) -> dict[str, float | None]:
    return of_video(options.metrics, Curves(fused=curves[method], ir=curves["ir"], vis=curves["vis"]))


def _measure(
    moments: Iterator[tuple[Moment, Moment | None]], options: ScoreOptions, *, total: int
) -> Iterator[Measured]:
    """Score the moments in worker threads, in order, a few more than there are workers at a time.

    What was read before an unreadable frame is scored before its error is raised.
    """
    measuring = Measuring(
        metrics=options.metrics, flow=options.flow, features=options.features, column=options.column
    )
    workers = options.workers or _cores()
    waiting: deque[Future[Measured]] = deque()
    failure: list[VfuseError] = []
    keep_freed_memory()
    with _single_threaded(), ThreadPoolExecutor(workers) as pool:
        try:
            for number, (now, before) in enumerate(_until_failure(moments, failure)):
                trivial = options.scores_baselines(number, total=total)
                waiting.append(pool.submit(measure_moment, now, before, measuring, trivial=trivial))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
    if failure:
        raise failure[0]


def _cores() -> int:
    """Cores this process may use, where the system tells."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _until_failure(items: Iterator[T], failure: list[VfuseError]) -> Iterator[T]:
    """The items; an expected error ends them and is put aside."""
    try:
        yield from items
    except VfuseError as error:
        failure.append(error)


@contextmanager
def _single_threaded() -> Generator[None, None, None]:
    """One thread per worker is enough: OpenCV and torch start none of their own."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with cores_left_free(when=True):
            yield
    finally:
        cv2.setNumThreads(threads)


def _file(info: VideoInfo) -> dict[str, str]:
    digest = sha256()
    for path in info.files or (Path(info.path),):
        with open(path, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return {"path": info.path, "sha256": digest.hexdigest()}


def _settings(options: ScoreOptions) -> dict[str, Any]:
    return {
        "vfuse": __version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "profile": options.profile,
        "flow": options.flow.name,
        "flow_weights": options.flow.weights or None,
        "features": options.features.name if options.features else None,
        "feature_weights": options.features.weights if options.features else None,
        "every": options.every,
        "baselines": options.baselines,
        "unique": options.unique,
        "start": options.start,
        "end": options.end,
    }
