"""Functions of every pixel, by PyTorch: it has vector code where NumPy computes one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from vfuse.metrics._shared import Field, Floats

Real = TypeVar("Real", Field, Floats)


def arctan(values: Real) -> Real:
    """Angle in radians, in the place of the values; float32 is right to the last bit or the one before."""
    return _in_place(torch.Tensor.atan_, values)


def tan(values: Real) -> Real:
    """Tangent of angles in radians, likewise."""
    return _in_place(torch.Tensor.tan_, values)


def exp(values: Real) -> Real:
    """e to the power of the values, likewise."""
    return _in_place(torch.Tensor.exp_, values)


def log(values: Real) -> Real:
    """Natural logarithm of values above 0, likewise."""
    return _in_place(torch.Tensor.log_, values)


def _in_place(function: Callable[[torch.Tensor], torch.Tensor], values: Real) -> Real:
    function(torch.from_numpy(values))
    return values
