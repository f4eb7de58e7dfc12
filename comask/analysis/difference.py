"""What became of each instance between two predictions of one image: kept, moved, lost, gained.

Exchanging the two predictions exchanges lost and gained and turns every change's sign, and nothing
else. Lengths are in image pixels. Letters: N instances before, M after, P pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.errors import InputError
from comask.evaluate.matching import sides
from comask.predict import Prediction

Kind = Literal["lost", "gained", "moved", "kept"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Change:
    """What became of one instance.

    before, after  its row in each prediction; None where it is not there
    mask_iou       between both masks, 0 where there is one
    box_iou        between both boxes, 0 where there is one
    travel         image pixels that the edge of the box went that went farthest, 0 for one box
    class_score    after minus before; what is not there counts 0
    score          the same of what ranks
    """

    kind: Kind
    before: int | None
    after: int | None
    mask_iou: float
    box_iou: float
    travel: float
    class_score: float
    score: float


@dataclass(frozen=True)
class Difference:
    """All changes: the lost first, then gained, moved, kept; inside of that by their rows."""

    changes: tuple[Change, ...]

    def count(self) -> dict[Kind, int]:
        """Count the instances of every kind."""
        counts = dict.fromkeys(KINDS, 0)
        for change in self.changes:
            counts[change.kind] += 1
        return counts

    def of(self, kind: Kind) -> tuple[Change, ...]:
        """Give the changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)


def difference(
    before: Prediction,
    after: Prediction,
    *,
    min_score: float = 0.0,
    moved_below: float = 0.95,
    same_from: float = 0.5,
) -> Difference:
    """Compare two predictions of one image by one checkpoint; raises InputError for others.

    Instances of one label are one and the same where their masks overlap, the most alike first,
    each once.

    Args:
        before: in any order.
        after: in any order.
        min_score: instances whose class score is not above it are not there.
        moved_below: an instance has moved if the IoU of its masks or of its boxes is lower.
        same_from: lowest IoU of two masks of one instance, above 0.
    """
    if (before.size, before.categories) != (after.size, after.categories):
        raise InputError("only predictions of one image by one checkpoint can be compared")
    if not 0 < same_from <= 1 or not 0 <= moved_below <= 1:
        raise InputError(
            f"same_from is in 0 .. 1 and above 0, moved_below in 0 .. 1, got {same_from} and "
            f"{moved_below}"
        )
    left, right = _above(before, min_score), _above(after, min_score)
    changes = list(_both(before, after, _pairs(before, after, left, right, same_from), moved_below))
    changes += _alone(before, set(left.tolist()) - {c.before for c in changes}, "lost")
    changes += _alone(after, set(right.tolist()) - {c.after for c in changes}, "gained")
    changes.sort(key=lambda c: (KINDS.index(c.kind), c.after if c.before is None else c.before))
    return Difference(tuple(changes))


def _above(prediction: Prediction, min_score: float) -> Rows:
    # scores are float32, and so is this comparison, as the model's own
    return np.flatnonzero(prediction.class_scores > np.float32(min_score))


def _pairs(
    before: Prediction, after: Prediction, left: Rows, right: Rows, same_from: float
) -> Iterator[tuple[int, int, float, float]]:
    """Pair instances one to one: yields rows, mask IoU and box IoU."""
    for label in np.intersect1d(before.labels[left], after.labels[right]):
        mine, theirs = left[before.labels[left] == label], right[after.labels[right] == label]
        boxes = rle.box_iou(sides(before.boxes[mine]), sides(after.boxes[theirs]))
        equal = (before.boxes[mine][:, None] == after.boxes[theirs][None]).all(axis=2)
        boxes[equal] = 1  # even without any area
        masks = _mask_ious(before, after, mine, theirs, boxes)
        rows, columns = np.nonzero(masks >= same_from)
        ious, others = masks[rows, columns], boxes[rows, columns]
        first, second = mine[rows], theirs[columns]
        low, high = np.minimum(first, second), np.maximum(first, second)
        taken: tuple[set[int], set[int]] = set(), set()
        # equal pairs go by their rows, the same way whichever prediction comes first
        for place in np.lexsort((high, low, -others, -ious)).tolist():
            one, other = int(first[place]), int(second[place])
            if one not in taken[0] and other not in taken[1]:
                taken[0].add(one)
                taken[1].add(other)
                yield one, other, float(ious[place]), float(others[place])


def _mask_ious(
    before: Prediction, after: Prediction, mine: Rows, theirs: Rows, boxes: Doubles
) -> Doubles:
    """Compare masks: (N, M); of two empty ones the boxes are compared instead."""
    left, right = [before.masks[row] for row in mine], [after.masks[row] for row in theirs]
    found = rle.iou(left, right)
    empty = np.array([not rle.area(mask) for mask in left], np.bool_)[:, None] & np.array(
        [not rle.area(mask) for mask in right], np.bool_
    )
    return np.where(empty, boxes, found)


def _both(
    before: Prediction,
    after: Prediction,
    pairs: Iterator[tuple[int, int, float, float]],
    moved_below: float,
) -> Iterator[Change]:
    for row, other, mask_iou, box_iou in pairs:
        edges = after.boxes[other].astype(np.float64) - before.boxes[row]
        yield Change(
            kind="moved" if min(mask_iou, box_iou) < moved_below else "kept",
            before=row,
            after=other,
            mask_iou=mask_iou,
            box_iou=box_iou,
            travel=float(np.abs(edges).max()),
            class_score=float(after.class_scores[other]) - float(before.class_scores[row]),
            score=float(after.scores[other]) - float(before.scores[row]),
        )


def _alone(prediction: Prediction, rows: set[int], kind: Literal["lost", "gained"]) -> list[Change]:
    sign = -1.0 if kind == "lost" else 1.0
    return [
        Change(
            kind=kind,
            before=row if kind == "lost" else None,
            after=row if kind == "gained" else None,
            mask_iou=0.0,
            box_iou=0.0,
            travel=0.0,
            class_score=sign * float(prediction.class_scores[row]),
            score=sign * float(prediction.scores[row]),
        )
        for row in rows
    ]
