"""Keep what a thermal camera measured: its numbers, frame for frame, in a lossless video of their own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vfuse.clip import FramePair
from vfuse.errors import PairError
from vfuse.io.pairs import PairPlan
from vfuse.io.writer import Sink, WriteOptions, write_video

Keep = Callable[[Iterable[FramePair]], Iterable[FramePair]]
_WHITE = 65535


@contextmanager
def counts_kept(out: Path | None, plan: PairPlan, *, counted: bool, overwrite: bool) -> Generator[Keep]:
    """A step that writes the stored infrared samples of the pairs that pass into `out`.

    The file holds one frame for each fused one, at the same time, of the infrared's own size and view: 16-bit
    grey FFV1 (or 16-bit PNG in a folder) whose samples are the numbers in the input, whatever its bit depth.

    Args:
        out: the video; None keeps nothing.
        plan: the pairs, which must be read with their counts.
        counted: whether there must be as many frames as planned.
        overwrite: replace an existing file.

    Raises:
        PairError: the infrared has colours instead of numbers.
        OutputError: from `write_video`.
    """
    if out is None:
        yield lambda pairs: pairs
        return
    if plan.ir.channels != 1:
        raise PairError(
            f"has colours ({plan.ir.pix_fmt}) and no radiometric values to keep",
            where=plan.ir.path,
            todo="Leave --radiometric away",
        )
    with write_video(
        out,
        width=plan.ir.width,
        height=plan.ir.height,
        fps=plan.fps,
        num_frames=plan.num_frames if counted else None,
        sample_aspect=plan.ir.sample_aspect,
        options=WriteOptions(codec="ffv1", pix_fmt="gray16le", overwrite=overwrite),
    ) as sink:
        top = 2**plan.ir.bit_depth - 1
        yield lambda pairs: _written(pairs, sink, scale=top / _WHITE)


def _written(pairs: Iterable[FramePair], sink: Sink, *, scale: float) -> Iterator[FramePair]:
    for pair in pairs:
        if pair.counts is not None:
            sink.write(pair.counts * scale, time=pair.time)
        yield replace(pair, counts=None)
