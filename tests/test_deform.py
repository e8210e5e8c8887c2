"""Deformable convolution: a scalar reference, gradients, layout of the offsets, torchvision's operator."""

import math
import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vfuse.models import _deform
from vfuse.models._deform import deform_conv2d, sampled_conv2d, torchvision_operator


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pixel(image: Tensor, row: int, column: int) -> float:
    inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
    return float(image[row, column]) if inside else 0.0


def bilinear(image: Tensor, y: float, x: float) -> float:
    top, left = math.floor(y), math.floor(x)
    fy, fx = y - top, x - left
    return (
        (1 - fy) * (1 - fx) * pixel(image, top, left)
        + (1 - fy) * fx * pixel(image, top, left + 1)
        + fy * (1 - fx) * pixel(image, top + 1, left)
        + fy * fx * pixel(image, top + 1, left + 1)
    )


def scalar_reference(x: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """The definition, one number at a time."""
    (n, c, h, w), (c_out, width) = x.shape, weight.shape[:2]
    per_group = c // (offset.shape[1] // 18)
    y = torch.zeros(n, c_out, h, w, dtype=x.dtype)
    for b in range(n):
        for o in range(c_out):
            first = o // (c_out // (c // width)) * width
            for i in range(width):
                group = (first + i) // per_group
                for tap in range(9):
                    dy = offset[b, 18 * group + 2 * tap]
                    dx = offset[b, 18 * group + 2 * tap + 1]
                    for r in range(h):
                        for q in range(w):
                            place = r - 1 + tap // 3 + float(dy[r, q]), q - 1 + tap % 3 + float(dx[r, q])
                            y[b, o, r, q] += weight[o, i, tap // 3, tap % 3] * bilinear(
                                x[b, first + i], *place
                            )
    return y


@pytest.mark.parametrize(("channels", "groups", "width"), [(4, 2, 2), (8, 2, 4), (4, 4, 4)])
def test_equals_the_scalar_reference(channels: int, groups: int, width: int) -> None:
    x, weight = random(2, channels, 4, 3), random(4, width, 3, 3, seed=1)
    offset = 2.5 * random(2, 18 * groups, 4, 3, seed=2)  # far enough to leave the image on every side
    torch.testing.assert_close(deform_conv2d(x, offset, weight), scalar_reference(x, offset, weight))


def test_without_offsets_it_is_an_ordinary_grouped_convolution() -> None:
    x, weight = random(1, 16, 9, 7), random(16, 8, 3, 3, seed=1)
    y = deform_conv2d(x, torch.zeros(1, 36, 9, 7, dtype=x.dtype), weight)
    torch.testing.assert_close(y, F.conv2d(x, weight, padding=1, groups=2))


def test_whole_pixel_offsets_shift_the_image_rows_first() -> None:
    x, weight = random(1, 2, 12, 10), random(2, 2, 3, 3, seed=1)
    offset = torch.zeros(1, 18, 12, 10, dtype=x.dtype)
    offset[:, 0::2], offset[:, 1::2] = 2, -1
    y = deform_conv2d(x, offset, weight)
    moved = F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(y[..., 1:-3, 2:-1], moved[..., 3:-1, 1:-2])


def test_gradients() -> None:
    x, weight = random(1, 4, 4, 5), random(4, 2, 3, 3, seed=1)
    # Fractions stay clear of whole pixels, where bilinear interpolation has a kink.
    offset = torch.randint(-2, 3, (1, 36, 4, 5)) + 0.2 + 0.6 * random(1, 36, 4, 5, seed=2).sigmoid()
    arguments = tuple(z.requires_grad_() for z in (x, offset, weight))
    assert torch.autograd.gradcheck(sampled_conv2d, arguments, fast_mode=True)


def test_bands_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = random(2, 8, 13, 6), 2 * random(2, 36, 13, 6, seed=1), random(8, 4, 3, 3, seed=2)
    whole = sampled_conv2d(*arguments)
    monkeypatch.setitem(_deform.BAND, "cpu", 2 * 8 * 9 * 6 * 4)  # four rows
    torch.testing.assert_close(sampled_conv2d(*arguments), whole, rtol=0, atol=0)


def test_samples_exist_for_a_band_only() -> None:
    """The largest tensor made on the way stays near the limit, far below nine times the input."""
    h, w, c = 128, 512, 32
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor) and out.untyped_storage().data_ptr() not in given:
                sizes.append(out.untyped_storage().nbytes())
            return out

    arguments = torch.zeros(1, c, h, w), torch.zeros(1, 18 * 8, h, w), torch.zeros(c, 8, 3, 3)
    given = {z.untyped_storage().data_ptr() for z in arguments}
    with torch.inference_mode(), Watch():
        sampled_conv2d(*arguments)
    assert max(sizes) <= 4 * max(_deform.BAND["cpu"], c * h * w)


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_keeps_positions_in_float32(autocast: bool) -> None:
    """At column 1000 a bfloat16 position would be off by pixels; only the values may lose precision."""
    x = torch.linspace(0, 1, 1024).expand(1, 2, 4, 1024).contiguous()
    offset, weight = torch.full((1, 18, 4, 1024), 0.25), torch.zeros(2, 2, 3, 3)
    weight[0, 0, 1, 1] = weight[1, 1, 1, 1] = 1
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = deform_conv2d(x if autocast else x.bfloat16(), offset, weight if autocast else weight.bfloat16())
    assert y.dtype == (torch.float32 if autocast else torch.bfloat16)
    expected = deform_conv2d(x, offset, weight)
    torch.testing.assert_close(y.float(), expected, rtol=2**-7, atol=1e-4)


