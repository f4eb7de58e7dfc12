"""Predictions on paper for tests of pictures and figures: rectangles of one class."""

import numpy as np

from comask.annotation import rle
from comask.annotation.records import Category
from comask.predict import Prediction, PredictionTrace

Box = tuple[int, int, int, int]


def predicted(*boxes: Box, size: tuple[int, int] = (40, 60)) -> Prediction:
    """Build a prediction whose masks fill their boxes; all class scores are 0.5."""
    none = np.zeros((len(boxes), 0), np.float32)
    class_scores = np.full(len(boxes), 0.5, np.float32)
    return Prediction(
        size=size,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.zeros(len(boxes), np.int64),
        class_scores=class_scores,
        mask_ious=np.ones(len(boxes), np.float32),
        scores=class_scores + np.float32(0.25),
        masks=tuple(
            rle.encode_crop(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)
            for x1, y1, x2, y2 in boxes
        ),
        categories=(Category(1, "cell"),),
        trace=PredictionTrace(none, none, none, none, none, none, none),
    )
