"""The store of labels: every gesture in one transaction, kept for ever, undone at will.

It shares its database with the store of runs: SQLite or any other by its URL. A project is a
dataset's fingerprint, "uploads" or "samples"; images go by their names, as in a COCO file. The log
of gestures is only ever appended to; undoing is a gesture of its own. What ``apply`` has returned
is on the disk.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from comask.annotation import label_checks, label_ledger, label_log, label_sheets, label_undo
from comask.annotation.label_tables import (
    ACTORS,
    CATEGORY,
    FORMAT,
    IMAGES,
    LABELS,
    LOG,
    ORDERS,
    PROJECTS,
    SHEETS,
    TABLES,
    Records,
    read_labels,
)
from comask.annotation.labels import (
    STATES,
    Applied,
    Gesture,
    ImageState,
    Label,
    Reverted,
    Sheet,
    State,
)
from comask.annotation.records import Category
from comask.annotation.store import Store, check_name
from comask.errors import InputError

Order = Literal["file", "score", "instability", "disagreement"]
_TRIES = 8  # of a transaction that met another one
_AT_ONCE = 500  # names in one question

Base = Callable[[], Sheet]  # what an image's sheet is before anybody did anything to it


@dataclass(frozen=True)
class SheetRow:
    """One image without its labels: how many it has in which state."""

    image: str
    row: int
    revision: int
    state: ImageState
    counts: Mapping[State, int]


@dataclass(frozen=True)
class Tally:
    """What the sheets of a project hold together; ``done`` are images."""

    sheets: int
    done: int
    counts: Mapping[State, int]


@dataclass(frozen=True)
class QueueRow:
    """One label of the review queue, without its mask."""

    image: str
    row: int
    uid: str
    category: int
    state: State
    class_score: float | None
    instability: float | None
    disagreement: float | None


@dataclass(frozen=True)
class EffortRow:
    """What became of one checkpoint's proposals of one class, or of what people drew.

    checkpoint  "" for what people drew by hand
    accepted    as it was, class and mask; nudged: the mask changed, IoU with the proposal at least
                0.8, or only the class did; redrawn: less than that; rejected; waiting: not seen
    drawn       by hand
    actions, seconds  spent on these labels, waiting ones included
    """

    checkpoint: str
    category: int
    accepted: int
    nudged: int
    redrawn: int
    rejected: int
    waiting: int
    drawn: int
    actions: float
    seconds: float


class LabelStore:
    """Labels in an open store; several threads and processes may use one at once."""

    def __init__(self, store: Store) -> None:
        """Take an open store; makes the tables where they are not there."""
        self._database = store.database
        self._database.prepare(TABLES, "labels", FORMAT)

    # -- sheets ---------------------------------------------------------------------------------

    def sheet(self, project: str, image: str) -> Sheet | None:
        """Read an image's sheet; None where nobody has done anything to it yet."""
        query = _sheet_rows(project).where(IMAGES.c.name == image)

        def look(connection: sa.Connection) -> Sheet | None:
            row = connection.execute(query).first()
            if row is None:
                return None
            return label_sheets.to_sheet(row, read_labels(connection, [row.image])[row.image])

        return self._database.look(look)

    def sheets(self, project: str, images: Sequence[str] | None = None) -> dict[str, SheetRow]:
        """Describe all sheets of a project that exist, or some, by image."""
        query = _sheet_rows(project)
        if images is None:
            return {row.name: _sheet_row(row) for row in self._database.read(query)}
        found: dict[str, SheetRow] = {}
        for start in range(0, len(images), _AT_ONCE):
            some = IMAGES.c.name.in_(images[start : start + _AT_ONCE])
            found.update(
                (row.name, _sheet_row(row)) for row in self._database.read(query.where(some))
            )
        return found

    def tally(self, project: str) -> Tally:
        """Add up all sheets of a project; none of them is read one by one."""
        done = sa.func.sum(sa.case((SHEETS.c.state == "done", 1), else_=0))
        counts = [sa.func.sum(SHEETS.c[state]) for state in STATES]
        asked: list[sa.ColumnElement[Any]] = [sa.func.count(), done, *counts]
        query: sa.Select[Any] = sa.select(*asked).select_from(SHEETS).join(PROJECTS)
        (row,) = self._database.read(query.where(PROJECTS.c.name == project))
        sheets, ready, *sums = (int(value or 0) for value in row)
        return Tally(sheets, ready, dict(zip(STATES, sums, strict=True)))

    def images(self, project: str) -> list[str]:
        """Name the images of a project that have a sheet, in the order in which they got it."""
        query = sa.select(IMAGES.c.name).join(SHEETS, SHEETS.c.image == IMAGES.c.id)
        query = query.join(PROJECTS, IMAGES.c.project == PROJECTS.c.id)
        query = query.where(PROJECTS.c.name == project).order_by(IMAGES.c.id)
        return [name for (name,) in self._database.read(query)]

    def apply(self, project: str, image: str, gesture: Gesture, base: Base) -> Applied:
        """Do what somebody did, in one transaction, on the disk when this returns.

        A key that was applied before is not applied again: the sheet as it now is comes back with
        ``repeated``. Raises ConflictError where the sheet is not at ``gesture.revision`` any more,
        InputError where the gesture makes no sense (unknown uid dropped, mask of another size,
        empty mask, twice the same uid, too long a text).

        The store itself keeps ``origin``, ``number``, ``checkpoint``, scores and ``extra`` of a
        label that is put again; it sets ``proposed``, ``proposed_category`` and ``kept`` of a
        model's label the first time that its mask or class changes (and takes them away when both
        are as they were). A gesture that changes nothing is no conflict for others, and is not
        undone.
        """
        _check_names(project, image)
        label_checks.gesture(gesture)
        rows = self._database.read(_sheet_rows(project).where(IMAGES.c.name == image))
        begin = base() if not rows else None
        if begin is not None:
            label_checks.base(begin)
        size = begin.size if begin is not None else (rows[0].height, rows[0].width)
        gesture = replace(gesture, put=label_checks.labels(gesture.put, size))

        def work(connection: sa.Connection) -> Applied:
            place = label_sheets.locked_project(connection, project, shared=True)
            actor = label_sheets.locked_actor(connection, place.id, gesture.actor)
            number = label_sheets.image_id(connection, place.id, image)
            sheet = label_sheets.locked_sheets(connection, [number]).get(number)
            known = label_log.known_key(connection, place.id, gesture.key)
            if known is not None and (known.image != number or known.way != "do"):
                raise InputError("This key was used for something else; make a new one")
            if sheet is None:
                assert begin is not None  # sheets never go
                sheet = label_sheets.begin(connection, place.id, number, begin)
            records = read_labels(connection, [number])[number]
            if known is None:
                label_log.refuse_stale(connection, sheet, gesture.revision, gesture.actor)
                _refuse_unknown_class(place, records, gesture.put)
                return Applied(label_log.do(connection, sheet, records, actor, gesture))
            return Applied(label_sheets.to_sheet(sheet, records), repeated=True)

        return self._database.write(work, tries=_TRIES)

    def spend(
        self, project: str, image: str, actor: str, key: str, actions: int, seconds: float
    ) -> None:
        """Count work that changed no label, once for a key: it is in ``totals``."""
        _check_names(project, image)
        label_checks.text(actor, "The actor", 64)
        label_checks.text(key, "A gesture's key", 64)
        label_checks.effort(actions, seconds)

        def work(connection: sa.Connection) -> None:
            place = label_sheets.locked_project(connection, project, shared=True).id
            number = label_sheets.locked_actor(connection, place, actor)
            at = label_sheets.image_id(connection, place, image)
            known = label_log.known_key(connection, place, key)
            if known is None:
                label_log.note(connection, place, number, at, key, (actions, seconds))
            elif known.way != "spend":
                raise InputError("This key was used for something else; make a new one")

        self._database.write(work, tries=_TRIES)

    def history(self, project: str, image: str, limit: int = 100) -> list[Mapping[str, object]]:
        """List what was done to an image, the latest first: who, when, what, which labels."""
        label_checks.page(0, limit)
        query = sa.select(LOG, ACTORS.c.name)
        query = query.join(ACTORS, LOG.c.actor == ACTORS.c.id).join(
            IMAGES, LOG.c.image == IMAGES.c.id
        )
        query = query.join(PROJECTS, IMAGES.c.project == PROJECTS.c.id)
        query = query.where(PROJECTS.c.name == project, IMAGES.c.name == image)
        rows = self._database.read(query.order_by(LOG.c.seq.desc()).limit(limit))
        return [label_log.told(row) for row in rows]

    # -- undo -----------------------------------------------------------------------------------

    def standing(self, project: str, actor: str) -> tuple[str | None, str | None]:
        """Name the kind of gesture that the actor would undo, and redo."""

        def look(connection: sa.Connection) -> tuple[str | None, str | None]:
            query = sa.select(ACTORS.c.id).join(PROJECTS)
            query = query.where(PROJECTS.c.name == project, ACTORS.c.name == actor)
            found = connection.execute(query).scalar()
            if found is None:
                return None, None
            undo = label_undo.next_act(connection, found, "undo")
            redo = label_undo.next_act(connection, found, "redo")
            return undo and undo.kind, redo and redo.kind

        return self._database.look(look)

    def undo(self, project: str, actor: str, key: str) -> Reverted | None:
        """Undo the actor's latest gesture that stands, a batch as a whole; None where none does.

        Idempotent by ``key``. Raises ConflictError where somebody else has changed a label of it
        since, and passes it over from then on; in a batch such labels are left alone and counted.
        """
        return self._turn(project, actor, key, "undo")

    def redo(self, project: str, actor: str, key: str) -> Reverted | None:
        """Do again what was undone last; None where nothing was, or something else was done.

        Refuses as ``undo`` does.
        """
        return self._turn(project, actor, key, "redo")

    def _turn(self, project: str, actor: str, key: str, way: label_undo.Way) -> Reverted | None:
        _check_names(project)
        label_checks.text(actor, "The actor", 64)
        label_checks.text(key, "A gesture's key", 64)

        def work(connection: sa.Connection) -> tuple[label_undo.Turn, dict[str, Sheet]] | None:
            place = label_sheets.locked_project(connection, project, shared=True)
            number = label_sheets.locked_actor(connection, place.id, actor)
            known = label_log.known_key(connection, place.id, key)
            if known is not None and (known.way, known.kind) != ("turn", way):
                raise InputError("This key was used for something else; make a new one")
            if known is not None:
                done = label_undo.Turn.unpack(known.payload)
            else:
                act = label_undo.next_act(connection, number, way)
                if act is None:
                    return None
                known_classes = _class_ids(place)
                somebody = label_undo.Somebody(place.id, number, actor, known_classes)
                done = label_undo.turn(connection, somebody, act, way, key)
            return done, label_undo.shown(connection, done)

        found = self._database.write(work, tries=_TRIES)
        if found is None:
            return None
        done, sheets = found
        label_undo.raise_refusal(done)
        return Reverted(done.kind, sheets, done.count, done.skipped)

    # -- project --------------------------------------------------------------------------------

    def categories(self, project: str) -> tuple[Category, ...] | None:
        """Give the classes of a project; None where nobody has set them."""
        rows = self._database.read(sa.select(PROJECTS).where(PROJECTS.c.name == project))
        return _classes(rows[0]) if rows else None

    def set_categories(self, project: str, categories: Sequence[Category]) -> None:
        """Set the classes; raises InputError where a label's class would go, ids or names twice."""
        _check_names(project)
        label_checks.categories(categories)
        ids = {one.id for one in categories}
        text = json.dumps(
            [[one.id, one.name, one.supercategory, dict(one.extra)] for one in categories]
        )

        def work(connection: sa.Connection) -> None:
            place = label_sheets.locked_project(connection, project, shared=False)
            used = sa.select(LABELS.c.category).where(LABELS.c.project == place.id).distinct()
            gone = sorted(set(connection.execute(used).scalars()) - ids)
            if gone:
                raise InputError(
                    f"Labels have the class {gone[0]}, so it can't go; give them another one first"
                )
            here = PROJECTS.c.id == place.id
            connection.execute(sa.update(PROJECTS).where(here).values(categories=text))

        self._database.write(work, tries=_TRIES)

    def numbers(self, project: str, wanted: Sequence[tuple[str, str, int | None]]) -> list[int]:
        """Give every label its id in exported files, for ever: (image, uid, number it had) each.

        A number that it had in the file is taken; others get the next free ones, in the order of
        ``wanted``, and the same label gets the same number ever after. Name all labels of the
        project: a file's number that nobody has named yet is not known to be taken.
        """
        label_checks.wanted(wanted)
        _check_names(project, *{image for image, _, _ in wanted})

        def work(connection: sa.Connection) -> list[int]:
            place = label_sheets.locked_project(connection, project, shared=False)
            return label_ledger.numbers(connection, place, wanted)

        return self._database.write(work, tries=_TRIES)

    def queue(
        self,
        project: str,
        order: Order,
        states: Sequence[State] = ("proposed",),
        offset: int = 0,
        limit: int = 200,
    ) -> tuple[int, list[QueueRow]]:
        """List labels to be reviewed, and how many there are in all.

        file: by row, then the best score first; score: the lowest class score first; instability
        and disagreement: the highest first, those without one last.
        """
        label_checks.page(offset, limit)
        if order not in ORDERS or not set(states) <= set(STATES):
            raise InputError(f"A queue has no order {order!r:.40} or states {states!r:.80}")

        def look(connection: sa.Connection) -> tuple[int, list[QueueRow]]:
            number = label_sheets.project_id(connection, project)
            if number is None or not states:
                return 0, []
            total, rows = label_ledger.queue(connection, number, order, states, (offset, limit))
            return total, [QueueRow(**dict(row._mapping)) for row in rows]

        return self._database.look(look)

    def effort(self, project: str) -> list[EffortRow]:
        """Add up the ledger; replaying the log gives the same totals."""

        def look(connection: sa.Connection) -> list[EffortRow]:
            number = label_sheets.project_id(connection, project)
            if number is None:
                return []
            counts = label_ledger.counts(connection, number)
            times = label_ledger.times(connection, number)
            none = dict.fromkeys(
                ("accepted", "nudged", "redrawn", "rejected", "waiting", "drawn"), 0
            )
            rows = []
            for checkpoint, category in sorted({*counts, *times}):
                actions, seconds = times.get((checkpoint, category), (0.0, 0.0))
                found = none | counts.get((checkpoint, category), {})
                rows.append(
                    EffortRow(checkpoint, category, actions=actions, seconds=seconds, **found)
                )
            return rows

        return self._database.look(look)

    def totals(self, project: str) -> tuple[float, float]:
        """Add up the actions and seconds of everything, what touched no label included."""

        def look(connection: sa.Connection) -> tuple[float, float]:
            number = label_sheets.project_id(connection, project)
            return (0.0, 0.0) if number is None else label_ledger.totals(connection, number)

        return self._database.look(look)

    def state_hash(self, project: str) -> str:
        """Name the state of all sheets (labels, order, image states; not revisions): SHA-256.

        A sheet that is as it was before anybody came counts like one that is not there.
        """
        query = _sheet_rows(project).order_by(IMAGES.c.name)

        def look(connection: sa.Connection) -> str:
            return label_sheets.state_hash(connection, connection.execute(query).all())

        return self._database.look(look)


