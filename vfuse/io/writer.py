"""Write frames to a video file, an image folder or a single image, so that it is whole or absent."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

from vfuse.errors import OutputError, UsageError
from vfuse.io._atomic import atomic, check_target, is_pattern
from vfuse.io._encoding import MUXERS, WriteOptions, choose_encoding, is_deep
from vfuse.io._imagefiles import IMAGE_SUFFIXES, ImageFolder, SingleImage
from vfuse.io._tracks import Tracks, tracks_of
from vfuse.io._videofile import count_frames, open_video

__all__ = ["Sink", "WriteOptions", "check_output", "output_kind", "write_video"]


class Sink(Protocol):
    """Takes frames in order.

    Attributes:
        count: frames taken so far.
        dropped: sound and subtitle tracks that the container cannot hold, in words.
    """

    count: int
    dropped: tuple[str, ...]

    def write(self, frame: Tensor, *, time: float) -> None:
        """Take the next frame.

        Args:
            frame: (3, H, W) RGB or (1, H, W) grey, float in [0, 1], values outside are clipped; or uint8
                levels. All frames of one sink have the same number of channels.
            time: presentation time in seconds from the start of the output; grows from frame to frame.

        Raises:
            OutputError: it cannot be encoded or stored.
        """
        ...


def output_kind(out: Path) -> Literal["video", "folder", "pattern", "image"]:
    """What a name asks for: a video, a folder of images (no suffix, or it exists), a pattern such as
    `frames/%05d.png`, or one image.

    Raises:
        UsageError: the suffix is neither a video's nor an image's.
    """
    suffix = out.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "pattern" if is_pattern(out) else "image"
    if suffix in MUXERS:
        return "video"
    if not suffix or out.is_dir():
        return "folder"
    known = ", ".join([*MUXERS, *IMAGE_SUFFIXES])
    raise UsageError(f"unknown suffix {suffix!r}", where=out, todo=f"Known: {known}, or none for a folder")


def check_output(out: str | Path, *, inputs: tuple[str | Path, ...] = (), overwrite: bool) -> None:
    """Refuse an output that cannot or must not be written; call it before anything is decoded.

    Args:
        out: what the user asked for.
        inputs: sources that must not be replaced.
        overwrite: whether an existing output may be replaced.

    Raises:
        UsageError: unknown suffix.
        OutputError: it exists already, is an input, or its folder is missing or not writable.
    """
    out = Path(out)
    kind = output_kind(out)
    target = out.parent if kind == "pattern" else out
    check_target(target, out=out, folder=kind in ("folder", "pattern"), inputs=inputs, overwrite=overwrite)


@contextmanager
def write_video(
    out: Path,
    *,
    width: int,
    height: int,
    fps: Fraction,
    num_frames: int | None = None,
    copy_from: Path | None = None,
    start: float | None = None,
    end: float | None = None,
    sample_aspect: Fraction = Fraction(1),
    options: WriteOptions | None = None,
) -> Generator[Sink]:
    """Open an output for frames of one size; it appears under its name when the block ends without error.

    Colour is converted with the BT.709 matrix to limited range and tagged so (AVI has no tags: BT.601 below
    720 lines, as readers assume). Times are kept to 1/90000 s in MP4, MOV and NUT and to the millisecond that
    Matroska and WebM store; AVI needs a constant rate.

    Args:
        out: video file, image folder, image pattern or single image, see `output_kind`.
        width, height: of every frame, in pixels.
        fps: frames a second; the exact times come with the frames.
        num_frames: how many frames there must be, None when unknown.
        copy_from: video whose sound, subtitles, chapters and metadata are copied (video outputs only).
        start: where the output begins, in seconds after the first frame of `copy_from`; None: there.
        end: where it ends, on the same clock; None: with `copy_from`.
        sample_aspect: width of a displayed pixel over its height; images have square ones.
        options: how to write.

    Raises:
        UsageError: unknown codec, pixel format, encoder option or suffix.
        OutputError: the output cannot be written, or it does not hold exactly the frames that were written.
    """
    out, options = Path(out), options or WriteOptions()
    check_output(out, inputs=(copy_from,) if copy_from else (), overwrite=options.overwrite)
    kind = output_kind(out)
    if kind == "video":
        encoding = choose_encoding(out, width=width, height=height, fps=fps, options=options)
        tracks = Tracks()
        if copy_from is not None and copy_from.is_file():
            sound = options.keep_audio
            tracks = tracks_of(copy_from, muxer=encoding.muxer, sound=sound, start=start, end=end)
        with atomic(out, overwrite=options.overwrite) as part:
            with open_video(
                part,
                encoding,
                tracks,
                width=width,
                height=height,
                fps=fps,
                sample_aspect=sample_aspect,
                where=out,
            ) as sink:
                yield sink
            _check_count(sink, written=count_frames(part, where=out), wanted=num_frames, where=out)
        return
    deep = options.pix_fmt is not None and is_deep(options.pix_fmt)
    if kind == "image":
        with atomic(out, overwrite=options.overwrite) as part:
            image = SingleImage(part, where=out, deep=deep)
            yield image
            _check_count(image, written=image.count, wanted=num_frames, where=out)
        return
    target, name = (out.parent, out.name) if kind == "pattern" else (out, "%05d.png")
    with atomic(target, overwrite=options.overwrite, folder=True) as part:
        images = ImageFolder(part, name=name, where=out, deep=deep)
        yield images
        _check_count(images, written=sum(1 for _ in part.iterdir()), wanted=num_frames, where=out)


def _check_count(sink: Sink, *, written: int, wanted: int | None, where: Path) -> None:
    if sink.count == 0:
        raise OutputError("no frame was written", where=where)
    if wanted is not None and sink.count != wanted:
        raise OutputError(f"got {sink.count} frames instead of {wanted}", where=where)
    if written != sink.count:
        raise OutputError(f"holds {written} frames instead of the {sink.count} given", where=where)
