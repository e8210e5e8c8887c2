"""Run a loaded network over clips: padding, precision, tiles for large frames or little memory."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.clip import Clip, FusedClip
from vfuse.device import is_out_of_memory, threads_of_torch
from vfuse.errors import DeviceError, UsageError, WeightsError
from vfuse.models._registry import ModelEntry, Output
from vfuse.models._room import SMALLEST_TILE, Room, fitting_tile, workers_for
from vfuse.prefetch import side_by_side

log = logging.getLogger(__name__)

TILE_OVERLAP = 32  # pixels that neighbouring tiles share and fade across; less in tiles under 4 times this


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, ready to be called.

    Attributes:
        entry: what the network is.
        network: its module, in eval mode on `device`, with float32 parameters.
        device: where it runs.
        precision: torch.float32, or torch.bfloat16 for autocast.
        weights: what was loaded: tag or path; empty for networks without parameters.
        sha256: digest of the weight file; empty without one.
    """

    entry: ModelEntry
    network: nn.Module
    device: torch.device
    precision: torch.dtype = torch.float32
    weights: str = ""
    sha256: str = ""

    @torch.inference_mode()
    def __call__(self, ir: Tensor, vis: Tensor, *, streams: Collection[str] = Output._fields) -> Output:
        """Fuse clips of any size.

        Args:
            ir: (B, T, 1 or 3, H, W) in [0, 1], on any device.
            vis: (B, T, 3, H, W) RGB in [0, 1].
            streams: what is wanted beside "fused"; a selective network leaves the rest out.

        Returns:
            Float32 streams in [0, 1] of the same B, T, H, W, on the model's device.

        Raises:
            WeightsError: the network answers with values that are not finite.
        """
        height, width = vis.shape[-2:]
        ir, vis = (self._pad(x.to(self.device, torch.float32, non_blocking=True)) for x in (ir, vis))
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            wanted = {"streams": streams} if self.entry.selective else {}
            output: Output = self.network(ir, vis, **wanted)
        fused, ir_out, vis_out = (None if x is None else self._finish(x, height, width) for x in output)
        assert fused is not None, "every network makes a fused stream"
        return Output(fused, ir_out, vis_out)

    def _pad(self, x: Tensor) -> Tensor:
        """Extend right and bottom to sizes the network takes: reflected, then replicated where that ends."""
        height, width = x.shape[-2:]
        bottom, right = (padded_size(self.entry, size) - size for size in (height, width))
        if not bottom and not right:
            return x
        flat = x.flatten(0, 1)
        mirrored = (0, min(right, width - 1), 0, min(bottom, height - 1))
        flat = F.pad(flat, mirrored, mode="reflect")
        flat = F.pad(flat, (0, right - mirrored[1], 0, bottom - mirrored[3]), mode="replicate")
        return flat.unflatten(0, x.shape[:2])

    def _finish(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x[..., :height, :width].float()
        low, high = (float(value) for value in x.aminmax())
        if not math.isfinite(high - low):
            raise WeightsError(
                f"{self.entry.name} returned values that are not finite",
                where=self.weights or None,
                todo="Try --precision float32; if it stays so, the weights are broken",
            )
        return x if low >= 0 and high <= 1 else x.clamp(0, 1)


def padded_size(entry: ModelEntry, size: int) -> int:
    """The smallest side that the network takes and that holds `size` pixels."""
    step = entry.multiple_of
    return math.ceil(max(size, entry.min_size) / step) * step


def run(
    model: LoadedModel,
    clips: Iterable[Clip],
    *,
    tile: int | None = None,
    streams: Collection[str] = ("fused",),
) -> Iterator[FusedClip]:
    """Fuse clips one after the other; nothing is kept between them but the tile size.

    Args:
        model: the network.
        clips: clips of one size.
        tile: side of the square tiles in pixels; None takes whole frames, or tiles where the device's free
            memory is known not to suffice. When memory ends all the same, the tile is halved, the same clip
            repeated, and a warning logged.
        streams: which streams to keep, of "fused", "ir" and "vis".

    Raises:
        DeviceError: memory does not suffice for the smallest tile.
        UsageError: the tile is too small, or a stream is asked for that the network does not make.
    """
    check_request(model.entry, tile=tile, streams=streams)
    upcoming = iter(clips)
    first = next(upcoming, None)
    if first is None:
        return
    height, width = first.vis.shape[-2:]
    room = Room.on(model.device, model.entry, frames=len(first))
    if tile is None:
        tile = fitting_tile(room, model.entry, height=height, width=width)
    shared = _Tile(tile, model.entry, height, width)
    workers = workers_for(room, model.entry, model.device, height=min(tile, height), width=min(tile, width))
    with threads_of_torch(max(1, torch.get_num_threads() // workers)):
        yield from side_by_side(
            lambda clip: _fuse_with_room(model, clip, shared, streams), chain([first], upcoming), workers
        )


class _Tile:
    """The side of the tiles, which all workers share and any of them may halve."""

    def __init__(self, side: int, entry: ModelEntry, height: int, width: int) -> None:
        self.side, self._entry, self._size, self._lock = side, entry, (height, width), Lock()

    def halve(self, tried: int) -> None:
        """Go on with smaller tiles than `tried`, unless another worker did so meanwhile."""
        with self._lock:
            if self.side == tried:
                self.side = _smaller(tried, self._entry, *self._size)


def _fuse_with_room(model: LoadedModel, clip: Clip, tile: _Tile, streams: Collection[str]) -> FusedClip:
    """The fused clip, with tiles as small as memory demands."""
    while True:
        side = tile.side
        fused = _fuse(model, clip, side, streams)
        if fused is not None:
            return fused
        tile.halve(side)


def check_request(entry: ModelEntry, *, tile: int | None, streams: Collection[str]) -> None:
    """Refuse what this network cannot do, before anything is decoded; raises UsageError."""
    if tile is not None and tile < max(SMALLEST_TILE, entry.min_size):
        raise UsageError(
            f"tiles of {tile} pixels", todo=f"Choose at least {max(SMALLEST_TILE, entry.min_size)} pixels"
        )
    if not entry.restores and set(streams) - {"fused"}:
        raise UsageError(
            f"model {entry.name!r} does not restore the sources",
            todo="Leave --restored-ir and --restored-vis out, or choose a model that restores (vfuse models)",
        )


def _smaller(tile: int, entry: ModelEntry, height: int, width: int) -> int:
    half = padded_size(entry, min(tile, max(height, width)) // 2)
    if half >= tile or half < SMALLEST_TILE:
        raise DeviceError(
            f"memory does not suffice for tiles of {tile} pixels",
            todo="Close other programs, use a smaller --window, or another --device",
        )
    log.warning("memory ran out: going on with tiles of %d pixels", half)
    return half


@torch.inference_mode()
def _fuse(model: LoadedModel, clip: Clip, tile: int, streams: Collection[str]) -> FusedClip | None:
    """The fused clip, or None when memory ran out."""
    try:
        made = _tiled(model, clip.ir[None], clip.vis[None], tile, streams)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        made = None
    if made is None:  # outside the handler: the error's frames hold the tensors that have to go
        gc.collect()
        if model.device.type == "cuda":
            torch.cuda.empty_cache()
        return None
    return FusedClip({name: frames[0] for name, frames in made.items()}, clip.start, clip.times)


def _tiled(
    model: LoadedModel, ir: Tensor, vis: Tensor, tile: int, streams: Collection[str]
) -> dict[str, Tensor]:
    """Every stream as (1, T, C, H, W) on the CPU, computed tile by tile and faded across what tiles share."""
    height, width = vis.shape[-2:]
    if tile >= max(height, width):
        return {name: x.cpu() for name, x in _kept(model(ir, vis, streams=streams), streams).items()}
    tile = padded_size(model.entry, tile)
    sums: dict[str, Tensor] = {}
    total = torch.zeros(height, width)
    for y, down in tile_weights(height, tile):
        for x, across in tile_weights(width, tile):
            here = (..., slice(y, y + len(down)), slice(x, x + len(across)))
            weight = down[:, None] * across
            for name, part in _kept(model(ir[here], vis[here], streams=streams), streams).items():
                whole = sums.setdefault(name, torch.zeros(*part.shape[:-2], height, width))
                whole[here] += part.cpu() * weight
            total[here[1:]] += weight
    return {name: whole.div_(total) for name, whole in sums.items()}


def _kept(output: Output, streams: Collection[str]) -> dict[str, Tensor]:
    kept = {name: x for name, x in output._asdict().items() if name in streams and x is not None}
    if "ir" in kept:  # the published network restores infrared as three equal-minded channels
        kept["ir"] = kept["ir"].mean(2, keepdim=True)
    return kept


def tile_weights(size: int, tile: int) -> list[tuple[int, Tensor]]:
    """Where tiles start along one side, and their weights: positive, with linear ramps to the neighbours.

    Tiles share at least `TILE_OVERLAP` pixels (a quarter of small tiles) and are spread evenly, the last one
    ending with the picture.
    """
    if tile >= size:
        return [(0, torch.ones(size))]
    shared = min(TILE_OVERLAP, tile // 4)
    count = math.ceil((size - shared) / (tile - shared))
    starts = [round(k * (size - tile) / (count - 1)) for k in range(count)]
    ramp = torch.arange(1, shared + 1) / (shared + 1)
    weights: list[tuple[int, Tensor]] = []
    for start in starts:
        weight = torch.ones(tile)
        if start > 0:
            weight[:shared] = ramp
        if start + tile < size:
            weight[-shared:] = torch.minimum(weight[-shared:], ramp.flip(0))
        weights.append((start, weight))
    return weights
