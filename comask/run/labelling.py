"""Predictions as labels that people correct: which instances come, under which class, how.

What people did stays as it is: a run adds proposals, and with the policy "replace" it first takes
away proposals that nobody has touched. An instance has the same name whenever the same model finds
it in the same image, so a second run adds nothing, whoever starts it. Masks are in image pixels.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from comask.annotation import rle
from comask.annotation.classes import plain
from comask.annotation.index import DatasetIndex
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Label, Sheet, State, from_file
from comask.annotation.records import Annotation, Category, Rle, Size
from comask.annotation.store import RunRow
from comask.errors import InputError
from comask.predict import Prediction
from comask.run.instability import instability
from comask.run.stored import RUN_SCORE

Policy = Literal["add", "replace"]

OVERLAP = 0.5  # from here on, two masks are taken to be the same thing

_ROUND = 6  # decimals that are kept of what was worked out


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What becomes a label.

    mapping    class of the checkpoint by its name -> category of the project; None, or a class
               that is not named, is left out and counted
    min_score  class scores must be above
    policy     add: proposals of earlier runs stay; replace: those that nobody touched go first
    overlap    IoU with what is there from which on an instance is not added
    """

    mapping: Mapping[str, int | None]
    min_score: float = RUN_SCORE
    policy: Policy = "add"
    overlap: float = OVERLAP

    def __post_init__(self) -> None:
        if self.policy not in ("add", "replace"):
            raise InputError(f"a policy is add or replace, not {self.policy!r:.40}")
        for name in ("min_score", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in 0 .. 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Model:
    """Who found something: the checkpoint's identity and the run's settings, as the store has them.

    What it found in an image is named after both, after the image and the row.
    """

    checkpoint: str
    settings: Mapping[str, object]

    @classmethod
    def of(cls, run: RunRow) -> "Model":
        """Take those of a run."""
        return cls(run.checkpoint, run.settings)

    def uid(self, image: str, row: int) -> str:
        """Name what it found in an image at a row of its prediction, for ever."""
        named = f"{self.checkpoint}|{self._settings}|{image}|{row}"
        return f"m{hashlib.sha256(named.encode()).hexdigest()[:20]}"

    @cached_property
    def _settings(self) -> str:
        return json.dumps(dict(self.settings), sort_keys=True, allow_nan=False)


@dataclass(frozen=True)
class Plan:
    """What a run does to one image's sheet.

    put       new labels, the best first
    drop      uids of proposals that go
    named     uids of all instances that have a class and are sure enough, whether there or not
    left_out  instances of each class that has no category here
    hidden    instances that overlap too much with what is there, or with a better one
    """

    put: tuple[Label, ...] = ()
    drop: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()
    left_out: Mapping[str, int] = field(default_factory=dict, hash=False)
    hidden: int = 0


def default_mapping(found: Sequence[Category], known: Sequence[Category]) -> dict[str, int | None]:
    """Find the project's category of each of a checkpoint's classes, by name; None for none."""
    ids = {plain(category.name): category.id for category in reversed(known)}
    return {category.name: ids.get(plain(category.name)) for category in found}


def class_ids(prediction: Prediction, mapping: Mapping[str, int | None]) -> list[int | None]:
    """Find the project's category of every instance: N of them; None for none."""
    ids = [mapping.get(category.name) for category in prediction.categories]
    return [ids[label] for label in prediction.labels.tolist()]


def settle_categories(
    labels: LabelStore, project: str, own: Sequence[Category], found: Sequence[Category]
) -> tuple[Category, ...]:
    """Give a project's classes: as people set them, else its file's, else a checkpoint's.

    The last ones are set, so that whoever comes later finds the same.
    """
    kept = labels.categories(project)
    if kept is not None:
        return kept
    if own:
        return tuple(own)
    labels.set_categories(project, found)
    return tuple(found)


def begin_sheet(index: DatasetIndex, name: str, size: Size) -> Sheet:
    """Give what an image's sheet begins with: its truth, where that is of the image's size.

    Objects without a single pixel are left out. Raises InputError for an unknown name.
    """
    rows = index.namesakes.get(name) or tuple(index.rows_named([name]))
    if not rows:
        raise InputError(f"the dataset has no image {name}")
    taken: list[Annotation] = []
    for row, record in zip(rows, index.images(rows), strict=True):
        if index.has_truth and (record.height, record.width) == size:
            taken += [one for one in index.annotations(row) if rle.area(one.rle) > 0]
    return from_file(taken, size, min(rows))


def plan(prediction: Prediction, sheet: Sheet, image: str, model: Model, rules: Rules) -> Plan:
    """Choose what a prediction adds to a sheet; N may be 0, and nothing is written.

    New labels lie over what is there, the best on top. An instance whose name the sheet has is
    there already, whatever became of it; one that overlaps with a label or with a better instance
    is hidden. Raises InputError where image and sheet are not of one size.
    """
    if prediction.size != sheet.size:
        high, wide = sheet.size
        raise InputError(
            f"{image} is {prediction.size[1]} x {prediction.size[0]} pixels, and its labels were "
            f"made on {wide} x {high}"
        )
    wanted, left_out = _wanted(prediction, rules)
    uids = {model.uid(image, row): row for row in wanted}
    drop = tuple(
        one.uid
        for one in sheet.labels
        if rules.policy == "replace" and is_replaceable(one) and one.uid not in uids
    )
    there = [one for one in sheet.labels if one.uid not in drop]
    known = {one.uid for one in there}
    fresh = [row for uid, row in uids.items() if uid not in known]
    chosen = _choose(prediction.masks, fresh, [one.mask for one in there], rules.overlap)
    top = max((one.z for one in there), default=0) + len(chosen)
    made = to_labels(prediction, list(chosen), image, model, rules.mapping)
    put = (
        replace(one, z=top - place, disagreement=overlap and round(1 - overlap, _ROUND))
        for place, (one, overlap) in enumerate(zip(made, chosen.values(), strict=True))
    )
    return Plan(tuple(put), drop, frozenset(uids), left_out, len(fresh) - len(chosen))


def to_labels(
    prediction: Prediction,
    rows: Sequence[int],
    image: str,
    model: Model,
    mapping: Mapping[str, int | None],
    state: State = "proposed",
) -> list[Label]:
    """Make labels of some instances that have a class, in the order of ``rows``; z is 0."""
    ids = class_ids(prediction, mapping)
    unsteady = instability(prediction)
    return [
        Label(
            uid=model.uid(image, row),
            category=category,
            mask=prediction.masks[row],
            state=state,
            origin="model",
            checkpoint=model.checkpoint,
            score=float(prediction.scores[row]),
            class_score=float(prediction.class_scores[row]),
            mask_iou=float(prediction.mask_ious[row]),
            instability=round(float(unsteady[row]), _ROUND),
        )
        for row in rows
        if (category := ids[row]) is not None
    ]


def is_replaceable(label: Label) -> bool:
    """Tell whether another run may take a label away: a proposal that nobody has touched."""
    return label.origin == "model" and label.state == "proposed" and label.proposed is None


def _wanted(prediction: Prediction, rules: Rules) -> tuple[list[int], dict[str, int]]:
    """List the rows that are sure enough and have a class, and count those without."""
    # scores are float32, and so is this comparison, as the model's own
    sure = (prediction.class_scores > rules.min_score).tolist()
    ids = class_ids(prediction, rules.mapping)
    wanted, left_out = [], Counter[str]()
    for row, mask in enumerate(prediction.masks):
        if not sure[row] or not rle.area(mask):
            continue
        if ids[row] is None:
            left_out[prediction.categories[int(prediction.labels[row])].name] += 1
        else:
            wanted.append(row)
    return wanted, dict(left_out)


def _choose(
    masks: Sequence[Rle], rows: Sequence[int], there: Sequence[Rle], limit: float
) -> dict[int, float | None]:
    """Take instances, best first, that overlap with nothing by ``limit`` or more.

    Returns their rows, and for each the IoU with the nearest that was there before; None for none.
    """
    own = [masks[row] for row in rows]
    nearest = rle.iou(own, there).max(axis=1, initial=0.0)
    each_other = rle.iou(own, own)
    taken = nearest.copy()  # the most that anything there or chosen overlaps with each
    chosen: dict[int, float | None] = {}
    for place, row in enumerate(rows):
        if taken[place] >= limit:
            continue
        chosen[row] = float(nearest[place]) or None
        np.maximum(taken, each_other[place], out=taken)
    return chosen
