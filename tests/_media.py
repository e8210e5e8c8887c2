"""Small real videos and image folders for the tests, written with PyAV and OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

LOSSLESS = {"libx264": {"qp": "0"}, "libx265": {"x265-params": "lossless=1:log-level=none"}}


def ramp(count: int, width: int = 64, height: int = 48, *, bits: int = 8, grey: bool = True) -> list[NDArray]:
    """Frames that tell their index, their orientation and (in colour) their channels.

    Grey frames are (H, W), colour frames (H, W, 3) RGB; uint8, or uint16 holding `bits` bits at full scale.
    The mean rises with the index; brightness rises to the right, and the lower half is darker.
    """
    dtype = np.uint8 if bits == 8 else np.uint16
    top = 2**bits - 1
    x = np.linspace(0.1, 0.7, width)[None, :]
    y = np.where(np.arange(height) < height // 2, 1.0, 0.6)[:, None]
    frames = []
    for index in range(count):
        luma = x * y + 0.25 * index / max(count - 1, 1)
        image = luma if grey else np.stack([luma, 0.8 * luma, 0.5 * luma], axis=2)
        frames.append(np.round(image * top).astype(dtype))
    return frames


def warm_body(count: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Infrared (H, W) that is white-hot beyond doubt: a warm body on an even ground that brightens slowly."""
    frames = []
    for index in range(count):
        picture = np.full((height, width), 60 + index, np.uint8)
        left, top = width // 3 + index % 5, height // 2
        picture[top : top + height // 5, left : left + max(width // 16, 1)] = 230
        frames.append(picture)
    return frames


def write_video(
    path: Path,
    frames: Sequence[NDArray],
    *,
    codec: str = "ffv1",
    pix_fmt: str = "gray",
    rate: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotate: float | None = None,
    hflip: bool = False,
    options: dict[str, str] | None = None,
    container: str | None = None,
    movflags: str = "",
    audio_seconds: float = 0.0,
    colour: tuple[int, int] | None = None,
    light: tuple[int, int] | None = None,
) -> Path:
    """Encode `frames` (see `ramp`); `pts` in units of `time_base` make it VFR.

    `colour` tags matrix and range, `light` transfer and primaries, in the numbers of ITU-T H.273.
    """
    height, width = frames[0].shape[:2]
    rate = Fraction(rate)
    with av.open(str(path), "w", format=container, options={"movflags": movflags} if movflags else {}) as out:
        stream = out.add_stream(codec, rate=rate, options={**LOSSLESS.get(codec, {}), **(options or {})})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if time_base is not None:
            stream.codec_context.time_base = time_base
        if colour is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = colour
        if light is not None:
            stream.codec_context.color_trc, stream.codec_context.color_primaries = light
        if rotate is not None or hflip:
            stream.set_display_rotation(rotate or 0, hflip=hflip)
        sound = out.add_stream("aac", rate=48000, layout="mono") if audio_seconds else None
        for index, image in enumerate(frames):
            frame = as_frame(image, pix_fmt, colour)
            if light is not None:
                frame.color_trc, frame.color_primaries = light
            frame.pts = pts[index] if pts is not None else index
            frame.time_base = time_base or 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if sound is not None:
            samples = np.zeros((1, int(48000 * audio_seconds)), np.float32)
            tone = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            tone.sample_rate, tone.pts = 48000, 0
            out.mux(sound.encode(tone))
            out.mux(sound.encode())
    return path


def as_frame(image: NDArray, pix_fmt: str, colour: tuple[int, int] | None = None) -> av.VideoFrame:
    """One array as a frame of `pix_fmt`, converted through full-range RGB or grey."""
    if image.ndim == 2:
        source = "gray16le" if image.dtype == np.uint16 else "gray"
    else:
        source = "rgb48le" if image.dtype == np.uint16 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), source)
    matrix, span = colour or (None, None)
    flags = 2 | 0x40000 | 0x2000 | 0x4000
    return frame.reformat(
        format=pix_fmt, src_color_range=2, dst_colorspace=matrix, dst_color_range=span, interpolation=flags
    )


def write_images(folder: Path, frames: Sequence[NDArray], name: str = "{:04d}.png") -> Path:
    """One image file per frame; `name` is formatted with the index and decides the format."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(frames):
        pixels = image if image.ndim == 2 else image[..., ::-1]
        cv2.imwrite(str(folder / name.format(index)), pixels)
    return folder
