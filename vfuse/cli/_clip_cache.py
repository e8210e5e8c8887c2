"""Training clips for the commands that need them: found, decoded once, bad ones named and counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfuse.cli._console import Console
from vfuse.errors import VfuseError

if TYPE_CHECKING:
    from vfuse.io.cache import CachedClip
    from vfuse.io.datasets import ClipFiles

Cache = Annotated[Path | None, typer.Option("--cache", metavar="DIR", help="Where decoded clips are kept.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out clips that cannot be used, and say so.")]


def parse(data: str) -> tuple[str, Path]:
    """`NAME[:FOLDER]` as a data set and its folder; the user data directory where none is named."""
    from vfuse.download import data_dir
    from vfuse.io.datasets import parse_data

    return parse_data(data, default_root=data_dir() / "datasets")


def load_clips(
    data: Iterable[str], cache: Path | None, *, skip_bad: bool, console: Console
) -> Iterator[CachedClip]:
    """Every training clip of the named data sets, decoded once; says how many were left out."""
    import platformdirs

    from vfuse.io.cache import cache_clips
    from vfuse.io.datasets import list_clips

    left_out: list[str] = []

    def skip(clip: ClipFiles, error: VfuseError) -> None:
        left_out.append(clip.name)
        console.say(f"leaving out clip {clip.name}: {error}")

    folder = cache or Path(platformdirs.user_cache_dir("vfuse")) / "clips"
    for text in data:
        name, root = parse(text)
        files = list_clips(name, root, "train")
        shown = console.track(files, len(files), unit="clip")
        left_out.clear()
        yield from cache_clips(shown, folder, skip_bad=skip if skip_bad else None)
        if left_out:
            console.say(f"{len(left_out)} of {len(files)} clips of {root} left out: {', '.join(left_out)}")
