"""From stored pixels to (C, H, W) float32 in [0, 1]: full-range RGB or grey, upright, no bit lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from vfuse.errors import InputError
from vfuse.io._hdr import to_standard
from vfuse.io.probe import VideoInfo

_SWS_MATRICES = {
    "bt709": Colorspace.ITU709,
    "bt601": Colorspace.ITU601,
    "fcc": Colorspace.FCC,
    "smpte240m": Colorspace.SMPTE240M,
    "bt2020": Colorspace.BT2020,
}
_SWS_RANGES = {"tv": ColorRange.MPEG, "pc": ColorRange.JPEG}
# Without these flags swscale takes a short cut that is off by up to 3 of 255 levels.
_ACCURATE = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_RGB_PLANES = (2, 0, 1)  # planar formats are stored G, B, R
_BT601_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601-7, 2.5.1: grey of an RGB image


def converter(info: VideoInfo, *, grey: bool, levels: bool = False) -> Callable[[VideoFrame, int], Tensor]:
    """A function from a decoded frame and its index to upright pixels (C, H, W) float32 in [0, 1].

    With `levels` they are uint8 from 0 to 255, which is all that a picture to look at needs. Colours of high
    dynamic range and wide gamut become those of BT.709; `grey` takes the luma as it is.
    """
    if not grey and (info.transfer, info.primaries) != ("sdr", "bt709"):
        return _standardised(info, levels=levels)
    return _as_stored(info, grey=grey, levels=levels)


def _standardised(info: VideoInfo, *, levels: bool) -> Callable[[VideoFrame, int], Tensor]:
    read = _as_stored(info, grey=False, levels=False)

    def convert(frame: VideoFrame, index: int) -> Tensor:
        pixels = to_standard(read(frame, index), transfer=info.transfer, primaries=info.primaries)
        return as_levels(pixels) if levels else pixels

    return convert


def _as_stored(info: VideoInfo, *, grey: bool, levels: bool) -> Callable[[VideoFrame, int], Tensor]:
    swscale = VideoReformatter()
    mono = grey or info.channels == 1
    wide = not levels and (mono or info.bit_depth > 8)
    target = ("gray" if mono else "gbrp") + ("16le" if wide else "")
    # swscale makes BT.601 luma of any other; told that it has BT.601 already, it leaves the luma as it is.
    matrix = Colorspace.ITU601 if mono else _SWS_MATRICES.get(info.colour_matrix, Colorspace.ITU601)
    white = 65535 if mono else _white(info) if wide else 255

    def convert(frame: VideoFrame, index: int) -> Tensor:
        try:
            planar = swscale.reformat(
                frame,
                format=target,
                src_colorspace=matrix,
                src_color_range=_SWS_RANGES[info.colour_range],
                dst_color_range=ColorRange.JPEG,
                interpolation=_ACCURATE,
                threads=1,
            )
        except (FFmpegError, OSError, ValueError) as error:
            raise _unsupported(info, frame.format.name, index) from error
        planes = _planes(planar, order=(0,) if mono else _RGB_PLANES, wide=wide)
        stored = np.stack(planes) if levels else _scaled(planes, white=white)
        pixels = _upright(torch.from_numpy(stored), info)
        return pixels if grey or not mono else pixels.expand(3, -1, -1).contiguous()

    return convert


def _white(info: VideoInfo) -> int:
    """What swscale makes of white in 16 bits: the sample shifted left, and 255 * 256 from limited range."""
    if info.colour_range == "tv":
        return 255 << 8
    return (2**info.bit_depth - 1) << (16 - info.bit_depth)


def _planes(frame: VideoFrame, *, order: tuple[int, ...], wide: bool) -> list[NDArray[Any]]:
    """The stored planes (H, W) without the padding at the ends of their rows; views of the frame."""
    dtype = np.dtype(np.uint16 if wide else np.uint8)
    return [
        np.frombuffer(memoryview(plane), dtype)
        .reshape(-1, plane.line_size // dtype.itemsize)[: frame.height, : frame.width]
        for plane in (frame.planes[index] for index in order)
    ]  # fmt: skip


def _scaled(planes: Sequence[NDArray[Any]], *, white: int) -> NDArray[np.float32]:
    pixels = np.empty((len(planes), *planes[0].shape), np.float32)
    for index, plane in enumerate(planes):
        pixels[index] = plane
    pixels *= np.float32(1 / white)
    if white < np.iinfo(planes[0].dtype).max:
        np.minimum(pixels, 1, out=pixels)
    return pixels


def _upright(pixels: Tensor, info: VideoInfo) -> Tensor:
    turn = info.orientation
    if turn.transpose:
        pixels = pixels.transpose(1, 2)
    mirrored = [axis for axis, flip in ((1, turn.mirror_y), (2, turn.mirror_x)) if flip]
    return (pixels.flip(mirrored) if mirrored else pixels).contiguous()


def image_tensor(pixels: NDArray[np.uint8 | np.uint16], *, grey: bool) -> Tensor:
    scaled = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if pixels.ndim == 2:
        plane = torch.from_numpy(scaled)[None]
        return plane if grey else plane.repeat(3, 1, 1)
    if grey:
        return torch.from_numpy(scaled @ np.asarray(_BT601_LUMA, np.float32))[None]
    return torch.from_numpy(scaled).permute(2, 0, 1).contiguous()


def as_levels(pixels: Tensor) -> Tensor:
    """[0, 1] to the nearest of 256 levels, uint8."""
    return (pixels * 255 + 0.5).clamp_(0, 255).to(torch.uint8)


def _unsupported(info: VideoInfo, pix_fmt: str, index: int) -> InputError:
    return InputError(
        f"frame {index} has pixels of an unsupported kind ({pix_fmt})",
        where=info.path,
        todo="Convert it, e.g. with ffmpeg -pix_fmt yuv444p16le",
    )
