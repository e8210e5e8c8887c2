"""What a network is to the rest of vfuse: a frozen entry with its builder, sizes, paper and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor, nn

from vfuse.registry import Registry


class Output(NamedTuple):
    """What every network returns.

    Attributes:
        fused: (B, T, 3, H, W) RGB in [0, 1].
        ir: restored infrared (B, T, 1 or 3, H, W) in [0, 1], or None where the network does not restore.
        vis: restored visible (B, T, 3, H, W) RGB in [0, 1], or None.
    """

    fused: Tensor
    ir: Tensor | None = None
    vis: Tensor | None = None


@dataclass(frozen=True)
class GitFile:
    """One file of one commit of a public GitHub repository.

    Attributes:
        repository: "owner/name".
        commit: full commit id.
        path: path in the repository.
        blob: git's own name of the content, SHA-1 over `blob <size>\\0` and the bytes.
    """

    repository: str
    commit: str
    path: str
    blob: str


@dataclass(frozen=True)
class Weights:
    """One weight file: where it comes from and how to know that it is the right one.

    Attributes:
        file: file name in `weights/` or the user data directory.
        sha256: digest of that file, checked on every load; empty for a `git` file not yet converted here.
        bytes: its size; 0 while the digest is empty.
        licence: SPDX name, or "none stated" (such a file is never redistributed).
        source: who trained it, in a sentence.
        trained_on: the data it has seen.
        url: where to download it; empty when it only ships with the package.
        git: the authors' own checkpoint, which `vfuse weights pull` fetches and converts.
        scores: metric to value, as measured for the model card.
    """

    file: str
    sha256: str
    bytes: int
    licence: str
    source: str
    trained_on: str
    url: str = ""
    git: GitFile | None = None
    scores: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Script:
    """How the published test script of a network treats a video, for `--compat official`.

    Attributes:
        overlap: frames that windows share; the later window overwrites them.
        stretch: whether it stretches every frame to its own minimum and maximum while saving.
    """

    overlap: int = 0
    stretch: bool = True


@dataclass(frozen=True)
class ModelEntry:
    """A network a user can name.

    Attributes:
        name: what the user types; a dash separates the size from the network (`videofusion-s`).
        build: makes the network with its default initialisation. Called as `model(ir, vis) -> Output` with ir
            (B, T, 1 or 3, H, W) and vis (B, T, 3, H, W) in [0, 1], any T >= 1.
        params: exact number of trainable values.
        window: frames it sees at once by default.
        overlap: frames shared by neighbouring windows by default.
        shortest_window: frames to which a window may shrink where memory is short; 0 keeps it and cuts frames
            into tiles instead.
        script: what `--compat official` repeats.
        multiple_of: H and W must be multiples of this; the runner pads.
        min_size: smallest H and W.
        bytes_per_pixel: peak working memory for each pixel of each frame of a window, in bytes at float32;
            from it the runner chooses tiles where whole frames would not fit. 0 when it is negligible.
        restores: whether it returns restored sources.
        selective: whether it is called with `streams=`, the names of those wanted, and leaves the rest out.
        colour: "rgb" when it makes colours itself, "luma" when it fuses brightness and keeps the visible's
            chroma.
        paper: citation, or a sentence on what it is.
        weights: tag to file, for a network that brings its own; the first tag is the default, `name.tag`
            selects another. Weights that ship with vfuse stand in `weights/manifest.json` instead.
    """

    name: str
    build: Callable[[], nn.Module]
    params: int
    window: int
    overlap: int
    shortest_window: int = 0
    script: Script = Script()
    multiple_of: int = 1
    min_size: int = 16
    bytes_per_pixel: int = 0
    restores: bool = False
    selective: bool = False
    colour: Literal["rgb", "luma"] = "rgb"
    paper: str = ""
    weights: Mapping[str, Weights] = field(default_factory=dict[str, Weights])


MODELS: Registry[ModelEntry] = Registry("model", package="vfuse.models")
