"""Which cells of a level look at a place or at an object of the image.

Cell i of a level of stride s looks at network pixel s i, whose centre is at (s i + 0.5) / scale in
image pixels.
"""

import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Rle
from comask.structures import Size

Cell = tuple[int, int]  # (row, column)

MOST = 256  # cells of one object


def cell_at(point: tuple[float, float], stride: int, scale: float, cells: Size) -> Cell:
    """Find the cell nearest to a place: (x, y) in image pixels -> (row, column).

    Args:
        point: places beside the image count as its edge.
        stride: network pixels between two cells.
        scale: network pixels an image pixel.
        cells: (h, w) that look at the image.
    """
    x, y = point
    found = (round((place * scale - 0.5) / stride) for place in (y, x))
    row, column = (min(max(at, 0), most - 1) for at, most in zip(found, cells, strict=True))
    return row, column


def cells_of_mask(
    mask: Rle, stride: int, scale: float, cells: Size, most: int = MOST
) -> tuple[Cell, ...]:
    """Find the cells whose centre lies in a mask of the image, at least one.

    Of more than ``most``, evenly chosen ones are taken; of none, the one nearest to the middle of
    the mask's box. A mask without pixels takes the cell of the image's first pixel.
    """
    inside = rle.decode(mask).astype(bool)
    rows, columns = (
        np.minimum(((np.arange(count) * stride + 0.5) / scale).astype(int), length - 1)
        for count, length in zip(cells, inside.shape, strict=True)
    )
    found: NDArray[np.int64] = np.argwhere(inside[rows][:, columns])
    if not len(found):
        x, y, width, height = rle.bbox(mask)
        return (cell_at((x + width / 2, y + height / 2), stride, scale, cells),)
    if len(found) > most:
        found = found[np.linspace(0, len(found) - 1, most).round().astype(int)]
    return tuple((int(row), int(column)) for row, column in found)
