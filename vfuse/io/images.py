"""Image files as a video: find them, put them in their natural order, read their pixels."""

from __future__ import annotations

import glob
import re
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.errors import InputError
from vfuse.io._container import cannot_open, open_regular

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})
_PNG = b"\x89PNG\r\n\x1a\n"  # ISO/IEC 15948, 5.2
_NUMBERED = re.compile(r"%0?\d*d")


def image_files(name: str) -> tuple[Path, ...]:
    """The image files that `name` means, in natural order; () when it is a file of another kind, or missing.

    `name` is an image, a folder of images, a glob such as `shots/*.tif`, or a numbered pattern such as
    `shots/%04d.png`. A name that exists is always taken literally.

    Raises:
        InputError: an unreadable folder or one without images, a file with several pictures.
    """
    path = Path(name)
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.exists():
            return _single(path) if path.suffix.lower() in SUFFIXES else ()
    except (OSError, ValueError) as error:
        raise cannot_open(path, error) from error
    if _NUMBERED.search(path.name):
        number = re.compile(_NUMBERED.sub(r"\\d+", re.escape(path.name)))
        parent = path.parent if path.parent.is_dir() else Path()
        return _ordered(found for found in _images(parent) if number.fullmatch(found.name))
    found = (Path(match) for match in glob.glob(name, recursive=True))
    return _ordered(match for match in found if match.suffix.lower() in SUFFIXES and match.is_file())


def read_image(path: Path) -> NDArray[np.uint8 | np.uint16]:
    """Decode one image: (H, W) grey or (H, W, 3) RGB, 8 or 16 bits; alpha dropped, EXIF turns applied.

    Raises:
        InputError: unreadable, empty, not an image, or samples that are not 8 or 16 bits.
    """
    with open_regular(path) as file:
        content = file.read()
    if content.startswith(_PNG) and not _intact_png(content):
        raise _not_an_image(path)
    encoded = np.frombuffer(content, np.uint8)
    try:
        with _silent_opencv():
            decoded = cv2.imdecode(encoded, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise _not_an_image(path) from error
    pixels = cast("NDArray[np.uint8 | np.uint16] | None", decoded)  # None is what the type stubs forget
    if pixels is None:
        raise _not_an_image(path)
    if pixels.dtype.name not in ("uint8", "uint16"):
        raise InputError(f"has {pixels.dtype} samples", where=path, todo="Convert it to 8 or 16 bits")
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])


def missing_numbers(files: tuple[Path, ...]) -> list[str]:
    """Describe the gaps in numbered file names, such as "2 to 4"; [] when there are none or no numbers."""
    numbers = [re.findall(r"\d+", path.stem)[-1:] for path in files]
    if not all(numbers):
        return []
    counted = [int(found[0]) for found in numbers]
    steps = list(pairwise(counted))
    usual = min((later - earlier for earlier, later in steps), default=1)
    return [f"{earlier} to {later}" for earlier, later in steps if usual > 0 and later - earlier != usual]


@contextmanager
def _silent_opencv() -> Generator[None]:
    """Keep OpenCV from writing to stderr what the InputError will say."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _intact_png(content: bytes) -> bool:
    """Whether the checksums of all chunks up to the end are right; libpng would complain on stderr itself."""
    at = len(_PNG)
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        stop = at + 8 + length
        if stop + 4 > len(content):
            return False
        if zlib.crc32(content[at + 4 : stop]) != struct.unpack_from(">I", content, stop)[0]:
            return False
        if kind == b"IEND":
            return True
        at = stop + 4
    return False


def _not_an_image(path: Path) -> InputError:
    return InputError("is damaged or not an image", where=path, todo="Remove it or copy it again")


def _in_folder(folder: Path) -> tuple[Path, ...]:
    found = _ordered(_images(folder))
    if not found:
        kinds = " ".join(sorted(SUFFIXES))
        raise InputError("is a folder without images", where=folder, todo=f"Put images in it ({kinds})")
    return found


def _images(folder: Path) -> Iterator[Path]:
    """The images directly in a folder; hidden files (such as the `._x.png` of some file systems) are none."""
    for path in folder.iterdir():
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir():
            yield path


def _single(path: Path) -> tuple[Path, ...]:
    with open_regular(path), _silent_opencv():
        pages = cv2.imcount(str(path))
    if pages > 1:
        raise InputError(
            f"holds {pages} pictures", where=path, todo="Save them as a video or as one image per frame"
        )
    return (path,)


def _ordered(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Natural order: 2 before 10."""
    return tuple(sorted(paths, key=lambda path: [_part(part) for part in re.split(r"(\d+)", str(path))]))


def _part(text: str) -> tuple[int, str]:
    return (int(text), text) if text.isdecimal() else (-1, text)
