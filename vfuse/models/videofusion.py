# pyright: basic
"""VideoFusion: a spatio-temporal network that fuses and restores infrared and visible video.

Paper: Tang et al., "VideoFusion: A Spatio-Temporal Collaborative Network for Multi-modal Video Fusion and
Restoration", CVPR 2026, arXiv 2503.23359. Written from the paper's equations; modules carry its names:
CmDRM (cross-modal differential reinforcement), CMGF (complete-modality-guided fusion), BiCAM (bi-temporal
co-attention). `videofusion` is the published network, equal to it up to rounding; `videofusion-s` is the same
class built for a CPU: a pixel-unshuffled stem, narrower, and residual to its inputs.

Feature maps are (N, C, h, w), N = B * T with time the fast index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.models._attention import BiCAM, CrossBlock, Pointwise, SelfBlock
from vfuse.models._bands import framewise, locally
from vfuse.models._blocks import Down, Up, conv3x3
from vfuse.models._gates import Unmix
from vfuse.models._images import blend, squash
from vfuse.models._registry import MODELS, ModelEntry, Output
from vfuse.models._sharpen import GAINS, UNIT, sharp_planes
from vfuse.models._stem import column_pattern, infrared_planes, unfolded, visible_planes
from vfuse.models._videofusion_config import SMALL, Config
from vfuse.models._videofusion_published import convert_published
from vfuse.models._videofusion_scale import CmDRM, Scale

__all__ = ["SMALL", "Config", "VideoFusion", "convert_published"]


class Decoder(nn.Module):
    """Self-attention blocks, then two convolutions to c_out image planes (before any squashing).

    With `skip`, the first of the two also reads the full-scale feature of one modality, past all attention.
    """

    def __init__(
        self, channels: int, heads: int, depth: int, *, hidden: int, c_out: int, skip: bool = False
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(SelfBlock(channels, heads) for _ in range(depth)))
        self.conv1 = Pointwise(channels, hidden, bias=True)
        self.skip = Pointwise(channels, hidden) if skip else None
        self.conv2 = conv3x3(hidden, c_out)

    def forward(self, x: Tensor, feature: Tensor | None = None) -> Tensor:
        if self.skip is None or feature is None:
            return locally(self.planes, self.blocks(x))
        return self.planes(self.blocks(x), feature)

    def planes(self, x: Tensor, feature: Tensor | None = None) -> Tensor:
        y = self.conv1(x)
        if self.skip is not None and feature is not None:
            y = y + self.skip(feature)
        return self.conv2(F.leaky_relu_(y, 0.2))


class VideoFusion(nn.Module):
    """The whole network: three encoder scales, BiCAM on the way up, three decoders.

    Called with ir (B, T, 1 or 3, H, W) and vis (B, T, 3, H, W) in [0, 1], RGB; any T >= 1, any H and W from
    the entry's `min_size` up (padded by reflection at the bottom and right, cropped back). Returns `fused`,
    `ir` and `vis` of the input's size, (B, T, 3, H, W); residual networks restore infrared as one channel.
    `fused` is always made; of `ir` and `vis` only those among `streams`, the others are None.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Config()
        c, heads, fold = config.channels, config.heads, config.unshuffle**2
        sharp = len(GAINS) if config.sharpen else 0
        stem = (fold + 1 + config.unshuffle, (3 + sharp) * fold + 3) if config.residual else (3, 3)
        self.scales = nn.ModuleList(
            Scale(config, 0, stem, still=sharp * fold) if s == 0 else Scale(config, s, (c[s], c[s]))
            for s in range(3)
        )
        self.down_ir = nn.ModuleList(Down(c[s], c[s + 1]) for s in range(2))
        self.down_vis = nn.ModuleList(Down(c[s], c[s + 1]) for s in range(2))
        self.up = nn.ModuleList(Up(c[s + 1], c[s]) for s in range(2))
        self.bicam = nn.ModuleList(BiCAM(c[s], heads[s], config.bicam[s]) for s in range(3))
        self.unmix_ir, self.unmix_vis = Unmix(c[0]), Unmix(c[0])
        # fused (colour and blending weight), ir, vis (colour and what to take of each band of detail)
        planes = (4, 1, 3 + sharp) if config.residual else (3, 3, 3)
        hidden = c[0] if config.residual else c[0] // 2
        decoders = [
            Decoder(
                c[0],
                heads[0],
                config.decoder_blocks,
                hidden=hidden,
                c_out=p * fold,
                skip=config.residual and name != "fused",
            )
            for name, p in zip(Output._fields, planes, strict=True)
        ]
        if config.residual:  # start near the input, not at noise
            for decoder in decoders:
                nn.init.normal_(decoder.conv2.weight, std=0.002)
        self.decoders = nn.ModuleList(decoders)

    def exact(self) -> Iterator[nn.Module]:
        """The modules that compute in float32 whatever the precision, see `Config.precise`."""
        if self.config.precise:
            yield from (module for module in self.scales.modules() if isinstance(module, CmDRM | CrossBlock))

    def forward(self, ir: Tensor, vis: Tensor, *, streams: Collection[str] = Output._fields) -> Output:
        frames, (height, width) = vis.shape[1], vis.shape[-2:]
        ir, vis = self._fold(ir[:, :, :1] if self.config.residual else ir), self._fold(vis)
        sharp = framewise(sharp_planes, vis) if self.config.sharpen else None
        features = self._features(*self._stem(ir, vis, sharp, frames), frames=frames)
        inputs = (ir, vis) if sharp is None else (ir, vis, sharp)
        made = self._decode(features, inputs, {"fused", *streams})
        return Output(
            **{name: x[..., :height, :width].unflatten(0, (-1, frames)) for name, x in made.items()}
        )

    def _features(self, ir: Tensor, vis: Tensor, *, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the streams are decoded from: the fused feature of full scale, and that of each modality."""
        fused, first = [], (ir, vis)
        for s, scale in enumerate(self.scales):
            if s > 0:
                ir, vis = framewise(self.down_ir[s - 1], ir), framewise(self.down_vis[s - 1], vis)
            ir, vis, z = scale(ir, vis, frames=frames)
            first = (ir, vis) if s == 0 else first
            fused.append(z)
        z = self.bicam[2](fused.pop(), frames=frames)
        for s in (1, 0):
            z = self.bicam[s](fused.pop().add_(framewise(self.up[s], z)), frames=frames)
        return z, *first

    def _fold(self, clip: Tensor) -> Tensor:
        """(B, T, C, H, W) to (B * T, C, H', W'), reflected at the bottom and right to a usable size."""
        x = clip.flatten(0, 1)
        if x.shape[1] == 1 and not self.config.residual:
            x = x.expand(-1, 3, -1, -1)
        bottom, right = (-size % self.config.multiple_of for size in x.shape[-2:])
        x = F.pad(x, (0, right, 0, bottom), mode="reflect") if bottom or right else x
        return x.contiguous()

    def _stem(self, ir: Tensor, vis: Tensor, sharp: Tensor | None, frames: int) -> tuple[Tensor, Tensor]:
        """What the first scale reads of both modalities."""
        if not self.config.residual:
            last = torch.channels_last
            return ir.contiguous(memory_format=last), vis.contiguous(memory_format=last)
        infrared = partial(infrared_planes, fold=self.config.unshuffle)
        visible = partial(visible_planes, fold=self.config.unshuffle)
        seen = (vis,) if sharp is None else (vis, sharp)
        return framewise(infrared, ir, column_pattern(ir, frames=frames)), framewise(visible, *seen)

    def _decode(
        self, features: tuple[Tensor, ...], inputs: tuple[Tensor, ...], streams: set[str]
    ) -> dict[str, Tensor]:
        """The asked for streams at full size, (N, C, H, W)."""
        wanted = tuple(name for name in Output._fields if name in streams)
        made = framewise(partial(self._images, streams=wanted), *features, *inputs)
        return dict(zip(wanted, made, strict=True))

    def _images(
        self,
        z: Tensor,
        ir_feature: Tensor,
        vis_feature: Tensor,
        ir: Tensor,
        vis: Tensor,
        sharp: Tensor | None = None,
        *,
        streams: tuple[str, ...],
    ) -> tuple[Tensor, ...]:
        """Decode streams of some frames; a frame at a time, its features and images stay in the cache."""
        gates = {"fused": nn.Identity(), "ir": self.unmix_ir, "vis": self.unmix_vis}
        own = {"fused": z, "ir": ir_feature, "vis": vis_feature}
        made = {
            name: self._shuffle(decoder(gates[name](z), own[name]))
            for name, decoder in zip(Output._fields, self.decoders, strict=True)
            if name in streams or self.config.residual  # a blend needs the sources that it blends
        }
        if self.config.residual:
            made = self._add_to_inputs(made, ir, vis, sharp)
        else:
            made = {name: squash(x) for name, x in made.items()}
        return tuple(made[name] for name in streams)

    def _shuffle(self, x: Tensor) -> Tensor:
        return x if self.config.unshuffle == 1 else unfolded(x.float(), self.config.unshuffle)

    def _add_to_inputs(
        self, planes: dict[str, Tensor], ir: Tensor, vis: Tensor, sharp: Tensor | None
    ) -> dict[str, Tensor]:
        """Restored sources are input plus correction; fused is their blend and what it lacks."""
        ir, vis = ir + planes["ir"], vis + planes["vis"][:, :3]
        if sharp is not None:
            vis = vis + UNIT * (planes["vis"][:, 3:] * sharp).sum(1, keepdim=True)
        images = {"fused": blend(planes["fused"], ir, vis), "ir": ir, "vis": vis}
        # Clamped only for the viewer: a clamp in training would hide over- and undershoot from the losses.
        return images if self.training else {name: x.clamp_(0, 1) for name, x in images.items()}


PAPER = "Tang et al., VideoFusion, CVPR 2026, arXiv 2503.23359"

MODELS.add(
    ModelEntry(
        name="videofusion",
        build=VideoFusion,
        params=6_749_526,
        window=7,
        overlap=2,
        multiple_of=4,
        min_size=8,
        bytes_per_pixel=1400,
        restores=True,
        selective=True,
        paper=PAPER,
    )
)
MODELS.add(
    ModelEntry(
        name="videofusion-s",
        build=partial(VideoFusion, SMALL),
        params=2_172_350,
        window=24,
        overlap=2,
        multiple_of=16,
        min_size=16,
        bytes_per_pixel=140,
        restores=True,
        selective=True,
        paper=PAPER + "; a small variant of our own",
    )
)
