"""What the store has acknowledged stays, once, whoever is killed and however many label."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Sheet
from comask.annotation.store import Store
from tests.annotation.labeller import BASE, send
from tests.annotation.labelling import SIZE, Hand, check, gesture, label

ROOT = Path(__file__).parents[2]


@contextmanager
def labeller(place: str, name: str, how: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that labels; it is killed when the block ends."""
    words = [sys.executable, "-m", "tests.annotation.labeller", place, name, how]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("rounds", [1, pytest.param(15, marks=pytest.mark.slow)])
def test_killed_processes_lose_nothing_acknowledged(place: str, rounds: int) -> None:
    chance = random.Random(rounds)
    acknowledged: list[str] = []
    for number in range(rounds):
        with labeller(place, f"a{number}", "on") as one, labeller(place, f"b{number}", "on") as two:
            for process in (one, two):  # both are at it
                assert process.stdout is not None
                acknowledged.append(process.stdout.readline().strip())
            for process in (one, two):
                time.sleep(chance.random() / 3)
                process.kill()
                assert process.stdout is not None
                acknowledged += process.stdout.read().split()
    with Store.open(place) as opened:
        store = LabelStore(opened)
        kept = [row.key for row in check(store, BASE) if row.key]
        assert len(set(kept)) == len(kept)
        assert set(acknowledged) <= set(kept)
        assert len(kept) - len(acknowledged) <= 2 * rounds  # one of each may be on its way
        drawn = [row for row in check(store, BASE) if row.way == "do"]
        assert store.totals("p")[0] == len(drawn)
        # who has not heard sends it again
        for row in drawn:
            image = f"{int(row.key.split('-')[1]) % 3}.png"
            assert send(store, row.key.split("-")[0], image, row.key)
        assert [row.key for row in check(store, BASE) if row.key] == kept


@pytest.mark.slow
@pytest.mark.parametrize("what", ["draw", "undo"])
def test_a_process_that_dies_at_any_question_has_done_all_or_nothing(place: str, what: str) -> None:
    with Store.open(place) as opened:
        store = LabelStore(opened)
        if what == "undo":
            for count in range(3):
                send(store, "ann", f"{count}.png", f"batch{count}", "batch")
        before = store.state_hash("p")
    with labeller(place, what, "points") as process:
        assert process.stdout is not None
        (acknowledged,) = process.stdout.read().split()
    points = int(acknowledged.split("-")[1])
    assert points > 8
    with Store.open(place) as opened:
        store = LabelStore(opened)
        keys = {row.key for row in check(store, BASE) if row.key}
        assert acknowledged in keys
        if what == "draw":
            assert set(Hand(store).labels("a.png")) == {"t1", *keys}
        else:
            assert len([row for row in check(store, BASE) if row.way == "turn"]) == 1
            assert all(set(Hand(store).labels(f"{k}.png")) == {"t1"} for k in range(3))
            assert Hand(store).redo().count == 3
            assert store.state_hash("p") == before


def test_threads_on_one_image_lose_nothing(place: str) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            with Store.open(place) as opened:
                store = LabelStore(opened)
                for count in range(8):
                    send(store, name, "a.png", f"{name}{count}")
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bob", "cat")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with Store.open(place) as opened:
        store = LabelStore(opened)
        assert store.sheets("p")["a.png"].revision == 24
        check(store, BASE)
        for name in ("ann", "bob", "cat"):
            hand = Hand(store, name)
            assert sum(1 for _ in iter(hand.undo, None)) == 8
        assert set(hand.labels("a.png")) == {"t1"}


def test_one_key_that_is_sent_by_many_at_once_is_applied_once(store: Store) -> None:
    labels = LabelStore(store)
    one = gesture(0, label("a"), actions=1)
    Hand(labels).do("a.png", label("mine"))
    repeated: list[bool] = []
    undone: list[object] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        sent = labels.apply("p", "b.png", one, lambda: Sheet(SIZE))
        repeated.append(sent.repeated)
        start.wait()
        undone.append(labels.undo("p", "ann", "undo"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(repeated) == [False, True, True, True]
    assert undone == [undone[0]] * 4
    assert set(Hand(labels).labels("a.png")) == {"mine"}
    assert labels.totals("p") == (1, 0)


def test_two_batches_that_cross_are_undone_at_once(store: Store) -> None:
    labels = LabelStore(store)
    names = [f"{number}.png" for number in range(12)]
    hands = [Hand(labels, "ann"), Hand(labels, "bob")]
    for hand, images in zip(hands, (names, names[::-1]), strict=True):
        for name in images:
            hand.do(name, label(hand.actor), batch=hand.actor)
    start = threading.Barrier(2)
    undone = []

    def work(hand: Hand) -> None:
        start.wait()
        undone.append(hand.undo())

    threads = [threading.Thread(target=work, args=(hand,)) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.count for one in undone] == [12, 12]
    assert not any(hands[0].labels(name) for name in names)
