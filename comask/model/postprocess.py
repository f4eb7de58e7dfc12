"""From network pixels to image pixels: the one place that changes frames (spec section 9).

Boxes are half-open in both frames. The authors divide inclusive corners by the scale, so 1 is
taken off before and put back after.
"""

from collections.abc import Iterator
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


def probabilities(logits: Floats) -> Floats:
    """Say how likely each cell is inside: any shape -> the same, in 0 .. 1."""
    with np.errstate(over="ignore"):  # of a logit below -88 it is 0
        likely: Floats = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    return likely


def draw_all(
    logits: Floats, boxes: Floats, scale: float, size: Size, kind: PasteKind
) -> Iterator[Crop]:
    """Draw masks the way that a checkpoint asks for: (N, 28, 28) in boxes (N, 4) -> N crops.

    One at a time: all together they may be as many pixels as N images. See ``paste`` and
    ``paste_exactly``.
    """
    if kind == "whole":
        return (paste(mask, box, scale, size) for mask, box in zip(logits, boxes, strict=True))
    return _paste_exactly(logits, boxes, scale, size)


def draw(logits: Floats, box: Floats, scale: float, size: Size, kind: PasteKind) -> Crop:
    """Draw one mask as ``draw_all`` does: (28, 28) logits in a network box -> pixels."""
    return next(draw_all(logits[None], box[None], scale, size, kind))


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
    drawn = cv2.resize(probabilities(logits), shape, interpolation=cv2.INTER_LINEAR) > 0.5
    return Crop(x1, y1, drawn[: max(height - y1, 0), : max(width - x1, 0)].astype(np.uint8))


def paste_exactly(logits: Floats, box: Floats, scale: float, size: Size) -> Crop:
    """Draw one mask where it lies: (28, 28) logits in a network box -> pixels of an image.

    A pixel belongs to the instance where the probability at its centre is above 0.5. Training cuts
    mask targets at boxes truncated to whole network pixels, half a pixel to the upper left on
    average, so that is where a mask's frame is.
    """
    return next(_paste_exactly(logits[None], box[None], scale, size))


def _paste_exactly(logits: Floats, boxes: Floats, scale: float, size: Size) -> Iterator[Crop]:
    edges = np.clip((boxes - np.float32(0.5)) / np.float32(scale), -(2.0**30), 2.0**30)
    down, across = (
        _Taps.of(edges[:, axis], edges[:, axis + 2], size[1 - axis], logits.shape[2 - axis])
        for axis in (1, 0)
    )
    for number, cells in enumerate(probabilities(logits)):
        rows, columns = down.spans[number], across.spans[number]
        if rows.start == rows.stop or columns.start == columns.stop:
            yield Crop(0, 0, np.zeros((0, 0), dtype=np.uint8))
            continue
        wide = across.between(cells, columns, 1)  # (28, w)
        drawn = down.between(wide, rows, 0) > 0.5
        left, top = across.firsts[number], down.firsts[number]
        yield Crop(left, top, drawn.view(np.uint8))


class _Taps(NamedTuple):
    """Where N spans of pixels, one after the other, lie among the cells of their boxes.

    A pixel's value is near[p] x cell low[p] + far[p] x cell high[p]; both weights are 0 outside.
    """

    firsts: list[int]  # pixel of each span
    spans: list[slice]  # of the arrays below
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    near: Floats
    far: Floats

    @classmethod
    def of(cls, starts: Floats, ends: Floats, side: int, count: int) -> "_Taps":
        """Cut spans off at the image's side; cell centres are whole numbers, 0 .. count - 1."""
        firsts = np.floor(starts).astype(np.int64).clip(0)
        lengths = (np.ceil(ends).astype(np.int64).clip(max=side) - firsts).clip(0)
        stops = lengths.cumsum()
        pixels = np.arange(lengths.sum()) + (firsts - stops + lengths).repeat(lengths)
        begin, length = (
            part.astype(np.float64).repeat(lengths)
            for part in (starts, (ends - starts).clip(np.float32(1e-6)))
        )
        places = ((pixels + 0.5 - begin) / length * count - 0.5).astype(np.float32)
        held = (places > -0.5) & (places < count - 0.5)
        places = places.clip(0, count - 1)
        low = places.astype(np.int64)
        share: Floats = (places - low).astype(np.float32)
        spans = zip((stops - lengths).tolist(), stops.tolist(), strict=True)
        return cls(
            firsts.tolist(),
            [slice(*span) for span in spans],
            low,
            (low + 1).clip(max=count - 1),
            (1 - share) * held,
            share * held,
        )

    def between(self, cells: Floats, span: slice, axis: int) -> Floats:
        """Interpolate cells linearly along an axis, to a span of pixels."""
        shape = (1, -1) if axis else (-1, 1)
        near, far = self.near[span].reshape(shape), self.far[span].reshape(shape)
        mixed: Floats = cells.take(self.low[span], axis) * near
        mixed += cells.take(self.high[span], axis) * far
        return mixed