def _sheet_rows(project: str) -> sa.Select[Any]:
    query = sa.select(SHEETS, IMAGES.c.name).join(IMAGES, SHEETS.c.image == IMAGES.c.id)
    query = query.join(PROJECTS, IMAGES.c.project == PROJECTS.c.id)
    return query.where(PROJECTS.c.name == project)


def _sheet_row(row: sa.Row[Any]) -> SheetRow:
    counts = {state: row._mapping[state] for state in STATES}
    return SheetRow(row.name, row.row, row.revision, row.state, counts)


def _classes(place: sa.Row[Any]) -> tuple[Category, ...] | None:
    if place.categories is None:
        return None
    found = json.loads(place.categories)
    return tuple(Category(id, name, group, extra=extra) for id, name, group, extra in found)


def _class_ids(place: sa.Row[Any]) -> frozenset[int] | None:
    classes = _classes(place)
    return None if classes is None else frozenset(one.id for one in classes)


def _refuse_unknown_class(place: sa.Row[Any], records: Records, put: Sequence[Label]) -> None:
    known = _class_ids(place)
    if known is None:
        return
    for label in put:
        before = records.get(label.uid)
        if label.category not in known and (before is None or before[CATEGORY] != label.category):
            raise InputError(f"The label {label.uid}: the project has no class {label.category}")


def _check_names(project: str, *images: str) -> None:
    label_checks.text(project, "A project", 200)
    for image in images:
        check_name(image)
