"""The options that choose a network and how it goes through the video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from vfuse.cli._options import NETWORK, PART


def _complete_model(incomplete: str) -> Iterator[str]:
    from vfuse.models._registry import MODELS

    return (name for name in MODELS.names() if name.startswith(incomplete))


def _complete_device(incomplete: str) -> Iterator[str]:
    return (name for name in ("auto", "cpu", "cuda", "cuda:0", "mps") if name.startswith(incomplete))


def _complete_precision(incomplete: str) -> Iterator[str]:
    return (name for name in ("auto", "float32", "bfloat16") if name.startswith(incomplete))


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        autocompletion=_complete_model,
        help="Network, as listed by `vfuse models`; NAME.TAG picks one of its weights. Default: the "
        "one whose weights ship with vfuse.",
        rich_help_panel=NETWORK,
    ),
]
WeightsFile = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of your own, a .safetensors file. Default: those of the network.",
        rich_help_panel=NETWORK,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        autocompletion=_complete_device,
        help="auto, cpu, cuda, cuda:N or mps; auto takes a GPU where there is one.",
        rich_help_panel=NETWORK,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        autocompletion=_complete_precision,
        help="auto, float32 or bfloat16; auto takes bfloat16 where the device has instructions for it.",
        rich_help_panel=NETWORK,
    ),
]
Tile = Annotated[
    int | None,
    typer.Option(
        "--tile",
        metavar="PIXELS",
        help="Side of the tiles for large frames, in pixels. Default: as large as memory allows.",
        rich_help_panel=NETWORK,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window",
        metavar="FRAMES",
        help="Frames the network sees at once. Default: the network's own number.",
        rich_help_panel=PART,
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        "--overlap",
        metavar="FRAMES",
        help="Frames that neighbouring windows share and fade across. Default: the network's own number.",
        rich_help_panel=PART,
    ),
]
Compat = Annotated[
    Literal["official"] | None,
    typer.Option(
        "--compat",
        help="Repeat the published scripts: later windows overwrite; of VideoFusion without overlap, and "
        "brightness stretched frame by frame (it flickers). Default: off.",
        rich_help_panel=PART,
    ),
]
