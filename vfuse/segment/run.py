"""Score the masks of several videos of one scene in step, predicting them where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vfuse.errors import PairError, UsageError
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.reader import Frame, frame_range, read_frames
from vfuse.io.writer import WriteOptions, check_output, write_video
from vfuse.lineup import common_length, grid, names_of, side_by_side
from vfuse.prefetch import prefetch
from vfuse.segment.classes import BACKGROUND, IGNORE_VALUE, Classes, Labels
from vfuse.segment.draw import Pixels, colours_of, name_colours, overlay
from vfuse.segment.masks import Masks, answers, check_masks, open_masks, with_classes
from vfuse.segment.prompted import GroundedOptions, GroundedSegmenter
from vfuse.segment.scores import ScoreCounter, SegmentScores
from vfuse.segment.stability import Motion
from vfuse.segment.write import check_folder, mask_writers

_AHEAD = 4  # frames that reading may be ahead

Answer = Callable[[Pixels], Labels]


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame of every video, and what is in it.

    Attributes:
        time: seconds from the first frame that is scored.
        frames: (H, W, 3) RGB uint8 of each video.
        found: (H, W) what was predicted for each.
        truth: (H, W) what is really there; None where nobody knows.
    """

    time: float
    frames: tuple[Pixels, ...]
    found: tuple[Labels, ...]
    truth: Labels | None


Progress = Callable[[Iterable[Moment], int | None], Iterable[Moment]]


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """What to compare, and what to write besides the numbers.

    Attributes:
        truth: masks of the scene, see `open_masks`; None where nobody knows them.
        predictions: masks of each video, in the order of the videos; () to predict them.
        prompt: names of the classes to find; () where predictions are given.
        grounded: how to find them.
        classes: what the numbers of the masks mean; None for what stands beside them.
        ignore: number in masks that does not take part; None when all do.
        annotated: video of all of them side by side under the colours of their classes.
        masks: folder for the predicted masks, of one video or of one folder for each.
        start, end: the part to score, in seconds from the first frame.
        write: how the annotated video is encoded; `overwrite` is for all that is written.
    """

    truth: Path | None = None
    predictions: tuple[Path, ...] = ()
    prompt: tuple[str, ...] = ()
    grounded: GroundedOptions | None = None
    classes: Classes | None = None
    ignore: int | None = IGNORE_VALUE
    annotated: Path | None = None
    masks: Path | None = None
    start: float | None = None
    end: float | None = None
    write: WriteOptions = field(default_factory=WriteOptions)


@dataclass(frozen=True, kw_only=True)
class SegmentedVideo:
    """One video in numbers.

    Attributes:
        name: short and distinct among the videos of a call.
        path: as given.
        scores: of its masks.
    """

    name: str
    path: str
    scores: SegmentScores


def segment_videos(
    videos: Sequence[str | Path],
    *,
    options: SegmentOptions,
    progress: Progress = lambda moments, _: moments,
) -> list[SegmentedVideo]:
    """Compare masks with the truth in every video, frame by frame in step.

    Args:
        videos: of one scene, size and length, such as the infrared, the visible and what was fused of them.
        options: what to compare.
        progress: wraps the moments.

    Raises:
        UsageError: options that do not fit together, an unknown class, a missing package.
        InputError: a video or a mask cannot be read, or the masks are not of these videos.
        PairError: the videos have different lengths or sizes.
        WeightsError: the networks for a prompt are not there.
        OutputError: an output exists or cannot be written.
    """
    _check_request(videos, options)
    infos, names = [probe(video) for video in videos], names_of(videos)
    count = _common_shape(infos)
    truth, predictions = _open_all(infos, options, count)
    classes = _compared(truth, predictions, options)
    truth = None if truth is None else with_classes(truth, classes)
    first = _first_frame(infos[0], options.start)
    counters = [ScoreCounter(classes, with_truth=truth is not None) for _ in videos]
    motions = [Motion() for _ in videos]
    with ExitStack() as opened:
        found = [_reader(with_classes(masks, classes), first) for masks in predictions]
        films = [opened.enter_context(_film(info, options)) for info in infos]
        write = opened.enter_context(
            mask_writers(infos, names, classes, options.masks, options=options.write)
        )
        show = opened.enter_context(_annotated(infos, names, classes, options, count, truth is not None))
        moments = _moments(films, found or _predictors(classes, options, len(videos)), truth, first)
        for moment in progress(moments, count if options.start is options.end is None else None):
            for counter, motion, pixels, labels in zip(
                counters, motions, moment.frames, moment.found, strict=True
            ):
                counter.add(moment.truth, labels, motion(pixels))
            write(moment.found)
            show(moment)
    return [
        SegmentedVideo(name=name, path=str(info.path), scores=counter.result())
        for counter, name, info in zip(counters, names, infos, strict=True)
    ]


