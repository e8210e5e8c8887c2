"""Data sets as lists of clips: which files belong together, in every layout that is published or plain.

A data set is one decorated function from a folder and a split to clips. Nothing here decodes a frame.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vfuse.errors import InputError, PairError, UsageError
from vfuse.registry import Registry

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm"})
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class ClipFiles:
    """The files of one clip: each a video, a folder of frames, or a single still image.

    Attributes:
        name: unique within the data set and split.
        split: "train", "val" or "test".
        ir, vis: the clean infrared and visible.
        degraded_ir, degraded_vis: degraded versions of the same frames, where the data set has them.
        still: one image each instead of a clip.
    """

    name: str
    split: str
    ir: Path
    vis: Path
    degraded_ir: Path | None = None
    degraded_vis: Path | None = None
    still: bool = False

    def files(self) -> dict[str, Path]:
        """Stream name to file, only those there are."""
        named = {
            "ir": self.ir,
            "vis": self.vis,
            "degraded_ir": self.degraded_ir,
            "degraded_vis": self.degraded_vis,
        }
        return {name: path for name, path in named.items() if path is not None}


Lister = Callable[[Path, str], Iterator[ClipFiles]]


@dataclass(frozen=True)
class Dataset:
    """A data set a user can name.

    Attributes:
        name: as in `--data name[:root]`.
        clips: lists the clips of a split below a root folder; yields nothing where the layout is not its own.
        licence: SPDX name or "none stated".
        url: where to get it.
        layout: how to lay it out, for the message when it is missing.
    """

    name: str
    clips: Lister
    licence: str
    url: str
    layout: str


DATASETS: Registry[Dataset] = Registry("data set")


def dataset(*, licence: str, url: str, layout: str) -> Callable[[Lister], Lister]:
    """Register a function as a data set under its own name."""

    def add(lister: Lister) -> Lister:
        DATASETS.add(Dataset(lister.__name__, lister, licence, url, layout))
        return lister

    return add


def list_clips(name: str, root: Path, split: str) -> list[ClipFiles]:
    """All clips of a split of a data set, sorted by name; `pairs.csv` in the root wins over the layout.

    Raises:
        UsageError: unknown data set.
        InputError: nothing usable below `root`; says where to get the data and how to lay it out.
        PairError: a clip has one modality only, or folders of different length.
    """
    entry = DATASETS[name]
    if not root.is_dir():
        raise InputError(f"no data set {name!r} here", where=root, todo=advice(entry))
    clips = find_clips(entry, root, split)
    if not clips:
        raise InputError(f"no {split} clips of {name!r} found", where=root, todo=advice(entry))
    for clip in clips:
        check_clip(clip)
    return clips


def find_clips(entry: Dataset, root: Path, split: str) -> list[ClipFiles]:
    """As `list_clips`, but there may be none, and single clips are not checked."""
    table = root / "pairs.csv"
    clips = from_table(table, split) if table.is_file() else entry.clips(root, split)
    return sorted(clips, key=lambda clip: clip.name)


def advice(entry: Dataset) -> str:
    """Where to get a data set and how to lay it out."""
    where = f"or name its folder: --data {entry.name}:FOLDER"
    return f"Get it from {entry.url} and lay it out as {entry.layout}, {where}"


def check_clip(clip: ClipFiles) -> None:
    """Every file of the clip is there, and frame folders agree in their number of frames."""
    counts: dict[str, int] = {}
    for path in clip.files().values():
        if not path.exists():
            raise PairError(
                f"clip {clip.name!r} lacks this file", where=path, todo="Add it or leave the clip out"
            )
        if path.is_dir():
            counts[str(path)] = len(images_in(path))
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} frames in {path}" for path, count in counts.items())
        raise PairError(
            f"clip {clip.name!r} has folders of different length: {listed}", todo="Make them equal"
        )


def images_in(folder: Path) -> list[Path]:
    """Image files of a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def from_table(table: Path, split: str) -> Iterator[ClipFiles]:
    """Clips of `pairs.csv`, columns `ir,vis[,ir_gt,vis_gt][,split]`, paths relative to the file.

    With `ir_gt` and `vis_gt` the columns `ir` and `vis` are their degraded versions.

    Raises:
        InputError: a missing column, named with the file.
    """
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = {"ir", "vis"} - set(rows.fieldnames or ())
        if missing:
            raise InputError(
                f"lacks the column {', '.join(sorted(missing))}", where=table, todo="Its first line is ir,vis"
            )
        for row in rows:
            if (row.get("split") or "train") == split:
                ir, vis = table.parent / row["ir"], table.parent / row["vis"]
                clean_ir = table.parent / row["ir_gt"] if row.get("ir_gt") else ir
                clean_vis = table.parent / row["vis_gt"] if row.get("vis_gt") else vis
                yield ClipFiles(
                    name=ir.stem,
                    split=split,
                    ir=clean_ir,
                    vis=clean_vis,
                    degraded_ir=ir if clean_ir != ir else None,
                    degraded_vis=vis if clean_vis != vis else None,
                    still=ir.suffix.lower() in IMAGE_SUFFIXES,
                )


