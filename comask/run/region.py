"""A part of an image that went through the model by itself, put back where it came from.

Pyramid levels hang on a box's share of the image that the model saw, so the same object may be
read from another level within a cut-out than within the whole image.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Rle, Size
from comask.errors import InputError
from comask.ops import boxes as box_ops
from comask.predict import Prediction

Corners = tuple[int, int, int, int]  # x1, y1, x2, y2, whole pixels, half-open

SMALLEST = 8  # image pixels a side


def whole_pixels(box: Sequence[float], size: Size) -> Corners:
    """Widen a box to whole pixels and cut it off at the image; raises InputError if it is small."""
    given = np.asarray(box, np.float64)
    if given.shape != (4,) or not np.isfinite(given).all():
        raise InputError(f"a region is x1, y1, x2, y2, four numbers, not {box!s:.80}")
    height, width = size
    low = np.floor(given[:2]).clip(0, [width, height]).astype(int)
    high = np.ceil(given[2:]).clip(0, [width, height]).astype(int)
    if (high - low < SMALLEST).any():
        raise InputError(
            f"the region is smaller than {SMALLEST} x {SMALLEST} pixels within the image; draw a "
            f"larger one"
        )
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def cut_out(pixels: NDArray[np.uint8], region: Corners) -> NDArray[np.uint8]:
    """Cut a region out of an image: (H, W, 3) -> (h, w, 3)."""
    x1, y1, x2, y2 = region
    return np.ascontiguousarray(pixels[y1:y2, x1:x2])


def placed(prediction: Prediction, region: Corners, size: Size) -> Prediction:
    """Put what was found in a region where it lies in the image; candidates are left out."""
    x, y = region[:2]
    moved = np.array([x, y, x, y], np.float32)
    trace = prediction.trace
    return replace(
        prediction,
        size=size,
        boxes=prediction.boxes + moved,
        masks=tuple(_placed(mask, x, y, size) for mask in prediction.masks),
        trace=replace(trace, proposals=trace.proposals + moved, votes=trace.votes + moved),
        candidates=None,
    )


def rerouted(prediction: Prediction) -> NDArray[np.bool_]:
    """Tell which instances were read from another level than the whole image would send them to.

    A prediction of ``placed`` -> (N,); it goes by the proposals.
    """
    boxes = torch.from_numpy(prediction.trace.proposals.reshape(-1, 4))
    whole = box_ops.pyramid_level(boxes, prediction.size).numpy()
    return np.asarray(whole != prediction.trace.levels[:, 0])


def _placed(mask: Rle, x: int, y: int, size: Size) -> Rle:
    pixels, left, top = rle.decode_crop(mask)
    return rle.encode_crop(pixels, x + left, y + top, size)
