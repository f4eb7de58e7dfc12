"""Undoing and doing again: exactly, for ever, and never somebody else's work."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comask.annotation import label_undo
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Reverted, Sheet
from comask.annotation.records import Category
from comask.annotation.store import Store
from comask.errors import ConflictError, InputError
from tests.annotation.labelling import SIZE, Hand, found, gesture, label, square

IMAGES = ["a.png", "b.png", "c.png"]


@pytest.fixture
def labels(store: Store) -> LabelStore:
    return LabelStore(store)


@pytest.fixture
def ann(labels: LabelStore) -> Hand:
    return Hand(labels)


@pytest.fixture
def bob(labels: LabelStore) -> Hand:
    return Hand(labels, "bob")


def test_a_gesture_is_undone_and_done_again(ann: Hand) -> None:
    base = Sheet(SIZE, (label("t1", origin="file", state="accepted", number=1, extra={"a": 1}),))
    ann.do("a.png", label("n"), drop=["t1"], state="done", base=base, kind="draw")
    after = ann.store.sheet("p", "a.png")
    assert after is not None
    assert ann.store.standing("p", "ann") == ("draw", None)
    undone = ann.undo()
    assert undone == Reverted("draw", {"a.png": replace(base, revision=2)}, 1)
    assert ann.store.standing("p", "ann") == (None, "draw")
    assert ann.redo() == Reverted("draw", {"a.png": replace(after, revision=3)}, 1)
    assert ann.store.standing("p", "ann") == ("draw", None)


def test_nothing_is_undone_where_nothing_was_done(ann: Hand, bob: Hand) -> None:
    assert ann.store.standing("p", "ann") == (None, None)
    assert ann.undo() is None
    assert ann.redo() is None
    bob.do("a.png", label("a"))
    assert ann.undo() is None
    assert ann.store.sheets("p")["a.png"].revision == 1


def test_gestures_go_the_latest_first_and_come_back_the_other_way(ann: Hand) -> None:
    for kind, image in zip("wxyz", [*IMAGES, "a.png"], strict=True):
        ann.do(image, label(kind), kind=kind)
    assert [ann.undo().kind for _ in range(3)] == ["z", "y", "x"]
    assert ann.store.standing("p", "ann") == ("w", "x")
    assert [ann.redo().kind for _ in range(2)] == ["x", "y"]
    assert ann.store.standing("p", "ann") == ("y", "z")
    ann.do("b.png", label("new"), kind="new")
    assert ann.store.standing("p", "ann") == ("new", None)
    assert ann.redo() is None
    assert [ann.undo().kind for _ in range(4)] == ["new", "y", "x", "w"]
    assert all(not ann.labels(image) for image in IMAGES)


def test_everybody_undoes_their_own(ann: Hand, bob: Hand) -> None:
    ann.do("a.png", label("a"))
    bob.do("a.png", label("b"))
    Hand(ann.store, "ann", "q").do("a.png", label("q"))
    ann.undo()
    assert set(ann.labels("a.png")) == {"b"}
    bob.do("b.png", label("c"))
    ann.redo()
    assert set(ann.labels("a.png")) == {"a", "b"}
    bob.undo()
    bob.undo()
    assert set(ann.labels("a.png")) == {"a"}
    assert set(Hand(ann.store, "ann", "q").labels("a.png")) == {"q"}


def test_an_undo_with_its_key_is_one(ann: Hand) -> None:
    ann.do("a.png", label("a"))
    ann.do("a.png", label("b"))
    first = ann.store.undo("p", "ann", "key")
    assert ann.store.undo("p", "ann", "key") == first
    assert set(ann.labels("a.png")) == {"a"}
    with pytest.raises(InputError, match="This key was used for something else"):
        ann.store.redo("p", "ann", "key")
    with pytest.raises(InputError, match="This key was used for something else"):
        ann.store.apply("p", "a.png", gesture(3, key="key"), lambda: Sheet(SIZE))
    again = ann.store.redo("p", "ann", "key2")
    assert ann.store.redo("p", "ann", "key2") == again
    assert set(ann.labels("a.png")) == {"a", "b"}


@pytest.mark.parametrize(("actor", "key"), [("", "k"), ("ann", ""), ("a\n", "k"), ("a" * 65, "k")])
def test_undoing_as_nobody_is_refused(ann: Hand, actor: str, key: str) -> None:
    with pytest.raises(InputError, match=r"must be text of 1 \.\. 64 char"):
        ann.store.undo("p", actor, key)


def test_what_somebody_else_changed_since_is_not_undone(ann: Hand, bob: Hand) -> None:
    ann.do("a.png", label("first"), kind="first")
    ann.do("a.png", label("a"), label("b"), label("c"), kind="draw")
    bob.do("a.png", label("b", square(3)), drop=["c"])
    before = ann.store.sheet("p", "a.png")
    with pytest.raises(ConflictError, match=r"^Somebody else \(bob\) has changed 2 l") as refusal:
        ann.store.undo("p", "ann", "key")
    assert refusal.value.touched == {"b", "c"}
    assert refusal.value.actors == {"bob"}
    assert ann.store.sheet("p", "a.png") == before
    # with its key it is refused again; the next one goes to what was done before
    with pytest.raises(ConflictError, match=r"^Somebody else \(bob\) has changed 2 labels"):
        ann.store.undo("p", "ann", "key")
    assert ann.store.standing("p", "ann") == ("first", None)
    assert ann.undo().kind == "first"
    assert set(ann.labels("a.png")) == {"a", "b"}


def test_what_somebody_else_put_back_is_undone(ann: Hand, bob: Hand) -> None:
    ann.do("a.png", label("a"))
    bob.do("a.png", label("a", square(3)))
    bob.undo()
    assert ann.undo().images["a.png"].labels == ()


def test_an_image_that_somebody_else_closed_stays_so(ann: Hand, bob: Hand) -> None:
    ann.do("a.png", label("a"), state="done")
    bob.do("a.png", state="open")
    with pytest.raises(ConflictError, match=r"\(bob\) has changed the state of this") as refusal:
        ann.undo()
    assert refusal.value.touched == frozenset()


def test_what_somebody_else_changed_since_is_not_done_again(ann: Hand, bob: Hand) -> None:
    ann.do("a.png", label("a"))
    ann.do("a.png", label("a", square(1)))
    ann.undo()
    bob.do("a.png", label("a", square(2)))
    with pytest.raises(ConflictError, match=r"Somebody else \(bob\)"):
        ann.redo()
    assert ann.store.standing("p", "ann") == ("brush", None)
    assert ann.labels("a.png")["a"].mask == square(2)


def test_a_label_whose_class_is_gone_does_not_come_back(ann: Hand) -> None:
    ann.do("a.png", label("a", category=7), label("b", category=1))
    ann.do("a.png", drop=["a"])
    ann.store.set_categories("p", [Category(1, "cell")])
    with pytest.raises(ConflictError, match="The class of 1 label is gone"):
        ann.undo()
    assert set(ann.labels("a.png")) == {"b"}


# -- batches ------------------------------------------------------------------------------------


def prelabel(hand: Hand, names: list[str], batch: str = "run") -> None:
    for name in names:
        put = [found(f"m{k}", square(k)) for k in range(3)]
        hand.do(name, *put, kind="prelabel", batch=batch)


def test_a_batch_is_undone_as_one(ann: Hand) -> None:
    ann.do("a.png", label("mine"))
    prelabel(ann, IMAGES)
    before = ann.store.state_hash("p")
    undone = ann.undo()
    assert (undone.kind, undone.count, undone.skipped) == ("prelabel", 3, 0)
    assert sorted(undone.images) == IMAGES
    assert set(ann.labels("a.png")) == {"mine"}
    again = ann.redo()
    assert (again.kind, again.count, set(again.images)) == ("prelabel", 3, set(IMAGES))
    assert ann.store.state_hash("p") == before


def test_what_was_corrected_after_a_batch_stays(ann: Hand, bob: Hand) -> None:
    prelabel(ann, IMAGES)
    bob.do("a.png", found("m0", square(9), state="edited"), state="done")
    bob.do("b.png", drop=["m1"])
    ann.do("c.png", found("m2", square(2), state="accepted"))
    assert ann.undo().kind == "brush"  # the acceptance, which came later
    undone = ann.undo()
    assert (undone.count, undone.skipped) == (3, 2)
    assert [set(ann.labels(image)) for image in IMAGES] == [{"m0"}, set(), set()]
    assert ann.store.sheets("p")["a.png"].state == "done"
    again = ann.redo()
    assert (again.count, again.skipped) == (3, 1)
    everything = {"m0", "m1", "m2"}
    assert [set(ann.labels(image)) for image in IMAGES] == [everything] * 3
    assert ann.labels("a.png")["m0"].mask == square(9)


def test_a_batch_of_which_nothing_is_left_to_undo_is_undone(ann: Hand, bob: Hand) -> None:
    prelabel(ann, ["a.png"])
    bob.do("a.png", drop=["m0", "m1", "m2"])
    assert ann.undo() == Reverted("prelabel", {}, 0, 3)
    assert ann.store.standing("p", "ann") == (None, "prelabel")


def test_a_batch_comes_to_one_image_twice(ann: Hand) -> None:
    ann.do("a.png", label("a"), batch="b")
    ann.do("b.png", label("a"), batch="b")
    ann.do("a.png", label("a", square(1)), batch="b")
    undone = ann.undo()
    assert undone.count == 2
    assert {name: sheet.labels for name, sheet in undone.images.items()} == {
        "a.png": (),
        "b.png": (),
    }
    assert ann.redo().count == 2
    assert ann.labels("a.png")["a"].mask == square(1)


def test_what_comes_of_a_batch_after_it_was_undone_is_undone_by_itself(ann: Hand) -> None:
    prelabel(ann, IMAGES[:2])
    ann.undo()
    prelabel(ann, IMAGES[2:])
    assert ann.store.standing("p", "ann") == ("prelabel", None)
    undone = ann.undo()
    assert list(undone.images) == ["c.png"]
    assert ann.undo() is None


def test_gestures_beside_a_running_batch_are_undone_first(ann: Hand) -> None:
    prelabel(ann, IMAGES[:1])
    ann.do("a.png", label("mine"), kind="mine")
    prelabel(ann, IMAGES[1:])
    assert [ann.undo().kind for _ in range(2)] == ["mine", "prelabel"]
    assert [ann.redo().kind for _ in range(2)] == ["prelabel", "mine"]
    assert set(ann.labels("a.png")) == {"m0", "m1", "m2", "mine"}


def test_a_long_batch_is_undone_in_parts_and_told_of_in_short(
    ann: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_undo, "_IMAGES", 3)
    monkeypatch.setattr(label_undo, "_SHOWN", 5)
    names = [f"{number}.png" for number in range(8)]
    prelabel(ann, names)
    undone = ann.undo()
    assert undone.count == 8
    assert list(undone.images) == names[:2:-1]
    assert all(sheet.labels == () for sheet in undone.images.values())
    assert list(ann.redo().images) == names[:5]
    monkeypatch.setattr(label_undo, "_LABELS", 4)  # those of two images are more
    undone = ann.undo()
    assert undone.count == 8
    assert not any(ann.labels(name) for name in names)
    assert len(ann.redo().images) == 1
    assert all(len(ann.labels(name)) == 3 for name in names)


def test_an_undo_that_breaks_off_has_not_been(ann: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_undo, "_IMAGES", 1)
    prelabel(ann, IMAGES)
    before = ann.store.state_hash("p")
    plain, calls = label_undo.move, []

    def move(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(label_undo, "move", move)
    with pytest.raises(KeyboardInterrupt):
        ann.undo()
    assert ann.store.state_hash("p") == before
    assert ann.undo().count == 3


# -- the state's name ---------------------------------------------------------------------------


def test_the_hash_names_what_is_there_and_not_how_it_came(ann: Hand) -> None:
    empty = ann.store.state_hash("p")
    ann.do("a.png", label("a"), label("b", square(2)))
    both = ann.store.state_hash("p")
    other = Hand(ann.store, project="q")
    other.do("a.png", label("b", square(2)))
    assert other.store.state_hash("q") not in (empty, both)
    other.do("a.png", label("a"))
    assert other.store.state_hash("q") == both
    seen = {empty, both}
    for change in ({"z": 1}, {"category": 2}, {"iscrowd": True}, {"state": "edited"}):
        ann.do("a.png", label("a", **change))
        seen.add(ann.store.state_hash("p"))
    ann.do("a.png", state="done")
    seen.add(ann.store.state_hash("p"))
    assert len(seen) == 7
    for _ in range(6):
        ann.undo()
    assert ann.store.state_hash("p") == empty  # as if nobody had come


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("sqlite", 40),
        ("postgresql", 40),
        pytest.param("sqlite", 300, marks=pytest.mark.slow),
        pytest.param("postgresql", 300, marks=pytest.mark.slow),
    ],
)
def test_random_operations_go_back_and_come_again_across_restarts(
    kind: str, count: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = str(request.getfixturevalue("database") if kind == "postgresql" else tmp_path / "s")
    chance = random.Random(5)
    images = [f"{number}.png" for number in range(6)]
    old = label("t1", square(9), origin="file", state="accepted", score=0.1 + 0.2)
    base = Sheet(SIZE, (old,))

    def opened(work: Callable[[Hand], Any]) -> Any:
        with Store.open(place) as store:
            return work(Hand(LabelStore(store)))

    def state() -> str:
        return str(opened(lambda hand: hand.store.state_hash("p")))

    def some(hand: Hand) -> None:
        for _ in range(count // 10):
            act(hand, chance, images, base)

    hashes = [state()]
    for _ in range(10):
        opened(some)
        hashes.append(state())
    opened(lambda hand: hand.do("0.png", label("last")))  # nothing is left to be done again
    hashes.append(state())
    assert len(set(hashes)) > 8
    undone = opened(lambda hand: sum(1 for _ in iter(hand.undo, None)))
    assert undone >= count / 2  # a batch is one, and some things change nothing
    assert state() == hashes[0]
    assert opened(lambda hand: sum(1 for _ in iter(hand.redo, None))) == undone
    assert state() == hashes[-1]


def act(hand: Hand, chance: random.Random, images: list[str], base: Sheet) -> None:
    """Do one thing of the kinds that people do."""
    image = chance.choice(images)
    sheet = hand.store.sheet(hand.project, image) or base
    here = list(sheet.labels)
    one = chance.choice(here) if here else label("none")
    mask = square(chance.randrange(24), chance.randrange(14), chance.randrange(1, 7))
    kind = chance.choice(
        ["put", "put", "drop", "merge", "change", "state", "batch", "undo", "none"]
    )
    if not here and kind not in ("batch", "undo"):
        kind = "put"
    more: dict[str, Any] = {"kind": kind, "base": base, "actions": 1}
    if kind == "put":
        name = f"n{chance.randrange(10**9)}"
        new = chance.choice([label, found])(name, mask, z=chance.randrange(4))
        hand.do(image, new, **more)
    elif kind == "drop" or (kind == "merge" and len(here) < 2):
        hand.do(image, drop=[one.uid], **more)
    elif kind == "merge":
        other = chance.choice([two for two in here if two is not one])
        hand.do(image, replace(one, mask=mask, state="edited"), drop=[other.uid], **more)
    elif kind == "change":
        how: dict[str, Any] = chance.choice([{"category": 2}, {"mask": mask}, {"z": -1}])
        hand.do(image, replace(one, state=chance.choice(["edited", "rejected"]), **how), **more)
    elif kind == "state":
        hand.do(image, state=chance.choice(["open", "done"]), **more)
    elif kind == "batch":
        batch = f"b{chance.randrange(10**9)}"
        for name in chance.sample(images, 3):
            hand.do(name, found(f"{batch}.m", mask), batch=batch, **more)
    elif kind == "undo":
        with suppress(ConflictError):
            hand.undo()
            chance.choice([hand.redo, hand.undo])()
    else:
        hand.do(image, one, **more)