def matched(ir: Path, vis: Path, split: str, *, prefix: str = "") -> Iterator[ClipFiles]:
    """Clips of two folders that hold equally named videos, frame folders or still images.

    Raises:
        PairError: a name in one folder only.
    """
    left, right = ({_key(path): path for path in folder.iterdir() if _key(path)} for folder in (ir, vis))
    alone = sorted(set(left) ^ set(right))
    if alone:
        where = ir if alone[0] in left else vis
        raise PairError(
            f"{len(left)} infrared but {len(right)} visible clips; {alone[0]!r} has no partner",
            where=where,
            todo="Add the missing one or remove it",
        )
    for name in left:
        still = left[name].suffix.lower() in IMAGE_SUFFIXES
        yield ClipFiles(f"{prefix}{name}", split, ir=left[name], vis=right[name], still=still)


def _key(path: Path) -> str:
    """The name a clip shares with its partner; empty for files that are no clip."""
    if path.name.startswith("."):
        return ""
    if path.is_dir():
        return path.name
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES else ""


STREAMS = {
    "ir": "infrared_Enhance",
    "vis": "visible_Enhance",
    "degraded_ir": "infrared_noise",
    "degraded_vis": "visible_Blur",
}


@dataset(
    licence="MIT",
    url="https://github.com/Linfeng-Tang/M3SVD",
    layout="{train,val,test}/{ir,vi}/CLIP/*.png, {train,val,test}/{infrared,visible}/CLIP.mp4, or four trees "
    "infrared_Enhance, visible_Enhance, infrared_noise, visible_Blur",
)
def m3svd(root: Path, split: str) -> Iterator[ClipFiles]:
    """M3SVD in its published layouts; every layout that is present contributes its clips."""
    for base in (root, root / "Video"):
        for ir, vis in (("ir", "vi"), ("ir", "vis"), ("infrared", "visible")):
            if (base / split / ir).is_dir() and (base / split / vis).is_dir():
                yield from matched(base / split / ir, base / split / vis, split)
    for base in (root, root / split):
        if (base / STREAMS["ir"]).is_dir():
            yield from _four_trees(base, split)
    if (root / "lossless" / split).is_dir():
        yield from _four_files(root / "lossless" / split, split)
    if (root / "video" / split).is_dir():
        yield from matched(
            root / "video" / split / "infrared", root / "video" / split / "visible", split, prefix="video/"
        )


def _four_trees(base: Path, split: str) -> Iterator[ClipFiles]:
    for clip in sorted(path for path in (base / STREAMS["ir"]).iterdir() if path.is_dir()):
        yield _complete(clip.name, split, {key: base / tree / clip.name for key, tree in STREAMS.items()})


def _four_files(base: Path, split: str) -> Iterator[ClipFiles]:
    for clip in sorted(path for path in base.iterdir() if path.is_dir()):
        yield _complete(clip.name, split, {key: clip / f"{name}.mkv" for key, name in STREAMS.items()})


def _complete(name: str, split: str, files: dict[str, Path]) -> ClipFiles:
    """A clip with all four streams."""
    ir, vis = files["degraded_ir"], files["degraded_vis"]
    return ClipFiles(name, split, ir=files["ir"], vis=files["vis"], degraded_ir=ir, degraded_vis=vis)


@dataset(
    licence="MIT",
    url="https://github.com/Linfeng-Tang/MSRS",
    layout="{train,test}/{infrared,visible}/NAME.png (or ir and vi)",
)
def msrs(root: Path, split: str) -> Iterator[ClipFiles]:
    """MSRS road scenes: still pairs, which training turns into clips by synthetic camera motion."""
    for ir, vis in (("infrared", "visible"), ("ir", "vi")):
        if (root / split / ir).is_dir():
            yield from matched(root / split / ir, root / split / vis, split)


@dataset(
    licence="none stated",
    url="its authors (the HDO video fusion data set)",
    layout="{train,val,test}/{ir,vis}/CLIP/*.png",
)
def hdo(root: Path, split: str) -> Iterator[ClipFiles]:
    """HDO video pairs in plain split folders."""
    for ir, vis in (("ir", "vis"), ("ir", "vi"), ("infrared", "visible")):
        if (root / split / ir).is_dir():
            yield from matched(root / split / ir, root / split / vis, split)


@dataset(
    licence="yours", url="your own cameras", layout="{ir,vis}/CLIP.mp4, {ir,vis}/CLIP/*.png, or pairs.csv"
)
def folder(root: Path, split: str) -> Iterator[ClipFiles]:
    """Any folder with `ir` and `vis` below it (all of it "train"), or below `train`, `val` and `test`."""
    for base in (root / split, *([root] if split == "train" else [])):
        for ir, vis in (("ir", "vis"), ("ir", "vi"), ("infrared", "visible")):
            if (base / ir).is_dir() and (base / vis).is_dir():
                yield from matched(base / ir, base / vis, split)


def parse_data(text: str, *, default_root: Path) -> tuple[str, Path]:
    """`NAME[:ROOT]` as a data set name and its folder; ROOT defaults to `default_root / NAME`.

    Raises:
        UsageError: unknown data set, with a suggestion.
    """
    name, _, root = text.partition(":")
    if name not in DATASETS and Path(text).is_dir():
        return "folder", Path(text)
    if not name:
        raise UsageError(f"--data {text!r} names no data set", todo=f"Known: {', '.join(DATASETS.names())}")
    return DATASETS[name].name, Path(root).expanduser() if root else default_root / name
