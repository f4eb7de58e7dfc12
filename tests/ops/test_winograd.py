"""3x3 convolutions by tiles against plain ones, and by hand where that is possible."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.testing import assert_close

from comask.ops import winograd
from tests.models import noise

Convolve = Callable[[Tensor, Tensor], Tensor]


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 25, 42), (2, 3, 1, 1), (70, 2, 14, 14), (3, 2, 7, 5), (1, 2, 9, 4000)],
    ids=["odd", "one pixel", "many small", "two small", "wide"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_a_plain_convolution(
    shape: tuple[int, int, int, int], layout: torch.memory_format
) -> None:
    features = noise(*shape).double().to(memory_format=layout)
    weight, bias = noise(4, shape[1], 3, 3).double(), noise(4).double()
    found = winograd.convolve(features, winograd.transformed(weight), bias)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert_close(found, F.conv2d(features, weight, bias, padding=1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(2, 3, 25, 42), (70, 3, 9, 5), (0, 3, 20, 20)])
def test_what_follows_sees_every_place_once(shape: tuple[int, int, int, int]) -> None:
    features = noise(*shape).double()
    weight, bias, heads = noise(4, 3, 3, 3).double(), noise(4).double(), noise(4, 6).double()
    kernel = winograd.transformed(weight)
    found = winograd.convolve(features, kernel, bias, lambda places: places.relu_() @ heads)
    assert found.is_contiguous(memory_format=torch.channels_last)
    hidden = F.relu(F.conv2d(features, weight, bias, padding=1))
    assert_close(found, torch.einsum("bchw,cp->bphw", hidden, heads), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("height", range(1, 10))
@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 14])
def test_regions_of_any_side_are_convolved_plainly(height: int, width: int) -> None:
    regions = noise(5, 3, height, width).double()
    weight, bias = noise(4, 3, 3, 3).double(), noise(4).double()
    found = winograd.convolve_regions(regions, winograd.transformed(weight), bias)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert_close(found, F.conv2d(regions, weight, bias, padding=1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_more_regions_than_are_worked_on_at_once(layout: torch.memory_format) -> None:
    count = 2 * (winograd.PLACES // (14 * 13)) + 5
    regions = noise(count, 3, 14, 13).double().to(memory_format=layout)
    weight = noise(4, 3, 3, 3).double()
    found = winograd.convolve_regions(regions, winograd.transformed(weight))
    assert_close(found, F.conv2d(regions, weight, padding=1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("convolve", [winograd.convolve, winograd.convolve_regions])
def test_no_image_gives_none(convolve: Convolve) -> None:
    kernel = winograd.transformed(noise(4, 2, 3, 3))
    assert convolve(torch.zeros(0, 2, 14, 14), kernel).shape == (0, 4, 14, 14)


@pytest.mark.parametrize("convolve", [winograd.convolve, winograd.convolve_regions])
@pytest.mark.parametrize("side", [7, 14, 28])
def test_float32_rounds_to_millionths_of_the_largest_value(convolve: Convolve, side: int) -> None:
    features, weight = noise(2, 256, side, side), noise(64, 256, 3, 3, seed=1)
    exact = F.conv2d(features.double(), weight.double(), padding=1)
    found = convolve(features, winograd.transformed(weight))
    assert_close(found.double(), exact, rtol=0, atol=5e-6 * exact.abs().max().item())


@pytest.mark.parametrize("convolve", [winograd.convolve, winograd.convolve_regions])
@pytest.mark.parametrize("side", [7, 14, 28])
def test_bfloat16_rounds_to_a_hundredth(convolve: Convolve, side: int) -> None:
    features, weight = noise(2, 256, side, side).bfloat16(), noise(64, 256, 3, 3, seed=1)
    exact = F.conv2d(features.double(), weight.double(), padding=1)
    found = convolve(features, winograd.transformed(weight).bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found - exact).norm() < 0.02 * exact.norm()


def test_a_kernel_that_moves_by_a_pixel_moves_by_a_pixel() -> None:
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 0] = 1.0  # what is to the left
    features = torch.arange(30.0).view(1, 1, 5, 6)
    found = winograd.convolve(features, winograd.transformed(weight))
    assert_close(found[..., 1:], features[..., :-1], rtol=0, atol=1e-4)
    assert_close(found[..., 0], torch.zeros(1, 1, 5), rtol=0, atol=1e-4)
