"""Training crops: drawn from cached clips, degraded, stacked; crop number n is the same in every run.

Each crop has a generator of its own, seeded by the seed of the run and its number, so that a resumed run, or
one spread over more processes, sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vfuse.errors import InputError
from vfuse.io.cache import CachedClip
from vfuse.train._config import TrainConfig
from vfuse.train._degrade import degrade_infrared, degrade_visible, happens, quantise, uniform
from vfuse.train._flicker import steady_pairs

STILLS_COUNT_AS = 200  # frames of video, all stills together


class Batch(NamedTuple):
    """Crops for one step, float32 in [0, 1].

    Attributes:
        ir, vis: what the network sees, (B, T, 1, H, W) and (B, T, 3, H, W).
        clean_ir, clean_vis: what it should make of it, of the same shapes.
        steady: (B, T - 1), 1 for each pair of frames between which the clean infrared does not flicker.
    """

    ir: Tensor
    vis: Tensor
    clean_ir: Tensor
    clean_vis: Tensor
    steady: Tensor


def check_clips(clips: Sequence[CachedClip], config: TrainConfig) -> None:
    """There are clips, and every one is long and large enough for the crops of the config.

    Raises:
        InputError: none is left, or one is too small; names it, its size and the size of a crop.
    """
    s = config.sampling
    if not clips:
        raise InputError("no clip is left to train on", todo="Add data, or hold out fewer clips")
    for clip in clips:
        height, width = clip.size
        if (len(clip) < s.frames and not clip.still) or height < s.height or width < s.width:
            raise InputError(
                f"clip {clip.name!r} has {len(clip)} frames of {width}x{height}, "
                f"crops need {s.frames} of {s.width}x{s.height}",
                todo="Leave it out, or use smaller sampling.frames, sampling.height or sampling.width",
            )


def batches(
    clips: Sequence[CachedClip], config: TrainConfig, *, first: int, rank: int = 0, processes: int = 1
) -> Iterator[Batch]:
    """Endless batches from batch number `first` on; ranks draw disjoint crops.

    Clips are drawn with a chance proportional to the square root of their length, so that long ones do not
    drown short ones; all stills together count as one long clip. Those with degraded versions of their own
    have a share of the crops to themselves.
    """
    weights, steady = _weights(clips, paired=config.sampling.paired), [steady_pairs(clip) for clip in clips]
    number = first
    while True:
        start = (number * processes + rank) * config.sampling.batch
        crops = [crop(clips, weights, steady, config, start + i) for i in range(config.sampling.batch)]
        yield Batch(*(torch.stack(stream) for stream in zip(*crops, strict=True)))
        number += 1


def _weights(clips: Sequence[CachedClip], *, paired: float) -> Tensor:
    """The chance of each clip, up to a factor."""
    stills = sum(clip.still for clip in clips)
    one = math.sqrt(STILLS_COUNT_AS) / max(stills, 1)
    weights = torch.tensor([one if clip.still else math.sqrt(len(clip)) for clip in clips])
    own = torch.tensor(["degraded_ir" in clip.streams for clip in clips])
    if own.all() or not own.any():
        return weights
    share = torch.where(own, paired / weights[own].sum(), (1 - paired) / weights[~own].sum())
    return weights * share


def crop(
    clips: Sequence[CachedClip], weights: Tensor, steady: Sequence[Tensor], config: TrainConfig, number: int
) -> Batch:
    """Crop `number` of the run, without a batch axis; `steady` as `steady_pairs` has it, for each clip."""
    rng = Generator().manual_seed((config.seed * 1_000_003 + number) % 2**63)
    s = config.sampling
    chosen = int(torch.multinomial(weights, 1, generator=rng))
    clip = clips[chosen]
    if clip.still:
        clean, pairs = _moving_still(clip, config, rng), torch.ones(s.frames - 1)
    else:
        first = _integer(len(clip) - s.frames, rng)
        clean = _cut(clip, first, config, rng)
        pairs = steady[chosen][first : first + s.frames - 1]
    if "degraded_ir" in clean and happens(s.stored, rng):
        ir, vis = _stored(clean, config, rng)
    else:
        ir = degrade_infrared(clean["ir"], strength(config, rng), rng=rng, ranges=config.degrade)
        vis = degrade_visible(clean["vis"], strength(config, rng), rng=rng, ranges=config.degrade)
    streams = [ir, vis, clean["ir"], clean["vis"]]
    if happens(s.flip, rng):
        streams = [x.flip(-1) for x in streams]
    if happens(s.reverse, rng):
        streams, pairs = [x.flip(0) for x in streams], pairs.flip(0)
    return Batch(*streams, steady=pairs)


def strength(config: TrainConfig, rng: Generator) -> float:
    """How strongly to degrade one stream of one crop: 0 is not at all, 1 as strongly as the real data."""
    kind = uniform((0, 1), rng)
    if kind < config.sampling.clean:
        return 0.0
    if kind < config.sampling.clean + config.sampling.weak:
        return uniform((0.1, 1.0), rng)
    return uniform((0.8, 1.25), rng)


def _stored(clean: dict[str, Tensor], config: TrainConfig, rng: Generator) -> tuple[Tensor, Tensor]:
    """The data set's own degraded frames, each stream at a share of their strength."""
    mixed: list[Tensor] = []
    for name in ("ir", "vis"):
        share = min(strength(config, rng), 1.0)
        mixed.append(quantise(share * clean[f"degraded_{name}"] + (1 - share) * clean[name]))
    return mixed[0], mixed[1]


