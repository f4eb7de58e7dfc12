"""Undoing and doing again, in the database: a gesture, or a batch of them over many images.

A person's acts stand in the order in which they began. Undoing takes the latest that stands, doing
again the earliest that does not: whatever was undone is later than whatever stands. A label goes
back only while it is as the act has left it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from comask.annotation import label_log
from comask.annotation.label_log import Entry
from comask.annotation.label_sheets import locked_sheets, move, sheets_of
from comask.annotation.label_tables import (
    ACTS,
    CATEGORY,
    IMAGES,
    LOG,
    SHEETS,
    Change,
    Records,
    read_labels,
)
from comask.annotation.labels import STATES, Sheet
from comask.errors import ConflictError

Way = Literal["undo", "redo"]

_IMAGES = 64  # that are changed at once
_LABELS = 10_000
_SHOWN = 100  # images that are told of
_COUNT = sum((SHEETS.c[state] for state in STATES[1:]), SHEETS.c[STATES[0]]).label("labels")


@dataclass
class Turn:
    """What came of an undo or a redo, and what a repeated one gives again.

    images   numbers of the first hundred that changed
    refusal  the sentence where somebody else's work stood in the way; that act is passed over
    """

    kind: str
    images: list[int] = field(default_factory=list)
    count: int = 0
    skipped: int = 0
    refusal: str = ""
    touched: list[str] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)

    def pack(self) -> bytes:
        """Write a payload."""
        return orjson.dumps(vars(self))

    @classmethod
    def unpack(cls, payload: bytes) -> "Turn":
        """Read a payload."""
        return cls(**orjson.loads(payload))


@dataclass(frozen=True)
class Somebody:
    """Who undoes, in which project with which classes (None: any)."""

    project: int
    actor: int
    name: str
    classes: frozenset[int] | None


class _InTheWayError(Exception):
    def __init__(self, image: int, uids: Sequence[str]) -> None:
        super().__init__()
        self.image, self.uids = image, uids


def next_act(connection: sa.Connection, actor: int, way: Way) -> sa.Row[Any] | None:
    """Find what an actor would undo, or do again."""
    standing, order = ("done", ACTS.c.id.desc()) if way == "undo" else ("undone", ACTS.c.id)
    query = sa.select(ACTS).where(ACTS.c.actor == actor, ACTS.c.standing == standing)
    return connection.execute(query.order_by(order).limit(1)).first()


def turn(
    connection: sa.Connection, somebody: Somebody, act: sa.Row[Any], way: Way, key: str
) -> Turn:
    """Undo an act, or do it again, all of it in this transaction, and log it."""
    done = Turn(act.kind)
    standing = "undone" if way == "undo" else "done"
    changed: set[int] = set()
    try:
        for some in _chunks(connection, act.id, way):
            images = _turn_some(connection, somebody, act, way, some, done)
            done.images += [one for one in images if one not in changed]
            del done.images[_SHOWN:]
            changed.update(images)
    except _InTheWayError as found:  # a single gesture: nothing was changed yet
        standing = "gone"
        _refuse(connection, somebody, act.id, found, done)
    done.count = len(changed)
    connection.execute(sa.update(ACTS).where(ACTS.c.id == act.id).values(standing=standing))
    head = _logged(somebody, act.id, way) | {"key": key, "way": "turn", "payload": done.pack()}
    connection.execute(sa.insert(LOG).values(head))
    return done


def _chunks(connection: sa.Connection, act: int, way: Way) -> Iterator[list[Any]]:
    """Split the entries of an act so that few labels are in memory, each image once in a part."""
    query = sa.select(LOG.c.seq, LOG.c.image, _COUNT).join(SHEETS, SHEETS.c.image == LOG.c.image)
    query = query.where(LOG.c.act == act, LOG.c.way == "do")
    order = LOG.c.seq.desc() if way == "undo" else LOG.c.seq
    part: dict[int, Any] = {}
    for row in connection.execute(query.order_by(order)).all():
        full = len(part) == _IMAGES or sum(one.labels for one in part.values()) > _LABELS
        if part and (full or row.image in part):
            yield list(part.values())
            part = {}
        part[row.image] = row
    if part:
        yield list(part.values())


def _turn_some(
    connection: sa.Connection,
    somebody: Somebody,
    act: sa.Row[Any],
    way: Way,
    some: Sequence[Any],
    done: Turn,
) -> list[int]:
    """Turn each entry's image as far as it can be; gives the numbers of those that changed."""
    sheets = locked_sheets(connection, [row.image for row in some])
    records = read_labels(connection, sheets)
    entries = _entries(connection, [row.seq for row in some], way)
    kept: dict[int, tuple[Entry, list[str]]] = {}
    for row in some:
        wanted, sheet = entries[row.seq], sheets[row.image]
        possible, clashes = _possible(wanted, records[row.image], somebody.classes)
        state = wanted.state if wanted.state and wanted.state[0] == sheet.state else None
        if not act.batch and (clashes or state != wanted.state):
            raise _InTheWayError(row.image, clashes)
        done.skipped += len(clashes)
        kept[row.image] = (Entry(possible, state), clashes)
    changes = {image: entry.changes for image, (entry, _) in kept.items()}
    states = {image: entry.state[1] for image, (entry, _) in kept.items() if entry.state}
    moved = {one.image: one for one in move(connection, sheets, changes, states)}
    rows = [
        _logged(somebody, act.id, way)
        | {
            "image": row.image,
            "of": row.seq,
            "revision": moved[row.image].revision,
            "touched": kept[row.image][0].touched(),
            "payload": _left_alone(*kept[row.image]),
        }
        for row in some
        if row.image in moved
    ]
    if rows:
        connection.execute(sa.insert(LOG), rows)
    return [row.image for row in some if row.image in moved]


