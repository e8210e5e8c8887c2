"""Figures of a network on held-out clips, for the training log: how much it restores, how well it fuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from vfuse.io.cache import CachedClip
from vfuse.metrics import measure
from vfuse.models import ModelEntry, Output
from vfuse.models._run import LoadedModel
from vfuse.train._degrade import degrade_infrared, degrade_visible
from vfuse.train._losses import ycbcr

Pair = tuple[Tensor, Tensor]
"""Infrared (T, 1, H, W) and visible (T, 3, H, W), float32 in [0, 1]."""

FRAMES = 7  # of each clip, from its middle
METRICS = ("en", "sd", "sf", "mi", "ssim", "vif")  # of the fused middle frame


def validator(
    clips: Sequence[CachedClip],
    *,
    entry: ModelEntry,
    precision: str,
    preview: Callable[[str, Tensor], None] | None = None,
) -> Callable[[nn.Module], dict[str, float]]:
    """A function from a network to its mean figures over the clips.

    Each clip is shown once degraded (its stored versions, or ours at full strength) and once clean, and
    fused as `vfuse fuse` does it: padded to a size that the network takes, cropped, clamped.

    Args:
        clips: held out of training.
        entry: what the network is.
        precision: of the forward pass, "bf16" or "float32".
        preview: given a name and (3, H, 3 W) RGB: infrared, visible and fused frame side by side.

    Returns:
        Figures by name: `fused`, `clean_fused` mean absolute error of the fused luma against the brighter
        clean source, in grey levels of 255; `METRICS` of the fused middle frame against the clean sources,
        from degraded and (`clean_…`) from clean input. Of networks that restore also `ir_gain`, `vis_gain`
        dB of the restored over the degraded sources, and `clean_ir`, `clean_vis` PSNR in dB of clean sources
        passed through.
    """

    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        model = LoadedModel(entry, network, device, torch.bfloat16 if precision == "bf16" else torch.float32)
        rows = [_figures(model, clip, preview=preview) for clip in clips]
        return {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}

    return validate


def _figures(
    model: LoadedModel, clip: CachedClip, *, preview: Callable[[str, Tensor], None] | None
) -> dict[str, float]:
    clean, degraded = _inputs(clip)
    restored, kept = (_fuse(model, pair) for pair in (degraded, clean))
    if preview is not None:
        views = (degraded[0].expand(-1, 3, -1, -1), degraded[1], restored.fused[0])
        preview(clip.name, torch.cat([view[len(view) // 2] for view in views], dim=-1))
    return {
        **_gains(restored, kept, clean=clean, degraded=degraded),
        **_fusion(restored.fused[0], clean, prefix=""),
        **_fusion(kept.fused[0], clean, prefix="clean_"),
    }


def _gains(restored: Output, kept: Output, *, clean: Pair, degraded: Pair) -> dict[str, float]:
    """What restoration brings, and what it costs on clean input, in dB; empty without restoration."""
    if restored.ir is None or restored.vis is None or kept.ir is None or kept.vis is None:
        return {}
    return {
        "ir_gain": psnr(restored.ir[0, :, :1], clean[0]) - psnr(degraded[0], clean[0]),
        "vis_gain": psnr(restored.vis[0], clean[1]) - psnr(degraded[1], clean[1]),
        "clean_ir": psnr(kept.ir[0, :, :1], clean[0]),
        "clean_vis": psnr(kept.vis[0], clean[1]),
    }


def _fusion(fused: Tensor, clean: Pair, *, prefix: str) -> dict[str, float]:
    """How good fused frames (T, 3, H, W) are, beside the clean sources."""
    target = torch.maximum(clean[0], ycbcr(clean[1])[0])
    middle = len(fused) // 2
    scores = measure(fused[middle], ir=clean[0][middle], vis=clean[1][middle], metrics=METRICS)
    figures = {"fused": 255 * float((ycbcr(fused)[0] - target).abs().mean())}
    figures |= {name: score for name, score in scores.items() if score is not None}
    return {f"{prefix}{name}": value for name, value in figures.items()}


def _inputs(clip: CachedClip) -> tuple[Pair, Pair]:
    """The clean and the degraded middle of a clip, (T, 1, H, W) and (T, 3, H, W) each."""
    first = max(0, (len(clip) - FRAMES) // 2)
    part: dict[str, Any] = {name: array[first : first + FRAMES] for name, array in clip.streams.items()}
    streams = {name: torch.from_numpy(np.array(array)).float() / 255 for name, array in part.items()}
    rng = Generator().manual_seed(0)
    ir = streams["degraded_ir"] if "degraded_ir" in streams else degrade_infrared(streams["ir"], 1.0, rng=rng)
    vis = (
        streams["degraded_vis"]
        if "degraded_vis" in streams
        else degrade_visible(streams["vis"], 1.0, rng=rng)
    )
    return (streams["ir"], streams["vis"]), (ir, vis)


def _fuse(model: LoadedModel, pair: Pair) -> Output:
    fused, ir, vis = (None if x is None else x.cpu() for x in model(*(x[None] for x in pair)))
    assert fused is not None, "every network fuses"
    return Output(fused, ir, vis)


def psnr(x: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of images in [0, 1]; 100 when they are equal."""
    error = float((x - reference).square().mean())
    return 100.0 if error < 1e-10 else -10 * float(np.log10(error))
