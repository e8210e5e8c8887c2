"""TemCoCo word for word, on the published names: slow, plain and separate from the package, an oracle for it.

Every layer is the operation that the specification names (3-D convolutions, a loop over frames, whole maps of
samples), so it also serves as the baseline of `benchmarks/temcoco.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Params = Mapping[str, Tensor]


def noise(stream: int, count: int) -> np.ndarray:
    """The golden rule's hash v(stream, 0 … count - 1), float64 in (-1, 1)."""
    h = np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64((stream + 1) * 2246822519)
    h &= np.uint64(0xFFFFFFFF)
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h ^= h >> np.uint64(shift)
        h = (h * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    return 2 * (h.astype(np.float64) + 0.5) / 2**32 - 1


def golden_parameter(stream: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Parameter number `stream` (names sorted by code point) of the golden network, float64."""
    v = torch.from_numpy(noise(stream, math.prod(shape)).reshape(shape))
    if name.endswith("relative_position_bias_table"):
        return 0.5 * v
    if len(shape) >= 2:
        gain = 1.0 if ".off2d_" in name else 1.1
        return gain * math.sqrt(3 / math.prod(shape[1:])) * v
    return 1 + 0.1 * v if name.endswith(".weight") else 0.1 * v


def golden_inputs(b: int, t: int, h: int, w: int) -> tuple[Tensor, Tensor]:
    """(ir, vis), each (B, T, 3, H, W) float64."""
    bs, ts, cs, ys, xs = (
        torch.arange(n, dtype=torch.float64).view([-1 if i == k else 1 for k in range(5)])
        for i, n in enumerate((b, t, 3, h, w))
    )
    ir = 0.5 + 0.30 * torch.sin(0.35 * xs + 0.21 * ys - 0.9 * ts + 1.7 * bs)
    ir = ir + 0.15 * torch.cos(0.13 * xs - 0.29 * ys + 0.5 * ts)
    vis = 0.5 + 0.25 * torch.sin(0.23 * xs - 0.31 * ys + 0.7 * ts + 1.3 * cs + 0.6 * bs)
    vis = vis + 0.20 * torch.cos(0.41 * xs + 0.17 * ys - 0.4 * ts - 0.8 * cs)
    return ir.expand(b, t, 3, h, w).clamp(0, 1), vis.clamp(0, 1)


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def sep(p: Params, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Sep(ci, co, s) of the specification, (B, C, T, H, W)."""
    spatial, depth = f"{name}.spatial_conv.conv3d", f"{name}.depth_conv.conv3d"
    x = lrelu(
        F.conv3d(
            x, p[spatial + ".weight"], p[spatial + ".bias"], stride=(1, stride, stride), padding=(0, 1, 1)
        )
    )
    return lrelu(F.conv3d(x, p[depth + ".weight"], p[depth + ".bias"], padding=(1, 0, 0)))


def stack2(p: Params, name: str, x: Tensor, stride: int = 1) -> Tensor:
    x = sep(p, f"{name}.0", x, stride)
    for i in (1, 2):
        x = x + sep(p, f"{name}.{i}.main_branch.0", x)
    return x


def encode(p: Params, name: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    high = stack2(p, f"{name}.conv1", sep(p, f"{name}.conv0", x))
    medium = stack2(p, f"{name}.conv2", high, 2)
    return high, medium, stack2(p, f"{name}.conv3", medium, 2)


def frames_first(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(0, 1)


def semantic_branch(p: Params, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    b, c, t = x.shape[:3]
    a = stack2(p, f"{name}.conv1.0", x)
    sem = F.conv2d(frames_first(a), p[f"{name}.down.weight"], p[f"{name}.down.bias"], stride=4)
    up = F.conv_transpose2d(
        sem, p[f"{name}.up.weight"], p[f"{name}.up.bias"], stride=4, output_padding=1
    ).contiguous()
    raw = up.view(b, c, t, *up.shape[2:])  # the published mix of time and channels
    return stack2(p, f"{name}.conv2.0", torch.cat([raw, a], 1)), sem


def window_block(p: Params, name: str, x: Tensor, y: Tensor, heads: int = 4) -> Tensor:
    """Window cross-attention, (B, T, h, w, C)."""
    c = x.shape[-1]
    xn = F.layer_norm(x, (c,), p[f"{name}.norm1.weight"], p[f"{name}.norm1.bias"], 1e-5)
    yn = F.layer_norm(y, (c,), p[f"{name}.norm1y.weight"], p[f"{name}.norm1y.bias"], 1e-5)
    b, t, h, w = x.shape[:4]
    pad = (0, 0, 0, -w % 8, 0, -h % 8, 0, -t % 2)
    xn, yn = F.pad(xn, pad), F.pad(yn, pad)
    tt, hh, ww = xn.shape[1:4]

    def split(z: Tensor) -> Tensor:
        z = z.view(b, tt // 2, 2, hh // 8, 8, ww // 8, 8, c).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return z.reshape(-1, 128, c)

    def linear(key: str, z: Tensor) -> Tensor:
        return F.linear(z, p[f"{name}.{key}.weight"], p[f"{name}.{key}.bias"])

    def by_head(z: Tensor) -> Tensor:
        return z.view(-1, 128, heads, c // heads).transpose(1, 2)

    q = by_head(linear("attn.q", split(xn))) * (c // heads) ** -0.5
    k, v = (by_head(z) for z in linear("attn.kv", split(yn)).chunk(2, -1))
    index = relative_index(x.device)
    bias = p[f"{name}.attn.relative_position_bias_table"][index.flatten()].view(128, 128, heads)
    attention = (q @ k.transpose(-1, -2) + bias.permute(2, 0, 1)).softmax(-1)
    o = linear("attn.proj", (attention @ v).transpose(1, 2).reshape(-1, 128, c))
    o = o.view(b, tt // 2, hh // 8, ww // 8, 2, 8, 8, c).permute(0, 1, 4, 2, 5, 3, 6, 7)
    x = x + o.reshape(b, tt, hh, ww, c)[:, :t, :h, :w]
    z = F.layer_norm(x, (c,), p[f"{name}.norm2.weight"], p[f"{name}.norm2.bias"], 1e-5)
    return x + linear("mlp.fc2", F.gelu(linear("mlp.fc1", z)))


def relative_index(device: torch.device | None = None) -> Tensor:
    """The (128, 128) buffer of a 2 x 8 x 8 window, int64."""
    token = torch.arange(128, device=device)
    t, r, c = token // 64, token // 8 % 8, token % 8
    dt, dr, dc = (z[:, None] - z[None, :] for z in (t, r, c))
    return (dt + 1) * 225 + (dr + 7) * 15 + (dc + 7)


def cross(p: Params, name: str, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x, y = (z.permute(0, 2, 3, 4, 1) for z in (x, y))
    x = window_block(p, f"{name}.blocks_CAx", x, y)
    y = window_block(p, f"{name}.blocks_CAy", y, x)
    return x.permute(0, 4, 1, 2, 3), y.permute(0, 4, 1, 2, 3)


def temporal_attention(p: Params, name: str, x: Tensor) -> Tensor:
    b, c, t, h, w = x.shape
    tokens = x.permute(0, 3, 4, 2, 1).reshape(-1, t, c)
    z = F.layer_norm(tokens, (c,), p[f"{name}.norm.weight"], p[f"{name}.norm.bias"], 1e-5)
    q, k, v = (
        F.linear(z, p[f"{name}.to_{n}.weight"]).view(-1, t, 8, 64).transpose(1, 2) for n in ("q", "k", "v")
    )
    o = ((0.125 * q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).reshape(-1, t, 512)
    tokens = tokens + F.linear(o, p[f"{name}.to_out.0.weight"], p[f"{name}.to_out.0.bias"])
    return tokens.view(b, h, w, t, c).permute(0, 4, 3, 1, 2)


def deform(x: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """Deformable 3x3 convolution by grid sampling of the whole map, 8 offset groups."""
    n, c, h, w = x.shape
    o = offset.view(n, 8, 9, 2, h, w)
    rows = torch.arange(h, dtype=x.dtype, device=x.device).view(h, 1)
    cols = torch.arange(w, dtype=x.dtype, device=x.device)
    tap = torch.arange(9, device=x.device).view(9, 1, 1)
    py, px = rows - 1 + tap // 3 + o[:, :, :, 0], cols - 1 + tap % 3 + o[:, :, :, 1]
    grid = torch.stack([(2 * px + 1) / w - 1, (2 * py + 1) / h - 1], -1).view(n * 8, 9 * h, w, 2)
    samples = F.grid_sample(x.reshape(n * 8, c // 8, h, w), grid, align_corners=False)
    kernel = weight.reshape(weight.shape[0], -1, 1, 1)
    return F.conv2d(samples.view(n, c * 9, h, w), kernel, groups=c // weight.shape[1])


def tcm(
    p: Params, name: str, low: Tensor, ir: Tensor, vis: Tensor, residual: list[tuple[Tensor, Tensor]] | None
):
    """Temporal cooperative module; returns its output and the offsets of every frame."""

    def conv(key: str, x: Tensor) -> Tensor:
        return F.conv2d(x, p[f"{name}.{key}.weight"], p.get(f"{name}.{key}.bias"), padding=1)

    x = F.conv3d(low, p[f"{name}.ConvTrans.weight"], p[f"{name}.ConvTrans.bias"])
    x = x.repeat_interleave(2, -2).repeat_interleave(2, -1)
    u = torch.cat([x, ir, vis], 1)
    ys, offsets = [], []
    for t in range(x.shape[2]):
        p1, p2 = (t - 1, t - 2) if t >= 2 else (t, t)
        a = lrelu(conv("cross_modality.0", u[:, :, t]))
        n1 = lrelu(conv("cross_frame.0", u[:, :, p1]))
        n2 = lrelu(conv("cross_frame2.0", u[:, :, p2]))
        e1 = conv("before_offsets", lrelu(conv("temporary_cat.0", torch.cat([a, n1], 1))))
        e2 = conv("before_offsets2", lrelu(conv("temporary_cat2.0", torch.cat([a, n2], 1))))
        o1, o2 = conv("off2d_1", e1), conv("off2d_2", e2)
        if residual is not None:
            r1, r2 = (r.repeat_interleave(2, -2).repeat_interleave(2, -1) for r in residual[t])
            o1, o2 = o1 + r1, o2 + r2
        d1, d2 = deform(n1, o1, p[f"{name}.dconv_1.weight"]), deform(n2, o2, p[f"{name}.dconv_2.weight"])
        ys.append(lrelu(conv("fuse_neighb.0", torch.cat([d1, d2], 1))))
        offsets.append((o1, o2))
    y = torch.stack(ys, 2)
    return sep(p, f"{name}.fuse_feature", torch.cat([x, y], 1)) + x, offsets


def temcoco(p: Params, ir: Tensor, vis: Tensor) -> dict[str, Tensor]:
    """All stages under the names of golden.md; `fused` is (B, 3, T, H, W), not clamped."""
    s = {}
    for m, name, x in (("ir", "Enc_ir", ir), ("vi", "Enc_vis", vis)):
        s[f"enc_{m}_h"], s[f"enc_{m}_m"], s[f"enc_{m}_l"] = encode(p, name, x.transpose(1, 2))
    v = "SegBranchCombine."
    for m, i in (("vi", 1), ("ir", 2)):
        s[f"sem_{m}_f"], s[f"distill_sem_{m}"] = semantic_branch(p, f"{v}Branch_s{i}", s[f"enc_{m}_l"])
        s[f"distill_vis_{m}"] = stack2(p, f"{v}Branch_v{i}.conv1", s[f"enc_{m}_l"])
        s[f"vis_{m}_f"] = stack2(p, f"{v}Branch_v{i}.conv2", s[f"distill_vis_{m}"])
    s["cm_sem_vi"], s["cm_sem_ir"] = cross(p, v + "combine_seg", s["sem_vi_f"], s["sem_ir_f"])
    s["cm_vis_vi"], s["cm_vis_ir"] = cross(p, v + "combine_vis", s["vis_vi_f"], s["vis_ir_f"])
    both_s, both_v = (torch.cat([s[f"cm_{k}_vi"], s[f"cm_{k}_ir"]], 1) for k in ("sem", "vis"))
    s["sv_sem"], s["sv_vis"] = cross(p, v + "SegVisAttn", both_s, both_v)
    s["combine"] = stack2(p, v + "combine", torch.cat([s["sv_sem"], s["sv_vis"]], 1))
    s["vsim"] = temporal_attention(p, v + "attn_temp", s["combine"])
    s["tcm_m"], off_m = tcm(p, "DCN_1", s["vsim"], s["enc_ir_m"], s["enc_vi_m"], None)
    s["tcm_h"], off_h = tcm(p, "DCN_2", s["tcm_m"], s["enc_ir_h"], s["enc_vi_h"], off_m)
    s["off_m"], s["off_h"] = (torch.stack([torch.stack(o, 1) for o in off], 1) for off in (off_m, off_h))
    s["fused"] = sep(p, "dec.conv0", s["tcm_h"])
    return s