def _left_alone(entry: Entry, clashes: Sequence[str]) -> bytes:
    """Write the payload: what of the entry that is undone was not undone."""
    return orjson.dumps({"skipped": clashes, "state": entry.state is not None})


def _entries(connection: sa.Connection, seqs: Sequence[int], way: Way) -> dict[int, Entry]:
    query = sa.select(LOG.c.seq, LOG.c.payload).where(LOG.c.seq.in_(seqs))
    found = {seq: Entry.unpack(payload) for seq, payload in connection.execute(query).all()}
    return {seq: one.reversed() if way == "undo" else one for seq, one in found.items()}


def _possible(
    wanted: Entry, records: Records, classes: frozenset[int] | None
) -> tuple[list[Change], list[str]]:
    """Split changes into those whose label is as it was left, and the names of the others."""
    possible, clashes = [], []
    for uid, before, after in wanted.changes:
        known = after is None or classes is None or after[CATEGORY] in classes
        if records.get(uid) == before and known:
            possible.append((uid, before, after))
        else:
            clashes.append(uid)
    return possible, clashes


def _refuse(
    connection: sa.Connection, somebody: Somebody, act: int, found: _InTheWayError, done: Turn
) -> None:
    latest = sa.select(sa.func.max(LOG.c.seq)).where(LOG.c.act == act)
    since = LOG.c.seq > connection.execute(latest).scalar_one()
    _, actors = label_log.touched_since(connection, found.image, since, among=found.uids)
    done.touched, done.actors = list(found.uids), sorted(actors)
    what = label_log.counted(len(found.uids))
    if actors:
        done.refusal = (
            f"{label_log.who(actors, somebody.name)} changed {what} of this since; it stays as it "
            f'is, and "{done.kind}" is passed over'
        )
    else:
        done.refusal = (
            f'The class of {what} is gone; it stays as it is, and "{done.kind}" is passed over'
        )


def shown(connection: sa.Connection, done: Turn) -> dict[str, Sheet]:
    """Read the sheets of the first images that changed, as many as make a short answer."""
    names = sa.select(SHEETS.c.image, IMAGES.c.name, _COUNT).join(IMAGES)
    rows = connection.execute(names.where(SHEETS.c.image.in_(done.images))).all()
    found = {row.image: row for row in rows}
    some: dict[int, str] = {}
    labels = 0
    for image in done.images:
        labels += found[image].labels
        if some and labels > _LABELS:
            break
        some[image] = found[image].name
    return sheets_of(connection, some)


def raise_refusal(done: Turn) -> None:
    """Raise ConflictError where somebody else's work stood in the way."""
    if done.refusal:
        raise ConflictError(done.refusal, done.touched, done.actors)


def _logged(somebody: Somebody, act: int, way: Way) -> dict[str, Any]:
    return {
        "project": somebody.project,
        "image": None,
        "actor": somebody.actor,
        "act": act,
        "of": None,
        "key": None,
        "way": way,
        "kind": way,
        "batch": "",
        "revision": 0,
        "time": time.time(),
        "actions": 0,
        "seconds": 0.0,
        "touched": "{}",
        "payload": b"",
    }
