"""`vfuse train`: train a network on a data set, or go on where the last run stopped; export its weights."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfuse.cli import _options as o
from vfuse.cli._clip_cache import Cache, SkipBad, load_clips
from vfuse.cli._console import Console
from vfuse.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from vfuse.io.cache import CachedClip
    from vfuse.train._loop import Step

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 60.0}
INSTALL = "pip install 'vfuse[train]'"

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="NAME[:FOLDER]",
        help="Data set to train on, or a folder with ir/ and vis/ or pairs.csv. May be given again to mix.",
    ),
]
TrainedModel = Annotated[str, typer.Option("--model", help="Network to train; see vfuse models.")]
Preset = Annotated[str, typer.Option("--preset", help="Settings to start from: default, paper, official.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, as in optim.lr=1e-4. Repeatable."),
]
Distill = Annotated[
    str | None,
    typer.Option(
        "--distill",
        metavar="none|vgg|dino|both",
        help="Teachers that guide TemCoCo's features; vfuse weights pull vgg19 (or dinov2) brings them.  "
        "[default: none]",
    ),
]
Run = Annotated[
    Path | None,
    typer.Option("--run", help="Folder of the run; one that exists is resumed.  [default: runs/MODEL]"),
]
Budget = Annotated[
    str | None, typer.Option("--time-budget", metavar="30m", help="End cleanly after this long (s, m or h).")
]
Fresh = Annotated[
    bool, typer.Option("--fresh/--resume", help="Begin anew, or go on where the run in --run was left.")
]
Init = Annotated[
    Path | None,
    typer.Option("--init", metavar="FILE", help="Weights (.safetensors) to start from, of the same network."),
]
HoldOut = Annotated[
    str, typer.Option("--hold-out", metavar="CLIP,CLIP", help="Clips to validate on instead of training.")
]
Cpu = Annotated[bool, typer.Option("--cpu", help="Train on the CPU even where there is a GPU.")]


def register(app: typer.Typer) -> None:
    """Add `train` and `train export`."""
    group = typer.Typer(help="Train a network; see also vfuse train export.", no_args_is_help=True)
    group.callback(invoke_without_command=True, epilog=o.EXIT_CODES)(train)
    group.command("export", epilog=o.EXIT_CODES)(export)
    app.add_typer(group, name="train")


def train(
    context: typer.Context,
    data: Data = None,
    model: TrainedModel = "videofusion-s",
    preset: Preset = "default",
    settings: Settings = None,
    distill: Distill = None,
    run: Run = None,
    fresh: Fresh = False,
    init: Init = None,
    time_budget: Budget = None,
    hold_out: HoldOut = "",
    cache: Cache = None,
    skip_bad: SkipBad = False,
    cpu: Cpu = False,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Train a network, or go on training the run in --run; it ends with weights.safetensors in there."""
    if context.invoked_subcommand is not None:
        return
    if not data:
        raise UsageError("no data to train on", todo="Add --data m3svd, or --data with a folder of your own")
    others = int(os.environ.get("RANK", "0")) > 0  # of several processes only the first one talks
    console = Console(quiet=quiet or others, verbose=verbose)
    budget = seconds(time_budget) if time_budget else None
    folder = run or Path("runs") / model

    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        from vfuse.train._loop import fit
    except ModuleNotFoundError as error:
        raise UsageError(
            f"training needs {error.name}, which is not installed", todo=f"Run {INSTALL}"
        ) from error
    from vfuse.models import MODELS
    from vfuse.models._weights import named
    from vfuse.train._config import override
    from vfuse.train._export import export as write_weights
    from vfuse.train._export import left_out
    from vfuse.train._recipe import RECIPES
    from vfuse.train._validate import validator

    recipe = RECIPES[model]
    teachers = [f"loss.distill={distill}"] if distill else []
    config = override(recipe.preset(preset), [*(settings or []), *teachers])
    if init is not None:
        config = replace(config, init=named(init).sha256)
    clips = load_clips(data, cache, skip_bad=skip_bad, console=console)
    kept, held = split(clips, hold_out)
    validate = validator(
        held, entry=MODELS[config.model], precision=config.precision, preview=previews(folder)
    )
    fit(
        recipe,
        config,
        kept,
        folder,
        validate=validate if held else None,
        budget=budget,
        cpu=cpu,
        fresh=fresh,
        init=init,
        watch=lambda steps, total: losses_shown(console.track(steps, total, unit="step"), console),
    )
    if others:
        return
    if missing := left_out(config.to_dict()):
        console.say(f"{folder} is trained, without {', '.join(missing)}; its figures are in its log.jsonl")
        return
    weights = folder / "weights.safetensors"
    write_weights(folder, weights, overwrite=True)
    console.say(f"{folder} is trained. Use it: vfuse fuse --model {model} --weights {weights} …")


def split(clips: Iterable[CachedClip], hold_out: str) -> tuple[list[CachedClip], list[CachedClip]]:
    """Clips to train on, and those that `--hold-out` names.

    Raises:
        UsageError: it names a clip that is not there; lists those there are.
    """
    known = list(clips)
    named = {name for name in hold_out.split(",") if name}
    unknown = named - {clip.name for clip in known}
    if unknown:
        there = ", ".join(clip.name for clip in known)
        raise UsageError(f"--hold-out names no clip {', '.join(sorted(unknown))}", todo=f"There are: {there}")
    return [c for c in known if c.name not in named], [c for c in known if c.name in named]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
) -> None:
    """Write the averaged weights of a run as a file for vfuse fuse --weights."""
    from vfuse.train._export import export as write

    model = write(run, out, overwrite=overwrite)
    Console(as_json=as_json).result(
        {"schema_version": 1, "model": model, "weights": str(out)},
        f"{out}: weights of {model}; use them with vfuse fuse --model {model} --weights {out}",
    )


def previews(run: Path) -> Callable[[str, Tensor], None]:
    """A function that keeps the latest picture of each validation clip in the run's folder."""
    from fractions import Fraction

    from vfuse.io.writer import WriteOptions, write_video

    def keep(name: str, picture: Tensor) -> None:
        out = run / "previews" / f"{name.replace('/', '-')}.png"
        out.parent.mkdir(exist_ok=True)
        height, width = picture.shape[-2:]
        with write_video(
            out,
            width=width,
            height=height,
            fps=Fraction(1),
            num_frames=1,
            options=WriteOptions(overwrite=True),
        ) as sink:
            sink.write(picture, time=0.0)

    return keep


def losses_shown(steps: Iterable[Step], console: Console) -> Iterator[Step]:
    """Say the loss now and then on the way."""
    total, count = 0.0, 0
    for step in steps:
        total, count = total + sum(step.terms.values()), count + 1
        if step.number % 100 == 0:
            console.say(f"step {step.number}: loss {total / count:.3f}, {step.seconds / 60:.1f} min")
            total, count = 0.0, 0
        yield step


def seconds(text: str) -> float:
    """`90s`, `30m` or `1.5h` in seconds; a plain number is minutes.

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise UsageError(f"--time-budget {text!r} is no time", todo="Write it as 90s, 30m or 1.5h")
    return float(match[1]) * UNITS[match[2]]
