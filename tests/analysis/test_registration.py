"""Cells and pixels: a bright dot's cell lies over the dot, whatever the size and the padding."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
import torch

from comask.analysis import look, over_image, reduced
from comask.analysis.cells import cell_at
from comask.analysis.registration import cells_of
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.model.comask import CoMask
from comask.model.msfem import Unit
from comask.predict import Predictor
from comask.structures import Size
from tests.models import small_config, small_model


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


# -- the whole network --------------------------------------------------------------------------

BOX, SHARP = (1.0, 1.0, 1.0), (1.0, 8.0, 1.0)  # across a kernel of 3 x 3, and down
VIEWS = {  # image: the short and long side that it is brought to; scale 0.83, 0.72, 1
    (91, 77): (64, 200),
    (133, 250): (100, 180),
    (97, 61): (61, 97),
}
BLACK_IS_NOTHING = {"mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0)}


@lru_cache
def planted(taps: tuple[float, ...]) -> CoMask:
    """Make every convolution up to the laterals a symmetric kernel of positive weights.

    They add up to 1, so that no ReLU6 saturates. The coarser a lateral the weaker, since the way
    from the top enlarges by repeating cells and not around their middles.
    """
    model = small_model(small_config(NeckConfig(channels=32)))
    line = torch.tensor(taps)
    with torch.no_grad():
        for part in model.backbone.modules():
            if isinstance(part, torch.nn.Conv2d):
                kernel = line[:, None] * line if part.kernel_size == (3, 3) else torch.ones(1, 1)
                part.weight[:] = kernel / kernel.sum() / part.weight.shape[1]
            elif isinstance(part, torch.nn.BatchNorm2d):
                part.reset_parameters()
        for number, lateral in enumerate(model.neck.laterals):
            lateral.weight.fill_(1e-3**number)
            lateral.bias.zero_()
    return model


@lru_cache
def predictor_of(taps: tuple[float, ...], size: Size) -> Predictor:
    """Let a planted model see images of a size as VIEWS says."""
    short, long = VIEWS[size]
    view = PreprocessingConfig(short_side=short, long_side=long, **BLACK_IS_NOTHING)  # type: ignore[arg-type]
    categories = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
    model = planted(taps)
    return Predictor(model, CheckpointInfo(model.config, categories, view), device="cpu")


def nine_places(size: Size, shares: tuple[float, ...]) -> Iterator[Size]:
    """Choose (row, column) at all pairs of shares of both sides."""
    for down, across in product(shares, repeat=2):
        yield round((size[0] - 1) * down), round((size[1] - 1) * across)


def dotted(size: Size, place: Size) -> np.ndarray:
    """Draw a bright dot of 3 x 3 pixels on black."""
    image = np.zeros((*size, 3), np.uint8)
    row, column = place
    image[row - 1 : row + 2, column - 1 : column + 2] = 255
    return image


@pytest.mark.parametrize("size", VIEWS)
@pytest.mark.parametrize(
    ("taps", "levels", "shares"),
    [
        # equal weights: at P4 and P5 fields are wider than the image, and lean away from its edge
        (BOX, (2, 3), (0.1, 0.5, 0.9)),
        # the last cell of P5 lies up to a whole stride before the image's end
        (SHARP, (2, 3, 4, 5), (0.06, 0.48, 0.7)),
    ],
    ids=["box", "sharp"],
)
def test_maps_peak_within_half_a_cell_of_a_bright_dot(
    size: Size, taps: tuple[float, ...], levels: tuple[int, ...], shares: tuple[float, ...]
) -> None:
    """Over the image, as squares that the page draws, and in the cell that a click there means."""
    for dot in nine_places(size, shares):
        seen = look(predictor_of(taps, size), dotted(size, dot))
        for number in levels:
            level = seen.level(number)
            step, first = level.stride / seen.scale, (0.5 - level.stride / 2) / seen.scale
            clicked = cell_at((dot[1] + 0.5, dot[0] + 0.5), level.stride, seen.scale, level.cells)
            for name in ("lateral", "1x"):
                values = reduced(level.map(name), "norm")
                laid = over_image(values, level.stride, seen.scale, size)
                peaks = np.unravel_index(laid.argmax(), size)
                cells = np.unravel_index(values.argmax(), values.shape)
                for place, peak, cell, nearest in zip(dot, peaks, cells, clicked, strict=True):
                    # half a pixel: a peak may lie between two, and the dot between two cells
                    assert abs(peak - place) <= step / 2 + 0.5
                    start = first + cell * step
                    assert start - 0.5 <= place + 0.5 <= start + step + 0.5
                    between = abs((place + 0.5 - start) / step - 0.5)
                    assert cell == nearest or abs(between - 0.5) * step < 0.5


def test_cells_drawn_from_the_images_corner_would_miss_the_dot() -> None:
    """What other tools do; so the test above can fail."""
    size, missed = (97, 61), 0
    for dot in nine_places(size, (0.06, 0.48, 0.7)):
        level = look(predictor_of(SHARP, size), dotted(size, dot)).level(5)
        values = reduced(level.map("lateral"), "norm")
        cells = np.unravel_index(values.argmax(), values.shape)
        pairs = zip(cells, dot, strict=True)
        missed += any(not 32 * cell <= place < 32 * (cell + 1) for cell, place in pairs)
    assert missed > 0
