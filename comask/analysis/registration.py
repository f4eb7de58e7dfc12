"""Where a cell of a pyramid level is in the image.

A convolution of stride 2 with a padding of 1 puts the centre of its output i over the centre of its
input 2 i. So does every halving of the backbone: cell i of a level of stride s looks at network
pixel s i, and padding, at the bottom and right, moves nothing.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.structures import Size

Map = NDArray[np.float32]


def cells_of(size: Size, stride: int) -> Size:
    """Count the cells that look at an image and not at its padding: network pixels -> cells."""
    return -(-size[0] // stride), -(-size[1] // stride)


def over_image(values: Map, stride: int, scale: float, size: Size) -> Map:
    """Lay a level's values over the image: (h, w) cells -> (H, W) image pixels, bilinear.

    Args:
        values: one number a cell, padding left out.
        stride: network pixels between two cells.
        scale: network pixels an image pixel.
        size: (H, W) of the upright image.
    """
    rows, columns = (_cells_under(length, stride, scale) for length in size)
    laid = cv2.remap(
        np.ascontiguousarray(values, np.float32),
        np.ascontiguousarray(np.broadcast_to(columns, size)),
        np.ascontiguousarray(np.broadcast_to(rows[:, None], size)),
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(laid, np.float32)


def _cells_under(length: int, stride: int, scale: float) -> Map:
    """Find the place among the cells that each pixel's centre has: (length,)."""
    centres = (np.arange(length) + 0.5) * scale - 0.5  # network pixels
    return (centres / stride).astype(np.float32)
