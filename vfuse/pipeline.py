"""Fuse two videos into one: the whole of `vfuse fuse` as one library call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

from vfuse.device import cores_left_free
from vfuse.errors import OutputError, UsageError
from vfuse.io._clocks import PairLink
from vfuse.io.freeze import Freeze, OnFreeze, watch_freezes
from vfuse.io.pairs import PairPlan, pair_warnings, plan_pair, read_pairs
from vfuse.io.probe import VideoInfo, probe
from vfuse.io.radiometry import counts_kept
from vfuse.io.thermal import ThermalOptions
from vfuse.io.writer import WriteOptions, check_output, write_video
from vfuse.models._registry import ModelEntry
from vfuse.models._room import fitting_window
from vfuse.models._run import LoadedModel, check_request, run
from vfuse.prefetch import prefetch, write_behind
from vfuse.report import FuseReport, Ledger
from vfuse.windows import Blend, FusedFrame, check_window, cut, join

log = logging.getLogger(__name__)

DEFAULT_MODEL = "videofusion-s"
FEW = 4  # frames that reading and writing may at least be ahead and behind, to even out slow ones

T = TypeVar("T")
Track = Callable[[Iterable[T], int | None], Iterable[T]]


def untracked(items: Iterable[T], total: int | None) -> Iterable[T]:
    """Progress for nobody; `total` is the number of items where it is known."""
    del total
    return items


@dataclass(frozen=True, kw_only=True)
class FuseOptions:
    """What can be asked of `fuse_video`; every default is what most people want.

    Attributes:
        window: frames the network sees at once; None takes the network's own number.
        overlap: frames that neighbouring windows share and fade across; None takes the network's own number.
        tile: side in pixels of the tiles that large frames are cut into; None as large as memory allows.
        start, end: the part of the videos to fuse, in seconds from the first frame; None for all.
        frames: at most this many frames; None for all.
        fps: read both inputs as if they had this rate; needed for image folders, which carry none.
        link: how inputs of other clocks, sizes or views belong together; see `vfuse.align.link.resolve_link`.
        restored_ir, restored_vis: where to write the cleaned sources, for networks that restore.
        radiometric: where to keep the stored infrared samples, see `vfuse.io.radiometry.counts_kept`.
        compat: "official" repeats the published test script of the network: its overlap, across which the
            later window overwrites, and where it does so, every frame stretched to its own minimum and
            maximum, which flickers.
        thermal: how the infrared is understood: its range, palette and polarity.
        on_freeze: what becomes of frames whose infrared only repeats, see `vfuse.io.freeze.watch_freezes`.
        write: how the outputs are encoded.
    """

    window: int | None = None
    overlap: int | None = None
    tile: int | None = None
    start: float | None = None
    end: float | None = None
    frames: int | None = None
    fps: Fraction | None = None
    link: PairLink | None = None
    restored_ir: Path | None = None
    restored_vis: Path | None = None
    radiometric: Path | None = None
    compat: Literal["official"] | None = None
    thermal: ThermalOptions = field(default_factory=ThermalOptions)
    on_freeze: OnFreeze = "hold"
    write: WriteOptions = field(default_factory=WriteOptions)

    @property
    def blend(self) -> Blend:
        """How overlapping windows are joined."""
        return "last" if self.compat == "official" else "linear"

    def window_for(self, entry: ModelEntry) -> tuple[int, int]:
        """Window and overlap in frames, the network's own unless the options say otherwise."""
        window = entry.window if self.window is None else self.window
        own = entry.script.overlap if self.compat == "official" else entry.overlap
        overlap = min(own, max(window - 1, 0)) if self.overlap is None else self.overlap
        check_window(window, overlap)
        return window, overlap


def fuse_video(
    ir: str | Path,
    vis: str | Path,
    out: str | Path,
    *,
    model: LoadedModel,
    options: FuseOptions | None = None,
    track: Track[FusedFrame] = untracked,
) -> FuseReport:
    """Fuse an infrared and a visible video into one, frame by frame and at constant memory.

    Decoding, the network and encoding run at the same time. The output appears under its name only when it is
    complete and its frames are counted.

    Args:
        ir: infrared video, folder or pattern of images, or "-" for stdin.
        vis: visible video of the same size, rate and length.
        out: the video to write; a folder or a `%04d.png` pattern writes images.
        model: from `load_model`.
        options: everything else.
        track: wraps the finished frames, for progress; called once with the frames and their number if known.

    Raises:
        UsageError, InputError, PairError, WeightsError, DeviceError, OutputError: see `vfuse.errors`.
    """
    options = options or FuseOptions()
    window, overlap = options.window_for(model.entry)
    targets = output_paths(out, options, inputs=(ir, vis))
    check_request(model.entry, tile=options.tile, streams=targets)
    with Ledger.open() as ledger, cores_left_free(when=model.entry.params == 0):
        plan = plan_inputs(ir, vis, options)
        window = shrunk(window, overlap, model, plan, options)
        frozen: list[Freeze] = []
        dropping = options.on_freeze == "drop"
        with (
            read_pairs(plan, counts=options.radiometric is not None) as pairs,
            write_streams(targets, plan, options.write, counted=not dropping) as write,
            counts_kept(
                options.radiometric, plan, counted=not dropping, overwrite=options.write.overwrite
            ) as keep,
        ):
            for warning in pair_warnings(plan):  # here, so that what is refused is refused in one line
                log.warning(warning)
            pairs = keep(watch_freezes(pairs, on_freeze=options.on_freeze, found=frozen))
            with (
                prefetch(ledger.watch("read", pairs), max(window, FEW)) as coming,
                write_behind(ledger.watched("write", write), max(window, FEW)) as write_later,
            ):
                clips = cut(ledger.watch("wait", coming), window, overlap)
                fused = run(model, clips, tile=options.tile, streams=targets)
                stretched = options.compat == "official" and model.entry.script.stretch
                for frame in track(ledger.watch("fuse", join(fused, blend=options.blend)), plan.num_frames):
                    write_later(stretch(frame) if stretched else frame)
            ledger.check_no_frame_is_lost(where=targets["fused"])
        warn_of_freezes(frozen, options.on_freeze)
        windows = {"window": window, "overlap": overlap, "blend": options.blend, "tile": options.tile}
        kept = {"radiometric": options.radiometric} if options.radiometric else {}
        return ledger.report(model, plan, targets | kept, windows=windows, frozen=frozen)


