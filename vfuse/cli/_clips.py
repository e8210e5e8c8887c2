"""Which files belong together: single videos as they are, whole folders of clips by name."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from vfuse.errors import InputError, PairError, UsageError
from vfuse.evaluate import ClipFiles
from vfuse.io.images import SUFFIXES

log = logging.getLogger(__name__)

VIDEOS = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts", ".mts", ".mpg", ".mpeg", ".wmv", ".y4m", ".gif"}
)


def find_clips(
    fused: Sequence[Path],
    *,
    ir: Path,
    vis: Path,
    reference_ir: Path | None = None,
    reference_vis: Path | None = None,
) -> list[ClipFiles]:
    """One clip from single videos, or one for each name in folders of clips.

    Args:
        fused: what each method made: a video, a folder of images, or a folder of clips.
        ir, vis, reference_ir, reference_vis: likewise; all are clips, or all are folders of clips.

    Raises:
        InputError: a path that does not exist.
        UsageError: clips and folders of clips mixed.
        PairError: a clip that not every folder has.
    """
    given = {"ir": ir, "vis": vis, "reference_ir": reference_ir, "reference_vis": reference_vis}
    streams = {name: path for name, path in given.items() if path is not None}
    methods = dict(zip(method_names(fused), fused, strict=True))
    folders = {path: _is_collection(path) for path in (*streams.values(), *methods.values())}
    if not any(folders.values()):
        return [ClipFiles(name=_clip_name(vis), fused=methods, **streams)]
    if not all(folders.values()):
        single, many = (next(path for path, is_one in folders.items() if is_one == want) for want in (0, 1))
        raise UsageError(
            f"{many} is a folder of clips, {single} is one clip", todo="Give folders for all or none"
        )
    return _matched(
        {name: _collection(path) for name, path in streams.items()},
        {method: _collection(path) for method, path in methods.items()},
    )


def method_names(fused: Sequence[Path]) -> list[str]:
    """A short name for each: its own, with its folder's in front where two would be alike."""
    names = [path.stem if path.suffix.lower() in VIDEOS | SUFFIXES else path.name for path in fused]
    seen = Counter(names)
    long = [
        f"{path.absolute().parent.name}/{name}" if seen[name] > 1 else name
        for path, name in zip(fused, names, strict=True)
    ]
    if len(set(long)) < len(long):
        raise UsageError(
            f"{Counter(long).most_common(1)[0][0]} is given twice", todo="Name each fused video once"
        )
    return long


def _clip_name(vis: Path) -> str:
    """The clip's own name: of the file, or of its folder where the file only says which stream it is."""
    stream = vis.stem.lower().startswith(("vis", "vi_", "vi.", "rgb")) or vis.stem.lower() == "vi"
    return vis.absolute().parent.name if stream else vis.stem


def _is_collection(path: Path) -> bool:
    """Whether a path is a folder of clips rather than one clip."""
    if not path.exists():
        if path.parent.is_dir() and any(sign in path.name for sign in "%*?"):
            return False
        raise InputError("does not exist", where=path, todo="Check the name")
    if not path.is_dir():
        return False
    return not any(child.suffix.lower() in SUFFIXES for child in _children(path)) and bool(_collection(path))


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def _collection(folder: Path) -> dict[str, Path]:
    """Clip name to video or image folder."""
    found = [child for child in _children(folder) if child.is_dir() or child.suffix.lower() in VIDEOS]
    clips = {(child.name if child.is_dir() else child.stem): child for child in found}
    if len(clips) < len(found):
        raise UsageError("holds two clips of one name", where=folder, todo="Rename one of them")
    return clips


def _matched(
    streams: Mapping[str, Mapping[str, Path]], methods: Mapping[str, Mapping[str, Path]]
) -> list[ClipFiles]:
    names = list(dict.fromkeys(name for clips in methods.values() for name in clips))
    for what, clips in {**methods, **streams}.items():
        missing = [name for name in names if name not in clips]
        if missing:
            raise PairError(
                f"{what} has no clip {missing[0]} ({len(missing)} of {len(names)} are missing)",
                todo="Every method must have the same clips, and each its sources",
            )
    unused = [name for name in streams["vis"] if name not in names]
    if unused:
        log.warning("%d of %d clips are not scored: no method has them", len(unused), len(streams["vis"]))
    return [
        ClipFiles(
            name=name,
            fused={method: clips[name] for method, clips in methods.items()},
            **{stream: clips[name] for stream, clips in streams.items()},
        )
        for name in names
    ]
