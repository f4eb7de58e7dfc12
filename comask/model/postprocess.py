"""From network pixels to image pixels: the one place that changes frames (spec section 9).

Boxes are half-open in both frames. The authors divide inclusive corners by the scale, so 1 is
taken off before and put back after.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.config import PasteKind
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


def to_network_pixels(boxes: Floats, scale: float) -> Floats:
    """Carry boxes back: (..., 4) image pixels -> (..., 4) network pixels, but for rounding."""
    one = np.array([0, 0, 1, 1], dtype=np.float32)
    carried: Floats = (boxes - one) * np.float32(scale) + one
    return carried


def draw(logits: Floats, box: Floats, scale: float, size: Size, kind: PasteKind) -> Crop:
    """Draw one mask the way that a checkpoint asks for: see ``paste`` and ``paste_exactly``."""
    one = paste if kind == "whole" else paste_exactly
    return one(logits, box, scale, size)


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


def paste_exactly(logits: Floats, box: Floats, scale: float, size: Size) -> Crop:
    """Draw one mask where it lies: (28, 28) logits in a network box -> pixels of an image.

    A pixel belongs to the instance where the probability at its centre is above 0.5. Training cuts
    mask targets at boxes truncated to whole network pixels, half a pixel to the upper left on
    average, so that is where a mask's frame is.
    """
    height, width = size
    x1, y1, x2, y2 = np.clip((box - np.float32(0.5)) / np.float32(scale), -(2.0**30), 2.0**30)
    left, right = max(math.floor(x1), 0), min(math.ceil(x2), width)
    top, bottom = max(math.floor(y1), 0), min(math.ceil(y2), height)
    if right <= left or bottom <= top:
        return Crop(0, 0, np.zeros((0, 0), dtype=np.uint8))
    across = _cells(np.arange(left, right), x1, x2, logits.shape[1])
    down = _cells(np.arange(top, bottom), y1, y2, logits.shape[0])
    probabilities: Floats = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    columns = _between(probabilities.T, across).T  # (28, w)
    inside = _held(down, logits.shape[0])[:, None] & _held(across, logits.shape[1])
    return Crop(left, top, ((_between(columns, down) > 0.5) & inside).astype(np.uint8))


def _held(places: Floats, count: int) -> NDArray[np.bool_]:
    return (places > -0.5) & (places < count - 0.5)


def _between(rows: Floats, places: Floats) -> Floats:
    """Interpolate rows linearly: (n, m) at (h,) -> (h, m); beyond the last row, the last row."""
    places = places.clip(0, len(rows) - 1)
    low = places.astype(np.int64)
    share = (places - low)[:, None]
    mixed: Floats = rows[low] * (1 - share) + rows[(low + 1).clip(max=len(rows) - 1)] * share
    return mixed


def _cells(pixels: NDArray[np.int64], start: float, end: float, count: int) -> Floats:
    """Place pixel centres among the cells of start .. end, cell centres being whole numbers."""
    places = (pixels + 0.5 - start) / max(end - start, 1e-6) * count - 0.5
    return places.astype(np.float32)
