"""From network pixels to image pixels: the one place that changes frames (spec section 9).

Boxes are half-open in both frames. The authors divide inclusive corners by the scale, so 1 is
taken off before and put back after.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.structures import Size

Floats = NDArray[np.float32]


class Crop(NamedTuple):
    """The part of a mask inside its box: pixels 0 or 1, and their place in the image."""

    x: int
    y: int
    pixels: NDArray[np.uint8]  # (h, w), wholly inside the image; may be empty


def to_image_pixels(boxes: Floats, scale: float) -> Floats:
    """Carry boxes over: (..., 4) network pixels -> (..., 4) image pixels, not clipped."""
    one = np.array([0, 0, 1, 1], dtype=np.float32)
    carried: Floats = (boxes - one) / np.float32(scale) + one
    return carried


def paste(logits: Floats, box: Floats, scale: float, size: Size) -> Crop:
    """Draw one mask: (28, 28) logits in a network box -> pixels of an image of ``size``.

    The box is clipped to the image first and takes the whole mask, squeezed; a pixel belongs to
    the instance where the interpolated probability is above 0.5.
    """
    height, width = size
    inclusive = (box - np.array([0, 0, 1, 1], dtype=np.float32)) / np.float32(scale)
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.trunc(inclusive), -(2.0**30), 2.0**30))
    x1, y1 = max(x1, 0), max(y1, 0)
    x2, y2 = min(x2, width - 1), min(y2, height - 1)
    shape = (max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1))  # OpenCV says width first
    probabilities = 1.0 / (1.0 + np.exp(-logits))
    drawn = cv2.resize(probabilities, shape, interpolation=cv2.INTER_LINEAR) > 0.5
    return Crop(x1, y1, drawn[: max(height - y1, 0), : max(width - x1, 0)].astype(np.uint8))
