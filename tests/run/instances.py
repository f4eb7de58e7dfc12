"""Predictions and sheets drawn by hand: rectangles in whole pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from comask.annotation import rle
from comask.annotation.labels import Label, Sheet
from comask.annotation.records import Category, Rle, Size
from comask.predict import Prediction, PredictionTrace

CATEGORIES = (Category(1, "cell"), Category(90, "nucleus"))
SIZE = (40, 60)
FULL = np.full((28, 28), 9.0, np.float32)  # logits of a mask that fills its box
EMPTY = -FULL

Corners = tuple[float, float, float, float]


def rectangle(box: Sequence[float], size: Size = SIZE) -> Rle:
    x1, y1, x2, y2 = (round(value) for value in box)
    return rle.encode_crop(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)


def predicted(
    boxes: Sequence[Corners],
    scores: Sequence[float] | None = None,
    labels: Sequence[int] | None = None,
    size: Size = SIZE,
    **trace: Any,
) -> Prediction:
    """Build a prediction whose masks fill their boxes; nothing moves unless ``trace`` says so."""
    count = len(boxes)
    given = np.array(boxes, np.float32).reshape(-1, 4)
    sure = np.array(scores if scores is not None else [0.9] * count, np.float32)
    same: dict[str, Any] = {
        "proposals": given,
        "proposal_rows": np.arange(count),
        "levels": np.full((count, 2), 2),
        "first_masks": np.broadcast_to(FULL, (count, 28, 28)),
        "votes": np.broadcast_to(given[:, None, None, :], (count, 7, 7, 4)),
        "weights": np.ones((count, 7, 7), np.float32),
        "second_masks": np.broadcast_to(FULL, (count, 28, 28)),
    }
    return Prediction(
        size=size,
        boxes=given,
        labels=np.array(labels if labels is not None else [0] * count, np.int64),
        class_scores=sure,
        mask_ious=np.zeros(count, np.float32),
        scores=sure,
        masks=tuple(rectangle(box, size) for box in boxes),
        categories=CATEGORIES,
        trace=PredictionTrace(**(same | trace)),
    )


def label(uid: str, box: Sequence[float], **more: Any) -> Label:
    about: dict[str, Any] = {"category": 1, "state": "accepted", "origin": "person"}
    return Label(uid=uid, mask=rectangle(box), **(about | more))


def sheet(*labels: Label, size: Size = SIZE) -> Sheet:
    return Sheet(size, labels)
