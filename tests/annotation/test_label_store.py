"""The store of labels: a gesture is there once, whole and for ever, in every database."""

from collections.abc import Iterator

import pytest

from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Sheet
from comask.annotation.store import Store
from comask.errors import ConflictError, InputError
from tests.annotation.labelling import SIZE, Hand, found, gesture, label, square


@pytest.fixture
def labels(store: Store) -> LabelStore:
    return LabelStore(store)


@pytest.fixture
def ann(labels: LabelStore) -> Hand:
    return Hand(labels)


def test_a_first_gesture_is_made_upon_what_the_file_says(ann: Hand) -> None:
    base = Sheet(SIZE, (label("t1", origin="file", state="accepted", z=1),), row=4)
    assert ann.store.sheet("p", "a.png") is None
    applied = ann.do("a.png", label("b", square(5), z=2), base=base)
    assert applied.sheet == Sheet(SIZE, (*base.labels, label("b", square(5), z=2)), 1, row=4)
    assert not applied.repeated
    assert ann.store.sheet("p", "a.png") == applied.sheet
    assert ann.store.sheet("other", "a.png") is None
