"""A project's labels beside what a checkpoint found: three piles, and what is done to them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

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

_AT_ONCE = 200  # images in one question
_TRIES = 5  # beside somebody who changes the same image


@dataclass(frozen=True)
class _Found:
    """An instance: the project's class, its class score, x, y, w, h in image pixels."""

    category: int | None
    class_score: float
    bbox: Sequence[float]


@dataclass(frozen=True)
class _Compared:
    """One image's labels beside what the checkpoint found, as rows of piles at any bar."""

    pairs: "tuple[Pair, ...]"
    uids: tuple[str, ...]  # of the labels
    categories: tuple[int, ...]  # of the labels
    found: "Mapping[int, _Found]"  # by row


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
    from comask.run.piles import PILES, pile_of

    counts: Counter[str] = Counter(dict.fromkeys(PILES, 0))
    wanted = SHOWN if asked.pile is None else (asked.pile,)
    rows: list[dict[str, Any]] = []
    images = waiting = place = 0
    found = categories_of(services, file)
    mapping = default_mapping(found, services.sheets.categories(project) or found)
    for one, compared in _Side(services, project, file, mapping, asked.min_score).compared():
        if compared is None:
            waiting += 1
            continue
        images += 1
        for pair in compared.pairs:
            pile = pile_of(pair, asked.bar)
            if pile is None:
                continue
            counts[pile] += 1
            if pile not in wanted:
                continue
            if asked.offset <= place < asked.offset + asked.limit:
                named = {"key": one.key, "file_name": one.file_name}
                rows.append({"pile": pile, **named, **_row(pair, compared)})
            place += 1
    return {"images": images, "waiting": waiting, **counts, "rows": rows}


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
        for one in self.images():
            if one.name not in done:
                yield one, None
                continue
            revision = revisions[one.name].revision if one.name in revisions else -1
            key = ("piles", *about, tuple(self.mapping.items()), one.name, revision)
            known = self.services.inspections.kept(key)
            if not isinstance(known, _Compared):
                known = self._compare(one)
                if known is not None:
                    size = 300 * (len(known.pairs) + len(known.uids) + 1)
                    self.services.inspections.keep(key, known, size)
            yield one, known

    def _compare(self, one: Listed) -> _Compared | None:
        prediction = self.services.predictions.get(self.identity, one.key)
        if prediction is None:
            return None
        try:
            sheet = self.sheet(one, prediction)
        except ComaskError:  # its truth can't be read; the page says so where it is opened
            return None
        from comask.run.labelling import class_ids

        pairs = self.pairs(sheet, prediction)
        ids = class_ids(prediction, self.mapping)
        return _Compared(
            tuple(pairs),
            tuple(label.uid for label in sheet.labels),
            tuple(label.category for label in sheet.labels),
            {
                pair.found: _Found(
                    ids[pair.found],
                    float(prediction.class_scores[pair.found]),
                    rle.bbox(prediction.masks[pair.found]),
                )
                for pair in pairs
                if pair.found is not None
            },
        )


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


def _row(pair: "Pair", compared: _Compared) -> dict[str, Any]:
    label, instance = _names(pair, compared.uids)
    found = None if pair.found is None else compared.found[pair.found]
    category = None if found is None else found.category
    return {
        "label": label,
        "found": instance,
        "iou": pair.iou if pair.label is not None else 0.0,
        "category_id": category if pair.label is None else compared.categories[pair.label],
        "class_score": None if found is None else found.class_score,
        "bbox": None if found is None else list(found.bbox),
    }
