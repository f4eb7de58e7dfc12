"""Why a true object was missed: the stage that lost it, in one sentence with numbers.

A proposal is about an object if their boxes overlap by the threshold, or by PROPOSAL_IOU where the
threshold is stricter (refinement may still bring the box there), and if it overlaps no other object
of that category more. Of the candidates of the object's category on such proposals, the one that
got furthest tells the cause:

    no_proposal   no proposal overlaps the object enough
    class_score   the class score was not above the line
    suppressed    an overlapping instance of the category scored higher
    limit         better instances filled the limit
    refinement    the refined box does not fit
    mask          the box fits and the mask does not
    taken         it fits, and was matched with another object

Boxes are half-open xyxy in image pixels, as ``Candidates`` and ``Prediction`` have them. In
sentences p3 is the third instance of a prediction and t17 the object of the truth's id 17.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from comask.annotation import rle
from comask.annotation.records import Annotation
from comask.errors import InputError
from comask.evaluate.metrics import Judgement
from comask.predict import Candidates, Prediction
from comask.structures import Fate

Cause = Literal["no_proposal", "class_score", "suppressed", "limit", "refinement", "mask", "taken"]
Box = tuple[float, float, float, float]
Flags = NDArray[np.bool_]
Doubles = NDArray[np.float64]

PROPOSAL_IOU = 0.5


@dataclass(frozen=True)
class Autopsy:
    """What became of a missed object.

    proposal    the box that it hinges on, or the nearest one
    score       the class score there; None where it has none above 0.01
    instance    the row of the instance that came of it, if one did
    suppressor  the row of the instance that suppressed it, if that one is left
    box         what to draw beside the proposal: the refined box, or the suppressor's proposal
    iou         the overlap that the sentence is about
    """

    cause: Cause
    sentence: str
    proposal: Box | None = None
    score: float | None = None
    instance: int | None = None
    suppressor: int | None = None
    box: Box | None = None
    iou: float | None = None


def explain(
    judgement: Judgement,
    row: int,
    truth: Sequence[Annotation],
    prediction: Prediction,
    ids: Mapping[int, int],
) -> Autopsy:
    """Find the stage that lost the object ``truth[row]``.

    Args:
        judgement: Of this one image.
        row: The missed object.
        truth: The image's annotations, as they were paired.
        prediction: With candidates.
        ids: The truth's category id for each of the checkpoint's.
    """
    if prediction.candidates is None:
        raise InputError("the image was run without keeping its candidates; run it again")
    if judgement.match.truth_found[row] >= 0 or truth[row].iscrowd:
        raise InputError("only a missed object that is no crowd can be explained")
    case = _Case(judgement, row, truth, prediction, prediction.candidates, ids)
    return case.furthest() or case.taken() or case.unseen() or case.unconvincing()


@dataclass(frozen=True)
class _Case:
    """One missed object, and all that is known about it; R proposals, C candidates."""

    judgement: Judgement
    row: int
    truth: Sequence[Annotation]
    prediction: Prediction
    seen: Candidates
    ids: Mapping[int, int]

    # -- what there is ------------------------------------------------------------------------

    @property
    def missed(self) -> Annotation:
        return self.truth[self.row]

    @property
    def bar(self) -> float:
        return min(self.judgement.iou, PROPOSAL_IOU)

    @cached_property
    def near(self) -> Doubles:
        """Overlap every proposal with the object: (R,)."""
        return self._overlap(self.seen.proposals, [self.missed])[:, 0]

    @cached_property
    def about(self) -> Flags:
        """Mark the proposals that are about the object, or if none is, those that overlap: (R,)."""
        overlapping: Flags = self.near >= self.bar
        rivals = [
            one
            for one in self.truth
            if one is not self.missed
            and one.category_id == self.missed.category_id
            and not one.iscrowd
        ]
        others = self._overlap(self.seen.proposals, rivals).max(axis=1, initial=0)
        own: Flags = overlapping & (self.near >= others)
        return own if own.any() else overlapping

    @cached_property
    def own(self) -> Flags:
        """Mark the candidates of the object's category on those proposals: (C,)."""
        wanted = self.missed.category_id
        kept = self.prediction.categories
        labels = [row for row, one in enumerate(kept) if self.ids.get(one.id) == wanted]
        chosen: Flags = np.isin(self.seen.labels, labels) & self.about[self.seen.rows]
        return chosen

    def instances(self) -> Doubles:
        """Overlap every instance with the object, as it is matched: (N,)."""
        if self.judgement.kind == "box":
            return self._overlap(self.prediction.boxes, [self.missed])[:, 0]
        return rle.iou(self.prediction.masks, [self.missed.rle]).reshape(-1)

    # -- how far it got -----------------------------------------------------------------------

    def furthest(self) -> Autopsy | None:
        """Follow the candidate that got furthest, if one passed the line."""
        line = np.float32(self.judgement.min_score)
        passed = self.own & (self.seen.scores > line) & (self.seen.fates != Fate.BELOW)
        if not passed.any():
            return None
        kept = passed & (self.seen.fates == Fate.KEPT)
        counted = kept.copy()
        counted[kept] = self.judgement.match.counted[self.seen.by[kept]]
        if counted.any():
            return self._finished(counted)
        for group, tell in (
            (kept, self._beyond),
            (passed & (self.seen.fates == Fate.CUT), self._cut),
        ):
            if group.any():
                return tell(self._best(group))
        return self._suppressed(self._best(passed))

    def taken(self) -> Autopsy | None:
        """Name the instance that fits but was matched with another object."""
        fit = np.where(self.judgement.match.counted, self.instances(), 0.0)
        fit[self._wrong_category()] = 0.0
        if fit.max(initial=0.0) < self.judgement.iou:
            return None
        return self._taken(int(fit.argmax()), float(fit.max()))

    def unseen(self) -> Autopsy | None:
        """Say that no proposal was about the object."""
        if self.about.any():
            return None
        count = len(self.near)
        if not count:
            return Autopsy("no_proposal", "The image has no proposals at all.")
        nearest = int(self.near.argmax())
        reached = float(self.near[nearest])
        sentence = (
            f"No proposal overlaps it by {self.bar:.2f} or more: the nearest of {count:,} reaches "
            f"{_under(reached, self.bar)}."
        )
        return Autopsy("no_proposal", sentence, self._proposal(nearest), iou=reached)

    def unconvincing(self) -> Autopsy:
        """Say that the class score was too low."""
        count = int(self.about.sum())
        on_it = "the one proposal on it" if count == 1 else f"the {count:,} proposals on it"
        if self.missed.category_id not in self.ids.values():
            where = int(np.where(self.about, self.near, -1).argmax())
            sentence = "The checkpoint does not know the object's category."
            return self._scored(sentence, where, None)
        if not self.own.any():
            where = int(np.where(self.about, self.near, -1).argmax())
            sentence = f"No class score of {on_it} is above 0.01 in the object's category"
            return self._scored(f"{sentence}{self._rather(where, 0.0)}.", where, None)
        best = self._best(self.own)
        where, score = int(self.seen.rows[best]), float(self.seen.scores[best])
        name = self.prediction.categories[int(self.seen.labels[best])].name
        line = self.judgement.min_score
        if np.float32(score) > np.float32(line):  # the run itself was stricter than the slider
            limit = "and the run keeps nothing that low"
        else:
            limit = f"not above the line of {line:.2f}"
        rather = self._rather(where, score)
        sentence = f"Of {on_it} the best has a class score of {_under(score, line)} for {name}"
        return self._scored(f"{sentence}, {limit}{rather}.", where, score)

    # -- one candidate's story ----------------------------------------------------------------

    def _finished(self, counted: Flags) -> Autopsy:
        """Tell of the best fitting instance: does it fit, and if not, its box or its mask?"""
        candidates = np.flatnonzero(counted)
        fits = self.instances()[self.seen.by[candidates]]
        best = int(candidates[fits.argmax()])
        instance, fit = int(self.seen.by[best]), float(fits.max())
        bar = self.judgement.iou
        if fit >= bar:
            return self._taken(instance, fit, best)
        box = float(self._overlap(self.prediction.boxes[[instance]], [self.missed])[0, 0])
        name, other = f"p{instance + 1}", self._matched(instance)
        if box >= bar:
            sentence = (
                f"The box of {name} fits by {box:.2f}, but its mask by {_under(fit, bar)} only, "
                f"and {bar:.2f} is needed{other}."
            )
            return self._told("mask", sentence, best, instance, fit)
        before = float(self.near[self.seen.rows[best]])
        moved = "moved the box away" if before > box else "did not bring the box there"
        sentence = (
            f"Refinement {moved}: the proposal of {name} overlaps the object by {before:.2f}, the "
            f"refined box by {_under(box, bar)}, and {bar:.2f} is needed{other}."
        )
        return self._told("refinement", sentence, best, instance, box)

    def _taken(self, instance: int, fit: float, candidate: int | None = None) -> Autopsy:
        match = self.judgement.match
        other = self.truth[int(match.found_truth[instance])]
        sentence = (
            f"p{instance + 1} fits by {fit:.2f}, but was matched with t{other.id}, which it fits "
            f"by {float(match.found_iou[instance]):.2f}."
        )
        if candidate is not None:
            return self._told("taken", sentence, candidate, instance, fit)
        return Autopsy(
            cause="taken",
            sentence=sentence,
            proposal=_box(self.prediction.trace.proposals[instance]),
            score=float(self.prediction.class_scores[instance]),
            instance=instance,
            box=_box(self.prediction.boxes[instance]),
            iou=fit,
        )

    def _beyond(self, candidate: int) -> Autopsy:
        instance = int(self.seen.by[candidate])
        sentence = (
            f"p{instance + 1} is on it, but only the best {self.judgement.limit} instances of a "
            "category count."
        )
        fit = float(self.instances()[instance])
        return self._told("limit", sentence, candidate, instance, fit)

    def _cut(self, candidate: int) -> Autopsy:
        score = float(self.seen.scores[candidate])
        kept = int((self.seen.fates == Fate.KEPT).sum())
        sentence = (
            f"Its class score of {score:.2f} passed, but {kept} better instances filled the limit "
            "of the image."
        )
        return self._told("limit", sentence, candidate)

    def _suppressed(self, candidate: int) -> Autopsy:
        rival = int(self.seen.by[candidate])
        overlap = float(self.seen.suppressor_iou[candidate])
        left = self.seen.fates[rival] == Fate.KEPT
        instance = int(self.seen.by[rival]) if left else None
        who = f"p{instance + 1}" if instance is not None else "an instance that the limit then cut"
        other = self._matched(instance) if instance is not None else ""
        sentence = (
            f"Suppressed by {who}: their proposals overlap by {overlap:.2f}, and its class score "
            f"is {float(self.seen.scores[rival]):.2f} against "
            f"{float(self.seen.scores[candidate]):.2f}{other}."
        )
        return Autopsy(
            cause="suppressed",
            sentence=sentence,
            proposal=self._proposal(int(self.seen.rows[candidate])),
            score=float(self.seen.scores[candidate]),
            suppressor=instance,
            box=self._proposal(int(self.seen.rows[rival])),
            iou=overlap,
        )

    def _told(
        self,
        cause: Cause,
        sentence: str,
        candidate: int,
        instance: int | None = None,
        iou: float | None = None,
    ) -> Autopsy:
        where = int(self.seen.rows[candidate])
        return Autopsy(
            cause=cause,
            sentence=sentence,
            proposal=self._proposal(where),
            score=float(self.seen.scores[candidate]),
            instance=instance,
            box=None if instance is None else _box(self.prediction.boxes[instance]),
            iou=float(self.near[where]) if iou is None else iou,
        )

    def _scored(self, sentence: str, where: int, score: float | None) -> Autopsy:
        reached = float(self.near[where])
        return Autopsy("class_score", sentence, self._proposal(where), score, iou=reached)

    # -- small facts --------------------------------------------------------------------------

    def _best(self, candidates: Flags) -> int:
        return int(np.where(candidates, self.seen.scores, -1.0).argmax())

    def _matched(self, instance: int) -> str:
        row = int(self.judgement.match.found_truth[instance])
        return f"; p{instance + 1} was matched with t{self.truth[row].id}" if row >= 0 else ""

    def _rather(self, where: int, score: float) -> str:
        """Say what else the proposal was taken for."""
        here = np.where(self.seen.rows == where, self.seen.scores, -1.0)
        if here.max(initial=-1.0) <= max(score, 0.1):
            return ""
        best = int(here.argmax())
        name = self.prediction.categories[int(self.seen.labels[best])].name
        return f"; it looks more like {name} ({float(here[best]):.2f})"

    def _wrong_category(self) -> Flags:
        found = self.judgement.pairs.found_categories
        wrong: Flags = found != self.missed.category_id
        return wrong

    def _proposal(self, row: int) -> Box:
        return _box(self.seen.proposals[row])

    def _overlap(self, boxes: ArrayLike, objects: Sequence[Annotation]) -> Doubles:
        """Compare boxes, cut off at the image's edge, with objects': (N, 4), M -> (N, M)."""
        height, width = self.prediction.size
        corners = np.asarray(boxes, np.float64).reshape(-1, 4).clip(0, [width, height] * 2)
        sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        sides = sides.clip(min=0)
        return rle.box_iou(sides, np.array([one.bbox for one in objects], np.float64))


def _box(corners: NDArray[np.float32]) -> Box:
    x1, y1, x2, y2 = (float(value) for value in corners)
    return x1, y1, x2, y2


def _under(number: float, bar: float) -> str:
    """Write a number of two decimals that does not look like the bar that it is under."""
    text = f"{number:.2f}"
    return f"{number:.4f}" if number < bar and text == f"{bar:.2f}" else text
