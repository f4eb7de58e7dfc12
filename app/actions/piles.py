"""A project's labels beside what a checkpoint found: three piles, and what is done to them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from app.actions.prelabel import categories_of, model_of, settled_mapping
from app.canvas.prelabel_asked import PileAsked
from app.services import CheckpointFile, Services
from app.services.sheets import Listed, Project
from comask.annotation import rle
from comask.annotation.labels import Gesture, Sheet
from comask.errors import ComaskError, ConflictError, InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction
    from comask.run.piles import Action, Pair, Pile

SHOWN: "tuple[Pile, ...]" = ("extra", "missed", "low")

_AT_ONCE = 1_000  # images in one question
_TRIES = 5  # beside somebody who changes the same image


_PAIR = np.dtype(
    [
        ("label", np.int32),  # its place among the labels; -1 for none
        ("found", np.int32),  # its row in the prediction; -1 for none
        ("iou", np.float64),
        ("seen", np.bool_),
        ("category", np.int64),  # the project's class, the label's if there is one; -1 for none
        ("class_score", np.float64),
        ("bbox", np.int32, 4),  # x, y, w, h of the instance, image pixels
    ]
)


@dataclass(frozen=True)
class _Compared:
    """One image's labels beside what the checkpoint found, as rows of piles at any bar.

    Projects have thousands of them, so they are kept small.
    """

    pairs: NDArray[np.void]  # (P,) of _PAIR
    uids: str  # of the labels, with a blank between

    @property
    def bytes(self) -> int:
        """Tell about how much memory it takes."""
        return self.pairs.nbytes + len(self.uids) + 500


@dataclass(frozen=True)
class PilesAsked:
    """Which piles are asked for: one, or all three without those that agree."""

    bar: float
    min_score: float
    pile: "Pile | None"
    offset: int
    limit: int


def piles(
    services: Services, project: Project, file: CheckpointFile, asked: PilesAsked
) -> dict[str, Any]:
    """Count the piles of a project, and list a part of one or of all three."""
    from comask.run import default_mapping
    from comask.run.piles import PILES, pile_numbers

    found = categories_of(services, file)
    mapping = default_mapping(found, services.sheets.categories(project) or found)
    side = _Side(services, project, file, mapping, asked.min_score)
    every = list(side.compared())
    done = [(one, compared) for one, compared in every if compared is not None]
    pairs = np.concatenate([np.zeros(0, _PAIR), *(compared.pairs for _, compared in done)])
    piled = pile_numbers(pairs["label"], pairs["found"], pairs["iou"], pairs["seen"], asked.bar)
    counts = np.bincount(piled + 1, minlength=len(PILES) + 1)[1:].tolist()
    wanted = SHOWN if asked.pile is None else (asked.pile,)
    listed = np.flatnonzero(np.isin(piled, [PILES.index(pile) for pile in wanted]))
    listed = listed[asked.offset : asked.offset + asked.limit]
    ends = np.cumsum([len(compared.pairs) for _, compared in done])
    rows = []
    for at, place in zip(listed.tolist(), np.searchsorted(ends, listed, "right"), strict=True):
        one, compared = done[place]
        named = {"key": one.key, "file_name": one.file_name}
        rows.append({"pile": PILES[piled[at]], **named, **_row(pairs[at], compared.uids)})
    about = {"images": len(done), "waiting": len(every) - len(done)}
    return {**about, **dict(zip(PILES, counts, strict=True)), "rows": rows}


def acted(
    services: Services, project: Project, file: CheckpointFile, asked: PileAsked
) -> dict[str, Any]:
    """Do something to a pile, or to some rows of it: one gesture an image, undone as one."""
    from comask.run.piles import ACTIONS

    if asked.pile not in SHOWN:
        raise InputError(f"pile must be one of {', '.join(SHOWN)}")
    pile = asked.pile
    if asked.action not in ACTIONS[pile]:
        raise InputError(f"what can be done to {pile} is {' or '.join(ACTIONS[pile])}")
    chosen: dict[str, set[tuple[str | None, str | None]]] | None = None
    if asked.rows is not None:
        chosen = {}
        for row in asked.rows:
            chosen.setdefault(row.key, set()).add((row.label, row.found))
    _, mapping = settled_mapping(services, project, file)
    side = _Side(services, project, file, mapping, asked.min_score)
    count = images = 0
    for one in side.images():
        if chosen is None or one.key in chosen:
            put = _act_on(side, asked, one, None if chosen is None else chosen[one.key])
            count, images = count + put, images + bool(put)
    return {"count": count, "images": images}


class _Side:
    """What a checkpoint found in a project, for instances above some score."""

    def __init__(
        self,
        services: Services,
        project: Project,
        file: CheckpointFile,
        mapping: Mapping[str, int | None],
        min_score: float,
    ) -> None:
        self.services, self.project = services, project
        self.mapping, self.min_score = mapping, min_score
        self.identity = services.checkpoints.identity(file)
        self.model = model_of(services, project, file)

    def images(self) -> Iterator[Listed]:
        """List the project's images, each file once."""
        sheets, seen = self.services.sheets, set[str]()
        for start in range(0, sheets.count(self.project), _AT_ONCE):
            for one in sheets.listed(self.project, start, _AT_ONCE):
                if one.name not in seen:
                    seen.add(one.name)
                    yield one

    def sheet(self, one: Listed, prediction: "Prediction") -> Sheet:
        """Give an image's labels; what nobody touched is what its file says."""
        kept = self.services.labels.sheet(self.project.kept_as, one.name)
        if kept is not None:
            return kept
        if self.project.found is not None:
            from comask.run import begin_sheet  # brings torch

            return begin_sheet(self.project.found, one.name, prediction.size)
        image = self.services.images.find(one.key)
        if image is None:
            raise InputError("This image was removed.")
        return self.services.sheets.begun(image).sheet

    def pairs(self, sheet: Sheet, prediction: "Prediction") -> "list[Pair]":
        """Bring labels and instances together; none where they are not of one size."""
        from comask.run.piles import found_rows, match

        if sheet.size != prediction.size:
            return []
        rows = found_rows(prediction, self.mapping, self.min_score)
        return match(sheet.labels, prediction.masks, rows)

    def compared(self) -> Iterator[tuple[Listed, _Compared | None]]:
        """Compare image by image, or give back what was compared a moment ago."""
        done = self.services.predictions.names(self.identity, self.project.kept_as)
        revisions = self.services.labels.sheets(self.project.kept_as)
        found = self.project.found
        content = "" if found is None else found.content
        about = (self.project.kept_as, content, self.identity, self.min_score)
        named = hash((about, tuple(self.mapping.items())))  # once, not for every image
        for one in self.images():
            if one.name not in done:
                yield one, None
                continue
            revision = revisions[one.name].revision if one.name in revisions else -1
            key = ("piles", named, one.name, revision)
            known = self.services.inspections.kept(key)
            if not isinstance(known, _Compared):
                known = self._compare(one)
                if known is not None:
                    self.services.inspections.keep(key, known, known.bytes)
            yield one, known

    def _compare(self, one: Listed) -> _Compared | None:
        prediction = self.services.predictions.get(self.identity, one.key)
        if prediction is None:
            return None
        try:
            sheet = self.sheet(one, prediction)
        except ComaskError:  # its truth can't be read; the page says so where it is opened
            return None
        return self._packed(sheet, prediction)

    def _packed(self, sheet: Sheet, prediction: "Prediction") -> _Compared:
        from comask.run.labelling import class_ids

        ids = class_ids(prediction, self.mapping)
        pairs = self.pairs(sheet, prediction)
        packed = np.zeros(len(pairs), _PAIR)
        for row, pair in zip(packed, pairs, strict=True):
            row["label"] = -1 if pair.label is None else pair.label
            row["found"] = -1 if pair.found is None else pair.found
            row["iou"], row["seen"] = pair.iou, pair.seen
            category = None if pair.found is None else ids[pair.found]
            if pair.label is not None:
                category = sheet.labels[pair.label].category
            row["category"] = -1 if category is None else category
            if pair.found is not None:
                row["class_score"] = prediction.class_scores[pair.found]
                row["bbox"] = rle.bbox(prediction.masks[pair.found])
        return _Compared(packed, " ".join(label.uid for label in sheet.labels))


