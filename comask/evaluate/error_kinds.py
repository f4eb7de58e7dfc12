"""What is wrong with each wrong instance: the six kinds of TIDE (Bolya et al., 2020).

In this order, for a false positive, IoU with objects that are no crowds:
- localisation: 0.1 or more, below the threshold, with an object of its own category
- class: the threshold or more with an object of another category
- duplicate: the threshold or more with an object that a better ranked instance took
- background: below 0.1 with anything
- both: what is left, an object of another category and not well placed either
And for a true object that was not found:
- missed: no instance of the kinds localisation and class is about it

Letters as in ``matching``: N found, M true ones.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from comask.evaluate.matching import FLOOR, Doubles, Flags, Integers, Kind, Match, PairSet, State


class ErrorKind(IntEnum):
    """The six kinds; NONE is for what is right or does not count."""

    NONE = -1
    CLASS = 0
    LOCALISATION = 1
    BOTH = 2
    DUPLICATE = 3
    BACKGROUND = 4
    MISSED = 5


KINDS = tuple(kind for kind in ErrorKind if kind >= 0)


@dataclass(frozen=True)
class Errors:
    """What is wrong with whom.

    found    (N,)  ErrorKind
    partner  (N,)  the true object that the error is about, -1 for none
    iou      (N,)  IoU with it, 0 for none
    truth    (M,)  ErrorKind: MISSED or NONE
    """

    found: NDArray[np.int8]
    partner: Integers
    iou: Doubles
    truth: NDArray[np.int8]

    def count(self) -> dict[str, int]:
        """Count the errors of each kind, by its name in small letters."""
        counts = np.bincount(self.found[self.found >= 0], minlength=len(KINDS))
        counts[ErrorKind.MISSED] = int((self.truth == ErrorKind.MISSED).sum())
        return {kind.name.lower(): int(counts[kind]) for kind in KINDS}


def explain(pairs: PairSet, match: Match, *, iou: float, kind: Kind) -> Errors:
    """Name the error of every wrong instance of a match that was made at ``iou``."""
    wrong = match.found == State.WRONG
    usable = wrong[pairs.rows] & ~pairs.crowd[pairs.columns]
    own = best(pairs, kind, usable & pairs.same)
    other = best(pairs, kind, usable & ~pairs.same)
    taken = usable & pairs.same & (match.truth[pairs.columns] == State.RIGHT)
    used = best(pairs, kind, taken)
    found = np.full(len(wrong), ErrorKind.NONE, np.int8)
    partner, overlap = np.full(len(wrong), -1, np.int64), np.zeros(len(wrong))
    either = np.maximum(own[1], other[1])
    for which, name, choice in (
        ((own[1] >= FLOOR) & (own[1] < iou), ErrorKind.LOCALISATION, own),
        (other[1] >= iou, ErrorKind.CLASS, other),
        (used[1] >= iou, ErrorKind.DUPLICATE, used),
        (either < FLOOR, ErrorKind.BACKGROUND, None),
        (either >= FLOOR, ErrorKind.BOTH, other),
    ):
        now = wrong & which & (found == ErrorKind.NONE)
        found[now] = name
        if choice is not None:
            partner[now], overlap[now] = choice[0][now], choice[1][now]
    return Errors(found, partner, overlap, _missed(match, found, partner))


def best(pairs: PairSet, kind: Kind, usable: Flags) -> tuple[Integers, Doubles]:
    """Find the object that each instance overlaps most among usable pairs: (N,) and its IoU."""
    order = pairs.order(kind)
    order = order[usable[order]][::-1]  # written backwards, the best is written last
    column = np.full(len(pairs.scores), -1, np.int64)
    column[pairs.rows[order]] = pairs.columns[order]
    overlap = np.zeros(len(pairs.scores))
    overlap[pairs.rows[order]] = pairs.overlaps(kind)[order]
    return column, overlap


def nearest(pairs: PairSet, kind: Kind, usable: Flags) -> tuple[Integers, Doubles]:
    """Find the instance that overlaps each object most among usable pairs: (M,) and its IoU."""
    overlaps = pairs.overlaps(kind)
    places = np.flatnonzero(usable)
    order = places[np.lexsort((-pairs.rows[places], overlaps[places]))]  # the best comes last
    row = np.full(len(pairs.truth_ids), -1, np.int64)
    row[pairs.columns[order]] = pairs.rows[order]
    overlap = np.zeros(len(pairs.truth_ids))
    overlap[pairs.columns[order]] = overlaps[order]
    return row, overlap


def converged(
    proposals: NDArray[np.float32],
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    nms_iou: float,
) -> list[tuple[int, int, float, float]]:
    """Find instances that refinement drew together: (N, 4), (N, 4), (N,) -> pairs.

    Their proposals passed the NMS of their category, their refined boxes would not have: there is
    no NMS after refinement. Each pair is (better ranked, other, IoU before, IoU after), in rank
    order.
    """
    before, after = _pairwise(proposals), _pairwise(boxes)
    both = (before <= nms_iou) & (after > nms_iou) & (labels[:, None] == labels[None])
    return [
        (int(one), int(other), float(before[one, other]), float(after[one, other]))
        for one, other in np.argwhere(np.triu(both, 1))
    ]


def _missed(match: Match, found: NDArray[np.int8], partner: Integers) -> NDArray[np.int8]:
    truth = np.where(match.truth == State.WRONG, ErrorKind.MISSED, ErrorKind.NONE).astype(np.int8)
    about = partner[(found == ErrorKind.LOCALISATION) | (found == ErrorKind.CLASS)]
    truth[about] = ErrorKind.NONE
    return truth


def _pairwise(boxes: NDArray[np.float32]) -> Doubles:
    corners = boxes.astype(np.float64).reshape(-1, 4)
    upper = np.maximum(corners[:, None, :2], corners[None, :, :2])
    lower = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    shared = (lower - upper).clip(min=0).prod(axis=2)
    areas = (corners[:, 2:] - corners[:, :2]).clip(min=0).prod(axis=1)
    union = areas[:, None] + areas[None] - shared
    overlap = np.zeros(union.shape)
    np.divide(shared, union, out=overlap, where=union > 0)
    return overlap
