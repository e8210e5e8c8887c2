"""Predicted masks as files: a folder of grey PNG for each video, and the names of the numbers beside them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch

from vfuse.errors import OutputError
from vfuse.io.probe import VideoInfo
from vfuse.io.writer import WriteOptions, check_output, write_video
from vfuse.segment.classes import IGNORE_VALUE, NO_CLASS, Labels

_CLASSES = "classes.txt"


def mask_folders(folder: Path, names: Sequence[str]) -> list[Path]:
    """Where the masks of each video go."""
    return [folder / name.replace(".", "-") for name in names]  # a suffix would make it a video


def check_folder(folder: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a folder that cannot or must not be written; raises OutputError."""
    if not folder.absolute().parent.is_dir():
        raise OutputError("its parent folder does not exist", where=folder, todo="Create it first")
    if folder.exists() and not folder.is_dir():
        raise OutputError("is not a folder", where=folder, todo="Choose another name")
    for target in (folder / _CLASSES, *mask_folders(folder, names)):
        if target.exists() and not overwrite:
            raise OutputError("exists already", where=target, todo="Use -y to overwrite it")
    if folder.is_dir():
        for target in mask_folders(folder, names):
            check_output(target, overwrite=overwrite)


@contextmanager
def mask_writers(
    infos: Sequence[VideoInfo],
    names: Sequence[str],
    classes: Sequence[str],
    folder: Path | None,
    *,
    options: WriteOptions,
) -> Generator[Callable[[Sequence[Labels]], None]]:
    """A function that writes the next mask of every video; the folders appear when the block ends well.

    Pixels hold the place of their class in `classes`, and 255 where there is none.

    Raises:
        OutputError: they cannot be written.
    """
    if folder is None:
        yield lambda found: None
        return
    try:
        folder.mkdir(exist_ok=True)
        lines = [f"{place} {name}\n" for place, name in enumerate(classes)]
        (folder / _CLASSES).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=folder) from error
    with ExitStack() as opened:
        sinks = [
            opened.enter_context(
                write_video(path, width=info.width, height=info.height, fps=info.fps, options=options)
            )
            for path, info in zip(mask_folders(folder, names), infos, strict=True)
        ]

        def write(found: Sequence[Labels]) -> None:
            for sink, labels in zip(sinks, found, strict=True):
                stored = np.where(labels == NO_CLASS, np.uint8(IGNORE_VALUE), labels)
                sink.write(torch.from_numpy(stored)[None], time=0.0)

        yield write
