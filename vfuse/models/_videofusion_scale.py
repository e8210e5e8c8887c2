# pyright: basic
"""One scale of VideoFusion before decoding: encode both modalities, reinforce them, fuse them.

Paper: Tang et al., CVPR 2026, arXiv 2503.23359; modules carry its names. Feature maps are (N, C, h, w),
N = B * T with time the fast index.
"""

from __future__ import annotations

from torch import Tensor, nn

from vfuse.models._attention import CrossBlock, SelfBlock, full, in_float32
from vfuse.models._bands import framewise
from vfuse.models._blocks import Conv3D, ResBlock
from vfuse.models._gates import Contribution
from vfuse.models._videofusion_config import Config


class CmDRM(nn.Module):
    """Cross-modal differential reinforcement: attend to what the other modality has and this one lacks."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.cross = CrossBlock(channels, heads)
        self.contribution = Contribution(channels)

    def forward(self, main: Tensor, other: Tensor) -> Tensor:
        return self.contribution(self.cross(main, other - main), main)


class Encoder(nn.Module):
    """One scale of one modality: Conv3D over time, then residual blocks."""

    def __init__(
        self, c_in: int, c_out: int, *, still: int, conv3d: int, res_blocks: int, precise: bool
    ) -> None:
        super().__init__()
        self.precise = precise
        self.conv3d = Conv3D(c_in, c_out, conv3d, still=still)
        self.res = nn.Sequential(*(ResBlock(c_out) for _ in range(res_blocks)))

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        x = self.conv3d(x, frames=frames)
        return framewise(self.res, full(x) if self.precise else x)


class Scale(nn.Module):
    """What one scale does before decoding: encode both modalities, reinforce them, fuse them."""

    def __init__(self, config: Config, scale: int, c_in: tuple[int, int], *, still: int = 0) -> None:
        """c_in: channels of both modalities; `still` of the visible's, the last, are seen without time."""
        super().__init__()
        c, heads = config.channels[scale], config.heads[scale]
        self.encode_ir, self.encode_vis = (
            Encoder(
                size,
                c,
                still=alone,
                conv3d=config.conv3d[scale],
                res_blocks=config.res_blocks[scale],
                precise=config.precise,
            )
            for size, alone in zip(c_in, (0, still), strict=True)
        )
        self.reinforce_ir = CmDRM(c, heads) if scale > 0 else None
        self.reinforce_vis = CmDRM(c, heads) if scale > 0 else None
        self.cmgf = CrossBlock(c, heads) if config.fuse[scale] else None
        self.precise = config.precise
        self.enhance = nn.Sequential(*(SelfBlock(c, heads) for _ in range((*config.enhance, 0)[scale])))

    def forward(self, ir: Tensor, vis: Tensor, *, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """(features of ir, of vis, fused feature) of this scale, each (N, C, h, w)."""
        ir, vis = self.encode_ir(ir, frames=frames), self.encode_vis(vis, frames=frames)
        if self.reinforce_ir is not None:
            ir, vis = framewise(self._reinforce, ir, vis)
        return ir, vis, framewise(self._fuse, ir, vis)

    def _reinforce(self, ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
        assert self.reinforce_ir is not None
        assert self.reinforce_vis is not None
        with in_float32(ir, when=self.precise):
            return self.reinforce_ir(ir, vis), self.reinforce_vis(vis, ir)

    def _fuse(self, ir: Tensor, vis: Tensor) -> Tensor:
        with in_float32(ir, when=self.precise):
            complete = ir + vis
            fused = complete if self.cmgf is None else self.cmgf(complete, ir, vis)
        return self.enhance(fused)