def fake_torchvision(monkeypatch: pytest.MonkeyPatch, operator: object) -> None:
    module = ModuleType("torchvision.ops")
    module.deform_conv2d = operator
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.ops", module)
    _deform._operator.cache_clear()
    monkeypatch.setattr(_deform, "_seconds", lambda op, _: 2.0 if op is sampled_conv2d else speed["seconds"])


speed = {"seconds": 1.0}


@pytest.fixture(autouse=True)
def fresh_choice():
    yield
    _deform._operator.cache_clear()


def test_a_working_and_faster_torchvision_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def operator(x, offset, weight, *, padding):
        calls.append((x.dtype, padding))
        return sampled_conv2d(x, offset, weight)

    fake_torchvision(monkeypatch, operator)
    assert torchvision_operator("cpu") is not None
    calls.clear()
    deform_conv2d(random(1, 2, 4, 4).bfloat16(), torch.zeros(1, 18, 4, 4), torch.ones(2, 2, 3, 3))
    assert calls[-1] == (torch.float32, 1)
    monkeypatch.setitem(speed, "seconds", 3.0)
    _deform._operator.cache_clear()
    assert _deform._operator("cpu") is sampled_conv2d


def test_a_broken_or_different_torchvision_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(x, offset, weight, *, padding):
        raise RuntimeError("Couldn't load custom C++ ops")

    for operator in (broken, lambda x, offset, weight, padding: -sampled_conv2d(x, offset, weight)):
        fake_torchvision(monkeypatch, operator)
        assert torchvision_operator("cpu") is None


def test_equals_the_real_torchvision() -> None:
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
    arguments = random(2, 16, 9, 11, dtype=torch.float32), random(2, 144, 9, 11, seed=1).float()
    weight = random(16, 8, 3, 3, seed=2).float()
    try:
        theirs = ops.deform_conv2d(*arguments, weight, padding=1)
    except RuntimeError as error:
        pytest.skip(f"this torchvision has no operator: {error}")
    torch.testing.assert_close(sampled_conv2d(*arguments, weight), theirs, rtol=1e-4, atol=1e-4)
