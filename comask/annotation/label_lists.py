"""What the store of labels holds, read without changing anything: sheets, lists, the ledger."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from comask.annotation import label_checks, label_ledger, label_log, label_sheets, label_undo
from comask.annotation.database import Database
from comask.annotation.label_tables import (
    ACTORS,
    IMAGES,
    LOG,
    ORDERS,
    PROJECTS,
    SHEETS,
    read_labels,
)
from comask.annotation.labels import STATES, ImageState, Sheet, State
from comask.annotation.records import Category
from comask.errors import InputError

Order = Literal["file", "score", "instability", "disagreement"]

_AT_ONCE = 500  # names in one question


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


class LabelLists:
    """The half of the store that reads."""

    def __init__(self, database: Database) -> None:
        """Take a database that has the tables."""
        self._database = database

    # -- sheets ---------------------------------------------------------------------------------

    def sheet(self, project: str, image: str) -> Sheet | None:
        """Read an image's sheet; None where nobody has done anything to it yet."""
        query = kept_sheets(project).where(IMAGES.c.name == image)

        def look(connection: sa.Connection) -> Sheet | None:
            row = connection.execute(query).first()
            if row is None:
                return None
            return label_sheets.to_sheet(row, read_labels(connection, [row.image])[row.image])

        return self._database.look(look)

    def sheets(self, project: str, images: Sequence[str] | None = None) -> dict[str, SheetRow]:
        """Describe all sheets of a project that exist, or some, by image."""
        query = kept_sheets(project)
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

    # -- project --------------------------------------------------------------------------------

    def categories(self, project: str) -> tuple[Category, ...] | None:
        """Give the classes of a project; None where nobody has set them."""
        rows = self._database.read(sa.select(PROJECTS).where(PROJECTS.c.name == project))
        return classes_of(rows[0]) if rows else None

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
        query = kept_sheets(project).order_by(IMAGES.c.name)

        def look(connection: sa.Connection) -> str:
            return label_sheets.state_hash(connection, connection.execute(query).all())

        return self._database.look(look)


def kept_sheets(project: str) -> sa.Select[Any]:
    """Ask for the sheets of a project, with the images' names."""
    query = sa.select(SHEETS, IMAGES.c.name).join(IMAGES, SHEETS.c.image == IMAGES.c.id)
    query = query.join(PROJECTS, IMAGES.c.project == PROJECTS.c.id)
    return query.where(PROJECTS.c.name == project)


def _sheet_row(row: sa.Row[Any]) -> SheetRow:
    counts = {state: row._mapping[state] for state in STATES}
    return SheetRow(row.name, row.row, row.revision, row.state, counts)


def classes_of(place: sa.Row[Any]) -> tuple[Category, ...] | None:
    """Read a project's classes from its row; None where nobody has set them."""
    if place.categories is None:
        return None
    found = json.loads(place.categories)
    return tuple(Category(id, name, group, extra=extra) for id, name, group, extra in found)
