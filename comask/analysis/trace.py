"""How instances came about: proposals, the 49 votes, refined boxes, the masks of both passes.

Everything is in image pixels. A prediction keeps the masks of both passes as logits inside their
boxes; drawn into the image they become RLE, in the way that the checkpoint asks for (``Pasting``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Rle
from comask.checkpoint.native import CheckpointInfo
from comask.config import PasteKind
from comask.data.images import fit_size
from comask.errors import InputError
from comask.model import postprocess
from comask.model.refine import EPSILON
from comask.predict import Prediction
from comask.structures import Size

Floats = NDArray[np.float32]
Edge = Literal["left", "top", "right", "bottom"]

EDGES: tuple[Edge, ...] = ("left", "top", "right", "bottom")
VOTES = 49

_INCLUSIVE = np.array([0, 0, 1, 1], dtype=np.float64)  # what a half-open corner is too far


@dataclass(frozen=True)
class Pasting:
    """How a checkpoint draws masks into an image: its kind, and network pixels an image pixel."""

    kind: PasteKind = "whole"
    scale: float = 1.0

    @classmethod
    def of(cls, info: CheckpointInfo, size: Size) -> "Pasting":
        """Tell it of a checkpoint and an image of ``size``."""
        view = info.preprocessing
        scale, _ = fit_size(size, view.short_side, view.long_side)
        return cls(info.config.detection.paste, scale)


@dataclass(frozen=True)
class Making:
    """How one instance came about, in image pixels.

    row          its row in the prediction
    proposal     (4,)      the box that it began with
    votes        (49, 4)   the boxes that the cells voted for, row by row
    weights      (49,)     0 .. 1
    box          (4,)      the refined one
    first, mask  of the first pass, and the one that is exported
    levels       of the pyramid, 2 .. 5, in pass 1 and pass 2
    mask_iou     predicted
    weighted     False where all votes count the same
    second       False where there was no second pass, so that the first mask is the exported one
    """

    row: int
    proposal: Floats
    votes: Floats
    weights: Floats
    box: Floats
    first: Rle
    mask: Rle
    levels: tuple[int, int]
    mask_iou: float
    weighted: bool
    second: bool

    @property
    def mean(self) -> NDArray[np.float64]:
        """Average the votes again as the model did: (4,), the refined box but for rounding."""
        inclusive = self.votes.astype(np.float64) - _INCLUSIVE
        if not self.weighted:
            return np.asarray(inclusive.mean(axis=0) + _INCLUSIVE)
        weights = self.weights.astype(np.float64)
        total = weights.sum() + EPSILON
        return np.asarray((inclusive * weights[:, None]).sum(axis=0) / total + _INCLUSIVE)

    @property
    def travel(self) -> tuple[float, Edge]:
        """Say how far the edge went that went farthest from proposal to box, and which it was."""
        moved = np.abs(self.box.astype(np.float64) - self.proposal)
        return float(moved.max()), EDGES[int(moved.argmax())]

    @property
    def agreement(self) -> float:
        """Compare the masks of both passes: their IoU, 0 .. 1; two empty ones agree."""
        if self.first == self.mask:
            return 1.0
        return float(rle.iou([self.first], [self.mask])[0, 0])


def makings(
    prediction: Prediction, pasting: Pasting | None = None, rows: Iterable[int] | None = None
) -> tuple[Making, ...]:
    """Tell how instances came about: all of them, or those in ``rows``, in that order.

    Args:
        prediction: with its trace, as a Predictor or a run gives it.
        pasting: how the first masks are drawn; None is a checkpoint of the authors, at scale 1.
        rows: raises InputError for one that the prediction does not have.
    """
    pasting = pasting or Pasting()
    chosen = range(len(prediction)) if rows is None else tuple(rows)
    for row in chosen:
        if not 0 <= row < len(prediction):
            raise InputError(f"there is no instance {row} among {len(prediction)}")
    told = prediction.trace
    weighted = not bool((told.weights == 1).all()) or not len(prediction)
    # without a second pass, what is kept of it is the first one's
    second = not np.array_equal(told.first_masks, told.second_masks) or not len(prediction)
    return tuple(
        Making(
            row=row,
            proposal=told.proposals[row],
            votes=told.votes[row].reshape(VOTES, 4),
            weights=told.weights[row].reshape(VOTES),
            box=prediction.boxes[row],
            first=_first(prediction, row, pasting) if second else prediction.masks[row],
            mask=prediction.masks[row],
            levels=(int(told.levels[row, 0]), int(told.levels[row, 1])),
            mask_iou=float(prediction.mask_ious[row]),
            weighted=weighted,
            second=second,
        )
        for row in chosen
    )


def cell_centres(proposal: Floats) -> NDArray[np.float64]:
    """Place the voting cells: (4,) -> (49, 2) x, y, row by row, image pixels.

    The model's coordinates count whole pixels, so half a pixel is added to draw them.
    """
    first = proposal[:2].astype(np.float64)
    side = proposal[2:].astype(np.float64) - 1.0 - first
    steps = (np.arange(7) + 0.5) / 7
    x, y = np.meshgrid(first[0] + side[0] * steps, first[1] + side[1] * steps)
    return np.stack([x.ravel(), y.ravel()], axis=1) + 0.5


def _first(prediction: Prediction, row: int, pasting: Pasting) -> Rle:
    """Draw the first mask inside the proposal, as the model would have drawn it."""
    told = prediction.trace
    box = postprocess.to_network_pixels(told.proposals[row], pasting.scale)
    logits = told.first_masks[row]
    crop = postprocess.draw(logits, box, pasting.scale, prediction.size, pasting.kind)
    return rle.encode_crop(crop.pixels, crop.x, crop.y, prediction.size)
