"""The losses of TemCoCo, each a named term: content, temporal consistency, distillation.

Paper: Gong et al., TemCoCo, ICCV 2025, equations 13 to 17; the defaults are the weights of the released code,
which adds a pixel and an SSIM term, and looks at one source only in its temporal and its visual term. Images
are RGB (B, T, 3, H, W) in [0, 1]; targets are the clean sources; every term is a mean over all elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vfuse.train._losses import sobel, ssim, ycbcr

Distill = Literal["none", "vgg", "dino", "both"]
Sources = Literal["ir", "vis", "both"]


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each term; 0 switches it off, which is how the paper's ablations run.

    Attributes:
        intensity: fused luma against the brighter source (paper: 1).
        pixel: fused luma against each source (released code only).
        gradient: fused gradients against the stronger source's (paper: 1).
        color: fused chroma against the visible's (paper: 2).
        ssim: structural similarity to both sources (released code only).
        temporal: direction of frame-to-frame changes (paper: 0.25; 0 is wo_TLoss of its table 5).
        visual, semantic: features against VGG19's and DINOv2's (paper: 0.1; 0 is no_Dino, no_Dino_VGG).
        temporal_sources: the released code follows the infrared only, the paper both.
        visual_sources: the released code guides the visible's features only, the paper both.
        ssim_visible: "luma", or "rgb" as the revision before the released one had it.
        distill: which teachers guide the features; "none" trains without.
    """

    intensity: float = 10.0
    pixel: float = 1.0
    gradient: float = 10.0
    color: float = 20.0
    ssim: float = 1.0
    temporal: float = 2.0
    visual: float = 1.0
    semantic: float = 1.0
    temporal_sources: Sources = "ir"
    visual_sources: Sources = "vis"
    ssim_visible: Literal["luma", "rgb"] = "luma"
    distill: Distill = "none"


PAPER = LossWeights(
    intensity=1.0,
    pixel=0.0,
    gradient=1.0,
    color=2.0,
    ssim=0.0,
    temporal=0.25,
    visual=0.1,
    semantic=0.1,
    temporal_sources="both",
    visual_sources="both",
)


def fusion_losses(
    fused: Tensor, *, clean_ir: Tensor, clean_vis: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """Weighted terms on the fused clip by name; those of weight 0 are left out.

    Args:
        fused: (B, T, 3, H, W), not clamped; the colour conversion clamps, as in the released code.
        clean_ir: (B, T, 1 or 3, H, W).
        clean_vis: (B, T, 3, H, W).
    """
    frames, w = fused.shape[1], weights
    f, v = fused.flatten(0, 1), clean_vis.flatten(0, 1)
    a = clean_ir.expand(-1, -1, 3, -1, -1).flatten(0, 1)
    (f_y, f_cb, f_cr), (v_y, v_cb, v_cr), a_y = ycbcr(f), ycbcr(v), ycbcr(a)[0]
    (f_x, f_d), (v_x, v_d), (a_x, a_d) = sobel(f_y), sobel(v_y), sobel(a_y)
    seen = (v, f) if w.ssim_visible == "rgb" else (v_y, f_y)
    f_clip, v_clip, a_clip = (y.unflatten(0, (-1, frames)) for y in (f_y, v_y, a_y))
    followed = {"ir": [a_clip], "vis": [v_clip], "both": [a_clip, v_clip]}[w.temporal_sources]
    terms = {
        "intensity": F.l1_loss(f_y, torch.maximum(v_y, a_y)),
        "pixel": F.l1_loss(f_y, v_y) + F.l1_loss(f_y, a_y),
        "gradient": F.l1_loss(f_x, torch.maximum(v_x, a_x)) + F.l1_loss(f_d, torch.maximum(v_d, a_d)),
        "color": F.l1_loss(f_cb, v_cb) + F.l1_loss(f_cr, v_cr),
        "ssim": (1 - ssim(*seen)) + (1 - ssim(a_y, f_y)),
        "temporal": torch.stack([temporal_inconsistency(f_clip, y) for y in followed]).sum(),
    }
    return {name: getattr(w, name) * term for name, term in terms.items() if getattr(w, name) > 0}


def temporal_inconsistency(x: Tensor, source: Tensor) -> Tensor:
    """1 - cosine between the frame-to-frame changes of two clips, mean over steps; 0 for a single frame.

    Args:
        x, source: (B, T, C, H, W). Where nothing moves in one of them the cosine counts as 0.
    """
    if x.shape[1] < 2:
        return x.new_zeros(())
    steps = (z.diff(dim=1).flatten(2) for z in (x, source))
    return (1 - F.cosine_similarity(*steps, dim=-1, eps=1e-8)).mean()


def distillation_losses(
    features: dict[str, Tensor], targets: dict[str, Tensor], *, weights: LossWeights
) -> dict[str, Tensor]:
    """Weighted mean square distances to the teachers.

    Args:
        features: "ir_visual", "vis_visual", "ir_semantic", "vis_semantic" of the network, (B * T, C, h, w).
        targets: those of them that a teacher gave, of the same shapes; the others are not guided.

    Returns:
        "visual" and "semantic", each where it has a target and a weight.
    """
    guided = {
        "visual": [f"{m}_visual" for m in ("ir", "vis") if weights.visual_sources in (m, "both")],
        "semantic": ["ir_semantic", "vis_semantic"],
    }
    terms: dict[str, Tensor] = {}
    for name, parts in guided.items():
        weight: float = getattr(weights, name)
        distances = [F.mse_loss(features[part], targets[part]) for part in parts if part in targets]
        if weight > 0 and distances:
            terms[name] = weight * torch.stack(distances).sum()
    return terms
