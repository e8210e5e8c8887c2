"""The losses of VideoFusion, each a named term: fusion, scene fidelity, variational consistency.

Paper: Tang et al., VideoFusion, CVPR 2026, section 3; the defaults are the weights of the released code,
which adds an SSIM and a second intensity term to the paper's five. All images are RGB (B, T, 3, H, W) in
[0, 1]; targets are the clean sources, never the degraded inputs; every term is a mean over all elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vfuse.train._information import conditional_entropy
from vfuse.train._warp import warping_error

CHROMA_OFFSET = 128 / 255


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each term; 0 switches it off, which is how the paper's ablations run.

    Attributes:
        intensity: fused luma against the brighter source (paper: 15).
        consistency: fused luma against each source, infrared at 0.8 of it (released code only: 1).
        color: fused chroma against the visible's (paper: 100).
        gradient: fused gradients against the stronger source's (paper: 1).
        ssim: structural similarity to both sources (released code only: 1).
        fidelity: restored sources against the clean ones, intensity and gradients (paper: 10).
        variation: frame-to-frame changes of all outputs (paper: 100, released code: 10).
        steadiness: mean brightness of the fused frames may only change as the visible's does (ours; the
            infrared targets of M3SVD flicker, and this keeps the fused frames from learning it).
        sharpness: mean gradient of every 8x8 block of the fused frames against the stronger source's (ours;
            a pixelwise loss alone prefers soft edges wherever it is not sure where they are).
        targets: warm things must stand out from their surroundings as in the infrared (ours: they are few
            pixels, which the intensity term hardly counts).
        information: bits a pixel of either source that the fused clip leaves unsaid (ours; a pixelwise loss
            mixes two sources where it cannot choose, and a mixture tells less of both).
        warp: fused frames against the ones before, moved along the motion of the clean visible (ours, after
            Lai et al. 2018; what flickers or swims costs, what moves with the scene does not).
    """

    intensity: float = 15.0
    consistency: float = 1.0
    color: float = 100.0
    gradient: float = 1.0
    ssim: float = 1.0
    fidelity: float = 10.0
    variation: float = 10.0
    steadiness: float = 0.0
    sharpness: float = 0.0
    targets: float = 0.0
    information: float = 0.0
    warp: float = 0.0


def fusion_losses(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    clean_ir: Tensor,
    clean_vis: Tensor,
    weights: LossWeights,
    steady: Tensor | None = None,
) -> dict[str, Tensor]:
    """Weighted terms by name; their sum is the training loss.

    Args:
        fused, ir, vis: the network's outputs, (B, T, 3, H, W); one-channel infrared is repeated.
        clean_ir, clean_vis: the targets, of the same shape.
        steady: (B, T - 1) weights of the frame pairs in the variation towards the infrared target, which is
            0 where that target flickers; None counts all pairs.
    """
    ir, clean_ir = (x.expand(-1, -1, 3, -1, -1) for x in (ir, clean_ir))
    terms = {
        **_fusion(fused, clean_ir, clean_vis, weights),
        "fidelity_ir": weights.fidelity * fidelity(ir.flatten(0, 1), clean_ir.flatten(0, 1)),
        "fidelity_vis": weights.fidelity * fidelity(vis.flatten(0, 1), clean_vis.flatten(0, 1)),
        "variation_ir": weights.variation * variation(ir, clean_ir, steady),
        "variation_vis": weights.variation * variation(vis, clean_vis),
        "variation_fused": weights.variation
        * (variation(fused, clean_ir, steady) + variation(fused, clean_vis)),
        "steadiness": weights.steadiness * variation(brightness(fused), brightness(clean_vis)),
    }
    if weights.warp > 0:
        terms["warp"] = weights.warp * warping_error(fused, clean_vis)
    return {name: term for name, term in terms.items() if _weight(name, weights) > 0}


def _fusion(fused: Tensor, ir: Tensor, vis: Tensor, w: LossWeights) -> dict[str, Tensor]:
    """Terms of the fused clip against infrared and visible, each (B, T, 3, H, W)."""
    f, a, v = (x.flatten(0, 1) for x in (fused, ir, vis))
    (f_y, f_cb, f_cr), (v_y, v_cb, v_cr), a_y = ycbcr(f), ycbcr(v), ycbcr(a)[0]
    (f_x, f_v), (v_x, v_v), (a_x, a_v) = sobel(f_y), sobel(v_y), sobel(a_y)
    terms = {
        "intensity": w.intensity * F.l1_loss(f_y, torch.maximum(v_y, a_y)),
        "consistency": w.consistency * (F.l1_loss(f_y, v_y) + 0.8 * F.l1_loss(f_y, a_y)),
        "color": w.color * (F.l1_loss(f_cb, v_cb) + F.l1_loss(f_cr, v_cr)),
        "gradient": w.gradient
        * (F.l1_loss(f_x, torch.maximum(v_x, a_x)) + F.l1_loss(f_v, torch.maximum(v_v, a_v))),
        "ssim": w.ssim * ((1 - ssim(v, f)) + (1 - ssim(a_y, f_y))),
        "targets": w.targets * lost_contrast(f_y, a_y),
        "sharpness": w.sharpness
        * (
            F.l1_loss(blocks(f_x), blocks(torch.maximum(v_x, a_x)))
            + F.l1_loss(blocks(f_v), blocks(torch.maximum(v_v, a_v)))
        ),
    }
    if w.information > 0:
        told, of_ir, of_vis = (y.unflatten(0, fused.shape[:2]) for y in (f_y, a_y, v_y))
        unsaid = conditional_entropy(of_ir, told) + conditional_entropy(of_vis, told)
        terms["information"] = w.information * unsaid
    return terms


