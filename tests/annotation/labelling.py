"""Small labels for tests: squares on an image of 20 x 30 pixels (height x width)."""

import itertools
from typing import Any

import numpy as np

from comask.annotation import rle
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Applied, Gesture, Label, Sheet
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
