"""How good a run is at one setting of the sliders, and over all scores: numbers of whole sets.

``judge`` matches once; everything about counts is read off its ``Judgement``. Curves and COCO's
twelve numbers count every stored instance, whatever its score, and equal pycocotools'. A rate that
has nothing to divide by is None, an AP without truth is -1, as COCO has it.

Letters: I images, N found instances, M true ones, K categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from comask.evaluate import coco_ap, error_kinds, matching
from comask.evaluate.coco_ap import COCO_LIMITS, Limits, Verdict
from comask.evaluate.error_kinds import ErrorKind, Errors
from comask.evaluate.matching import (
    Area,
    Doubles,
    Flags,
    Integers,
    Kind,
    Match,
    PairSet,
    State,
)

SIZES: dict[str, Area] = {  # COCO's, in pixels; both ends count
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
RECALLS = np.linspace(0.0, 1.0, 101)
THRESHOLDS = np.linspace(0.5, 0.95, 10)
NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Judgement:
    """One run matched at one setting; what it knows besides is worked out when asked."""

    pairs: PairSet
    match: Match
    iou: float
    min_score: float
    kind: Kind
    limit: int | None

    @cached_property
    def errors(self) -> Errors:
        """Name what is wrong with each wrong instance."""
        return error_kinds.explain(self.pairs, self.match, iou=self.iou, kind=self.kind)

    @cached_property
    def best_iou(self) -> Doubles:
        """Find the largest IoU of each found instance with an object of its category: (N,)."""
        own = self.pairs.same & ~self.pairs.crowd[self.pairs.columns]
        return error_kinds.best(self.pairs, self.kind, own)[1]

    @cached_property
    def mistaken(self) -> tuple[Integers, Integers]:
        """Pair what is left over, whatever its category: (N,) and (M,), -1 for nobody.

        The best ranked wrong instance takes the missed object of another category that it overlaps
        most, by the threshold at least.
        """
        pairs, wrong = self.pairs, self.match.found == State.WRONG
        order, overlaps = pairs.order(self.kind), pairs.overlaps(self.kind)
        missed = self.match.truth == State.WRONG
        usable = wrong[pairs.rows] & missed[pairs.columns] & (overlaps >= self.iou)
        return matching.take(pairs, order[usable[order]])[:2]


@dataclass(frozen=True)
class Score:
    """What was right and wrong, and the rates of it; a rate is None where nothing is counted."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float | None:
        """Give the part of the found ones that is right."""
        return _rate(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Give the part of the true ones that was found."""
        return _rate(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float | None:
        """Give the harmonic mean of precision and recall."""
        return _rate(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True)
class ImageColumns:
    """What images can be sorted by: (I,) each.

    truth       objects that are no crowds
    found       instances over the score, of known categories, within the limit
    tp, fp, fn  right, wrong and missed
    lowest_iou  of the right ones; nan without any
    gap         the largest class score - IoU with an object of its category; nan without any
    duplicates  instances of an object that a better ranked one took
    """

    truth: Integers
    found: Integers
    tp: Integers
    fp: Integers
    fn: Integers
    lowest_iou: Doubles
    gap: Doubles
    duplicates: Integers


@dataclass(frozen=True)
class Curves:
    """Precision at 101 recalls, by category.

    categories  (K,)      ids
    precision   (K, 101)  at RECALLS; -1 without truth
    recall      (K,)      reached in the end; -1 without truth
    """

    categories: tuple[int, ...]
    precision: Doubles
    recall: Doubles

    @property
    def ap(self) -> Doubles:
        """Find the average precision of each category: (K,), -1 without truth."""
        return np.asarray(self.precision.mean(axis=1))

    @property
    def mean(self) -> float:
        """Find the mean of all categories that have truth; -1 without any."""
        return coco_ap.mean(self.precision)


def judge(
    pairs: matching.Pairs,
    *,
    iou: float,
    min_score: float,
    kind: Kind = "mask",
    limit: int | None = None,
) -> Judgement:
    """Match a whole set at one setting of the sliders."""
    whole = pairs if isinstance(pairs, PairSet) else matching.join([pairs])
    match = matching.match(whole, iou=iou, min_score=min_score, kind=kind, limit=limit)
    return Judgement(whole, match, iou, min_score, kind, limit)


def total(judgement: Judgement, found: Flags | None = None, truth: Flags | None = None) -> Score:
    """Count the whole set, or the part of it that is marked: (N,) and (M,)."""
    match = judgement.match
    states = match.found if found is None else match.found[found]
    true = match.truth if truth is None else match.truth[truth]
    return Score(
        int((states == State.RIGHT).sum()),
        int((states == State.WRONG).sum()),
        int((true == State.WRONG).sum()),
    )


def by_category(judgement: Judgement, categories: Sequence[int]) -> dict[int, Score]:
    """Count each category."""
    match, pairs = judgement.match, judgement.pairs
    right = spread(pairs.found_categories[match.found == State.RIGHT], categories)
    wrong = spread(pairs.found_categories[match.found == State.WRONG], categories)
    missed = spread(pairs.truth_categories[match.truth == State.WRONG], categories)
    rows = zip(categories, right.tolist(), wrong.tolist(), missed.tolist(), strict=True)
    return {category: Score(tp, fp, fn) for category, tp, fp, fn in rows}


def by_size(
    pairs: PairSet, *, iou: float, min_score: float, kind: Kind, limit: int | None = None
) -> dict[str, Score]:
    """Count COCO's three sizes; what lies outside of a size is ignored there, not wrong."""
    scores = {}
    for name, area in SIZES.items():
        match = matching.match(
            pairs, iou=iou, min_score=min_score, kind=kind, limit=limit, area=area
        )
        scores[name] = total(Judgement(pairs, match, iou, min_score, kind, limit))
    return scores


def confusion(judgement: Judgement, categories: Sequence[int]) -> Integers:
    """Count who was taken for whom: (K + 1, K + 1), truth down, found across, nobody last.

    Rows sum up to the true objects and columns to the instances that count.
    """
    truth, found = _cells(judgement, categories)
    table = np.zeros((len(categories) + 1,) * 2, np.int64)
    np.add.at(table, (truth, found), 1)
    table[-1, -1] = 0
    return table


def cell(
    judgement: Judgement, categories: Sequence[int], row: int, column: int
) -> tuple[Integers, Integers]:
    """List one cell of ``confusion``: rows of found instances and of objects, -1 for nobody."""
    truth, found = _cells(judgement, categories)
    chosen = (truth == row) & (found == column)
    if row == column == len(categories):
        chosen[:] = False
    founds, truths = _meetings(judgement)
    return _best_first(judgement, founds[chosen], truths[chosen])


def of_error(judgement: Judgement, kind: ErrorKind) -> tuple[Integers, Integers]:
    """List the errors of one kind: rows of found instances and of objects, -1 for nobody."""
    errors = judgement.errors
    if kind == ErrorKind.MISSED:
        missed = np.flatnonzero(errors.truth == kind)
        return np.full(len(missed), -1), missed
    found = np.flatnonzero(errors.found == kind)
    return _best_first(judgement, found, errors.partner[found])


def images(judgement: Judgement) -> ImageColumns:
    """Work out what images are sorted by."""
    pairs, match = judgement.pairs, judgement.match
    places, true = pairs.found_images, pairs.truth_images
    lowest, gap = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    right, wrong = match.found == State.RIGHT, match.found == State.WRONG
    np.fmin.at(lowest, places[right], match.found_iou[right])
    counted = right | wrong
    surplus = pairs.class_scores.astype(np.float64) - judgement.best_iou
    np.fmax.at(gap, places[counted], surplus[counted])
    twice = judgement.errors.found == ErrorKind.DUPLICATE

    def count(which: Integers) -> Integers:
        return np.bincount(which, minlength=len(pairs))

    return ImageColumns(
        truth=count(true[match.truth != State.IGNORED]),
        found=count(places[match.counted]),
        tp=count(places[right]),
        fp=count(places[wrong]),
        fn=count(true[match.truth == State.WRONG]),
        lowest_iou=lowest,
        gap=gap,
        duplicates=count(places[twice]),
    )


def curves(
    pairs: PairSet,
    categories: Sequence[int],
    *,
    iou: float,
    kind: Kind = "mask",
    limit: int | None = COCO_LIMITS[-1],
    area: Area | None = None,
) -> Curves:
    """Find the precision of each category at 101 recalls, as pycocotools does."""
    match = matching.match(pairs, iou=iou, min_score=-1.0, kind=kind, limit=limit, area=area)
    return _curves(pairs, categories, match)


def twelve(
    pairs: PairSet, categories: Sequence[int], kind: Kind, limits: Limits = COCO_LIMITS
) -> Verdict:
    """Find COCO's twelve numbers and the AP of each category; equal to ``coco_ap.judge``."""
    areas: list[Area | None] = [None, *SIZES.values()]
    shape = (len(THRESHOLDS), len(categories), len(areas))
    precision = np.full((shape[0], len(RECALLS), *shape[1:], 1), -1.0)
    recall = np.full((*shape, len(limits)), -1.0)
    ranks = matching.group_ranks(pairs, pairs.found_categories != matching.UNKNOWN)
    for row, iou in enumerate(THRESHOLDS):
        for place, area in enumerate(areas):
            match = matching.match(
                pairs, iou=iou, min_score=-1.0, kind=kind, limit=limits[-1], area=area
            )
            drawn = _curves(pairs, categories, match)
            precision[row, :, :, place, 0] = drawn.precision.T
            recall[row, :, place, -1] = drawn.recall
            for column, limit in enumerate(limits[:-1] if area is None else ()):
                recall[row, :, place, column] = _recall(
                    pairs, categories, match, (match.found == State.RIGHT) & (ranks < limit)
                )
    by_id = {
        category: coco_ap.mean(precision[:, :, column, 0, -1])
        for column, category in enumerate(categories)
    }
    name: coco_ap.Kind = "segm" if kind == "mask" else "bbox"
    return Verdict(name, coco_ap.summarise(precision, recall, limits), by_id)


def _curves(pairs: PairSet, categories: Sequence[int], match: Match) -> Curves:
    right, wrong = match.found == State.RIGHT, match.found == State.WRONG
    ranking = pairs.ranking[(right | wrong)[pairs.ranking]]
    ranking = ranking[np.argsort(pairs.found_categories[ranking], kind="stable")]
    of_category = pairs.found_categories[ranking]
    objects = spread(pairs.truth_categories[match.truth != State.IGNORED], categories)
    precision = np.full((len(categories), len(RECALLS)), -1.0)
    recall = np.full(len(categories), -1.0)
    starts = np.searchsorted(of_category, categories, side="left")
    ends = np.searchsorted(of_category, categories, side="right")
    for row in np.flatnonzero(objects):
        mine = right[ranking[starts[row] : ends[row]]]
        precision[row], recall[row] = _curve(mine, int(objects[row]))
    return Curves(tuple(categories), precision, recall)


def _curve(right: Flags, objects: int) -> tuple[Doubles, float]:
    """Follow one category from its best instance to its last, in pycocotools' arithmetic."""
    precision = np.zeros(len(RECALLS))
    if not len(right):
        return precision, 0.0
    tp = np.cumsum(right, dtype=np.float64)
    fp = np.cumsum(~right, dtype=np.float64)
    recall = tp / objects
    exact = tp / (fp + tp + np.spacing(1))
    falling = np.maximum.accumulate(exact[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    reached = places < len(recall)
    precision[reached] = falling[places[reached]]
    return precision, float(recall[-1])


def _recall(pairs: PairSet, categories: Sequence[int], match: Match, right: Flags) -> Doubles:
    objects = spread(pairs.truth_categories[match.truth != State.IGNORED], categories)
    hits = spread(pairs.found_categories[right], categories)
    found = np.full(len(categories), -1.0)
    np.divide(hits, objects, out=found, where=objects > 0)
    return found


def _meetings(judgement: Judgement) -> tuple[Integers, Integers]:
    """List who met whom in the confusion matrix: found rows and truth rows, -1 for nobody."""
    match = judgement.match
    found = np.flatnonzero((match.found == State.RIGHT) | (match.found == State.WRONG))
    partner = np.where(
        match.found[found] == State.RIGHT, match.found_truth[found], judgement.mistaken[0][found]
    )
    alone = np.flatnonzero((match.truth == State.WRONG) & (judgement.mistaken[1] < 0))
    nobody = np.full(len(alone), -1)
    return np.concatenate([found, nobody]), np.concatenate([partner, alone])


def _cells(judgement: Judgement, categories: Sequence[int]) -> tuple[Integers, Integers]:
    """Say in which cell each meeting is: truth's and found one's places among the categories."""
    found, truth = _meetings(judgement)
    pairs = judgement.pairs
    rows = np.full(len(truth), len(categories))
    rows[truth >= 0] = _places(pairs.truth_categories[truth[truth >= 0]], categories)
    columns = np.full(len(found), len(categories))
    columns[found >= 0] = _places(pairs.found_categories[found[found >= 0]], categories)
    return rows, columns


def _best_first(
    judgement: Judgement, found: Integers, truth: Integers
) -> tuple[Integers, Integers]:
    if not len(found) or found[0] < 0:  # objects only: in their files' order
        return found, truth
    order = np.argsort(-judgement.pairs.class_scores[found], kind="stable")
    return found[order], truth[order]


def _places(ids: Integers, categories: Sequence[int]) -> Integers:
    """Look ids up among the categories; every id must be there."""
    known = np.asarray(categories, np.int64)
    order = np.argsort(known, kind="stable")
    places: Integers = order[np.searchsorted(known, ids, sorter=order)]
    return places


def spread(ids: Integers, categories: Sequence[int]) -> Integers:
    """Count ids by category: (K,)."""
    return np.bincount(_places(ids, categories), minlength=len(categories))


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def to_plain(score: Score) -> dict[str, Any]:
    """Write counts and rates as JSON values."""
    return {
        "tp": score.tp,
        "fp": score.fp,
        "fn": score.fn,
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
    }