def _weight(name: str, weights: LossWeights) -> float:
    return float(getattr(weights, name.split("_")[0]))


def ycbcr(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """BT.601 luma and chroma with the rounded coefficients of the released code, each clamped to [0, 1]."""
    r, g, b = rgb.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    cb = -0.169 * r - 0.331 * g + 0.5 * b + CHROMA_OFFSET
    cr = 0.5 * r - 0.419 * g - 0.081 * b + CHROMA_OFFSET
    return tuple(x.clamp(0, 1).unsqueeze(1) for x in (y, cb, cr))  # type: ignore[return-value]


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute Sobel responses along x and y of (N, C, H, W), unnormalised, borders replicated."""
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = p[..., 2:] - p[..., :-2]
    down = p[..., 2:, :] - p[..., :-2, :]
    along_x = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    along_y = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return along_x.abs(), along_y.abs()


def fidelity(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error of intensities plus that of both luma gradients, (N, 3, H, W)."""
    (r_x, r_y), (c_x, c_y) = sobel(ycbcr(restored)[0]), sobel(ycbcr(clean)[0])
    return F.l1_loss(restored, clean) + F.l1_loss(r_x, c_x) + F.l1_loss(r_y, c_y)


def variation(x: Tensor, clean: Tensor, steady: Tensor | None = None) -> Tensor:
    """How far frame-to-frame changes differ from those of the clean clip, (B, T, ...); 0 if T = 1.

    The mean over all pairs of frames, of which those that `steady` (B, T - 1) weighs with 0 are left out.
    """
    if x.shape[1] < 2:
        return x.new_zeros(())
    if steady is None:
        return F.l1_loss(x.diff(dim=1), clean.diff(dim=1))
    errors = (x.diff(dim=1) - clean.diff(dim=1)).abs().flatten(2).mean(2)
    return (errors * steady).mean()


def lost_contrast(fused: Tensor, ir: Tensor) -> Tensor:
    """What fused luma (N, 1, H, W) lacks of the infrared's warm contrast, weighted by that contrast.

    Contrast is the difference of a pixel from the mean of its surroundings, where the infrared is the warmer.
    """
    rows, columns = (box_band(size, like=ir) for size in ir.shape[-2:])
    warm = F.relu(ir - rows @ ir @ columns.T)
    kept = fused - rows @ fused @ columns.T
    return (warm * F.relu(warm - kept)).sum() / warm.sum().clamp_min(1.0)


def brightness(x: Tensor) -> Tensor:
    """Mean of every frame of (B, T, C, H, W) as (B, T, 1)."""
    return x.mean((2, 3, 4))[..., None]


def blocks(x: Tensor) -> Tensor:
    """Means of 8x8 pixels, (N, C, H, W) to (N, C, H / 8, W / 8)."""
    return F.avg_pool2d(x, 8)


def ssim(reference: Tensor, x: Tensor) -> Tensor:
    """Mean structural similarity, Gaussian window 13 of sigma 1.5, valid region, range 1 (Wang 2004)."""
    rows, columns = (gaussian_band(size, like=x) for size in x.shape[-2:])

    def blur(z: Tensor) -> Tensor:  # two products with band matrices: much faster to train than convolutions
        return rows @ z @ columns.T

    mu_r, mu_x = blur(reference), blur(x)
    var_r, var_x = blur(reference.square()) - mu_r.square(), blur(x.square()) - mu_x.square()
    covariance = blur(reference * x) - mu_r * mu_x
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mu_r * mu_x + c1) * (2 * covariance + c2)
    return (score / ((mu_r.square() + mu_x.square() + c1) * (var_r + var_x + c2))).mean()


def gaussian_band(size: int, *, like: Tensor, taps: int = 13, sigma: float = 1.5) -> Tensor:
    """(size - taps + 1, size) matrix filtering a line of pixels with a normalised Gaussian, valid region."""
    n = torch.arange(taps, dtype=like.dtype, device=like.device) - taps // 2
    window = torch.exp(-n.square() / (2 * sigma**2))
    band = like.new_zeros(size - taps + 1, size)
    for offset, weight in enumerate(window / window.sum()):
        band.diagonal(offset).fill_(weight)
    return band


def box_band(size: int, *, like: Tensor, radius: int = 15) -> Tensor:
    """(size, size) matrix that takes the mean of 2 * radius + 1 neighbours of a line, fewer at its ends."""
    n = torch.arange(size, device=like.device)
    near = ((n[:, None] - n).abs() <= radius).to(like.dtype)
    return near / near.sum(1, keepdim=True)
