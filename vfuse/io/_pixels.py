"""From stored pixels to (C, H, W) float32 in [0, 1]: full-range RGB or grey, upright, no bit lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from vfuse.errors import InputError
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


def converter(info: VideoInfo, *, grey: bool) -> Callable[[VideoFrame, int], Tensor]:
    """A function from a decoded frame and its index to upright pixels (C, H, W) float32 in [0, 1]."""
    swscale = VideoReformatter()
    mono = grey or info.channels == 1
    wide = mono or info.bit_depth > 8
    target = "gray16le" if mono else "gbrp16le" if wide else "gbrp"
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
        pixels = _planes(planar, white=white, order=(0,) if mono else _RGB_PLANES, wide=wide)
        pixels = _upright(pixels, info)
        return pixels if grey or not mono else pixels.expand(3, -1, -1).contiguous()

    return convert


def _white(info: VideoInfo) -> int:
    """What swscale makes of white in 16 bits: the sample shifted left, and 255 * 256 from limited range."""
    if info.colour_range == "tv":
        return 255 << 8
    return (2**info.bit_depth - 1) << (16 - info.bit_depth)


def _planes(frame: VideoFrame, *, white: int, order: tuple[int, ...], wide: bool) -> Tensor:
    dtype = np.dtype(np.uint16 if wide else np.uint8)
    pixels = np.empty((len(order), frame.height, frame.width), np.float32)
    for channel, plane in zip(pixels, (frame.planes[index] for index in order), strict=True):
        rows = np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // dtype.itemsize)
        channel[:] = rows[: frame.height, : frame.width]
    pixels *= np.float32(1 / white)
    if white < np.iinfo(dtype).max:
        np.minimum(pixels, 1, out=pixels)
    return torch.from_numpy(pixels)


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


def _unsupported(info: VideoInfo, pix_fmt: str, index: int) -> InputError:
    return InputError(
        f"frame {index} has pixels of an unsupported kind ({pix_fmt})",
        where=info.path,
        todo="Convert it, e.g. with ffmpeg -pix_fmt yuv444p16le",
    )
