"""Metrics of restoration: a restored source stream against its clean reference."""

from __future__ import annotations

import math

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Frame, Image, Pair, Sources
from vfuse.metrics.correlation import energy, product
from vfuse.metrics.structure import SIDE, finest


def infrared_pair(sources: Sources) -> Pair | None:
    """The restored infrared beside its reference."""
    return _pair(sources.ir, sources.restored_ir)


def visible_pair(sources: Sources) -> Pair | None:
    """The restored visible beside its reference."""
    return _pair(sources.vis, sources.restored_vis)


def _pair(reference: Image, restored: Image | None) -> Pair | None:
    return None if restored is None else Pair(reference, restored)


def noise_ratio(pair: Pair) -> float:
    """PSNR in dB on the 0..255 scale; infinite for equal images."""
    squares = pair.source.once(energy) + pair.fused.once(energy) - 2 * pair.once(product)
    return 10 * math.log10(255**2 * pair.source.grey.size / squares) if squares else math.inf


@metric(
    better="higher",
    over="frame",
    needs="reference",
    range="0…∞",
    unit="dB",
    source="10 log10(255² / MSE) of the grey frames",
)
def psnr_ir(frame: Frame) -> float | None:
    """PSNR of the restored infrared against the clean one; infinite when they are equal."""
    pair = frame.sources.once(infrared_pair)
    return None if pair is None else pair.once(noise_ratio)


@metric(
    better="higher",
    over="frame",
    needs="reference",
    range="0…∞",
    unit="dB",
    source="10 log10(255² / MSE) of the grey frames",
)
def psnr_vis(frame: Frame) -> float | None:
    """PSNR of the restored visible against the clean one; infinite when they are equal."""
    pair = frame.sources.once(visible_pair)
    return None if pair is None else pair.once(noise_ratio)


@metric(
    better="higher",
    over="frame",
    needs="reference",
    range="-1…1",
    source="Wang et al. 2004: 11 x 11 Gaussian, sigma 1.5, L = 255, windows inside the image",
    min_side=SIDE,
)
def ssim_ir(frame: Frame) -> float | None:
    """SSIM of the restored infrared against the clean one."""
    pair = frame.sources.once(infrared_pair)
    return None if pair is None else pair.once(finest).whole


@metric(
    better="higher",
    over="frame",
    needs="reference",
    range="-1…1",
    source="Wang et al. 2004: 11 x 11 Gaussian, sigma 1.5, L = 255, windows inside the image",
    min_side=SIDE,
)
def ssim_vis(frame: Frame) -> float | None:
    """SSIM of the restored visible against the clean one."""
    pair = frame.sources.once(visible_pair)
    return None if pair is None else pair.once(finest).whole
