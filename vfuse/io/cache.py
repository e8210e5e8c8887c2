"""Clips decoded once into memory-mapped arrays, so that training reads crops and never decodes twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from vfuse.errors import InputError, OutputError, PairError, VfuseError
from vfuse.io.datasets import ClipFiles
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class CachedClip:
    """One clip as memory-mapped 8-bit arrays.

    Attributes:
        name: of the clip.
        still: one frame only, a photograph rather than a video.
        streams: "ir" (T, 1, H, W), "vis" (T, 3, H, W) and, where the data set has them, "degraded_ir" and
            "degraded_vis"; uint8, full range, RGB.
        means: mean grey level of every frame, (T,) float32, of "ir" and "degraded_ir" where both are there.
    """

    name: str
    still: bool
    streams: dict[str, Pixels]
    means: dict[str, NDArray[np.float32]] = field(default_factory=dict[str, NDArray[np.float32]])

    def __len__(self) -> int:
        return len(self.streams["ir"])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.streams["ir"].shape[-2:]
        return int(height), int(width)


def cache_clips(
    clips: Iterable[ClipFiles],
    folder: Path,
    *,
    skip_bad: Callable[[ClipFiles, VfuseError], None] | None = None,
) -> Iterator[CachedClip]:
    """Each clip from the cache in `folder`, packed first where it is new or its files have changed.

    Args:
        clips: what to pack.
        folder: made when it is missing.
        skip_bad: told of a clip that cannot be used, which is then left out; without it that is an error.

    Raises:
        InputError: a file cannot be decoded; names it and the frame.
        PairError: streams of a clip differ in size or length.
        OutputError: the cache cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(error, folder) from error
    for clip in clips:
        try:
            yield cache_clip(clip, folder)
        except (InputError, PairError) as error:
            if skip_bad is None:
                raise
            skip_bad(clip, error)


def cache_clip(clip: ClipFiles, folder: Path) -> CachedClip:
    """One clip from the cache, packed first when needed; see `cache_clips`."""
    streams: dict[str, Pixels] = {}
    means: dict[str, NDArray[np.float32]] = {}
    for stream, path in clip.files().items():
        packed = folder / f"{_digest(path)}-{'grey' if 'ir' in stream else 'rgb'}.npy"
        streams[stream] = _open(path, packed, grey="ir" in stream)
        if clip.degraded_ir is not None and "ir" in stream:
            means[stream] = _means(streams[stream], packed.with_suffix(".means"))
    shapes = {name: (len(array), *array.shape[-2:]) for name, array in streams.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(
            f"{name} {shape[0]} frames {shape[2]}x{shape[1]}" for name, shape in shapes.items()
        )
        raise PairError(
            f"clip {clip.name!r} has unequal streams: {listed}", where=clip.ir, todo="Make them equal"
        )
    return CachedClip(clip.name, clip.still, streams, means)


def _open(path: Path, packed: Path, *, grey: bool) -> Pixels:
    """The array of one stream, packed first where there is none or a damaged one."""
    if packed.is_file():
        try:
            return np.load(packed, mmap_mode="r")
        except (ValueError, EOFError, OSError):
            packed.unlink()  # cut off by a crash of the machine: pack it again
    _pack(path, packed, grey=grey)
    return np.load(packed, mmap_mode="r")


def _pack(path: Path, packed: Path, *, grey: bool) -> None:
    """Decode into an array file, frame by frame, under a temporary name until it is whole."""
    info = probe(path)
    if info.num_frames is None:
        raise InputError("is not a file", where=path, todo="Training reads files and folders")
    shape = (info.num_frames, 1 if grey else 3, info.height, info.width)
    temporary = packed.with_name(f".{packed.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file, read_frames(info, grey=grey) as frames:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            write_array_header_1_0(file, header)
            for frame in frames:
                file.write((frame.pixels * 255).round().byte().numpy().tobytes())
        os.replace(temporary, packed)
    except OSError as error:
        raise _unwritable(error, packed.parent) from error
    finally:
        temporary.unlink(missing_ok=True)


def _unwritable(error: OSError, folder: Path) -> OutputError:
    return OutputError(
        f"clips cannot be cached here: {error.strerror}", where=folder, todo="Free some space, or use --cache"
    )


def _means(frames: Pixels, kept: Path) -> NDArray[np.float32]:
    """Mean of every frame; kept beside the array, because it takes reading all of it."""
    if kept.is_file() and kept.stat().st_size == 4 * len(frames):
        return np.fromfile(kept, np.float32)
    means = np.array([frame.mean() for frame in frames], np.float32)
    means.tofile(kept)
    return means


def _digest(path: Path) -> str:
    """Changes when the file, or any file of the folder, does."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [f"{file.resolve()}|{file.stat().st_size}|{file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:24]
