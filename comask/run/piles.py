"""Labels beside what a model found: what they agree on, and three piles of what they do not.

Pairs are matched one to one by the IoU of their masks, greedily from the best, whatever their
classes; below 0.1 nothing is a pair. Rejected labels were seen: they are matched after all others,
an instance that is one of them is in no pile, and neither are they. A region of many objects
(``iscrowd``) is nobody's match: an instance inside of one is in no pile. Masks are in image pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.labels import Label, State
from comask.annotation.records import Rle
from comask.errors import InputError
from comask.predict import Prediction
from comask.run.labelling import Model, to_labels

Pile = Literal["agree", "low", "extra", "missed"]
Action = Literal["add", "dismiss", "review", "reject", "take"]

PILES: tuple[Pile, ...] = ("agree", "low", "extra", "missed")
ACTIONS: Mapping[Pile, tuple[Action, ...]] = {
    "agree": (),
    "low": ("take", "review"),
    "extra": ("add", "dismiss"),
    "missed": ("review", "reject"),
}
_AFTER: Mapping[Action, State] = {
    "add": "proposed",
    "dismiss": "rejected",
    "review": "proposed",
    "reject": "rejected",
}
FLOOR = 0.1  # the IoU below which two masks have nothing to do with each other


@dataclass(frozen=True)
class Pair:
    """A label, an instance, or one of each that belong together.

    label  its place among the labels; None for an instance without one
    found  its row in the prediction; None for a label without one
    iou    of the two masks; 0 where one is missing
    seen   it is in no pile below some bar: its label is rejected, or it lies within a crowd
    """

    label: int | None
    found: int | None
    iou: float = 0.0
    seen: bool = False


def match(labels: Sequence[Label], masks: Sequence[Rle], rows: Sequence[int]) -> list[Pair]:
    """Bring labels and the instances in ``rows`` together; the pairs come best first.

    They serve at every bar: ``pile_of`` sorts them.
    """
    live = [place for place, one in enumerate(labels) if _is_live(one)]
    gone = [place for place, one in enumerate(labels) if one.state == "rejected"]
    crowds = [one.mask for one in labels if one.iscrowd and one.state != "rejected"]
    pairs: list[Pair] = []
    left = list(rows)
    for places in (live, gone):
        overlaps = rle.iou([labels[place].mask for place in places], [masks[row] for row in left])
        for at, column in _greedy(overlaps):
            label = places[at]
            seen = labels[label].state == "rejected"
            pairs.append(Pair(label, left[column], float(overlaps[at, column]), seen))
        taken = {pair.found for pair in pairs}
        left = [row for row in left if row not in taken]
    inside = rle.iou([masks[row] for row in left], crowds, [True] * len(crowds))
    for row, share in zip(left, inside.max(axis=1, initial=0.0).tolist(), strict=True):
        pairs.append(Pair(None, row, share, share >= FLOOR))
    matched = {pair.label for pair in pairs}
    return [*pairs, *(Pair(place, None) for place in live if place not in matched)]


def pile_of(pair: Pair, bar: float) -> Pile | None:
    """Say on which pile a pair is at a bar of 0.1 .. 1; None for one that was seen."""
    if pair.found is None:
        return "missed"
    if pair.seen:  # what is not one of the rejected, or not inside of the crowd, is news
        return None if pair.iou >= bar else "extra"
    if pair.label is None:
        return "extra"
    return "agree" if pair.iou >= bar else "low"


def pile_numbers(
    labels: NDArray[np.int32],
    found: NDArray[np.int32],
    iou: NDArray[np.float64],
    seen: NDArray[np.bool_],
    bar: float,
) -> NDArray[np.int8]:
    """Say what ``pile_of`` says of many pairs: (P,) each -> (P,) places in PILES, -1 for none.

    labels, found  -1 where a pair has none
    """
    above = iou >= bar
    matched = np.where(above, PILES.index("agree"), PILES.index("low"))
    other = np.where(labels < 0, PILES.index("extra"), matched)
    known = np.where(seen, np.where(above, -1, PILES.index("extra")), other)
    return np.where(found < 0, PILES.index("missed"), known).astype(np.int8)


def check_bar(bar: float) -> None:
    """Refuse a bar below which nothing is a pair."""
    if not FLOOR <= bar <= 1:
        raise InputError(f"the bar must be an IoU in {FLOOR} .. 1, got {bar}")


def found_rows(
    prediction: Prediction, mapping: Mapping[str, int | None], min_score: float
) -> list[int]:
    """List the instances that take part: sure enough, not empty, of a class that is known."""
    known = [mapping.get(category.name) is not None for category in prediction.categories]
    sure = (prediction.class_scores > min_score).tolist()  # float32, as the model's own
    return [
        row
        for row, label in enumerate(prediction.labels.tolist())
        if sure[row] and known[label] and rle.area(prediction.masks[row])
    ]


def act(
    action: Action,
    pairs: Iterable[Pair],
    labels: Sequence[Label],
    made: Mapping[int, Label],
) -> list[Label]:
    """Make the labels that an action puts, one for each pair.

    add, dismiss  an extra instance comes as a proposal, or as a rejected label
    review        a label is to be looked at again
    reject        a label is rejected
    take          a label gets the instance's mask; a proposal stays one

    Args:
        action: One that the pairs' pile has.
        pairs: Of one pile.
        labels: Those that were matched.
        made: Of each row that is added, dismissed or taken, what ``to_labels`` makes.
    """
    taken = {one.uid for one in labels}
    top = max((one.z for one in labels), default=0)
    put: list[Label] = []
    for pair in pairs:
        if action in ("add", "dismiss"):
            top += 1
            one = made[_row(pair)]
            uid = _free(one.uid, taken)
            taken.add(uid)
            put.append(replace(one, uid=uid, z=top, state=_AFTER[action]))
        elif action == "take":
            label = labels[_place(pair)]
            after: State = "proposed" if label.state == "proposed" else "edited"
            put.append(replace(label, mask=made[_row(pair)].mask, state=after))
        else:
            put.append(replace(labels[_place(pair)], state=_AFTER[action]))
    return put


def made_of(
    prediction: Prediction,
    pairs: Iterable[Pair],
    image: str,
    model: Model,
    mapping: Mapping[str, int | None],
) -> dict[int, Label]:
    """Make labels of the instances of some pairs: row -> label."""
    rows = [pair.found for pair in pairs if pair.found is not None]
    return dict(zip(rows, to_labels(prediction, rows, image, model, mapping), strict=True))


def _is_live(label: Label) -> bool:
    return label.state != "rejected" and not label.iscrowd


def _greedy(overlaps: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Match rows and columns one to one, the highest IoU first, then the first row and column."""
    rows, columns = np.nonzero(overlaps >= FLOOR)
    order = np.lexsort((columns, rows, -overlaps[rows, columns]))
    used: tuple[set[int], set[int]] = set(), set()
    found = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used[0] and column not in used[1]:
            used[0].add(row)
            used[1].add(column)
            found.append((row, column))
    return found


def _free(uid: str, taken: set[str]) -> str:
    """Find a name near ``uid`` that nobody has: somebody may have made another thing of it."""
    number, name = 2, uid
    while name in taken:
        name, number = f"{uid}-{number}", number + 1
    return name


def _row(pair: Pair) -> int:
    assert pair.found is not None, "only instances are added or taken"
    return pair.found


def _place(pair: Pair) -> int:
    assert pair.label is not None, "only labels are changed"
    return pair.label
