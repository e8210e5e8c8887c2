# pyright: basic
"""TemCoCo: temporally consistent fusion of infrared and visible video by visual-semantic collaboration.

Paper: Gong et al., "TemCoCo: Temporally Consistent Multi-modal Video Fusion with Visual-Semantic
Collaboration", ICCV 2025, arXiv 2508.17817. Written from the paper and from measurements of the published
network, which differs from the paper in places: `Config` names each difference. `temcoco` equals the
published network up to rounding; `temcoco-paper` is what the paper describes; `temcoco-s` is that built for a
CPU: narrower, on a folded grid of pixels (`_stem`), residual to its inputs.

Feature maps are (B * T, C, h, w), time the fast index, channels-last. Full, half and quarter scale follow the
stem, which is the image's own scale unless it unshuffles.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.models._registry import MODELS, ModelEntry, Output, Script
from vfuse.models._stem import column_pattern, infrared_planes, luma, visible_planes
from vfuse.models._temcoco_blocks import (
    CrossPair,
    Separable,
    Stack,
    TemporalAttention,
    channels_last,
    wide,
)
from vfuse.models._temcoco_branches import SemanticBranch, VisualBranch
from vfuse.models._temcoco_config import AS_DESCRIBED, SMALL, Config
from vfuse.models._temcoco_cooperate import Cooperate
from vfuse.models._temcoco_published import convert_published

__all__ = ["AS_DESCRIBED", "SMALL", "Config", "Features", "TemCoCo", "convert_published"]


BLEND_PLANES = 5  # see `blend`


class Encoder(nn.Module):
    """Features of one modality at full, half and quarter scale."""

    def __init__(self, c_in: int, config: Config) -> None:
        super().__init__()
        full, half, quarter = config.channels
        temporal = config.temporal_convs
        self.stem = Separable(c_in, full, temporal=temporal)
        self.at_full = Stack(full, full, temporal=temporal)
        self.at_half = Stack(full, half, stride=2, temporal=temporal)
        self.at_quarter = Stack(half, quarter, stride=2, temporal=temporal)

    def forward(self, x: Tensor, *, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        full = self.at_full(self.stem(x, frames=frames), frames=frames)
        half = self.at_half(full, frames=frames)
        return full, half, self.at_quarter(half, frames=frames)


class Features(NamedTuple):
    """All that training reads.

    Attributes:
        fused: (B, T, 3, H, W) RGB, not clamped.
        ir_semantic, vis_semantic: (B * T, semantic, H / 16, W / 16) for a stem that does not unshuffle.
        ir_visual, vis_visual: (B * T, visual, H / 4, W / 4) likewise.
    """

    fused: Tensor
    ir_semantic: Tensor
    ir_visual: Tensor
    vis_semantic: Tensor
    vis_visual: Tensor


class TemCoCo(nn.Module):
    """Two encoders, visual-semantic interaction, two temporal cooperations, reconstruction.

    Called with ir (B, T, 1 or 3, H, W) and vis (B, T, 3, H, W) in [0, 1], RGB; any T >= 1; H and W multiples
    of `config.multiple_of`. Raises ValueError for any other size.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Config()
        full, half, quarter = config.channels
        temporal, fold = config.temporal_convs, config.unshuffle**2
        c_ir, c_vis = (fold + 1 + config.unshuffle, 3 * fold + 3) if config.residual else (3 * fold, 3 * fold)
        self.encode_ir, self.encode_vis = Encoder(c_ir, config), Encoder(c_vis, config)
        branch = partial(SemanticBranch, semantic=config.semantic, reshape=config.reshape, temporal=temporal)
        self.semantic_ir, self.semantic_vis = branch(quarter), branch(quarter)
        branch = partial(VisualBranch, visual=config.visual, temporal=temporal)
        self.visual_ir, self.visual_vis = branch(quarter), branch(quarter)
        if config.cross_attention != "none":
            pair = partial(CrossPair, heads=config.window_heads, order=config.cross_attention)
            self.cross_semantic, self.cross_visual, self.cross_both = (
                pair(quarter),
                pair(quarter),
                pair(2 * quarter),
            )
        self.combine = Stack(4 * quarter, quarter, temporal=temporal)
        if config.temporal_attention:
            self.attend = TemporalAttention(quarter, heads=config.temporal_heads)
        cooperate = partial(
            Cooperate,
            offset_groups=config.offset_groups,
            group_width=config.group_width,
            reference=config.temporal_reference,
            deformable=config.deformable,
            merge_current=config.merge_current,
            temporal=temporal,
        )
        self.cooperate_half, self.cooperate_full = cooperate(half, below=quarter), cooperate(full, below=half)
        planes = BLEND_PLANES if config.residual else 3
        self.reconstruct = Separable(full, planes * fold, temporal=temporal, last=not config.residual)
        if config.residual:  # start at the mean of both inputs, not at noise
            last = self.reconstruct.temporal or self.reconstruct.spatial
            nn.init.normal_(last.weight, std=0.002)

    def forward(self, ir: Tensor, vis: Tensor) -> Output:
        fused = self.features(ir, vis).fused
        return Output(fused if self.training else fused.clamp(0, 1))

    def features(self, ir: Tensor, vis: Tensor) -> Features:
        """The fused clip before clamping, and the features that teachers can guide."""
        b, frames, _, h, w = vis.shape
        if h % self.config.multiple_of or w % self.config.multiple_of or ir.shape[3:] != vis.shape[3:]:
            raise ValueError(
                f"ir {tuple(ir.shape)} and vis {tuple(vis.shape)}: sizes must be equal multiples of "
                f"{self.config.multiple_of}"
            )
        ir, vis = fold(ir, planes=1 if self.config.residual else 3), fold(vis, planes=3)
        seen_ir, seen_vis = self._stem(ir, vis, frames=frames)
        ir_full, ir_half, ir_low = self.encode_ir(seen_ir, frames=frames)
        vis_full, vis_half, vis_low = self.encode_vis(seen_vis, frames=frames)
        low, guided = self._interact(ir_low, vis_low, frames=frames)
        del ir_low, vis_low
        half, offsets = self.cooperate_half(low, ir_half, vis_half, frames=frames)
        del low, ir_half, vis_half
        full, _ = self.cooperate_full(half, ir_full, vis_full, frames=frames, below=offsets)
        del half, ir_full, vis_full
        with torch.autocast(full.device.type, enabled=False):
            planes = self.reconstruct(wide(full), frames=frames)
        fused = (
            blend(F.pixel_shuffle(planes, self.config.unshuffle), ir, vis) if self.config.residual else planes
        )
        return Features(fused.view(b, frames, 3, h, w), *guided)

    def _interact(self, ir: Tensor, vis: Tensor, *, frames: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Visual-semantic interaction at quarter scale: (fused feature, the four features for teachers)."""
        semantic_vis, vis_semantic = self.semantic_vis(vis, frames=frames)
        semantic_ir, ir_semantic = self.semantic_ir(ir, frames=frames)
        visual_vis, vis_visual = self.visual_vis(vis, frames=frames)
        visual_ir, ir_visual = self.visual_ir(ir, frames=frames)
        if self.config.cross_attention != "none":
            semantic_vis, semantic_ir = self.cross_semantic(semantic_vis, semantic_ir, frames=frames)
            visual_vis, visual_ir = self.cross_visual(visual_vis, visual_ir, frames=frames)
        semantic = torch.cat([semantic_vis, semantic_ir], dim=1)
        visual = torch.cat([visual_vis, visual_ir], dim=1)
        if self.config.cross_attention != "none":
            semantic, visual = self.cross_both(semantic, visual, frames=frames)
        # All four branches end in these layers, a twentieth of the work. Rounded to half precision, they
        # alone would cause a third of the error of the whole network.
        with torch.autocast(vis.device.type, enabled=False):
            fused = self.combine(wide(torch.cat([semantic, visual], dim=1)), frames=frames)
            if self.config.temporal_attention:
                fused = self.attend(fused, frames=frames)
        return fused, (ir_semantic, ir_visual, vis_semantic, vis_visual)

    def _stem(self, ir: Tensor, vis: Tensor, *, frames: int) -> tuple[Tensor, Tensor]:
        """What the encoders read."""
        ir, vis = (x.to(self.reconstruct.spatial.weight.dtype) for x in (ir, vis))
        factor = self.config.unshuffle
        if self.config.residual:
            pattern = column_pattern(ir, frames=frames)
            return infrared_planes(ir, pattern, factor), visible_planes(vis, fold=factor)
        return channels_last(F.pixel_unshuffle(ir, factor)), channels_last(F.pixel_unshuffle(vis, factor))


def fold(clip: Tensor, *, planes: int) -> Tensor:
    """(B, T, 1 or 3, H, W) to channels-last (B * T, planes, H, W); the planes of an infrared are equal."""
    x = clip.flatten(0, 1)
    return channels_last(x[:, :1] if planes == 1 else x.expand(-1, planes, -1, -1))


def blend(planes: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """The corrected visible frame, part of its brightness replaced by that of the corrected infrared.

    Args:
        planes: (N, 5, H, W): corrections of the visible and of the infrared, and the infrared's share of the
            brightness before its sigmoid.
        ir, vis: (N, 1, H, W) and (N, 3, H, W).
    """
    ir, vis = ir + planes[:, 3:4], vis + planes[:, :3]
    return vis + planes[:, 4:].sigmoid() * (ir - luma(vis))


PAPER = "Gong et al., TemCoCo, ICCV 2025, arXiv 2508.17817"
SCRIPT = Script(overlap=5, stretch=False)

MODELS.add(
    ModelEntry(
        name="temcoco",
        build=TemCoCo,
        params=19_213_417,
        window=30,
        overlap=5,
        shortest_window=10,
        script=SCRIPT,
        multiple_of=16,
        min_size=16,
        bytes_per_pixel=1600,
        paper=PAPER,
    )
)
MODELS.add(
    ModelEntry(
        name="temcoco-paper",
        build=partial(TemCoCo, AS_DESCRIBED),
        params=19_259_497,
        window=30,
        overlap=5,
        shortest_window=10,
        script=SCRIPT,
        multiple_of=16,
        min_size=16,
        bytes_per_pixel=1600,
        paper=PAPER + "; as the paper describes it, for training",
    )
)
MODELS.add(
    ModelEntry(
        name="temcoco-s",
        build=partial(TemCoCo, SMALL),
        params=4_488_856,
        window=30,
        overlap=5,
        shortest_window=10,
        script=SCRIPT,
        multiple_of=64,
        min_size=64,
        bytes_per_pixel=400,
        paper=PAPER + "; a small variant of our own, as the paper describes it",
    )
)
