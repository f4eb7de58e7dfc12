"""A halving convolution of an enlarged map: by hand, and beside doing one after the other."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.testing import assert_close

from comask.ops.enlarged import convolve_enlarged
from tests.models import noise


def one_by_one(coarse: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    large = F.interpolate(coarse, size, mode="bilinear", align_corners=True)
    return F.conv2d(large, weight, stride=2, padding=1)


def test_a_ramp_by_hand() -> None:
    """0 and 4 over five places are 0 1 2 3 4; sums of three around 0, 2 and 4, one row padded."""
    coarse = torch.tensor([[[[0.0, 4.0]]]])
    found = convolve_enlarged(coarse, torch.ones(1, 1, 3, 3), (1, 5))
    assert_close(found, torch.tensor([[[[1.0, 6.0, 7.0]]]]))


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((25, 38), (200, 304)),
        ((13, 21), (100, 167)),
        ((4, 4), (4, 4)),
        ((2, 3), (7, 5)),
        ((3, 1), (6, 1)),
        ((1, 1), (3, 2)),
        ((1, 1), (1, 1)),
    ],
)
def test_equals_enlarging_first(given: tuple[int, int], size: tuple[int, int]) -> None:
    coarse, weight = noise(2, 6, *given).double(), noise(5, 6, 3, 3, seed=1).double()
    assert_close(convolve_enlarged(coarse, weight, size), one_by_one(coarse, weight, size))


def test_gradients_are_those_of_enlarging_first() -> None:
    gradients = []
    for way in (convolve_enlarged, one_by_one):
        coarse = noise(2, 4, 3, 5).double().requires_grad_()
        weight = noise(3, 4, 3, 3, seed=1).double().requires_grad_()
        drawn = way(coarse, weight, (11, 18))
        (drawn * noise(*drawn.shape, seed=2)).sum().backward()
        gradients.append((coarse.grad, weight.grad))
    assert_close(gradients[0], gradients[1])


def test_bfloat16_is_near() -> None:
    coarse, weight = noise(1, 64, 13, 19), noise(32, 64, 3, 3, seed=1)
    wanted = one_by_one(coarse, weight, (50, 76))
    found = convolve_enlarged(coarse.bfloat16(), weight.bfloat16(), (50, 76)).float()
    assert (found - wanted).norm() < 0.01 * wanted.norm()
