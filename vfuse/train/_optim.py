"""The optimisers: AdamW, and Muon for everything that is a matrix.

Muon: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the step size follows
Liu et al., "Muon is scalable for LLM training", arXiv 2502.16982, which makes one learning rate serve both. A
convolution is the matrix (c_out, c_in * taps). Undoing a blur needs large weights along directions that the
data hardly shows; orthogonal steps find them many times sooner than Adam's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vfuse.train._config import Optim

QUINTIC = (3.4445, -4.7750, 2.0315)  # Newton-Schulz coefficients of Jordan et al.
SWEEPS = 5
ADAM_RMS = 0.2  # typical size of an update of Adam at learning rate 1
SMALLEST_MATRIX = 64  # entries


def optimizer(network: nn.Module, optim: Optim) -> torch.optim.Optimizer:
    """The optimiser that the settings name, for all weights of a network."""
    betas = (optim.beta1, optim.beta2)
    if optim.method == "adamw":
        return torch.optim.AdamW(
            network.parameters(), lr=optim.lr, betas=betas, weight_decay=optim.weight_decay
        )
    return Muon(network.parameters(), lr=optim.lr, betas=betas, weight_decay=optim.weight_decay)


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal for matrices, AdamW for vectors and depth-wise kernels.

    Args:
        params: parameters of any shape.
        lr: learning rate of both kinds.
        betas: decay of the means of the gradient and of its square, for AdamW.
        momentum: decay of the gradient's mean, for matrices.
        weight_decay: decoupled, as a share of the learning rate.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.mul_(1 - group["lr"] * group["weight_decay"])
                rule = _orthogonal if is_matrix(p) else _adam
                p.sub_(rule(p.grad, self.state[p], group), alpha=group["lr"])
        return loss


def is_matrix(weight: Tensor) -> bool:
    """Whether a weight mixes several inputs into several outputs."""
    if weight.ndim < 2:
        return False
    depthwise = weight.ndim > 2 and weight.shape[1] == 1
    return not depthwise and weight.shape[0] > 1 and weight.numel() > SMALLEST_MATRIX


def _orthogonal(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """Nesterov momentum with all its singular values near 1, as large as an update of Adam."""
    if not state:
        state["momentum"] = torch.zeros_like(gradient)
    mean = state["momentum"].lerp_(gradient, 1 - group["momentum"])
    matrix = gradient.lerp(mean, group["momentum"]).flatten(1)
    size = ADAM_RMS * math.sqrt(max(matrix.shape))
    return size * orthogonalised(matrix).view_as(gradient)


def orthogonalised(matrix: Tensor) -> Tensor:
    """(m, n) with its singular values moved to about 1 (0.7 to 1.2), by a Newton-Schulz iteration."""
    a, b, c = QUINTIC
    x = matrix / matrix.norm().clamp_min(1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(SWEEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def _adam(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """The update of AdamW at learning rate 1 (Loshchilov and Hutter, ICLR 2019), without its decay."""
    if not state:
        state["step"] = torch.zeros(())
        state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    beta1, beta2 = group["betas"]
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - beta1)
    state["square"].lerp_(gradient.square(), 1 - beta2)
    step = float(state["step"])
    deviation = (state["square"] / (1 - beta2**step)).sqrt().add_(1e-8)
    return state["mean"] / (1 - beta1**step) / deviation
