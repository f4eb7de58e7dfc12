"""A prediction whose making is known: every number of its trace can be worked out by hand."""

from dataclasses import replace

import numpy as np

from comask.annotation import rle
from comask.annotation.records import Category
from comask.predict import Prediction, PredictionTrace

SIZE = (20, 30)  # the image unless another is asked for
PROPOSAL = (4.0, 4.0, 18.0, 14.0)
# one vote of weight 1, one of 0.5, and 47 of no weight: the mean is BOX, but for the 1e-5
VOTE, HALF_VOTE = (6.0, 4.0, 16.0, 14.0), (9.0, 4.0, 16.0, 17.0)
BOX = (7.0, 4.0, 16.0, 15.0)
MASK = (7, 4, 9, 11)  # x, y, width, height: 99 px
FIRST = (4, 4, 14, 10)  # what the first mask fills, all of the proposal: 140 px


def rectangle(x: int, y: int, width: int, height: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[y : y + height, x : x + width] = 1
    return mask


def made(count: int = 1, size: tuple[int, int] = SIZE) -> Prediction:
    """Plant ``count`` equal instances; class scores are 0.9 and fall by 0.01."""
    votes = np.zeros((count, 49, 4), np.float32)
    weights = np.zeros((count, 49), np.float32)
    votes[:, 8], weights[:, 8] = VOTE, 1.0
    votes[:, 24], weights[:, 24] = HALF_VOTE, 0.5
    scores = (0.9 - 0.01 * np.arange(count)).astype(np.float32)
    return Prediction(
        size=size,
        boxes=np.tile(np.array(BOX, np.float32), (count, 1)),
        labels=np.zeros(count, np.int64),
        class_scores=scores,
        mask_ious=np.full(count, 0.75, np.float32),
        scores=scores + np.float32(0.225),
        masks=(rle.encode(rectangle(*MASK, size=size)),) * count,
        categories=(Category(1, "cell"),),
        trace=PredictionTrace(
            proposals=np.tile(np.array(PROPOSAL, np.float32), (count, 1)),
            proposal_rows=np.arange(count),
            levels=np.tile(np.array([2, 3]), (count, 1)),
            first_masks=np.full((count, 28, 28), 9.0, np.float32),
            votes=votes.reshape(count, 7, 7, 4),
            weights=weights.reshape(count, 7, 7),
            second_masks=np.full((count, 28, 28), 8.0, np.float32),
        ),
    )


def without_collaboration(prediction: Prediction) -> Prediction:
    """Let all votes weigh the same and the first mask be the result."""
    told = prediction.trace
    return replace(
        prediction,
        masks=tuple(rle.encode(rectangle(*FIRST, size=prediction.size)) for _ in prediction.masks),
        boxes=told.votes.reshape(len(prediction), 49, 4).mean(axis=1),
        trace=replace(told, weights=np.ones_like(told.weights), second_masks=told.first_masks),
    )
