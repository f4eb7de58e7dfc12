"""Sheets in the database: finding what a name stands for, beginning a sheet, moving it on.

Whatever changes is locked in one order, so that nobody waits in a circle: the project (shared), the
actor, then the images.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from comask.annotation.label_tables import (
    ACTORS,
    ACTS,
    IMAGES,
    PROJECTS,
    SHEETS,
    Change,
    Records,
    read_labels,
    state_of,
    to_label,
    to_record,
    write_labels,
)
from comask.annotation.labels import STATES, ImageState, Sheet
from comask.annotation.records import Size

_AT_ONCE = 50  # sheets in memory


# written once: SQLAlchemy takes longer to put a question together than SQLite to answer it
_NAME: sa.BindParameter[str] = sa.bindparam("name")
_OF: sa.BindParameter[int] = sa.bindparam("of")
_PROJECT = sa.select(PROJECTS.c.id).where(PROJECTS.c.name == _NAME)
_OWN_PROJECT = sa.select(PROJECTS).where(PROJECTS.c.name == _NAME).with_for_update()
_SHARED_PROJECT = sa.select(PROJECTS).where(PROJECTS.c.name == _NAME).with_for_update(read=True)
_ACTOR = (
    sa.select(ACTORS.c.id).where(ACTORS.c.project == _OF, ACTORS.c.name == _NAME).with_for_update()
)
_IMAGE = sa.select(IMAGES.c.id).where(IMAGES.c.project == _OF, IMAGES.c.name == _NAME)
_SHEETS = sa.select(SHEETS).where(SHEETS.c.image.in_(sa.bindparam("images", expanding=True)))
_LOCKED_SHEETS = _SHEETS.order_by(SHEETS.c.image).with_for_update()
_MOVE = sa.update(SHEETS).where(SHEETS.c.image == _OF)
_INSERT = {table.name: sa.insert(table) for table in (PROJECTS, ACTORS, IMAGES, ACTS, SHEETS)}


@dataclass(frozen=True)
class Moved:
    """What a change made of a sheet: its new revision and image state."""

    image: int
    revision: int
    state: ImageState


def project_id(connection: sa.Connection, name: str) -> int | None:
    """Find a project's number; None where it is not there."""
    return connection.execute(_PROJECT, {"name": name}).scalar()


def locked_project(connection: sa.Connection, name: str, *, shared: bool) -> sa.Row[Any]:
    """Find or make a project and hold it; ``shared``: its classes and numbers just stay."""
    query = _SHARED_PROJECT if shared else _OWN_PROJECT
    found = connection.execute(query, {"name": name}).first()
    if found is None:
        insert(connection, PROJECTS, {"name": name, "next_number": 1})
        found = connection.execute(query, {"name": name}).one()
    return found


def locked_actor(connection: sa.Connection, project: int, name: str) -> int:
    """Find or make an actor and hold them: whatever they do, they do it one after the other."""
    values = {"project": project, "name": name}
    found = connection.execute(_ACTOR, {"of": project, "name": name}).scalar()
    return found or insert(connection, ACTORS, values)


def image_id(connection: sa.Connection, project: int, name: str) -> int:
    """Find or make an image's number."""
    values = {"project": project, "name": name}
    found = connection.execute(_IMAGE, {"of": project, "name": name}).scalar()
    return found or insert(connection, IMAGES, values)


def insert(connection: sa.Connection, table: sa.Table, values: Mapping[str, object]) -> int:
    """Add a row; gives its number, which begins at 1."""
    (number,) = connection.execute(_INSERT[table.name], values).inserted_primary_key or (0,)
    return int(number)


def locked_sheets(connection: sa.Connection, images: Sequence[int]) -> dict[int, sa.Row[Any]]:
    """Read sheets and hold them, in the order of their numbers."""
    return {row.image: row for row in connection.execute(_LOCKED_SHEETS, {"images": images})}


def begin(connection: sa.Connection, project: int, image: int, sheet: Sheet) -> sa.Row[Any]:
    """Write what an image was before anybody came, at revision 0."""
    records = {label.uid: to_record(label) for label in sheet.labels}
    values: dict[str, object] = {
        "image": image,
        "project": project,
        "row": sheet.row,
        "width": sheet.size[1],
        "height": sheet.size[0],
        "revision": 0,
        "state": sheet.state,
        "base": content_hash(sheet.size, sheet.state, records),
        **dict.fromkeys(STATES, 0),
        **Counter(label.state for label in sheet.labels),
    }
    connection.execute(_INSERT[SHEETS.name], values)
    changes = {image: [(uid, None, record) for uid, record in records.items()]}
    write_labels(connection, project, {image: sheet.row}, changes)
    return locked_sheets(connection, [image])[image]


def move(
    connection: sa.Connection,
    sheets: Mapping[int, sa.Row[Any]],
    changes: Mapping[int, Sequence[Change]],
    states: Mapping[int, ImageState],
) -> list[Moved]:
    """Change sheets that are held: image -> changes, image -> its new state; each counts one."""
    images = [image for image in sheets if changes.get(image) or image in states]
    if not images:
        return []
    rows = {image: sheets[image].row for image in images}
    project = sheets[images[0]].project
    write_labels(connection, project, rows, {i: changes.get(i, ()) for i in images})
    values = []
    for image in images:
        sheet = sheets[image]
        counts = _counted(changes.get(image, ()))
        about: dict[str, Any] = {state: sheet._mapping[state] + counts[state] for state in STATES}
        about |= {"of": image, "revision": sheet.revision + 1}
        about["state"] = states.get(image, sheet.state)
        values.append(about)
    connection.execute(_MOVE, values)
    return [Moved(one["of"], one["revision"], one["state"]) for one in values]


def to_sheet(row: sa.Row[Any], records: Records, moved: Sequence[Moved] = ()) -> Sheet:
    """Build a sheet from its row, and what has become of it since, and its labels."""
    size = (row.height, row.width)
    labels = [to_label(uid, record, size) for uid, record in records.items()]
    labels.sort(key=lambda label: (label.z, label.uid))
    at = moved[0] if moved else row
    return Sheet(size, tuple(labels), at.revision, at.state, row.row)


def sheets_of(connection: sa.Connection, names: Mapping[int, str]) -> dict[str, Sheet]:
    """Read some sheets: image number -> name gives name -> sheet, in that order."""
    rows = {row.image: row for row in connection.execute(_SHEETS, {"images": list(names)})}
    labels = read_labels(connection, rows)
    return {name: to_sheet(rows[i], labels[i]) for i, name in names.items() if i in rows}


def content_hash(size: Size, state: str, records: Records) -> str:
    """Name what a sheet holds, whatever its revision: SHA-256."""
    content = [*size, state, sorted(records.items())]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def state_hash(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> str:
    """Name what sheets with their names hold, in this order; those that are as they were apart."""
    found = hashlib.sha256()
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        labels = read_labels(connection, [row.image for row in some])
        for row in some:
            content = content_hash((row.height, row.width), row.state, labels[row.image])
            if content != row.base:
                found.update(orjson.dumps([row.name, content]))
    return found.hexdigest()


def _counted(changes: Iterable[Change]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _, before, after in changes:
        if before is not None:
            counts[state_of(before)] -= 1
        if after is not None:
            counts[state_of(after)] += 1
    return counts
