"""`vfuse segment`: does fusion help segmentation? Masks against the truth, in one video or in several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vfuse.cli import _network_options as network
from vfuse.cli import _options as o
from vfuse.cli._console import Console
from vfuse.errors import UsageError

MASKS = "Masks"
PROMPT = "Prediction"

Versus = Annotated[
    list[str] | None,
    typer.Option(
        "--vs",
        metavar="VIDEO",
        help="Compare with this one, such as the infrared or the visible alone; may be repeated.",
    ),
]
Gt = Annotated[
    Path | None,
    typer.Option(
        "--gt",
        metavar="MASKS",
        help="The truth: a folder of PNG (numbers, palette or colours), or COCO run lengths (.json).",
        rich_help_panel=MASKS,
    ),
]
Pred = Annotated[
    list[Path] | None,
    typer.Option(
        "--pred",
        metavar="MASKS",
        help="What was predicted; once for each video, in the order of the videos.",
        rich_help_panel=MASKS,
    ),
]
ClassList = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="LIST|FILE",
        help="What the numbers mean: 'sky,road', '0=sky,6=car', or a file. Default: classes.txt, "
        "classes.json or scene.json in the folder or beside it, else each number is a class.",
        rich_help_panel=MASKS,
    ),
]
Ignore = Annotated[
    int,
    typer.Option(
        "--ignore",
        min=-1,
        max=65535,
        metavar="N",
        help="Number of pixels that do not take part; -1 for none.",
        rich_help_panel=MASKS,
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="LIST",
        help="Predict these, such as 'road, person, tree, building, car'; all else is background.",
        rich_help_panel=PROMPT,
    ),
]
Grounding = Annotated[
    str,
    typer.Option(
        "--grounding",
        metavar="DIR|NAME",
        help="Grounding DINO: a folder of weights, or a name in the local cache.",
        rich_help_panel=PROMPT,
    ),
]
Sam = Annotated[
    str,
    typer.Option(
        "--sam", metavar="DIR|NAME", help="SAM 2: a folder, or a name in the cache.", rich_help_panel=PROMPT
    ),
]
Sure = Annotated[
    float, typer.Option("--sure", min=0, max=1, help="Least score of a box.", rich_help_panel=PROMPT)
]
Again = Annotated[
    int,
    typer.Option(
        "--again",
        min=1,
        metavar="FRAMES",
        help="Look for the words anew after so many frames.",
        rich_help_panel=PROMPT,
    ),
]
MaskFolder = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        metavar="DIR",
        help="Write the predicted masks, a folder of PNG for each video.",
        rich_help_panel=o.OUTPUT,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write a page with the table and bars.",
        rich_help_panel=o.OUTPUT,
    ),
]
Overlay = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="Write a video of the masks over their frames; several videos stand side by side.",
        rich_help_panel=o.OUTPUT,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("segment", epilog=o.EXIT_CODES)(segment)


def segment(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="Video or image folder, such as the fused.")],
    versus: Versus = None,
    gt: Gt = None,
    pred: Pred = None,
    classes: ClassList = None,
    ignore: Ignore = 255,
    prompt: Prompt = None,
    grounding: Grounding = "IDEA-Research/grounding-dino-tiny",
    sam: Sam = "facebook/sam2.1-hiera-tiny",
    sure: Sure = 0.35,
    again: Again = 20,
    device: network.Device = "auto",
    masks: MaskFolder = None,
    report: Report = None,
    out: Overlay = None,
    codec: o.Codec = None,
    crf: o.Crf = None,
    start: o.Start = None,
    end: o.End = None,
    overwrite: o.Overwrite = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Compare masks of VIDEO with the truth, class by class, or predict them from words.

    vfuse segment fused.mp4 --gt masks/ --pred fused_masks/
    """
    console = Console(quiet=quiet, verbose=verbose, as_json=as_json)
    every = [video, *(versus or [])]
    if sum(one == "-" for one in every) > 1:
        raise UsageError("standard input (-) can be read only once")
    from vfuse.cli._score_files import check_new
    from vfuse.cli._segment_report import write_page
    from vfuse.cli._segment_table import data, table
    from vfuse.io.writer import WriteOptions
    from vfuse.segment import GroundedOptions, SegmentOptions, read_classes, segment_videos

    if report is not None:
        check_new(report, overwrite=overwrite)
    options = SegmentOptions(
        truth=gt,
        predictions=tuple(pred or ()),
        prompt=_words(prompt),
        grounded=GroundedOptions(detector=grounding, segmenter=sam, sure=sure, again=again, device=device),
        classes=None if classes is None else read_classes(classes),
        ignore=None if ignore < 0 else ignore,
        annotated=out,
        masks=masks,
        start=start,
        end=end,
        write=WriteOptions(codec=codec, crf=crf, overwrite=overwrite),
    )
    found = segment_videos(every, options=options, progress=console.track)
    count = len(versus or [])
    if report is not None:
        write_page(report, found, versus=count)
    console.result({"schema_version": 1} | data(found, versus=count), table(found, versus=count))


def _words(prompt: str | None) -> tuple[str, ...]:
    """The classes of a prompt, which commas or full stops part."""
    words = [word.strip() for word in (prompt or "").replace(".", ",").split(",")]
    return tuple(dict.fromkeys(word for word in words if word))
