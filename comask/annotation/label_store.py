"""The store of labels: every gesture in one transaction, kept for ever, undone at will.

It shares its database with the store of runs: SQLite or any other by its URL. A project is a
dataset's fingerprint, "uploads" or "samples"; images go by their names, as in a COCO file. The log
of gestures is only ever appended to; undoing is a gesture of its own. What ``apply`` has returned
is on the disk.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from comask.annotation import label_checks, label_ledger, label_log, label_sheets, label_undo
from comask.annotation.label_lists import (
    EffortRow,
    LabelLists,
    Order,
    QueueRow,
    SheetRow,
    Tally,
    classes_of,
    kept_sheets,
)
from comask.annotation.label_tables import (
    CATEGORY,
    FORMAT,
    IMAGES,
    LABELS,
    LEDGER,
    PROJECTS,
    TABLES,
    Records,
    read_labels,
)
from comask.annotation.labels import (
    Applied,
    Gesture,
    Label,
    Reverted,
    Sheet,
)
from comask.annotation.records import Category
from comask.annotation.store import Store, check_name
from comask.errors import InputError

__all__ = ["Base", "EffortRow", "LabelStore", "Order", "QueueRow", "SheetRow", "Tally"]

_TRIES = 8  # of a transaction that met another one

Base = Callable[[], Sheet]  # what an image's sheet is before anybody did anything to it


class LabelStore(LabelLists):
    """Labels in an open store; several threads and processes may use one at once."""

    def __init__(self, store: Store) -> None:
        """Take an open store; makes the tables where they are not there."""
        super().__init__(store.database)
        self._database.prepare(TABLES, "labels", FORMAT, later=(LEDGER,))

    # -- gestures -------------------------------------------------------------------------------

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
        rows = self._database.read(kept_sheets(project).where(IMAGES.c.name == image))
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

    # -- undo -----------------------------------------------------------------------------------

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


def _class_ids(place: sa.Row[Any]) -> frozenset[int] | None:
    classes = classes_of(place)
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
