"""Degrade a whole video, frame by frame: the degradations of training, to look at and to test with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import Generator, Tensor

from vfuse.io.probe import VideoInfo, probe
from vfuse.io.reader import Frame, read_frames
from vfuse.io.writer import WriteOptions, check_output, write_video
from vfuse.train._degrade import Degradation, apply, draw

Track = Callable[[Iterable[Frame], int | None], Iterable[Frame]]


def untracked(frames: Iterable[Frame], total: int | None) -> Iterable[Frame]:
    """Progress for nobody."""
    del total
    return frames


def degrade_video(
    source: str | Path,
    out: Path,
    *,
    kinds: Sequence[str],
    strength: float = 1.0,
    seed: int = 0,
    grey: bool = False,
    options: WriteOptions | None = None,
    track: Track = untracked,
) -> int:
    """Write a degraded copy of a video or image folder; the number of frames.

    What is drawn for a clip (stripes, widths, tone) is drawn once; the noise is new in every frame. Memory
    does not depend on the length. Sound is copied.

    Args:
        source: video, image folder, pattern or "-".
        out: as for `write_video`.
        kinds: names in `KINDS`, applied one after the other.
        strength: 0 leaves the frames as they are, 1 is as strong as in the real data.
        seed: the same seed gives the same frames.
        grey: read one channel, as infrared has it; "ir" among the kinds implies it.
        options: how to write.
        track: wraps the frames, for progress.

    Raises:
        UsageError: unknown kind.
        InputError, OutputError: from the reader and the writer.
    """
    options = options or WriteOptions()
    rng = Generator().manual_seed(seed)
    info = probe(source)
    check_output(out, inputs=(source,), overwrite=options.overwrite)
    drawn = draw(kinds, (info.height, info.width), strength, rng=rng)
    one_channel = grey or info.channels == 1 or "ir" in kinds
    with (
        read_frames(info, grey=one_channel) as frames,
        write_video(
            out,
            width=info.width,
            height=info.height,
            fps=info.fps,
            num_frames=info.num_frames,
            copy_from=_sound(info),
            options=options,
        ) as sink,
    ):
        for frame in track(frames, info.num_frames):
            sink.write(_degraded(frame.pixels, drawn, rng), time=frame.time)
        return sink.count


def _sound(info: VideoInfo) -> Path | None:
    return Path(info.path) if info.kind == "video" else None


def _degraded(pixels: Tensor, drawn: Iterable[Degradation], rng: Generator) -> Tensor:
    """One frame (C, H, W) after all degradations."""
    for degradation in drawn:
        pixels = apply(degradation, pixels[None], rng=rng)[0]
    return pixels
