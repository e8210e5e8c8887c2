"""One video file in the making: raw frames in a NUT stream to ffmpeg, and the count of what arrived."""

# pyright: basic

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import ffmpeg
import numpy as np
import torch
from av.error import FFmpegError
from torch import Tensor

from vfuse.errors import OutputError
from vfuse.io._encoding import Encoding
from vfuse.io._tracks import Tracks
from vfuse.io.ffmpeg import Feed, feeding, file_url

_GBR = (
    1,
    2,
    0,
)  # ffmpeg's planar RGB stores green, blue, red: the planes of a (3, H, W) tensor, no transposition
_OFF_GRID = 0.25  # of a frame: how far a time may lie from the grid of a container of constant rate


def quantize(plane: np.ndarray, *, deep: bool, out: np.ndarray | None = None) -> np.ndarray:
    """[0, 1] to the nearest of 256 levels (65536 when deep), clipped, in one pass over the memory.

    Levels that are uint8 already stay what they are.
    """
    if plane.dtype == np.uint8:
        return np.multiply(plane, 257 if deep else 1, out=out, dtype=np.uint16 if deep else np.uint8)
    top, kind = (65535, cv2.CV_16U) if deep else (255, cv2.CV_8U)
    rows = plane.reshape(len(plane), -1)  # OpenCV would take a factor for the first channel alone
    return cv2.addWeighted(rows, top, rows, 0, 0, dst=out, dtype=kind).reshape(plane.shape)


class VideoSink:
    """Sends frames to ffmpeg; made by `open_video`.

    NUT carries what a bare pipe loses: the time of every frame, the rate and the pixel format.
    """

    def __init__(
        self,
        start: Callable[[float], Feed],
        encoding: Encoding,
        *,
        size: tuple[int, int],
        fps: Fraction,
        where: Path,
        dropped: tuple[str, ...],
    ) -> None:
        self.count = 0
        self.dropped = dropped
        self._start = start
        self._encoding = encoding
        self._width, self._height = size
        self._fps = fps
        self._where = where
        self._feed: Feed | None = None
        self._nut: Any = None
        self._last = -1

    def write(self, frame: Tensor, *, time: float) -> None:
        """Take the next frame, see `vfuse.io.writer.Sink`."""
        channels = frame.shape[0]
        if tuple(frame.shape) != (channels, self._height, self._width) or channels not in (1, 3):
            raise ValueError(f"frame {tuple(frame.shape)} in a video of {self._width}x{self._height}")
        tick = self._tick(time)
        levels = frame.dtype == torch.uint8
        pixels = self._pixels((frame if levels else frame.detach().float().cpu()).numpy())
        if self._feed is None:  # late, because the first frame's time is an option of the command
            self._feed = self._start(float(tick * self._encoding.time_base))
        try:
            if self.count == 0:
                self._nut = self._open(self._feed.handle, planes=len(pixels))
            packet = av.Packet(memoryview(pixels.reshape(-1).view(np.uint8)))  # pyright: ignore[reportArgumentType]
            packet.stream = self._nut.streams[0]
            packet.time_base = self._encoding.time_base
            packet.pts = packet.dts = tick
            packet.is_keyframe = True
            self._nut.mux_one(packet)
        except (FFmpegError, OSError) as error:
            raise self._feed.failure() from error
        self.count += 1

    def finish(self) -> None:
        """Write NUT's end; ffmpeg then knows that nothing is missing."""
        if self._feed is None:
            raise OutputError("no frame was written", where=self._where)
        try:
            self._nut.close()
        except (FFmpegError, OSError) as error:
            raise self._feed.failure() from error

    def abandon(self) -> None:
        """Let go of the stream after a failure."""
        if self._nut is not None:
            with suppress(FFmpegError, OSError):
                self._nut.close()

    def _tick(self, time: float) -> int:
        exact = Fraction(time) / self._encoding.time_base
        tick = round(exact)
        if self._encoding.constant_rate and abs(exact - tick) > _OFF_GRID:
            todo = "Write .mp4 or .mkv instead"
            raise OutputError("this format cannot hold a variable frame rate", where=self._where, todo=todo)
        if tick <= self._last:
            what = f"frame {self.count} at {time:.6f} s does not follow its predecessor"
            raise OutputError(what, where=self._where)
        self._last = tick
        return tick

    def _pixels(self, planes: np.ndarray) -> np.ndarray:
        # Grey goes to encoders of colour as three equal planes: ffmpeg's own conversion tints it by a level.
        order = _GBR if len(planes) == 3 else (0,) if self._encoding.grey else (0, 0, 0)
        kind = np.uint16 if self._encoding.deep else np.uint8
        pixels = np.empty((len(order), self._height, self._width), kind)
        for to, index in enumerate(order):
            quantize(planes[index], deep=self._encoding.deep, out=pixels[to])
        return pixels

    def _open(self, handle: int, *, planes: int) -> Any:  # noqa: ANN401 - PyAV container
        name = "gbrp" if planes == 3 else "gray"
        nut = av.open(f"pipe:{handle}", "w", format="nut")
        stream = nut.add_stream("rawvideo", rate=self._fps)
        stream.width, stream.height = self._width, self._height
        stream.pix_fmt = f"{name}16le" if self._encoding.deep else name
        stream.time_base = self._encoding.time_base
        stream.codec_context.time_base = self._encoding.time_base
        return nut


@contextmanager
def open_video(
    part: Path,
    encoding: Encoding,
    tracks: Tracks,
    *,
    width: int,
    height: int,
    fps: Fraction,
    sample_aspect: Fraction,
    where: Path,
) -> Generator[VideoSink]:
    """Encode into `part`; errors name `where`.

    Raises:
        OutputError: ffmpeg or the disk refuses.
    """
    with ExitStack() as stack:

        def start(first: float) -> Feed:
            # ffmpeg moves every input to zero; this puts the first frame back where it belongs.
            late = {"itsoffset": f"{first:.9f}"} if first else {}
            frames = ffmpeg.input("pipe:0", format="nut", protocol_whitelist="pipe", **late)
            options = encoding.arguments | tracks.options
            if sample_aspect != 1:
                picture = sample_aspect * Fraction(width, height)
                options["aspect"] = f"{picture.numerator}:{picture.denominator}"
            node = ffmpeg.output(
                frames.video, *tracks.streams, file_url(part), format=encoding.muxer, **options
            )
            return stack.enter_context(feeding(node, where=where))

        sink = VideoSink(start, encoding, size=(width, height), fps=fps, where=where, dropped=tracks.dropped)
        try:
            yield sink
            sink.finish()
        except BaseException:
            sink.abandon()
            raise


def count_frames(path: Path, *, where: Path) -> int:
    """Frames in a video, by reading every packet of it.

    Raises:
        OutputError: the file cannot be read back.
    """
    try:
        with av.open(file_url(path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size > 0)
    except (FFmpegError, OSError, IndexError) as error:
        raise OutputError(f"cannot be read back ({error})", where=where) from error
