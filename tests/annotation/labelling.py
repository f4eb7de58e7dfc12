"""Small labels for tests: squares on an image of 20 x 30 pixels (height x width)."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest
import sqlalchemy as sa

from comask.annotation import rle
from comask.annotation.label_log import Entry
from comask.annotation.label_store import LabelStore
from comask.annotation.label_tables import LOG, SHEETS, read_labels, state_of, to_record
from comask.annotation.labels import STATES, Applied, Gesture, Label, Sheet
from comask.annotation.records import Rle, Size

SIZE = (20, 30)
_KEYS = itertools.count()


def square(x: int = 0, y: int = 0, side: int = 4, size: Size = SIZE) -> Rle:
    """Fill a square whose upper left pixel is (x, y)."""
    mask = np.zeros(size, np.uint8)
    mask[y : y + side, x : x + side] = 1
    return rle.encode(mask)


def label(uid: str = "a", mask: Rle | None = None, **more: Any) -> Label:
    """Make a label, drawn by a person unless something else is said."""
    about = {"category": 1, "state": "new", "origin": "person"} | more
    return Label(uid, mask=mask or square(), **about)


def found(uid: str = "m", mask: Rle | None = None, **more: Any) -> Label:
    """Make a label as a model proposes it."""
    about = {"state": "proposed", "origin": "model", "checkpoint": "abc", "class_score": 0.5}
    return label(uid, mask, **(about | more))


def gesture(revision: int = 0, *put: Label, **more: Any) -> Gesture:
    """Make a gesture of an actor "ann" with a new key."""
    about = {"key": f"k{next(_KEYS)}", "actor": "ann", "kind": "brush"} | more
    return Gesture(revision=revision, put=put, **about)


class Hand:
    """Somebody who labels: every gesture is made from the sheet as it is."""

    def __init__(self, store: LabelStore, actor: str = "ann", project: str = "p") -> None:
        self.store, self.actor, self.project = store, actor, project

    def do(self, image: str, *put: Label, base: Sheet | None = None, **more: Any) -> Applied:
        """Apply a gesture to the sheet as it is."""
        sheet = self.store.sheet(self.project, image)
        revision = sheet.revision if sheet else 0
        one = gesture(revision, *put, actor=self.actor, **more)
        return self.store.apply(self.project, image, one, lambda: base or Sheet(SIZE))

    def undo(self) -> Any:
        """Undo with a new key."""
        return self.store.undo(self.project, self.actor, f"u{next(_KEYS)}")

    def redo(self) -> Any:
        """Redo with a new key."""
        return self.store.redo(self.project, self.actor, f"r{next(_KEYS)}")

    def labels(self, image: str) -> dict[str, Label]:
        """Read the labels of an image by name."""
        sheet = self.store.sheet(self.project, image)
        return {one.uid: one for one in sheet.labels} if sheet else {}


def check(store: LabelStore, base: Sheet) -> list[Any]:
    """Hold labels, counts and totals to the log, played from its beginning; gives its rows."""
    look = store._database.look
    log = look(lambda base: base.execute(sa.select(LOG).order_by(LOG.c.seq)).all())
    sheets = look(lambda base: base.execute(sa.select(SHEETS)).all())
    ends = _replay([row._mapping for row in log])
    effort = [sum(float(row._mapping[name]) for row in log) for name in ("actions", "seconds")]
    assert store.totals("p") == pytest.approx(effort)
    labels = look(lambda base: read_labels(base, [sheet.image for sheet in sheets]))
    for sheet in sheets:
        begun = {one.uid: to_record(one) for one in base.labels}
        there = {uid: one for uid, one in (begun | ends[sheet.image]).items() if one is not None}
        assert labels[sheet.image] == there
        counts = Counter(state_of(record) for record in there.values())
        assert {state: sheet._mapping[state] for state in STATES if sheet._mapping[state]} == counts
        assert sheet.revision == max(row.revision for row in log if row.image == sheet.image)
    return list(log)


def _replay(log: list[Mapping[Any, Any]]) -> dict[int, dict[str, Any]]:
    """Work out from the log alone how every label that was touched ended."""
    ends: dict[int, dict[str, Any]] = defaultdict(dict)
    done = {}
    for row in log:
        if row["way"] == "do":
            done[row["seq"]] = Entry.unpack(row["payload"])
            changes = done[row["seq"]].changes
        elif row["way"] in ("undo", "redo"):
            entry, left = done[row["of"]], orjson.loads(row["payload"])["skipped"]
            turned = entry.reversed() if row["way"] == "undo" else entry
            changes = [change for change in turned.changes if change[0] not in left]
        else:
            continue
        for uid, before, after in changes:
            assert ends[row["image"]].get(uid, before) == before
            ends[row["image"]][uid] = after
    return ends