def _act_on(
    side: _Side, asked: PileAsked, one: Listed, chosen: "set[tuple[str | None, str | None]] | None"
) -> int:
    """Do something to one image's pile, or to some rows; returns how many labels it changed."""
    from comask.run.piles import act, made_of, pile_of

    prediction = side.services.predictions.get(side.identity, one.key)
    if prediction is None:
        return 0
    for left in reversed(range(_TRIES)):
        sheet = side.sheet(one, prediction)
        pairs = [
            pair
            for pair in side.pairs(sheet, prediction)
            if pile_of(pair, asked.bar) == asked.pile
            and (chosen is None or _names(pair, [label.uid for label in sheet.labels]) in chosen)
        ]
        if not pairs:
            return 0
        made = made_of(prediction, pairs, one.name, side.model, side.mapping)
        put = act(cast("Action", asked.action), pairs, sheet.labels, made)
        gesture = Gesture(
            key=_key(asked, one),
            actor=asked.actor,
            kind=f"{asked.pile} {asked.action}",
            revision=sheet.revision,
            put=put,
            batch=asked.key,
        )
        try:
            side.services.labels.apply(side.project.kept_as, one.name, gesture, _always(sheet))
        except ConflictError:
            if not left:
                raise
        else:
            return len(put)
    raise AssertionError("the last try returns or raises")


def _always(sheet: Sheet) -> Callable[[], Sheet]:
    return lambda: sheet


def _key(asked: PileAsked, one: Listed) -> str:
    named = f"{asked.project}|{asked.key}|{one.name}"
    return f"pile-{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def _names(pair: "Pair", uids: Sequence[str]) -> tuple[str | None, str | None]:
    """Name a pair as the page does: the label's uid, the instance's id in documents."""
    return (
        None if pair.label is None else uids[pair.label],
        None if pair.found is None else f"p{pair.found + 1}",
    )


def _row(pair: np.void, uids: str) -> dict[str, Any]:
    label, row, category = int(pair["label"]), int(pair["found"]), int(pair["category"])
    return {
        "label": None if label < 0 else uids.split(" ")[label],
        "found": None if row < 0 else f"p{row + 1}",
        "iou": 0.0 if label < 0 else float(pair["iou"]),
        "category_id": None if category < 0 else category,
        "class_score": None if row < 0 else float(pair["class_score"]),
        "bbox": None if row < 0 else pair["bbox"].tolist(),
    }
