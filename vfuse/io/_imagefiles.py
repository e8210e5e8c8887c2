"""Write frames as image files: a numbered folder, or one image."""

# pyright: basic

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vfuse.errors import OutputError
from vfuse.io._atomic import output_error
from vfuse.io._videofile import quantize

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".bmp")
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
# Fast lossless PNG; visually lossless JPEG; lossless WebP.
_PARAMETERS = {
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 97],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 97],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
}


class ImageFolder:
    """Writes frame n as `name % n`, from 0, into a folder that exists."""

    def __init__(self, folder: Path, *, name: str, where: Path, deep: bool) -> None:
        self.count = 0
        self.dropped: tuple[str, ...] = ()
        self._folder = folder
        self._name = name
        self._where = where
        self._deep = deep

    def write(self, frame: Tensor, *, time: float) -> None:
        """Take the next frame, see `vfuse.io.writer.Sink`."""
        _write_image(self._folder / (self._name % self.count), frame, where=self._where, deep=self._deep)
        self.count += 1


class SingleImage:
    """Writes one frame into one file."""

    def __init__(self, path: Path, *, where: Path, deep: bool) -> None:
        self.count = 0
        self.dropped: tuple[str, ...] = ()
        self._path = path
        self._where = where
        self._deep = deep

    def write(self, frame: Tensor, *, time: float) -> None:
        """Take the only frame, see `vfuse.io.writer.Sink`."""
        if self.count:
            todo = "Write a video, a folder or a pattern such as frames/%05d.png"
            raise OutputError("one image cannot hold several frames", where=self._where, todo=todo)
        _write_image(self._path, frame, where=self._where, deep=self._deep)
        self.count += 1


def _write_image(path: Path, frame: Tensor, *, where: Path, deep: bool) -> None:
    suffix = path.suffix.lower()
    planes = frame if frame.dtype == torch.uint8 else frame.detach().float().cpu()
    pixels = np.ascontiguousarray(planes.numpy().transpose(1, 2, 0)[..., ::-1])
    levels = quantize(pixels, deep=deep and suffix in _DEEP_SUFFIXES)
    done, data = cv2.imencode(suffix, levels, _PARAMETERS.get(suffix, []))
    if not done:
        raise OutputError(f"cannot be encoded as {suffix}", where=where)
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise output_error(error, where) from error