def _cut(clip: CachedClip, first: int, config: TrainConfig, rng: Generator) -> dict[str, Tensor]:
    """The same random crop of the frames from `first` on of every stream, float32 in [0, 1]."""
    s = config.sampling
    height, width = clip.size
    y, x = (_integer(n, rng) for n in (height - s.height, width - s.width))
    window = (slice(first, first + s.frames), slice(None), slice(y, y + s.height), slice(x, x + s.width))
    return {name: _float(array[window]) for name, array in clip.streams.items()}


def _moving_still(clip: CachedClip, config: TrainConfig, rng: Generator) -> dict[str, Tensor]:
    """A clip from one photograph: the same pan, shake, zoom and roll of a camera for both modalities."""
    grid = _camera_path(clip.size, config, rng)
    return {name: _look(_float(array[:1]), grid) for name, array in clip.streams.items()}


def _look(image: Tensor, grid: Tensor) -> Tensor:
    """Sample (1, C, H, W) at a grid (T, h, w, 2); bicubic, because bilinear would teach blur."""
    views = image.expand(len(grid), -1, -1, -1)
    sampled = F.grid_sample(views, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return sampled.clamp(0, 1)


def _camera_path(size: tuple[int, int], config: TrainConfig, rng: Generator) -> Tensor:
    """Sampling grid (T, h, w, 2) of a camera that pans, shakes, zooms and rolls over a photograph."""
    s = config.sampling
    height, width = size
    pan = torch.randn(2, generator=rng) * 1.5  # pixels a frame
    shake = torch.randn(s.frames, 2, generator=rng) * 0.8  # pixels
    zoom, roll = (torch.randn(2, generator=rng) * 0.002).tolist()  # share and radians a frame
    centre = torch.tensor(
        [
            uniform((s.width / 2, width - s.width / 2), rng),
            uniform((s.height / 2, height - s.height / 2), rng),
        ]
    )
    y, x = torch.meshgrid(_centred(s.height), _centred(s.width), indexing="ij")
    views: list[Tensor] = []
    for t in range(s.frames):
        since = t - s.frames / 2
        cos, sin = math.cos(roll * since), math.sin(roll * since)
        seen = torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1) * (1 + zoom * since)
        views.append(seen + centre + pan * since + shake[t])
    return torch.stack(views) / torch.tensor([width, height]) * 2 - 1


def _centred(size: int) -> Tensor:
    """Pixel centres of a line of pixels, measured from its middle."""
    return torch.arange(size) + 0.5 - size / 2


def _integer(largest: int, rng: Generator) -> int:
    return int(torch.randint(largest + 1, (), generator=rng))


def _float(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.array(pixels)).float() / 255
