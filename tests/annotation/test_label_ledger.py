"""The ledger: what became of proposals and what it took, kept with every gesture."""

import random
from contextlib import suppress
from typing import Any

import pytest

from comask.annotation.label_store import EffortRow, LabelStore
from comask.annotation.labels import Sheet
from comask.annotation.store import Store
from comask.errors import ConflictError, InputError
from tests.annotation.labelling import SIZE, Hand, check, found, label, square
from tests.annotation.test_label_undo import act

NONE = {"accepted": 0, "nudged": 0, "redrawn": 0, "rejected": 0, "waiting": 0, "drawn": 0}


@pytest.fixture
def ann(store: Store) -> Hand:
    return Hand(LabelStore(store))


def row(checkpoint: str, category: int, **more: Any) -> EffortRow:
    return EffortRow(checkpoint, category, **(NONE | {"actions": 0, "seconds": 0} | more))


def test_nothing_was_spent_on_nothing(ann: Hand) -> None:
    assert ann.store.effort("p") == []
    assert ann.store.totals("p") == (0, 0)


def test_what_became_of_proposals_by_hand(ann: Hand) -> None:
    tall = square(0, 0, 10)  # 100 pixels
    names = ["right", "class", "near", "far", "bad", "later", "seen"]
    ann.do("a.png", *(found(name, tall) for name in names))
    ann.do("a.png", found("other", tall, checkpoint="xyz", category=4))
    ann.do("a.png", found("right", tall, state="accepted"))
    ann.do("a.png", found("class", tall, category=2, state="edited"))
    ann.do("a.png", found("near", square(1, 0, 10), state="edited"))  # 90 of 110 pixels: 0.82
    ann.do("a.png", found("far", square(2, 0, 10), state="edited"))  # 80 of 120 pixels: 0.67
    ann.do("a.png", found("bad", tall, state="rejected"))
    ann.do("a.png", label("mine", tall, category=2), label("no", state="rejected", category=2))
    ann.do("a.png", found("seen", square(2, 0, 10), state="edited"))
    ann.do("a.png", found("seen", tall, state="accepted"))
    ann.do("b.png", state="done", base=Sheet(SIZE, (label("t1", origin="file"),)))
    assert ann.store.effort("p") == [
        row("", 2, drawn=1, rejected=1),
        row("abc", 1, accepted=2, nudged=2, redrawn=1, rejected=1, waiting=1),
        row("xyz", 4, waiting=1),
    ]


def test_a_gesture_is_shared_by_its_labels(ann: Hand) -> None:
    base = Sheet(SIZE, (label("t1", square(9), origin="file"),))
    ann.do("a.png", found("m"), label("n", category=2), base=base, actions=3, seconds=1.0)
    ann.do("a.png", label("t1", square(8)), found("m", square(1)), actions=1, seconds=4.0)
    ann.do("a.png", drop=["n"], actions=2)
    ann.do("a.png", state="done", actions=1, seconds=0.25)
    assert ann.store.effort("p") == [
        row("", 2, actions=1.5 + 2, seconds=0.5),
        row("abc", 1, actions=1.5 + 0.5, seconds=0.5 + 2, waiting=1),
    ]
    assert ann.store.totals("p") == (7, 5.25)


def test_time_stays_spent_when_it_is_undone(ann: Hand) -> None:
    ann.do("a.png", label("n"), actions=3, seconds=1.5)
    ann.do("a.png", label("n", category=5), actions=1)
    assert ann.store.effort("p") == [row("", 5, drawn=1, actions=4, seconds=1.5)]
    ann.undo()
    assert ann.store.effort("p") == [row("", 1, drawn=1, actions=4, seconds=1.5)]
    ann.undo()
    assert ann.store.effort("p") == [row("", 5, actions=4, seconds=1.5)]
    assert ann.store.totals("p") == (4, 1.5)


def test_the_effort_of_a_gesture_counts_once(ann: Hand) -> None:
    ann.store.spend("p", "none.png", "ann", "key", 2, 0.5)
    ann.store.spend("p", "none.png", "ann", "key", 2, 0.5)
    ann.store.spend("p", "none.png", "bob", "key2", 1, 0.0)
    assert ann.store.totals("p") == (3, 0.5)
    assert ann.store.totals("q") == (0, 0)
    assert ann.store.effort("p") == []
    assert ann.store.sheets("p") == {}
    assert ann.undo() is None


@pytest.mark.parametrize(("actions", "seconds"), [(-1, 0), (1.5, 0), (0, float("nan")), (0, -1)])
def test_effort_that_makes_no_sense_is_refused(ann: Hand, actions: Any, seconds: Any) -> None:
    with pytest.raises(InputError, match="must be a"):
        ann.store.spend("p", "a.png", "ann", "k", actions, seconds)
    assert ann.store.totals("p") == (0, 0)


def test_the_log_played_again_gives_the_same_labels_and_totals(ann: Hand) -> None:
    chance = random.Random(11)
    base = Sheet(SIZE, (label("t1", square(9), origin="file", state="accepted"),))
    for _ in range(60):
        act(ann, chance, ["a.png", "b.png", "c.png"], base)
        with suppress(ConflictError):
            chance.choice([ann.undo, ann.redo, lambda: None])()
    ann.store.spend("p", "a.png", "ann", "key", 7, 0.125)
    assert len(check(ann.store, base)) > 60
