"""The record of what one input holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vfuse.errors import InputError
from vfuse.io._container import prepare_decoder
from vfuse.io._decoded import decoded
from vfuse.io._frame import Orientation
from vfuse.io._hdr import Primaries, Transfer

UNTIMED_RATE = Fraction(25)  # what ffmpeg assumes for images; the pair's video or --fps overrides it


class Stream:
    """Standard input, opened once: the probe looks at its first frame and the reader goes on from there."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        prepare_decoder(stream)
        self._container = container
        self._frames = decoded(container, stream)
        self.first: VideoFrame | None = next(self._frames, None)
        self._taken = False

    def frames(self, path: str) -> Iterator[VideoFrame]:
        """All frames, the probed one included; raises InputError when asked for a second time."""
        if self._taken or self.first is None:
            raise InputError("can be read only once", where=path, todo="Use a file to read it again")
        self._taken = True
        first, self.first = self.first, None
        yield first
        yield from self._frames

    def close(self) -> None:
        self._container.close()


@dataclass(frozen=True)
class VideoInfo:
    """The raw facts of one input, found without decoding more than its first frame.

    Attributes:
        path: as given; "-" is standard input.
        kind: "video" file, "images" (folder, glob, numbered pattern, one image), "raw" (a file of bare 16-bit
            frames) or "stream" (standard input).
        container, codec: FFmpeg's names; for images "images" and the suffix, for raw frames "raw" and "y16".
        width, height: pixels as displayed, after rotation.
        fps: frames a second; the mean when `vfr`, 25 for images and raw frames (they have no rate).
        num_frames: exact count of the frames the reader delivers; None for a stream.
        counted: whether `num_frames` comes from the content rather than a header.
        duration: seconds from the first frame to the end of the last; None for a stream.
        pix_fmt: FFmpeg's name of the stored pixel format.
        bit_depth: bits of a sample, at most 16.
        channels: 1 when the stored pixels are grey, else 3; alpha does not count.
        colour_matrix: "bt709", "bt601", "bt2020", "smpte240m", "fcc"; "rgb" or "grey" when there is none.
        colour_range: "tv" (limited) or "pc" (full).
        transfer: "sdr", or "pq" or "hlg" of high dynamic range, which the reader converts to BT.709.
        primaries: "bt709", or "bt2020" or "p3", which it converts too.
        rotation: degrees counter-clockwise that the reader turns the stored pixels by.
        has_audio, has_subtitles: whether such streams are present.
        vfr: whether the frames are spaced unevenly.
        sample_aspect: width of a displayed pixel over its height.
        times: seconds from the first frame, one per frame; None for a stream.
        origin: timestamp of the first frame in seconds; None when timestamps are missing or unusable.
        orientation: the turn and the mirroring that the reader applies.
        files: the image files in order, or the raw file.
        stream: the opened standard input.
    """

    path: str
    kind: Literal["video", "images", "raw", "stream"]
    container: str
    codec: str
    width: int
    height: int
    fps: Fraction
    num_frames: int | None
    counted: bool
    duration: float | None
    pix_fmt: str
    bit_depth: int
    channels: int
    colour_matrix: str
    colour_range: Literal["tv", "pc"]
    transfer: Transfer = "sdr"
    primaries: Primaries = "bt709"
    rotation: int = 0
    has_audio: bool = False
    has_subtitles: bool = False
    vfr: bool = False
    sample_aspect: Fraction = Fraction(1)
    times: tuple[float, ...] | None = field(default=None, repr=False)
    origin: float | None = field(default=None, repr=False)
    orientation: Orientation = field(default=Orientation(), repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)
    stream: Stream | None = field(default=None, repr=False, compare=False)

    @property
    def timed(self) -> bool:
        """Whether the frames have times of their own; images and raw frames take those of their partner."""
        return self.kind not in ("images", "raw")