def shrunk(window: int, overlap: int, model: LoadedModel, plan: PairPlan, options: FuseOptions) -> int:
    """The window, shorter where memory is short and nobody asked for its length or for tiles."""
    if options.window is not None or options.tile is not None or options.compat == "official":
        return window
    height, width = plan.vis.height, plan.vis.width
    return fitting_window(model.entry, model.device, window, shortest=overlap + 1, height=height, width=width)


def plan_inputs(ir: str | Path, vis: str | Path, options: FuseOptions) -> PairPlan:
    """Look at both inputs and agree on what to read."""
    if str(ir) == str(vis) == "-":
        raise UsageError("only one input can be standard input", todo="Name a file for the other")
    return plan_pair(
        probe(ir, raw=options.thermal.raw),
        probe(vis),
        fps=options.fps,
        start=options.start,
        end=options.end,
        frames=options.frames,
        link=options.link,
        thermal=options.thermal,
    )


def output_paths(out: str | Path, options: FuseOptions, *, inputs: tuple[str | Path, ...]) -> dict[str, Path]:
    """Which stream goes where; every target is known to be writable, none is an input or named twice.

    Raises:
        UsageError: a suffix that nothing can be written to.
        OutputError: from `check_output`, or two outputs of one name.
    """
    wanted = {"fused": Path(out), "ir": options.restored_ir, "vis": options.restored_vis}
    targets = {name: path for name, path in wanted.items() if path is not None}
    written = [*targets.values(), *([options.radiometric] if options.radiometric else [])]
    for path in written:
        check_output(path, inputs=inputs, overwrite=options.write.overwrite)
    if len({path.resolve() for path in written}) < len(written):
        raise OutputError("is named for two outputs", where=out, todo="Give each output its own name")
    return targets


@contextmanager
def write_streams(
    targets: Mapping[str, Path], plan: PairPlan, options: WriteOptions, *, counted: bool = True
) -> Generator[Callable[[FusedFrame], None], None, None]:
    """Open every output; all of them appear when the block ends well, none when it does not.

    Sound, subtitles and metadata come from the visible video, for the restored infrared from its own.
    With `counted` they must hold as many frames as planned.
    """
    with ExitStack() as stack:
        sinks = {
            name: stack.enter_context(
                write_video(
                    path,
                    width=plan.width,
                    height=plan.height,
                    fps=plan.fps,
                    num_frames=plan.num_frames if counted else None,
                    copy_from=copyable(plan.ir if name == "ir" else plan.vis),
                    start=plan.start,
                    end=plan.end,
                    sample_aspect=plan.vis.sample_aspect,
                    options=options,
                )
            )
            for name, path in targets.items()
        }

        def write(frame: FusedFrame) -> None:
            for name, sink in sinks.items():
                sink.write(frame.streams[name], time=frame.time)

        yield write
    for name, sink in sinks.items():
        for lost in sink.dropped:
            log.warning("%s: left out %s", targets[name], lost)


def warn_of_freezes(frozen: Sequence[Freeze], on_freeze: OnFreeze) -> None:
    """Say in one line where the infrared stood still, and what was done about it."""
    if frozen:
        count = sum(freeze.last - freeze.first + 1 for freeze in frozen)
        done = {"hold": "kept", "visible": "fused without it", "drop": "left out"}[on_freeze]
        log.warning(
            "the infrared stands still for %d frames, first at %.2f s: %s", count, frozen[0].start, done
        )


def copyable(source: VideoInfo) -> Path | None:
    """The file whose sound and metadata can be copied; images and stdin have none."""
    return Path(source.path) if source.kind == "video" else None


def stretch(frame: FusedFrame) -> FusedFrame:
    """Stretch the fused frame to its own minimum and maximum, as the published scripts do while saving.

    It makes brightness pump from frame to frame, so only `compat="official"` does it.
    """
    fused = frame.streams["fused"]
    low, high = fused.aminmax()
    stretched = (fused - low) / (high - low).clamp_min(1e-12)
    return FusedFrame({**frame.streams, "fused": stretched}, frame.index, frame.time)
