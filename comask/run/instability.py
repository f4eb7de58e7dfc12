"""How much an instance changed on its way: a sign of error that needs no second model.

    instability = (travel + change + disagreement) / 3

travel        1 - IoU of the proposal and the refined box
change        1 - IoU of the masks of both passes, each inside its own box; two empty masks agree,
              and so do those of a model without a second pass
disagreement  mean of 1 - IoU of a vote and the refined box, over the 49 votes by their weights;
              0 where no vote has any weight

An instance that nothing moves is at 0; each part and the whole are within 0 .. 1. N is the number
of instances, boxes are in image pixels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from comask.model.postprocess import probabilities
from comask.predict import Prediction

Doubles = NDArray[np.float64]

GRID = 56  # points a side at which the masks of both passes are compared


def instability(prediction: Prediction) -> Doubles:
    """Measure how much each instance changed: Prediction -> (N,) in 0 .. 1."""
    parts = travel(prediction), change(prediction), disagreement(prediction)
    return np.asarray(np.mean(parts, axis=0).clip(0, 1))


def travel(prediction: Prediction) -> Doubles:
    """Measure how far the boxes went from their proposals: (N,) in 0 .. 1."""
    return 1 - _iou(_doubles(prediction.trace.proposals), _doubles(prediction.boxes))


def change(prediction: Prediction) -> Doubles:
    """Measure how much the masks changed between the passes: (N,) in 0 .. 1.

    Both are looked up at the same 56 x 56 points of the box around proposal and refined box.
    """
    told = prediction.trace
    if np.array_equal(told.first_masks, told.second_masks):  # there was no second pass
        return np.zeros(len(prediction))
    proposals, boxes = _doubles(told.proposals), _doubles(prediction.boxes)
    around = np.concatenate(
        [np.minimum(proposals, boxes)[:, :2], np.maximum(proposals, boxes)[:, 2:]], axis=1
    )
    first = _inside(told.first_masks, proposals, around)
    second = _inside(told.second_masks, boxes, around)
    both, either = (np.count_nonzero(x, axis=(1, 2)) for x in (first & second, first | second))
    return np.where(either > 0, 1 - both / np.maximum(either, 1), 0.0)


def disagreement(prediction: Prediction) -> Doubles:
    """Measure how far the 49 votes are from the box that they made: (N,) in 0 .. 1."""
    count = len(prediction)
    votes = _doubles(prediction.trace.votes).reshape(count, 49, 4)
    weights = _doubles(prediction.trace.weights).reshape(count, 49)
    apart = 1 - _iou(votes, _doubles(prediction.boxes)[:, None, :])  # (N, 49)
    total = weights.sum(axis=1)
    mean = (apart * weights).sum(axis=1) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, 0.0)


def _iou(left: Doubles, right: Doubles) -> Doubles:
    """Compare boxes one by one: (..., 4), (..., 4) -> (...); without any area it is 0."""
    low = np.maximum(left[..., :2], right[..., :2])
    high = np.minimum(left[..., 2:], right[..., 2:])
    shared = (high - low).clip(0).prod(axis=-1)
    union = _area(left) + _area(right) - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)


def _area(boxes: Doubles) -> Doubles:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).clip(0).prod(axis=-1))


def _inside(logits: NDArray[Any], frames: Doubles, around: Doubles) -> NDArray[np.bool_]:
    """Look masks up at a grid: (N, 28, 28) in boxes (N, 4), grid boxes (N, 4) -> (N, 56, 56).

    A point belongs to a mask where the probability, interpolated between cells, is above 0.5.
    """
    cells = logits.shape[1]
    steps = (np.arange(GRID) + 0.5) / GRID
    points = around[:, None, :2] + steps[:, None] * (around[:, None, 2:] - around[:, None, :2])
    sides = np.maximum(frames[:, 2:] - frames[:, :2], 1e-6)
    places = (points - frames[:, None, :2]) / sides[:, None] * cells - 0.5  # (N, 56, 2), in cells
    across, down = (_between(places[..., axis], cells) for axis in (0, 1))
    return np.asarray(down @ probabilities(logits) @ across.transpose(0, 2, 1) > 0.5)


def _between(places: Doubles, cells: int) -> NDArray[np.float32]:
    """Weigh the cells on both sides of each place: (N, h) -> (N, h, cells).

    Rows sum to 1, those of places outside of the box to 0.
    """
    inside = places.clip(0, cells - 1).astype(np.float32)
    inside[(places <= -0.5) | (places >= cells - 0.5)] = -cells  # far from all of them
    weights = abs(inside[..., None] - np.arange(cells, dtype=np.float32))
    np.subtract(1, weights, out=weights)
    return np.asarray(weights.clip(0, out=weights))


def _doubles(values: NDArray[Any]) -> Doubles:
    return values.astype(np.float64)
