# pyright: basic
"""Temporal cooperation of TemCoCo: what the two frames before know is aligned to each frame and added.

Feature maps are (B * T, C, h, w), time the fast index, channels-last. A clip is worked through a few frames
at a time, because the offsets alone take nine times the memory of the feature that they align.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.models._deform import TAPS, deform_conv2d
from vfuse.models._temcoco_blocks import Separable, activate, add, wide
from vfuse.models._winograd import Conv3x3, conv3x3

OFFSET_VALUES = 1 << 23  # for one neighbour, held at a time; decides how many frames go together

Offsets = tuple[Tensor, ...]  # of one frame towards its first and second neighbour, each (18 * groups, h, w)


def started(conv: nn.Conv2d) -> nn.Conv2d:
    """A 3x3 convolution with the published start: normal weights of variance 2 / (9 * c_out)."""
    nn.init.normal_(conv.weight, std=math.sqrt(2 / (TAPS * conv.out_channels)))
    return conv


def double(x: Tensor) -> Tensor:
    """Every value copied to a 2 x 2 block."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def together(frames: Sequence[Tensor]) -> Tensor:
    """Frames (1, C, h, w) as one (t, C, h, w); a single one is not copied."""
    return frames[0] if len(frames) == 1 else torch.cat(list(frames))


def as_planes(x: Tensor) -> Tensor:
    """Channels-last (N, C, h, w) to plane by plane; one frame as a matrix, which is transposed in blocks."""
    n, c, h, w = x.shape
    if n > 1:
        return x.contiguous()
    return x.permute(0, 2, 3, 1).reshape(h * w, c).t().contiguous().view(n, c, h, w)


def add_doubled(planes: Tensor, small: Tensor) -> Tensor:
    """planes + double(small), both contiguous (N, C, h, w), into planes where no gradient needs it."""
    if torch.is_grad_enabled():
        return planes + double(small)
    for column in planes.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).unbind(-1):
        column.add_(small.unsqueeze(-2))
    return planes


