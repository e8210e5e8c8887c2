"""Colour conversions against published code values and as inverses of each other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vfuse.colour import MATRICES, luma_weights, to_grey, to_rgb, to_ycbcr, with_luma
from vfuse.errors import UsageError


def pixel(r, g, b):
    return torch.tensor([r, g, b], dtype=torch.float32).view(3, 1, 1) / 255


# Code values of 100 % colour bars, tv range, rounded as in the recommendations' own tables.
@pytest.mark.parametrize(
    ("matrix", "rgb", "ycbcr"),
    [
        ("bt709", (255, 255, 255), (235, 128, 128)),
        ("bt709", (255, 0, 0), (63, 102, 240)),
        ("bt709", (0, 255, 0), (173, 42, 26)),
        ("bt709", (0, 0, 255), (32, 240, 118)),
        ("bt601", (255, 0, 0), (81, 90, 240)),
        ("bt601", (0, 255, 0), (145, 54, 34)),
        ("bt601", (0, 0, 255), (41, 240, 110)),
    ],
)
def test_colour_bars_have_the_code_values_of_the_standard(matrix, rgb, ycbcr):
    made = (to_ycbcr(pixel(*rgb), matrix=matrix, levels="tv") * 255).flatten().round().int().tolist()
    assert made == list(ycbcr)


@given(
    seed=st.integers(0, 1000), matrix=st.sampled_from(sorted(MATRICES)), levels=st.sampled_from(["tv", "pc"])
)
def test_there_and_back_is_the_identity(seed, matrix, levels):
    rgb = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    back = to_rgb(to_ycbcr(rgb, matrix=matrix, levels=levels), matrix=matrix, levels=levels)
    assert torch.allclose(back, rgb, atol=1e-5)


@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_luma_keeps_grey_and_its_weights_sum_to_one(matrix):
    assert sum(luma_weights(matrix)) == pytest.approx(1)
    assert torch.allclose(to_grey(torch.full((3, 2, 2), 0.4), matrix=matrix), torch.full((1, 2, 2), 0.4))


def test_grey_of_one_channel_is_itself():
    x = torch.rand(2, 1, 3, 3)
    assert to_grey(x) is x


def test_new_luma_keeps_the_chroma():
    rgb, luma = torch.rand(3, 6, 6), torch.rand(1, 6, 6)
    made = to_ycbcr(with_luma(rgb, luma))
    assert torch.allclose(made[0:1], luma, atol=1e-5)
    assert torch.allclose(made[1:], to_ycbcr(rgb)[1:], atol=1e-5)


def test_an_unknown_matrix_is_named():
    with pytest.raises(UsageError, match="bt709"):
        luma_weights("bt470")
