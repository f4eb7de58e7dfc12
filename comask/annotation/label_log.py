"""Gestures in the database: what is done to one sheet, and the log that keeps all of it.

An entry's payload holds every label that it changed as it was and as it is then, so that it can be
undone, done again and replayed. Entries of undoing name the entry that they undo instead.
"""

import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import sqlalchemy as sa

from comask.annotation import label_checks, rle
from comask.annotation.label_ledger import spend
from comask.annotation.label_sheets import insert, move, to_sheet
from comask.annotation.label_tables import (
    ACTORS,
    ACTS,
    LOG,
    Change,
    Record,
    Records,
    to_label,
    to_record,
)
from comask.annotation.labels import Gesture, ImageState, Label, Sheet
from comask.annotation.records import Size
from comask.errors import ConflictError, InputError

_OF: sa.BindParameter[int] = sa.bindparam("of")
_NAME: sa.BindParameter[str] = sa.bindparam("name")
_KEY = sa.select(LOG).where(LOG.c.project == _OF, LOG.c.key == _NAME)
_BATCH = (
    sa.select(ACTS.c.id)
    .where(ACTS.c.actor == _OF, ACTS.c.batch == _NAME, ACTS.c.standing == "done")
    .order_by(ACTS.c.id.desc())
    .limit(1)
)
_GONE = (
    sa.update(ACTS).where(ACTS.c.actor == _OF, ACTS.c.standing == "undone").values(standing="gone")
)
_APPEND = sa.insert(LOG)


@dataclass(frozen=True)
class Entry:
    """What one entry of the log did to one image.

    changes  of its labels
    state    of the image before and after, None where it stayed
    """

    changes: Sequence[Change] = ()
    state: tuple[ImageState, ImageState] | None = None

    def pack(self) -> bytes:
        """Write a payload."""
        return zlib.compress(orjson.dumps([self.changes, self.state]), 1)

    @classmethod
    def unpack(cls, payload: bytes) -> "Entry":
        """Read a payload."""
        changes, state = orjson.loads(zlib.decompress(payload))
        return cls(
            [(uid, _record(before), _record(after)) for uid, before, after in changes],
            None if state is None else (state[0], state[1]),
        )

    def reversed(self) -> "Entry":
        """Give what undoes it."""
        state = None if self.state is None else (self.state[1], self.state[0])
        return Entry([(uid, after, before) for uid, before, after in self.changes], state)

    def applied(self, records: Records) -> Records:
        """Give an image's records after it."""
        after = dict(records)
        for uid, _, record in self.changes:
            if record is None:
                del after[uid]
            else:
                after[uid] = record
        return after

    def touched(self) -> str:
        """Name its labels: JSON of those that are there after it and those that are not."""
        put = [uid for uid, _, after in self.changes if after is not None]
        drop = [uid for uid, _, after in self.changes if after is None]
        return orjson.dumps({"put": put, "drop": drop}).decode()


def known_key(connection: sa.Connection, project: int, key: str) -> sa.Row[Any] | None:
    """Find the entry of a key."""
    return connection.execute(_KEY, {"of": project, "name": key}).first()


def refuse_stale(connection: sa.Connection, sheet: sa.Row[Any], revision: int, actor: str) -> None:
    """Raise ConflictError where a sheet is not at a revision any more."""
    if sheet.revision == revision:
        return
    uids, actors = touched_since(connection, sheet.image, LOG.c.revision > revision)
    if not actors:
        raise ConflictError(
            f"The labels of this image are at revision {sheet.revision}, not {revision}; nothing "
            "was changed"
        )
    raise ConflictError(
        f"{who(actors, actor)} changed {counted(len(uids))} of this image since you saw it; "
        "nothing of yours was changed yet",
        uids,
        actors,
    )


def touched_since(
    connection: sa.Connection,
    image: int,
    since: sa.ColumnElement[bool],
    among: Sequence[str] = (),
) -> tuple[set[str], set[str]]:
    """Name the labels of an image that changed in some of its entries, and who changed them.

    ``among``: entries that touched none of these don't count.
    """
    query = sa.select(LOG.c.touched, ACTORS.c.name).join(ACTORS, LOG.c.actor == ACTORS.c.id)
    query = query.where(LOG.c.image == image, LOG.c.act.is_not(None), since)
    uids: set[str] = set()
    actors: set[str] = set()
    for touched, name in connection.execute(query):
        found = set().union(*orjson.loads(touched).values())
        if not among or not found.isdisjoint(among):
            uids |= found
            actors.add(name)
    return uids, actors


def who(actors: Iterable[str], me: str) -> str:
    """Name people at the start of a sentence."""
    others = sorted(set(actors) - {me})
    if not others:
        return "You yourself have, in another window or a batch,"
    more = len(others) - 2
    names = ", ".join(others[:2]) + (f" and {more} more" if more > 0 else "")
    return f"Somebody else ({names}) has"


def counted(labels: int) -> str:
    """Say how many labels."""
    return "1 label" if labels == 1 else f"{labels} labels" if labels else "the state"