class Cooperate(nn.Module):
    """Doubles the fused feature's resolution; adds the sources' features and those of two earlier frames.

    Args:
        channels: C of this scale.
        below: channels of the fused feature of the scale below.
        offset_groups: groups of channels that are shifted together.
        group_width: input channels of each group of the deformable weights.
        reference: "published": frames 0 and 1 refer to themselves; "clamped": frame 1 refers to frame 0.
        deformable: False aligns by ordinary convolutions, that is, not at all.
        merge_current: whether the merging layer also sees the current frame, as in the paper's equation 12.
        temporal: whether the last separable convolution has its step over time.
    """

    def __init__(
        self,
        channels: int,
        *,
        below: int,
        offset_groups: int,
        group_width: int,
        reference: str,
        deformable: bool,
        merge_current: bool,
        temporal: bool,
    ) -> None:
        super().__init__()
        c, self.shifts = channels, 2 * TAPS * offset_groups
        self.reference, self.deformable, self.merge_current = reference, deformable, merge_current
        self.reduce = nn.Conv2d(below, c, 1)
        # The first layer of each neighbour's path and, where something reads it, of the current frame's.
        paths = 3 if deformable or merge_current else 2
        self.describe = nn.ModuleList(started(Conv3x3(3 * c, c)) for _ in range(paths))
        if deformable:
            self.pair = nn.ModuleList(started(Conv3x3(2 * c, c)) for _ in range(2))
            self.before = nn.ModuleList(started(Conv3x3(c, c)) for _ in range(2))
            self.offsets = nn.ModuleList(started(nn.Conv2d(c, self.shifts, 3, padding=1)) for _ in range(2))
        self.align = nn.ParameterList(torch.empty(c, group_width, 3, 3) for _ in range(2))
        for weight in self.align:
            nn.init.uniform_(weight, -1 / math.sqrt(TAPS * c), 1 / math.sqrt(TAPS * c))
        self.merge = started(Conv3x3((3 if merge_current else 2) * c, c))
        self.fuse = Separable(2 * c, c, temporal=temporal)

    def forward(
        self, low: Tensor, ir: Tensor, vis: Tensor, *, frames: int, below: deque[Offsets] | None = None
    ) -> tuple[Tensor, deque[Offsets] | None]:
        """Cooperate at the scale of `ir` and `vis`.

        Args:
            low: fused feature at half the size, (B * T, its C, h / 2, w / 2).
            ir, vis: encoded sources, (B * T, C, h, w).
            below: offsets of the scale below, in order of frames, to start from. It is emptied on the way, so
                that no memory is held longer than needed.

        Returns:
            The fused feature (B * T, C, h, w), and the offsets of all frames in order; None where `below` was
            given, because no scale follows.
        """
        # All that follows adds to this. Rounded to half precision it would spoil the image more than all
        # other layers of this module together, and it is the cheapest of them.
        with torch.autocast(low.device.type, enabled=False):
            small = self.reduce(wide(low))
        offsets: deque[Offsets] | None = deque() if below is None else None
        clips = zip(*(z.split(frames) for z in (small, ir, vis)), strict=True)
        merged = [y for clip in clips for y in self._clip(*clip, below=below, offsets=offsets)]
        y = torch.cat(merged)
        merged.clear()
        return add(wide(self.fuse.over_time(y, frames=frames)), double(small)), offsets

    def _clip(
        self,
        small: Tensor,
        ir: Tensor,
        vis: Tensor,
        *,
        below: deque[Offsets] | None,
        offsets: deque[Offsets] | None,
    ) -> list[Tensor]:
        """One clip up to the last convolution over time, in parts; fills `offsets`."""
        seen: list[Sequence[Tensor]] = [
            (),
            (),
        ]  # of each neighbour's path, the features of two earlier frames
        merged: list[Tensor] = []
        step = max(1, OFFSET_VALUES // (self.shifts * ir.shape[-2] * ir.shape[-1]))
        for start in range(0, ir.shape[0], step):
            part = slice(start, start + step)
            up = double(small[part].to(ir.dtype))
            *paths, current = self._describe(torch.cat([up, ir[part], vis[part]], dim=1))
            known = [[*old, *path.split(1)] for old, path in zip(seen, paths, strict=True)]
            seen = [frames[-2:] for frames in known]
            first = max(0, start - 2)  # frame of known[k][0]
            neighbours = [
                together([frames[i] for i in self._refer(start, len(up), k + 1, first)])
                for k, frames in enumerate(known)
            ]
            shifts = self._shifts(current, neighbours, below)
            if offsets is not None and shifts:
                offsets.extend(zip(*shifts, strict=True))
            y = self._merge(current, neighbours, shifts)
            merged.append(self.fuse.spatial(torch.cat([up, y], dim=1)))
        return merged

    def _refer(self, start: int, length: int, back: int, first: int) -> list[int]:
        """Rows, counted from frame `first`, of the frames to which `length` frames from `start` on refer."""
        alone = 2 if self.reference == "published" else 0
        return [(t if t < alone else max(t - back, 0)) - first for t in range(start, start + length)]

    def _describe(self, feature: Tensor) -> list[Tensor]:
        """The first layer of all paths as one convolution: both neighbours', then the current frame's."""
        weight, bias = (torch.cat([getattr(c, n) for c in self.describe]) for n in ("weight", "bias"))
        paths = activate(conv3x3(feature, weight, bias)).chunk(len(self.describe), dim=1)
        return [*paths, paths[-1]] if len(paths) == 2 else list(paths)

    def _shifts(
        self, current: Tensor, neighbours: Sequence[Tensor], below: deque[Offsets] | None
    ) -> list[Tensor]:
        """Offsets towards each neighbour, (t, 18 * groups, h, w) float32; none if nothing is deformable."""
        if not self.deformable:
            return []
        start = (
            [torch.stack(z) for z in zip(*(below.popleft() for _ in current), strict=True)] if below else []
        )
        shifts = []
        for k, neighbour in enumerate(neighbours):
            pair = activate(self.pair[k](torch.cat([current, neighbour], dim=1)))
            shift = self.offsets[k](as_planes(self.before[k](pair)))  # as the samples are placed
            shifts.append(add_doubled(wide(shift), start[k]) if start else wide(shift))
        return shifts

    def _merge(self, current: Tensor, neighbours: Sequence[Tensor], shifts: Sequence[Tensor]) -> Tensor:
        """The neighbours brought to the current frame and mixed, (t, C, h, w)."""
        if shifts:
            aligned = [deform_conv2d(*z) for z in zip(neighbours, shifts, self.align, strict=True)]
        else:
            aligned = [
                F.conv2d(x, weight, padding=1, groups=x.shape[1] // weight.shape[1])
                for x, weight in zip(neighbours, self.align, strict=True)
            ]
        aligned = [*aligned, current] if self.merge_current else aligned
        return activate(self.merge(torch.cat(aligned, dim=1)))
