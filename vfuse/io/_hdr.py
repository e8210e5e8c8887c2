"""High dynamic range and wide gamut to what everything else here expects: BT.709 as a screen shows it.

PQ and HLG signals (ITU-R BT.2100) become light, light moves to the primaries of BT.709, highlights are rolled
off with the curve of Report ITU-R BT.2390 (5.4), and the result is encoded for a BT.1886 screen. What is
darker than half of diffuse white keeps its exact brightness.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Transfer = Literal["sdr", "pq", "hlg"]
Primaries = Literal["bt709", "bt2020", "p3"]

_WHITE = 203.0  # cd/m2 of diffuse white in BT.2408; it becomes white of the standard range
_PEAK = 1000.0  # cd/m2 of a highlight in HLG's reference display, and of most masters in PQ
_SYSTEM_GAMMA = 1.2  # BT.2100, table 5, at 1000 cd/m2
_SCREEN_GAMMA = 2.4  # BT.1886
_STEPS = 65535  # of a table
_BT2020_LUMA = (0.2627, 0.6780, 0.0593)
# Linear light of other primaries to that of BT.709, all with white D65; BT.2087 for BT.2020.
_TO_BT709: Mapping[str, tuple[tuple[float, float, float], ...]] = MappingProxyType(
    {
        "bt2020": ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
        "p3": ((1.2249, -0.2247, -0.0002), (-0.0420, 1.0419, 0.0001), (-0.0197, -0.0786, 1.0983)),
    }
)


def to_standard(pixels: Tensor, *, transfer: Transfer, primaries: Primaries) -> Tensor:
    """Convert signals to BT.709.

    Args:
        pixels: (3, H, W) float32 R'G'B' in [0, 1], full range.
        transfer: what the signal stands for.
        primaries: what its red, green and blue are.

    Returns:
        (3, H, W) float32 R'G'B' in [0, 1].
    """
    light = torch.from_numpy(_light_of(transfer)[_index(pixels)])  # 1 is diffuse white
    if transfer == "hlg":  # the scene's light so far; the display's depends on the luminance of all three
        luminance = torch.einsum("chw,c->hw", light, torch.tensor(_BT2020_LUMA))
        light *= (_PEAK / _WHITE) * luminance.clamp_min(1e-9) ** (_SYSTEM_GAMMA - 1)
    if primaries != "bt709":
        light = torch.einsum("chw,dc->dhw", light, torch.tensor(_TO_BT709[primaries]))
    light.clamp_min_(0)
    if transfer != "sdr":
        # One factor for all three channels keeps the hue. Fourth roots space the table as eyes would.
        brightest = light.amax(0).mul_(_WHITE / _PEAK).sqrt_().sqrt_()
        light *= torch.from_numpy(_roll_off()[_index(brightest)])
    return light.clamp_max_(1).pow_(1 / _SCREEN_GAMMA)


def _index(values: Tensor) -> NDArray[np.uint16]:
    return (values.clamp(0, 1) * _STEPS + 0.5).to(torch.int32).numpy().astype(np.uint16)


@cache
def _light_of(transfer: Transfer) -> NDArray[np.float32]:
    """Light of each signal, white is 1; for HLG of the scene, its peak is 1."""
    signal = np.linspace(0, 1, _STEPS + 1)
    if transfer == "pq":
        light = _pq_light(signal) / _WHITE
    elif transfer == "hlg":  # BT.2100, table 5
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        light = signal**_SCREEN_GAMMA
    return light.astype(np.float32)


@cache
def _roll_off() -> NDArray[np.float32]:
    """Factor for light whose brightest channel is the fourth power of the position, in parts of the peak."""
    light = _PEAK * np.linspace(0, 1, _STEPS + 1) ** 4
    top, now = _pq_signal(np.array(_PEAK)), _pq_signal(light)
    most = _pq_signal(np.array(_WHITE)) / top
    knee = 1.5 * most - 0.5
    signal = now / top
    t = np.maximum(signal - knee, 0) / (1 - knee)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    )
    rolled = np.where(signal < knee, light, _pq_light(bent * top))
    return (rolled / np.maximum(light, 1e-9)).clip(0, 1).astype(np.float32)


def _pq_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """cd/m2 of a PQ signal in [0, 1]: BT.2100, table 4."""
    root = signal ** (1 / _M2)
    return 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _pq_signal(light: NDArray[np.float64]) -> NDArray[np.float64]:
    power = (light / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
