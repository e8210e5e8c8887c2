"""Track several videos of one scene in step, and say how they differ."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vfuse.errors import OutputError, PairError, UsageError
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.reader import frame_range
from vfuse.io.writer import Sink, WriteOptions, check_output, write_video
from vfuse.lineup import common_length, grid, names_of, side_by_side
from vfuse.track.accuracy import Accuracy, AccuracyCounter
from vfuse.track.detectors import Detector, Request, load_detector
from vfuse.track.draw import Annotator
from vfuse.track.mot import Truth, mot_file, read_truth
from vfuse.track.movement import Movement, MovementCounter
from vfuse.track.tracker import TrackedFrame, TrackerOptions, track_frames
from vfuse.track.trails import Trail, TrailCounter

Moment = tuple[TrackedFrame, ...]
Progress = Callable[[Iterable[Moment], int | None], Iterable[Moment]]


@dataclass(frozen=True, kw_only=True)
class TrackOptions:
    """How to track, and what to write besides the numbers.

    Attributes:
        detector: name as of `load_detector`.
        request: how the detector is wanted.
        tracker: settings of ByteTrack.
        truth: ground truth of all videos, in one of the forms of `read_truth`.
        mot: MOTChallenge text; a folder of NAME.txt where there are several videos.
        annotated: video of all of them side by side, with boxes, identities and trails.
        start, end: the part to track, in seconds from the first frame.
        write: how the annotated video is encoded; `overwrite` is also for the text.
    """

    detector: str = "hog"
    request: Request = field(default_factory=Request)
    tracker: TrackerOptions = field(default_factory=TrackerOptions)
    truth: Path | None = None
    mot: Path | None = None
    annotated: Path | None = None
    start: float | None = None
    end: float | None = None
    write: WriteOptions = field(default_factory=WriteOptions)


@dataclass(frozen=True, kw_only=True)
class TrackedVideo:
    """One video in numbers.

    Attributes:
        name: short and distinct among the videos of a call.
        path: as given.
        movement: what can be said without the truth.
        accuracy: against the truth; None without one.
        trails: where the centres of the tracks went.
        width, height: of the frames in pixels.
    """

    name: str
    path: str
    movement: Movement
    accuracy: Accuracy | None
    trails: tuple[Trail, ...] = field(repr=False)
    width: int
    height: int


def track_videos(
    videos: Sequence[str | Path],
    *,
    options: TrackOptions | None = None,
    progress: Progress = lambda moments, _: moments,
) -> list[TrackedVideo]:
    """Detect and track in every video, frame by frame in step, so that the numbers speak of the same moments.

    Args:
        videos: of one scene and one length, such as the infrared, the visible and what was fused of them.
        options: how.
        progress: wraps the moments.

    Raises:
        UsageError: an unknown detector or class, a missing package, an option that contradicts another.
        WeightsError: the file of a detector cannot be used.
        InputError: a video or the truth cannot be read, or the truth is not of these videos.
        PairError: the videos have different lengths.
        OutputError: an output exists or cannot be written.
    """
    options = options or TrackOptions()
    if not videos:
        raise UsageError("no video to track")
    _check_outputs(videos, options)
    detector = load_detector(options.detector, options.request)
    infos = [probe(video) for video in videos]
    names = names_of(videos)
    count = common_length(infos)
    truth = None if options.truth is None else _checked_truth(options.truth, infos, count)
    if truth is not None:
        truth.check_classes(options.tracker.keep or detector.labels)
    counters = [_Counter(detector, options, truth) for _ in videos]
    first = 0
    with ExitStack() as opened:
        moments = opened.enter_context(_moments(infos, detector, options))
        adders = [
            opened.enter_context(mot_file(path, detector.labels)) for path in _mot_paths(names, options.mot)
        ]
        show = opened.enter_context(_annotated(infos, names, detector, options, count))
        if truth is not None and options.start and infos[0].times is not None:
            first = _first_frame(infos[0].times, options.start)
        for moment in progress(moments, count if options.start is options.end is None else None):
            for counter, add, frame in zip(counters, adders, moment, strict=True):
                add(frame.index, frame.tracks)
                counter.add(frame, first)
            show(moment)
    return [counter.result(name, info) for counter, name, info in zip(counters, names, infos, strict=True)]


class _Counter:
    """All that is counted on one video."""

    def __init__(self, detector: Detector, options: TrackOptions, truth: Truth | None) -> None:
        self._movement, self._trails = MovementCounter(), TrailCounter()
        self._truth = truth
        keep = options.tracker.keep
        self._accuracy = None if truth is None else AccuracyCounter(detector.labels, truth=truth, keep=keep)

    def add(self, frame: TrackedFrame, first: int) -> None:
        self._movement.add(frame.found, frame.tracks)
        self._trails.add(frame.tracks)
        if self._truth is not None and self._accuracy is not None:
            self._accuracy.add(self._truth.frame(first + frame.index), frame.tracks)

    def result(self, name: str, info: VideoInfo) -> TrackedVideo:
        return TrackedVideo(
            name=name,
            path=str(info.path),
            movement=self._movement.result(),
            accuracy=None if self._accuracy is None else self._accuracy.result(),
            trails=self._trails.result(),
            width=info.width,
            height=info.height,
        )


def _first_frame(times: tuple[float, ...], start: float) -> int:
    return frame_range(times, start=start, end=None)[0]


def _checked_truth(path: Path, infos: Sequence[VideoInfo], count: int | None) -> Truth:
    truth = read_truth(path)
    for info in infos:
        truth.check(num_frames=count, width=info.width, height=info.height, video=str(info.path))
    return truth


def _check_outputs(videos: Sequence[str | Path], options: TrackOptions) -> None:
    overwrite = options.write.overwrite
    if options.annotated is not None:
        check_output(options.annotated, inputs=tuple(videos), overwrite=overwrite)
    for path in _mot_paths(names_of(videos), options.mot):
        if path is None:
            continue
        if path.exists() and not overwrite:
            raise OutputError("exists already", where=path, todo="Use -y to overwrite it")
        folder = path.parent.parent if len(videos) > 1 else path.parent
        if not folder.absolute().is_dir():
            raise OutputError(f"the folder {folder} does not exist", where=path, todo="Create it first")


def _mot_paths(names: Sequence[str], mot: Path | None) -> list[Path | None]:
    if mot is None:
        return [None] * len(names)
    if len(names) == 1:
        return [mot]
    if mot.suffix:
        raise UsageError(
            f"--mot {mot} is one file for {len(names)} videos", todo="Name a folder, without a suffix"
        )
    return [mot / f"{name}.txt" for name in names]


@contextmanager
def _moments(
    infos: Sequence[VideoInfo], detector: Detector, options: TrackOptions
) -> Generator[Iterator[Moment]]:
    if options.mot is not None and len(infos) > 1:
        try:
            options.mot.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot be made ({error.strerror})", where=options.mot) from error
    with ExitStack() as opened:
        films = [
            opened.enter_context(
                track_frames(info, detector, options=options.tracker, start=options.start, end=options.end)
            )
            for info in infos
        ]
        yield zip(*films, strict=True)


@contextmanager
def _annotated(
    infos: Sequence[VideoInfo],
    names: Sequence[str],
    detector: Detector,
    options: TrackOptions,
    count: int | None,
) -> Generator[Callable[[Moment], None]]:
    if options.annotated is None:
        yield lambda moment: None
        return
    sizes = {(info.width, info.height) for info in infos}
    if len(sizes) > 1:
        raise PairError(f"an annotated video needs frames of one size, not {sorted(sizes)}")
    info = infos[0]
    columns, rows = grid(len(infos))
    annotators = [Annotator(detector.labels, fps=float(info.fps)) for _ in infos]
    whole = options.start is None and options.end is None
    with write_video(
        options.annotated,
        width=columns * info.width,
        height=rows * info.height,
        fps=info.fps,
        num_frames=count if whole else None,
        sample_aspect=info.sample_aspect,
        options=options.write,
    ) as sink:
        yield _shower(sink, annotators, names if len(names) > 1 else [""], columns)


def _shower(
    sink: Sink, annotators: Sequence[Annotator], names: Sequence[str], columns: int
) -> Callable[[Moment], None]:
    begun: list[float] = []

    def show(moment: Moment) -> None:
        if not begun:
            begun.append(moment[0].time)
        pictures = [draw(frame) for draw, frame in zip(annotators, moment, strict=True)]
        sink.write(side_by_side(pictures, names, columns=columns), time=moment[0].time - begun[0])

    return show
