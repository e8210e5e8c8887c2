"""The sizes and variants of a TemCoCo network, what the paper describes, and the small one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Config:
    """The sizes and variants of a TemCoCo network; the defaults are the published network.

    Attributes:
        channels: width at full, half and quarter scale.
        semantic, visual: channels of the features that a teacher can guide (DINOv2 ViT-L/14: 1024, VGG19:
            256).
        window_heads, temporal_heads: attention heads; the temporal ones have 64 channels each.
        offset_groups, group_width: see `Cooperate`.
        reshape: "published" re-reads the semantic skip (B * T, C) as (B, C, T) without moving a value, which
            mixes time into channels over the whole clip; "aligned" keeps every frame's own.
        temporal_reference: "published" lets frames 0 and 1 refer to themselves; "clamped" lets frame 1 refer
            to frame 0.
        cross_attention: "sequential" shows the second direction the updated first, as published; "parallel"
            follows the paper's equations 6 and 7; "none" leaves all three out (no_VSAtn of table 5).
        merge_current: the paper's equation 12 also merges the current frame; the published network does not.
        temporal_attention: False is wo_TAttn of table 5.
        deformable: False is no_DCN of table 5.
        temporal_convs: False is Conv2d of table 5.
        unshuffle: factor by which the stem folds pixels into channels.
        residual: read detail and local mean instead of pixels, and predict corrections and a blending weight
            of the inputs instead of the image itself.
    """

    channels: tuple[int, int, int] = (32, 64, 128)
    semantic: int = 1024
    visual: int = 256
    window_heads: int = 4
    temporal_heads: int = 8
    offset_groups: int = 8
    group_width: int = 8
    reshape: Literal["published", "aligned"] = "published"
    temporal_reference: Literal["published", "clamped"] = "published"
    cross_attention: Literal["sequential", "parallel", "none"] = "sequential"
    merge_current: bool = False
    temporal_attention: bool = True
    deformable: bool = True
    temporal_convs: bool = True
    unshuffle: int = 1
    residual: bool = False

    @property
    def multiple_of(self) -> int:
        """H and W must be multiples of this."""
        return 16 * self.unshuffle


AS_DESCRIBED = Config(
    reshape="aligned", temporal_reference="clamped", cross_attention="parallel", merge_current=True
)
SMALL = replace(
    AS_DESCRIBED,
    channels=(48, 64, 64),
    semantic=64,
    visual=64,
    temporal_heads=2,
    offset_groups=4,
    unshuffle=4,
    residual=True,
)
