"""3x3 convolution by Winograd's algorithm: equal to the plain sum, as exact, only where it is meant to be."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vfuse.models import _winograd
from vfuse.models._winograd import Conv3x3, faster, winograd3x3


def problem(shape: tuple[int, int, int, int], c_out: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    return x, torch.randn(c_out, shape[1], 3, 3) / (9 * shape[1]) ** 0.5, torch.randn(c_out)


@torch.no_grad()
@pytest.mark.parametrize("band", [1, 1 << 20])
@pytest.mark.parametrize("shape", [(2, 3, 8, 5), (1, 64, 12, 7), (1, 16, 40, 33)])
def test_it_is_the_convolution(
    shape: tuple[int, int, int, int], band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Float64, so that a wrong digit in any constant shows; borders and several bands included."""
    monkeypatch.setattr(_winograd, "BAND_VALUES", band)
    x, weight, bias = (z.double() for z in problem(shape, 6))
    expected = F.conv2d(x, weight, bias, padding=1)
    torch.testing.assert_close(winograd3x3(x, weight, bias), expected, atol=1e-13, rtol=1e-13)
    torch.testing.assert_close(winograd3x3(x.contiguous(), weight, bias), expected, atol=1e-13, rtol=1e-13)


@torch.no_grad()
def test_it_errs_little_more_than_the_plain_sum() -> None:
    x, weight, bias = problem((1, 128, 32, 48), 128)
    exact = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    ours = (winograd3x3(x, weight, bias) - exact).square().mean().sqrt()
    assert ours < 1e-6 * exact.std()  # the plain sum reaches half of that


def test_it_is_for_large_float32_maps_outside_training() -> None:
    x, weight, _ = problem((1, 64, 64, 64), 64)
    assert not faster(x, weight)
    with torch.inference_mode():
        assert faster(x, weight)
        assert not faster(x.double(), weight)
        assert not faster(x[:, :32], weight[:, :32])
        assert not faster(x, weight[:24])
        assert not faster(x[:, :, :60], weight)
        assert faster(x.repeat(1, 1, 1, 2)[:, :, :60], weight)
        assert not faster(x.repeat(1, 1, 1, 2)[:, :, :62], weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not faster(x, weight)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_layer_gives_what_it_gives_in_training(stride: int, bias: bool) -> None:
    layer = Conv3x3(64, 48, stride=stride, bias=bias)
    x = torch.randn(2, 64, 64, 72)
    trained = layer(x)
    assert trained.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), trained.detach(), atol=5e-6, rtol=0)