def _planned(sheet: sa.Row[Any], records: Records, gesture: Gesture) -> Entry:
    """Work out what a gesture changes."""
    size = (sheet.height, sheet.width)
    changes: list[Change] = []
    for label in gesture.put:
        before = records.get(label.uid)
        after = to_record(_settled(label, before, size))
        if after != before:
            changes.append((label.uid, before, after))
    for uid in gesture.drop:
        if uid not in records:
            raise InputError(f"The label {uid} is not on this image, so it can't be dropped")
        changes.append((uid, records[uid], None))
    count = len(records) + sum((new is not None) - (old is not None) for _, old, new in changes)
    if count > label_checks.MOST_LABELS:
        raise InputError(f"An image holds at most {label_checks.MOST_LABELS:,} labels")
    if gesture.state is None or gesture.state == sheet.state:
        return Entry(changes)
    return Entry(changes, (sheet.state, gesture.state))


def do(
    connection: sa.Connection,
    sheet: sa.Row[Any],
    records: Records,
    actor: int,
    gesture: Gesture,
) -> Sheet:
    """Do a gesture to a sheet that is held, and log it; gives the sheet after it."""
    entry = _planned(sheet, records, gesture)
    states = {sheet.image: entry.state[1]} if entry.state else {}
    moved = move(connection, {sheet.image: sheet}, {sheet.image: entry.changes}, states)
    values = {
        "project": sheet.project,
        "image": sheet.image,
        "actor": actor,
        "act": _act(connection, actor, gesture) if moved else None,
        "key": gesture.key,
        "way": "do",
        "kind": gesture.kind,
        "batch": gesture.batch,
        "revision": sheet.revision + len(moved),
        "time": time.time(),
        "actions": gesture.actions,
        "seconds": float(gesture.seconds),
        "touched": entry.touched() if moved else _named(gesture),
        "payload": entry.pack(),
    }
    connection.execute(_APPEND, values)
    after = entry.applied(records)
    names = [uid for uid, _, _ in entry.changes] or [label.uid for label in gesture.put]
    touched = {uid: after.get(uid) or records[uid] for uid in names}
    spend(connection, sheet.project, sheet.image, touched, gesture.actions, gesture.seconds)
    return to_sheet(sheet, after, moved)


def note(
    connection: sa.Connection,
    project: int,
    actor: int,
    image: int,
    key: str,
    effort: tuple[int, float],
) -> None:
    """Log and count work that changed nothing."""
    values = {
        "project": project,
        "image": image,
        "actor": actor,
        "key": key,
        "way": "spend",
        "kind": "effort",
        "batch": "",
        "revision": 0,
        "time": time.time(),
        "actions": effort[0],
        "seconds": float(effort[1]),
        "touched": orjson.dumps({"put": [], "drop": []}).decode(),
        "payload": b"",
    }
    connection.execute(_APPEND, values)
    spend(connection, project, image, {}, *effort)


def told(row: sa.Row[Any]) -> dict[str, object]:
    """Tell of an entry: who (``name``), when, what and which labels."""
    return {
        "when": row.time,
        "actor": row.name,
        "kind": row.kind,
        **orjson.loads(row.touched),
        "actions": row.actions,
        "seconds": row.seconds,
        "revision": row.revision,
        "batch": row.batch,
    }


def _act(connection: sa.Connection, actor: int, gesture: Gesture) -> int:
    """Find the act that a gesture belongs to: its batch where that stands, or a new one."""
    if gesture.batch:
        found = connection.execute(_BATCH, {"of": actor, "name": gesture.batch}).scalar()
        if found is not None:
            return int(found)
    connection.execute(_GONE, {"of": actor})
    values = {
        "actor": actor,
        "kind": gesture.kind,
        "batch": gesture.batch,
        "standing": "done",
    }
    return insert(connection, ACTS, values)


def _settled(label: Label, before: Record | None, size: Size) -> Label:
    """Give a label what is not its sender's to say."""
    if before is None:
        return replace(label, proposed=None, proposed_category=None, kept=None)
    known = to_label(label.uid, before, size)
    changed = replace(
        known,
        category=label.category,
        mask=label.mask,
        state=label.state,
        z=label.z,
        iscrowd=label.iscrowd,
    )
    return _beside_its_proposal(changed, known) if known.origin == "model" else changed


def _beside_its_proposal(changed: Label, known: Label) -> Label:
    """Keep what the model had proposed for as long as the label is anything else."""
    proposed, category = known.mask, known.category
    if known.proposed is not None and known.proposed_category is not None:
        proposed, category = known.proposed, known.proposed_category
    kept = 1.0
    if changed.mask != proposed:
        kept = float(rle.iou([changed.mask], [proposed])[0, 0])
    if kept == 1 and changed.category == category:
        return replace(changed, mask=proposed, proposed=None, proposed_category=None, kept=None)
    return replace(changed, proposed=proposed, proposed_category=category, kept=kept)


def _named(gesture: Gesture) -> str:
    """Name the labels of a gesture that changed nothing."""
    put = [label.uid for label in gesture.put]
    return orjson.dumps({"put": put, "drop": list(gesture.drop)}).decode()


def _record(found: list[Any] | None) -> Record | None:
    return None if found is None else tuple(found)
