"""Frozen infrared: find repeated frames while the visible moves on, and do with them what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from vfuse.clip import FramePair

OnFreeze = Literal["hold", "visible", "drop"]

# A camera at 9 Hz in a 25 fps file repeats each frame up to twice; a shutter takes a third of a second.
_LEAST_SECONDS = 0.25
_LEAST_FRAMES = 4
_STRIDE = 4  # every fourth row and column tells whether a picture has changed
_SAME = 0.05 / 255  # mean change that recompression of one and the same picture makes
_MOVES = 0.25 / 255  # mean change of a visible picture that is alive: noise suffices
_LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709


@dataclass(frozen=True)
class Freeze:
    """A run of infrared frames that only repeat the one before.

    Attributes:
        first, last: indices of the repeated frames, both inclusive, in the pairs as read.
        start, end: times of these two frames in seconds.
    """

    first: int
    last: int
    start: float
    end: float


def watch_freezes(
    pairs: Iterable[FramePair], *, on_freeze: OnFreeze, found: list[Freeze]
) -> Iterator[FramePair]:
    """Pass pairs on and enter every freeze into `found`; holds back a quarter of a second at most.

    Args:
        on_freeze: "hold" passes frozen pairs on as they are, "visible" puts the brightness of the visible
            frame in the place of the infrared, "drop" leaves them out; the others keep their times.
    """
    count = 0
    for pair, frozen in _labelled(pairs):
        if frozen:
            _enter(found, pair)
        if frozen and on_freeze == "drop":
            continue
        ir = _brightness(pair.vis) if frozen and on_freeze == "visible" else pair.ir
        yield replace(pair, index=count, ir=ir)
        count += 1


def _labelled(pairs: Iterable[FramePair]) -> Iterator[tuple[FramePair, bool]]:
    """Each pair, and whether its infrared is frozen: in a long run of repetitions of `fresh`."""
    fresh: FramePair | None = None
    suspects: list[FramePair] = []
    frozen = alive = False
    for pair in pairs:
        if fresh is None or _change(pair.ir, fresh.ir) >= _SAME:
            yield from ((held, False) for held in suspects)
            yield pair, False
            fresh, suspects, frozen, alive = pair, [], False, False
            continue
        suspects.append(pair)
        alive = alive or _change(pair.vis, fresh.vis) > _MOVES
        frozen = frozen or (alive and _is_long(suspects))
        if frozen:
            yield from ((held, True) for held in suspects)
            suspects = []
        elif _is_long(suspects):  # nothing moves in either: a still scene so far
            yield suspects.pop(0), False
    yield from ((held, False) for held in suspects)


def _is_long(run: list[FramePair]) -> bool:
    return len(run) >= _LEAST_FRAMES and run[-1].time - run[0].time >= _LEAST_SECONDS


def _enter(found: list[Freeze], pair: FramePair) -> None:
    goes_on = bool(found) and found[-1].last == pair.index - 1
    begun = found.pop() if goes_on else Freeze(pair.index, pair.index, pair.time, pair.time)
    found.append(replace(begun, last=pair.index, end=pair.time))


def _change(a: Tensor, b: Tensor) -> float:
    return float((a[:, ::_STRIDE, ::_STRIDE] - b[:, ::_STRIDE, ::_STRIDE]).abs().mean())


def _brightness(vis: Tensor) -> Tensor:
    return torch.einsum("chw,c->hw", vis, torch.tensor(_LUMA))[None]