def _check_request(videos: Sequence[str | Path], options: SegmentOptions) -> None:
    if not videos:
        raise UsageError("no video to segment")
    if bool(options.predictions) == bool(options.prompt):
        raise UsageError(
            "either masks or a prompt are needed",
            todo="Give --pred MASKS for each video, or --prompt 'road, person' to predict them",
        )
    if options.predictions and len(options.predictions) != len(videos):
        raise UsageError(
            f"{len(options.predictions)} predictions for {len(videos)} videos",
            todo="Give --pred once for each video, in the order of the videos",
        )
    if options.predictions and options.truth is None:
        raise UsageError("masks are compared with the truth", todo="Give it with --gt MASKS")
    if options.masks is not None and options.predictions:
        raise UsageError(
            "--masks writes what was predicted", todo="Leave it out, or give --prompt instead of --pred"
        )
    if options.masks is not None:
        check_folder(options.masks, names_of(videos), overwrite=options.write.overwrite)
    if options.annotated is not None:
        check_output(options.annotated, inputs=tuple(videos), overwrite=options.write.overwrite)


def _common_shape(infos: Sequence[VideoInfo]) -> int | None:
    sizes = {(info.width, info.height): info for info in infos}
    if len(sizes) > 1:
        told = ", ".join(f"{info.path} is {width}x{height}" for (width, height), info in sizes.items())
        raise PairError(f"the videos differ in size: {told}", todo="Scale them to one size first")
    return common_length(infos)


def _open_all(
    infos: Sequence[VideoInfo], options: SegmentOptions, count: int | None
) -> tuple[Masks | None, list[Masks]]:
    """The truth and the predictions, checked against the videos."""
    truth = None
    if options.truth is not None:
        truth = open_masks(options.truth, classes=options.classes, ignore=options.ignore)
        _check(truth, infos[0], count)
    predictions: list[Masks] = []
    for path, info in zip(options.predictions, infos, strict=False):
        masks = open_masks(path, ignore=options.ignore, like=truth)
        _check(masks, info, count)
        predictions.append(answers(masks))
    return truth, predictions


def _check(masks: Masks, info: VideoInfo, count: int | None) -> None:
    check_masks(masks, num_frames=count, width=info.width, height=info.height, video=str(info.path))


def _compared(truth: Masks | None, predictions: Sequence[Masks], options: SegmentOptions) -> tuple[str, ...]:
    """Names of the classes that are compared: those that are predicted, and the background for all others."""
    lists = {masks.classes.names for masks in predictions} or {options.prompt}
    if len(lists) > 1:
        raise UsageError("the predictions have different classes", todo="Compare masks of the same classes")
    (asked,) = lists
    known = None if truth is None else {name.lower() for name in truth.classes.names}
    others = known is None or bool(known - {name.lower() for name in asked})
    return (BACKGROUND, *asked) if others and BACKGROUND not in map(str.lower, asked) else asked


def _first_frame(info: VideoInfo, start: float | None) -> int:
    return 0 if start is None or info.times is None else frame_range(info.times, start=start, end=None)[0]


def _reader(masks: Masks, first: int) -> Answer:
    """Masks in turn, whatever the frame shows."""
    turns = iter(range(first, len(masks)))
    return lambda _: masks.read(next(turns))


def _predictors(classes: tuple[str, ...], options: SegmentOptions, count: int) -> list[Answer]:
    segmenter = GroundedSegmenter(classes, options=options.grounded or GroundedOptions())
    return [segmenter.video() for _ in range(count)]


@contextmanager
def _film(info: VideoInfo, options: SegmentOptions) -> Generator[Iterator[tuple[Pixels, float]]]:
    with (
        read_frames(info, grey=False, start=options.start, end=options.end, levels=True) as frames,
        prefetch(map(_picture, frames), _AHEAD) as coming,
    ):
        yield coming


def _picture(frame: Frame) -> tuple[Pixels, float]:
    return frame.pixels.permute(1, 2, 0).contiguous().numpy(), frame.time


def _moments(
    films: Sequence[Iterator[tuple[Pixels, float]]],
    answer: Sequence[Answer],
    truth: Masks | None,
    first: int,
) -> Iterator[Moment]:
    begun = 0.0
    for index, together in enumerate(zip(*films, strict=True)):
        begun = together[0][1] if index == 0 else begun
        frames = tuple(pixels for pixels, _ in together)
        found = tuple(find(pixels) for find, pixels in zip(answer, frames, strict=True))
        yield Moment(together[0][1] - begun, frames, found, truth.read(first + index) if truth else None)


@contextmanager
def _annotated(
    infos: Sequence[VideoInfo],
    names: Sequence[str],
    classes: Sequence[str],
    options: SegmentOptions,
    count: int | None,
    with_truth: bool,
) -> Generator[Callable[[Moment], None]]:
    if options.annotated is None:
        yield lambda moment: None
        return
    info, whole = infos[0], options.start is None and options.end is None
    titles = ["truth", *names] if with_truth else list(names)
    columns, rows = grid(len(titles))
    colours = colours_of(classes)
    with write_video(
        options.annotated,
        width=columns * info.width,
        height=rows * info.height,
        fps=info.fps,
        num_frames=count if whole else None,
        sample_aspect=info.sample_aspect,
        options=options.write,
    ) as sink:

        def show(moment: Moment) -> None:
            pairs = list(zip(moment.frames, moment.found, strict=True))
            if moment.truth is not None:
                pairs.insert(0, (moment.frames[0], moment.truth))
            pictures = [overlay(frame, labels, colours) for frame, labels in pairs]
            name_colours(pictures[0], classes, colours)
            sink.write(side_by_side(pictures, titles, columns=columns), time=moment.time)

        yield show
