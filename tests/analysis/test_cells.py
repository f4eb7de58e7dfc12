"""Which cells look at a place or an object, by hand and by looking at every cell."""

import numpy as np
import pytest

from comask.analysis.cells import MOST, cell_at, cells_of_mask
from comask.analysis.registration import cells_of
from comask.annotation import rle
from comask.annotation.records import Rle

# stride 8 at a scale of 0.5: cell i looks at the image at 16 i + 1
STRIDE, SCALE, CELLS = 8, 0.5, (4, 6)


@pytest.mark.parametrize(
    ("point", "cell"),
    [
        ((1.0, 1.0), (0, 0)),
        ((17.0, 1.0), (0, 1)),
        ((8.9, 9.1), (1, 0)),  # half way between the first two are 9 image pixels
        ((65.0, 49.0), (3, 4)),
        ((73.2, 56.8), (3, 5)),
        ((0.0, 0.0), (0, 0)),
        ((-500.0, 1e9), (3, 0)),  # beside the image: its edge
        ((1e9, -1.0), (0, 5)),
    ],
)
def test_a_place_belongs_to_the_nearest_cell(
    point: tuple[float, float], cell: tuple[int, int]
) -> None:
    assert cell_at(point, STRIDE, SCALE, CELLS) == cell


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
@pytest.mark.parametrize("scale", [0.37, 1.0, 2.3])
def test_a_cells_own_place_is_its(stride: int, scale: float) -> None:
    for row, column in ((0, 0), (2, 3), (4, 6)):
        place = (column * stride + 0.5) / scale, (row * stride + 0.5) / scale
        assert cell_at(place, stride, scale, (5, 7)) == (row, column)


def drawn(size: tuple[int, int], *parts: tuple[int, int, int, int]) -> Rle:
    """Draw rectangles: x, y, width, height each."""
    mask = np.zeros(size, np.uint8)
    for x, y, width, height in parts:
        mask[y : y + height, x : x + width] = 1
    return rle.encode(mask)


def test_cells_of_a_mask_by_hand() -> None:
    """Of 64 x 96 image pixels, rows 10 .. 40 hold the places 17 and 33, columns 30 .. 50 two."""
    mask = drawn((64, 96), (30, 10, 21, 31))
    assert cells_of_mask(mask, STRIDE, SCALE, CELLS) == ((1, 2), (1, 3), (2, 2), (2, 3))


def test_the_whole_image_is_every_cell() -> None:
    found = cells_of_mask(drawn((64, 96), (0, 0, 96, 64)), STRIDE, SCALE, CELLS)
    assert found == tuple((row, column) for row in range(4) for column in range(6))


@pytest.mark.parametrize(
    ("parts", "cell"),
    [
        ([(20, 20, 3, 3)], (1, 1)),  # the middle is at 21.5
        ([(26, 26, 2, 2)], (2, 2)),  # 27 is nearer to 33 than to 17
        ([(95, 63, 1, 1)], (3, 5)),
        ([(20, 3, 2, 2), (50, 3, 2, 2)], (0, 2)),  # two parts: between them, at 36
        ([], (0, 0)),
    ],
)
def test_what_no_cell_looks_at_takes_the_one_nearest_to_its_middle(
    parts: list[tuple[int, int, int, int]], cell: tuple[int, int]
) -> None:
    assert cells_of_mask(drawn((64, 96), *parts), STRIDE, SCALE, CELLS) == (cell,)


def test_holes_are_no_part() -> None:
    ring = np.ones((64, 96), np.uint8)
    ring[8:56, 8:88] = 0
    found = cells_of_mask(rle.encode(ring), STRIDE, SCALE, CELLS)
    assert (1, 1) not in found
    assert set(found) == {(0, column) for column in range(6)} | {(row, 0) for row in range(4)}


@pytest.mark.parametrize("scale", [0.31, 0.831, 1.0, 1.7])
@pytest.mark.parametrize("stride", [4, 32])
@pytest.mark.parametrize("size", [(91, 77), (33, 250), (1, 1)])
def test_cells_are_those_whose_pixel_is_inside(
    size: tuple[int, int], stride: int, scale: float
) -> None:
    mask = np.random.default_rng(1).random(size) < 0.4
    mask[0, 0] = True
    shown = tuple(max(int(side * scale + 0.5), 1) for side in size)
    cells = cells_of((shown[0], shown[1]), stride)
    expected = []
    for row in range(cells[0]):
        for column in range(cells[1]):
            y, x = (int((at * stride + 0.5) / scale) for at in (row, column))
            if mask[min(y, size[0] - 1), min(x, size[1] - 1)]:
                expected.append((row, column))
    found = cells_of_mask(rle.encode(mask), stride, scale, cells, most=10**6)
    assert found == tuple(expected) or not expected


@pytest.mark.parametrize("most", [1, 2, 7, MOST])
def test_of_many_cells_some_are_taken_evenly(most: int) -> None:
    """All of 20 x 30 cells, row by row: from the first on at equal steps to the last."""
    whole = drawn((80, 120), (0, 0, 120, 80))
    every = cells_of_mask(whole, 4, 1.0, (20, 30), most=600)
    found = cells_of_mask(whole, 4, 1.0, (20, 30), most=most)
    assert len(every) == 600
    assert len(found) == len(set(found)) == most
    places = [every.index(cell) for cell in found]
    steps = np.diff(places)
    assert places[0] == 0
    if most > 1:
        assert places[-1] == 599
        assert steps.max() - steps.min() <= 1
