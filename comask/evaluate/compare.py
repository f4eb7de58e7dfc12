"""Two runs over one set: what the second gained, lost and changed against the first.

A true object is gained if the second alone found it, lost if the first alone did, changed if both
did with another IoU or class score. A false positive is gained if the first has none like it: of
its category, with a box that overlaps its own by the threshold, one for one.

``change`` is better above 0: the IoU that an object gained, or the class score of a false positive,
which counts against the run that has it. So comparing the other way round gives the same rows with
``change`` negated.

Letters: N found instances, M true ones; a and b are the two runs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from comask.annotation import rle
from comask.errors import InputError
from comask.evaluate import error_kinds
from comask.evaluate.matching import (
    Doubles,
    Flags,
    Integers,
    State,
    sides,
)
from comask.evaluate.metrics import Judgement

Happening = Literal["gained", "lost", "changed"]
HAPPENINGS = ("gained", "lost", "changed", "false_gained", "false_lost")


@dataclass(frozen=True)
class Difference:
    """What differs about one true object, or one false positive where ``truth`` is None.

    image         its row in the set
    truth         row among the image's true objects
    a, b          rows among the image's found instances: what took it, or came nearest to it
    iou, score    of each, 0 and None where there is none; the score is the class score
    change        above 0 where b is better
    """

    image: int
    kind: Happening
    truth: int | None
    a: int | None
    b: int | None
    iou_a: float
    iou_b: float
    score_a: float | None
    score_b: float | None
    change: float

    @property
    def name(self) -> str:
        """Name what happened, false positives apart from true objects."""
        return self.kind if self.truth is not None else f"false_{self.kind}"


@dataclass(frozen=True)
class Comparison:
    """All differences, the largest change first, then in the files' order."""

    rows: tuple[Difference, ...]

    def count(self) -> dict[str, int]:
        """Count what became of true objects, and false positives apart from them."""
        counts = dict.fromkeys(HAPPENINGS, 0)
        for row in self.rows:
            counts[row.name] += 1
        return counts


def compare(a: Judgement, b: Judgement) -> Comparison:
    """Compare two runs that were judged alike over the same images."""
    same = (a.iou, a.min_score, a.kind, a.limit) == (b.iou, b.min_score, b.kind, b.limit)
    if not same or not np.array_equal(a.pairs.truth_ids, b.pairs.truth_ids):
        raise InputError("two runs can be compared over the same objects at the same settings only")
    rows = _objects(a, b)
    for image in range(len(a.pairs)):
        rows += _false_positives(a, b, image)
    rows.sort(key=lambda row: (-abs(row.change), row.image, row.truth is None, _first(row)))
    return Comparison(tuple(rows))


def _objects(a: Judgement, b: Judgement) -> list[Difference]:
    runs = _Side.of(a), _Side.of(b)
    right = [one.match.truth == State.RIGHT for one in (a, b)]
    moved = (runs[0].iou != runs[1].iou) | (runs[0].score != runs[1].score)
    both = right[0] & right[1]
    kinds: list[tuple[Happening, Flags]] = [
        ("gained", right[1] & ~right[0]),
        ("lost", right[0] & ~right[1]),
        ("changed", both & moved),
    ]
    images, starts = a.pairs.truth_images, a.pairs.truth_starts
    rows = []
    for kind, which in kinds:
        for truth in np.flatnonzero(which).tolist():
            image = int(images[truth])
            mine, theirs = runs[0].row(truth, image), runs[1].row(truth, image)
            rows.append(
                Difference(
                    image=image,
                    kind=kind,
                    truth=truth - int(starts[image]),
                    a=mine[0],
                    b=theirs[0],
                    iou_a=mine[1],
                    iou_b=theirs[1],
                    score_a=mine[2],
                    score_b=theirs[2],
                    change=theirs[1] - mine[1],
                )
            )
    return rows


@dataclass(frozen=True)
class _Side:
    """What one run has for every true object: who took it, else who came nearest; (M,) each."""

    judgement: Judgement
    found: Integers
    iou: Doubles
    score: Doubles

    @classmethod
    def of(cls, judgement: Judgement) -> "_Side":
        pairs, match = judgement.pairs, judgement.match
        free = match.counted & (match.found != State.RIGHT)
        usable = free[pairs.rows] & pairs.same & ~pairs.crowd[pairs.columns]
        found, iou = error_kinds.nearest(pairs, judgement.kind, usable)
        right = match.truth == State.RIGHT
        found = np.where(right, match.truth_found, found)
        iou[right] = match.found_iou[found[right]]
        score = np.where(found >= 0, pairs.class_scores[found] if len(pairs.scores) else 0, np.nan)
        return cls(judgement, found, iou, score)

    def row(self, truth: int, image: int) -> tuple[int | None, float, float | None]:
        found = int(self.found[truth])
        if found < 0:
            return None, 0.0, None
        start = int(self.judgement.pairs.found_starts[image])
        return found - start, float(self.iou[truth]), float(self.score[truth])


def _false_positives(a: Judgement, b: Judgement, image: int) -> list[Difference]:
    mine, theirs = _wrong(a, image), _wrong(b, image)
    alike = _alike(a, b, mine, theirs)
    left, right = _one_for_one(alike)
    rows = []
    for found in mine[left].tolist():
        row, score = found - int(a.pairs.found_starts[image]), float(a.pairs.class_scores[found])
        rows.append(Difference(image, "lost", None, row, None, 0.0, 0.0, score, None, score))
    for found in theirs[right].tolist():
        row, score = found - int(b.pairs.found_starts[image]), float(b.pairs.class_scores[found])
        rows.append(Difference(image, "gained", None, None, row, 0.0, 0.0, None, score, -score))
    return rows


def _wrong(judgement: Judgement, image: int) -> Integers:
    start, end = judgement.pairs.found_starts[image : image + 2].tolist()
    rows = np.flatnonzero(judgement.match.found[start:end] == State.WRONG)
    return rows + int(start)


def _alike(a: Judgement, b: Judgement, mine: Integers, theirs: Integers) -> Doubles:
    """Compare false positives' boxes, 0 where they are not alike; what is the same is alike."""
    if not len(mine) or not len(theirs):
        return np.zeros((len(mine), len(theirs)))
    left, right = a.pairs.found_boxes[mine], b.pairs.found_boxes[theirs]
    same = (left[:, None] == right[None]).all(axis=2)  # even if it is empty
    overlaps = np.where(same, 1.0, rle.box_iou(sides(left), sides(right)))
    categories = a.pairs.found_categories[mine], b.pairs.found_categories[theirs]
    meant = (categories[0][:, None] == categories[1][None]) & (overlaps >= a.iou)
    return np.where(meant, overlaps, 0.0)


def _one_for_one(overlaps: Doubles) -> tuple[Flags, Flags]:
    """Pair the most alike first; marks who is left over, the same whichever run is named first."""
    left, right = (np.ones(count, np.bool_) for count in overlaps.shape)
    rows, columns = np.nonzero(overlaps)
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    for place in np.lexsort((high, low, -overlaps[rows, columns])).tolist():
        row, column = rows[place], columns[place]
        if left[row] and right[column]:
            left[row] = right[column] = False
    return left, right


def _first(row: Difference) -> tuple[int, int]:
    """Order rows of equal change; the same whichever run is named first."""
    found = [one for one in (row.a, row.b) if one is not None]
    return (-1 if row.truth is None else row.truth), min(found, default=-1)
