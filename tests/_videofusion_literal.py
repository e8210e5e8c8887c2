"""VideoFusion as the paper states it, word for word and slowly: the oracle of the fast network.

Plain functions over the published parameter names; feature maps are (N, C, h, w), clips (B, T, C, H, W).
Frames of BiCAM are visited one by one, layer norms go through reshapes, queries and keys are normalised
before their product, every output is always made. Nothing here is shared with `vfuse`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]

CHANNELS = (32, 64, 128)
HEADS = (2, 4, 8)
ENHANCE_BLOCKS, DECODER_BLOCKS, RES_BLOCKS = 2, 2, 4
CO_BLOCKS = (2, 2, 4)


class Literal:
    """The network over a published state dict. `features` keeps every named intermediate of the last call."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.features: dict[str, Tensor] = {}

    def keep(self, name: str, x: Tensor, frames: int) -> Tensor:
        self.features[name] = x.unflatten(0, (-1, frames))
        return x

    # ------------------------------------------------------------------------------------- primitives

    def conv(self, key: str, x: Tensor, *, depthwise: bool = False) -> Tensor:
        weight, bias = self.state[f"{key}.weight"], self.state.get(f"{key}.bias")
        groups = x.shape[1] if depthwise else 1
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=groups)

    def norm(self, key: str, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        pixels = x.reshape(n, c, h * w).transpose(1, 2)  # (N, h w, C)
        mean = pixels.mean(-1, keepdim=True)
        variance = pixels.var(-1, keepdim=True, unbiased=False)
        pixels = (pixels - mean) / torch.sqrt(variance + 1e-5)
        pixels = pixels * self.state[f"{key}.body.weight"] + self.state[f"{key}.body.bias"]
        return pixels.transpose(1, 2).reshape(n, c, h, w)

    def attention_map(self, q: Tensor, k: Tensor, temperature: Tensor) -> Tensor:
        heads = temperature.shape[0]
        q, k = (F.normalize(z.unflatten(1, (heads, -1)).flatten(3), dim=-1) for z in (q, k))
        return ((q @ k.transpose(-2, -1)) * temperature).softmax(-1)  # (N, heads, 16, 16)

    def apply(self, attention: Tensor, v: Tensor) -> Tensor:
        heads = attention.shape[1]
        return (attention @ v.unflatten(1, (heads, -1)).flatten(3)).flatten(1, 2).view_as(v)

    def feed_forward(self, key: str, x: Tensor) -> Tensor:
        a, gate = self.conv(
            f"{key}.dwconv", self.conv(f"{key}.project_in", x), depthwise=True
        ).chunk(2, dim=1)  # fmt: skip
        return self.conv(f"{key}.project_out", F.gelu(a) * gate)

    # ----------------------------------------------------------------------------------------- blocks

    def self_block(self, key: str, x: Tensor) -> Tensor:
        qkv = self.conv(f"{key}.attn.qkv", self.norm(f"{key}.norm1", x))
        q, k, v = self.conv(f"{key}.attn.qkv_dwconv", qkv, depthwise=True).chunk(3, dim=1)
        attention = self.attention_map(q, k, self.state[f"{key}.attn.temperature"])
        y = x + self.conv(f"{key}.attn.project_out", self.apply(attention, v))
        return y + self.feed_forward(f"{key}.ffn", self.norm(f"{key}.norm2", y))

    def cross_block(self, key: str, x: Tensor, source: Tensor) -> Tensor:
        q = self.conv(f"{key}.attn.q", self.norm(f"{key}.norm1", x))
        q = self.conv(f"{key}.attn.q_dwconv", q, depthwise=True)
        kv = self.conv(f"{key}.attn.kv", self.norm(f"{key}.norm1", source))
        k, v = self.conv(f"{key}.attn.kv_dwconv", kv, depthwise=True).chunk(2, dim=1)
        attention = self.attention_map(q, k, self.state[f"{key}.attn.temperature"])
        y = x + self.conv(f"{key}.attn.project_out", self.apply(attention, v))
        return y + self.feed_forward(f"{key}.ffn", self.norm(f"{key}.norm2", y))

    def co_block(self, key: str, x: Tensor, before: Tensor, after: Tensor) -> Tensor:
        q = self.conv(f"{key}.attn.q", self.norm(f"{key}.norm1", x))
        q = self.conv(f"{key}.attn.q_dwconv", q, depthwise=True)
        kv = self.conv(f"{key}.attn.kv_prev", self.norm(f"{key}.norm1", before))
        k_prev, v_prev = self.conv(f"{key}.attn.kv_dwconv_prev", kv, depthwise=True).chunk(2, dim=1)
        kv = self.conv(f"{key}.attn.kv_next", self.norm(f"{key}.norm1", after))
        k_next, v_next = self.conv(f"{key}.attn.kv_dwconv_next", kv, depthwise=True).chunk(2, dim=1)
        temperature = self.state[f"{key}.attn.temperature"]
        agreed = self.attention_map(q, k_prev, temperature) * self.attention_map(q, k_next, temperature)
        agreed = agreed.softmax(-1)
        both = self.apply(agreed, v_prev) + self.apply(agreed, v_next)
        y = x + self.conv(f"{key}.attn.project_out", both)
        return y + self.feed_forward(f"{key}.ffn", self.norm(f"{key}.norm2", y))

    # ---------------------------------------------------------------------------------------- modules

    def conv3d(self, key: str, x: Tensor, frames: int) -> Tensor:
        clip = x.unflatten(0, (-1, frames)).transpose(1, 2)  # (B, C, T, h, w)
        for i in (0, 2):
            clip = F.conv3d(
                clip, self.state[f"{key}.module.{i}.weight"], self.state[f"{key}.module.{i}.bias"], padding=1
            )
            clip = F.leaky_relu(clip, 0.2) if i == 0 else clip
        return clip.transpose(1, 2).flatten(0, 1)

    def down(self, key: str, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(self.conv(f"{key}.body.0", x), 2)

    def up(self, key: str, x: Tensor) -> Tensor:
        y = self.conv(f"{key}.body.0", x)
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv(f"{key}.body.2", y)

    def res_blocks(self, key: str, x: Tensor) -> Tensor:
        for i in range(RES_BLOCKS):
            y = F.leaky_relu(self.conv(f"{key}.blocks.0.{i}.conv1", x), 0.1)
            x = x + self.conv(f"{key}.blocks.0.{i}.conv2", y)
        return x

    def channel_attention(self, key: str, x: Tensor) -> Tensor:
        def mixed(pooled: Tensor) -> Tensor:
            return self.conv(f"{key}.fc2", F.leaky_relu(self.conv(f"{key}.fc1", pooled), 0.2))

        return (mixed(F.adaptive_avg_pool2d(x, 1)) + mixed(F.adaptive_max_pool2d(x, 1))).sigmoid()

    def spatial_attention(self, key: str, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], dim=1)
        return self.conv(f"{key}.conv1", pooled).sigmoid()

    def contribution(self, key: str, enhanced: Tensor, plain: Tensor) -> Tensor:
        scores = self.conv(f"{key}.conv", torch.cat([enhanced, plain], dim=1)).sigmoid()
        keep_enhanced, keep_plain = scores.mean((2, 3), keepdim=True).chunk(2, dim=1)
        y = keep_enhanced * enhanced
        y = self.channel_attention(f"{key}.ChannelAttention", y) * y
        y = self.spatial_attention(f"{key}.SpatialAttention", y) * y
        return y + keep_plain * plain

    def cmgf(self, key: str, a: Tensor, b: Tensor) -> Tensor:
        complete = a + b
        block = f"{key}.cross_transformer"
        return self.cross_block(block, complete, a) + self.cross_block(block, complete, b)

    def enhance(self, key: str, x: Tensor, depth: int) -> Tensor:
        for i in range(depth):
            x = self.self_block(f"{key}.{i}", x)
        return x

    def bicam(self, key: str, x: Tensor, frames: int, depth: int) -> Tensor:
        clip = x.unflatten(0, (-1, frames))
        for i in range(depth):
            block = f"{key}.layers.{i}.co_transformer"
            updated = [
                self.co_block(block, clip[:, t], clip[:, max(t - 1, 0)], clip[:, min(t + 1, frames - 1)])
                for t in range(frames)
            ]
            clip = torch.stack(updated, dim=1)
        return clip.flatten(0, 1)

    def unmix(self, modality: str, x: Tensor) -> Tensor:
        y = self.channel_attention(f"decomposition.channel_attention_{modality}", x) * x
        return self.spatial_attention(f"decomposition.spatial_attention_{modality}", y) * y

    def decode(self, name: str, x: Tensor) -> Tensor:
        y = self.enhance(f"decoder_{name}.decoder", x, DECODER_BLOCKS)
        y = F.leaky_relu(self.conv(f"decoder_{name}.conv.0", y), 0.2)
        return self.conv(f"decoder_{name}.conv.2", y)

    # ---------------------------------------------------------------------------------------- network

    def encode(self, modality: str, scale: int, x: Tensor, frames: int) -> Tensor:
        x = self.keep(f"s{scale}_{modality}_down", self.down(f"down_{modality}_{scale - 1}", x), frames)
        x = self.conv3d(f"conv3d_{modality}_{scale}", x, frames)
        x = self.keep(f"s{scale}_{modality}_conv3d", x, frames)
        return self.keep(
            f"s{scale}_{modality}_res", self.res_blocks(f"{modality}_conv_enhance_{scale}", x), frames
        )

    def reinforce(self, modality: str, scale: int, main: Tensor, other: Tensor, frames: int) -> Tensor:
        enhanced = self.cross_block(
            f"cross_modal_enhance_{modality}_{scale}.cross_transformer", main, other - main
        )
        self.keep(f"s{scale}_{modality}_diffattn", enhanced, frames)
        return self.keep(
            f"s{scale}_{modality}_cmdrm",
            self.contribution(f"CMA_{modality}_{scale}", enhanced, main),
            frames,
        )

    def __call__(self, ir: Tensor, vi: Tensor) -> dict[str, Tensor]:
        """ir, vi (B, T, 3, H, W) in [0, 1], H and W multiples of 4 -> fusion, ir and vi of the same shape."""
        t = ir.shape[1]
        i = self.keep("s1_ir_conv3d", self.conv3d("conv3d_ir_1", ir.flatten(0, 1), t), t)
        v = self.keep("s1_vi_conv3d", self.conv3d("conv3d_vi_1", vi.flatten(0, 1), t), t)
        z = [self.keep("s1_cmgf", self.cmgf("fusion_1", i, v), t)]
        for scale in (2, 3):
            i, v = self.encode("ir", scale, i, t), self.encode("vi", scale, v, t)
            i, v = self.reinforce("ir", scale, i, v, t), self.reinforce("vi", scale, v, i, t)
            z.append(self.keep(f"s{scale}_cmgf", self.cmgf(f"fusion_{scale}", i, v), t))
        for scale in (1, 2):
            fused = self.enhance(f"fusion_enhance_{scale}.transformer", z[scale - 1], ENHANCE_BLOCKS)
            z[scale - 1] = self.keep(f"s{scale}_enhanced", fused, t)
        x = self.keep("s3_bicam", self.bicam("co_attention_3", z[2], t, CO_BLOCKS[2]), t)
        for scale in (2, 1):
            x = self.keep(f"s{scale}_up", self.up(f"up{scale}", x), t) + z[scale - 1]
            x = self.bicam(f"co_attention_{scale}", x, t, CO_BLOCKS[scale - 1])
            x = self.keep(f"s{scale}_bicam", x, t)
        parts = {"fusion": x}
        for modality in ("ir", "vi"):
            parts[modality] = self.keep(f"s1_unmix_{modality}", self.unmix(modality, x), t)
        raw = {name: self.keep(f"dec_{name}_raw", self.decode(name, part), t) for name, part in parts.items()}
        return {name: (x.tanh() + 1).div(2).unflatten(0, (-1, t)) for name, x in raw.items()}
