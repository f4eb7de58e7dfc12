"""Cells and pixels: a bright dot's cell lies over the dot, whatever the size and the padding."""

import numpy as np
import pytest
import torch

from comask.analysis import over_image
from comask.analysis.registration import cells_of
from comask.model.msfem import Unit
from comask.structures import Size


@pytest.mark.parametrize(
    ("size", "stride", "cells"),
    [((70, 100), 4, (18, 25)), ((1, 1), 32, (1, 1)), ((64, 65), 32, (2, 3))],
)
def test_cells_that_see_the_image(size: Size, stride: int, cells: Size) -> None:
    assert cells_of(size, stride) == cells


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
@pytest.mark.parametrize("scale", [1.0, 0.5, 1.7])
def test_a_hot_cell_lies_over_its_pixels(stride: int, scale: float) -> None:
    """Cell (2, 3) looks at network pixel (2 s, 3 s), whose centre is at (2 s + 0.5) / scale."""
    values = np.zeros((6, 7), np.float32)
    values[2, 3] = 1
    size = (int(6 * stride / scale), int(7 * stride / scale))
    laid = over_image(values, stride, scale, size)
    assert laid.shape == size
    peak = np.unravel_index(laid.argmax(), size)
    for place, cell in zip(peak, (2, 3), strict=True):
        assert abs((place + 0.5) - (cell * stride + 0.5) / scale) <= 1
    assert laid.max() >= (1 - 0.5 * scale / stride) ** 2 - 1e-3  # half a pixel off, both ways


def test_beyond_the_last_cell_the_edge_goes_on() -> None:
    laid = over_image(np.array([[1.0, 2.0]], np.float32), 4, 1.0, (3, 9))
    np.testing.assert_allclose(laid[:, 0], 1.0)
    np.testing.assert_allclose(laid[:, 2], 1.5)
    np.testing.assert_allclose(laid[:, 4:], 2.0)


def test_a_halving_convolution_looks_where_it_is_said_to() -> None:
    """A unit with a kernel's middle alone takes the pixels of even rows and columns."""
    unit = Unit(1, 32)
    with torch.no_grad():
        unit.conv.weight.zero_()
        unit.conv.weight[:, :, 1, 1] = 1
        unit.conv.bias.zero_()
    seen = torch.arange(35.0).view(1, 1, 5, 7)
    with torch.inference_mode():
        halved = unit.conv(seen)[0, 0]
    torch.testing.assert_close(halved, seen[0, 0, ::2, ::2])
