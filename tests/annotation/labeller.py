"""A process that labels: ``python labeller.py STORE NAME HOW``; it prints what was acknowledged.

"on" labels three images until it is killed: what it prints are the keys that the store has taken.
"points" makes one gesture after the other in processes of their own, and each of these kills itself
with signal 9 one question to the database later than the one before, until one lives.
"""

import itertools
import os
import signal
import sys
from typing import Any

import sqlalchemy as sa

from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Gesture, Sheet
from comask.annotation.store import Store
from comask.errors import ConflictError
from tests.annotation.labelling import SIZE, label, square

BASE = Sheet(SIZE, (label("t1", square(9), origin="file", state="accepted", number=1),))


def send(store: LabelStore, actor: str, image: str, key: str, batch: str = "") -> bool:
    """Add a label of the key's name, whatever others do at the time; tells if it was repeated."""
    while True:
        sheet = store.sheet("p", image)
        new = label(key, square(len(key)))
        revision = sheet.revision if sheet else 0
        one = Gesture(key, actor, "draw", revision, put=[new], actions=1, batch=batch)
        try:
            return store.apply("p", image, one, lambda: BASE).repeated
        except ConflictError:
            continue


def label_on(place: str, name: str) -> None:
    with Store.open(place) as opened:
        store = LabelStore(opened)
        for count in itertools.count():
            key = f"{name}-{count}"
            if count % 5 == 4:
                store.undo("p", name, key)
            else:
                batch = f"{name}{count // 5}" if count % 10 < 3 else ""
                send(store, name, f"{count % 3}.png", key, batch)
            print(key, flush=True)  # noqa: T201


def die_at_every_point(place: str, name: str) -> None:
    for point in itertools.count(1):
        child = os.fork()
        if not child:
            die_at(place, name, point)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not status:
            print(f"{name}-{point}", flush=True)  # noqa: T201
            return


def die_at(place: str, name: str, point: int) -> None:
    with Store.open(place) as opened:
        store = LabelStore(opened)
        seen = itertools.count(1)

        def count(*_: Any) -> None:
            if next(seen) == point:
                os.kill(os.getpid(), signal.SIGKILL)

        engine = opened.database._engine
        sa.event.listen(engine, "after_cursor_execute", count)
        sa.event.listen(engine, "commit", count)  # which is told before it is done
        if name.startswith("undo"):
            store.undo("p", "ann", f"{name}-{point}")
        else:
            send(store, "ann", "a.png", f"{name}-{point}")


if __name__ == "__main__":
    {"on": label_on, "points": die_at_every_point}[sys.argv[3]](*sys.argv[1:3])
