"""Round the kernels of a network to bfloat16 so that each keeps its sum.

Rounded tap by tap, a kernel errs alike in every pixel, and what follows adds these errors up. Where
neighbouring pixels are almost equal, as in most of any picture, the error is that of the kernel's sum alone:
so every tap also takes over what rounding the taps before it has left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class PartlyExact(Protocol):
    """A network that knows which of its modules compute in float32 even under autocast."""

    def exact(self) -> Iterable[nn.Module]:
        """Those modules."""
        ...


@torch.no_grad()
def round_kernels(network: PartlyExact) -> None:
    """Give all kernels of more than one tap bfloat16 values, in place, but those of the exact modules."""
    if not isinstance(network, nn.Module):
        raise TypeError("a network is a module")
    spared = {layer for module in network.exact() for layer in module.modules()}
    for layer in network.modules():
        if (
            isinstance(layer, nn.Conv2d | nn.Conv3d)
            and layer not in spared
            and layer.weight[0, 0].numel() > 1
        ):
            layer.weight.copy_(keep_sums(layer.weight))


def keep_sums(kernels: Tensor) -> Tensor:
    """Kernels (c_out, c_in, [t,] h, w) with bfloat16 values, in the dtype they had.

    The taps of a kernel are rounded from the largest to the smallest; the sum is off by no more than half the
    last digit of the smallest. A kernel over time keeps the sum of every one of its frames, since at the ends
    of a clip one of them meets nothing.
    """
    if kernels.ndim == 5:
        return keep_sums(kernels.flatten(1, 2)).view_as(kernels)
    taps = kernels.flatten(2)
    order = taps.abs().argsort(dim=-1, descending=True)
    left = taps.new_zeros(taps.shape[:2])
    rounded = torch.empty_like(taps)
    for place in order.unbind(-1):
        wanted = taps.gather(-1, place[..., None])[..., 0] + left
        value = wanted.bfloat16().to(taps.dtype)
        left = wanted - value
        rounded.scatter_(-1, place[..., None], value[..., None])
    return rounded.view_as(kernels)
