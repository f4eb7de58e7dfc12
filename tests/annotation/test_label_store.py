"""The store of labels: a gesture is there once, whole and for ever, in every database."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comask.annotation import label_checks, rle
from comask.annotation.label_store import LabelStore, SheetRow, Tally
from comask.annotation.labels import Label, Sheet
from comask.annotation.records import Category, Rle
from comask.annotation.store import Store
from comask.errors import ConflictError, InputError, StoreError
from tests.annotation.labelling import SIZE, Hand, found, gesture, label, square

NONE = {"proposed": 0, "accepted": 0, "edited": 0, "rejected": 0, "new": 0}


@pytest.fixture
def labels(store: Store) -> LabelStore:
    return LabelStore(store)


@pytest.fixture
def ann(labels: LabelStore) -> Hand:
    return Hand(labels)


@pytest.fixture
def quick(tmp_path: Path) -> Hand:
    """Label in SQLite alone: what is asked does not hang on the database."""
    return Hand(LabelStore(Store.open(tmp_path / "quick.sqlite")))


def test_a_first_gesture_is_made_upon_what_the_file_says(ann: Hand) -> None:
    base = Sheet(SIZE, (label("t1", origin="file", state="accepted", z=1),), row=4)
    assert ann.store.sheet("p", "a.png") is None
    applied = ann.do("a.png", label("b", square(5), z=2), base=base)
    assert applied.sheet == Sheet(SIZE, (*base.labels, label("b", square(5), z=2)), 1, row=4)
    assert not applied.repeated
    assert ann.store.sheet("p", "a.png") == applied.sheet
    assert ann.store.sheet("other", "a.png") is None


def test_every_field_of_a_label_comes_back_after_the_store_was_closed(place: str) -> None:
    one = Label(
        "x.Y_-9",
        category=90,
        mask=square(3),
        state="proposed",
        origin="model",
        z=-3,
        iscrowd=True,
        number=2**53,
        checkpoint="0123abc",
        score=1.2345678901234567,
        class_score=0.1,
        mask_iou=-0.25,
        instability=1 / 3,
        disagreement=1.0,
        extra={"ä": [1, None, {"b": 0.1}], "a": "雪\0"},
    )
    with Store.open(place) as store:
        Hand(LabelStore(store)).do("häß 雪/a.png", one)
    with Store.open(place) as store:
        assert Hand(LabelStore(store)).labels("häß 雪/a.png") == {one.uid: one}


def test_labels_lie_in_the_order_of_z_and_then_of_their_names(ann: Hand) -> None:
    put = [label("b"), label("_"), label("A"), label("a", z=-1), label("Z", z=1), label("0")]
    sheet = ann.do("a.png", *put).sheet
    assert [one.uid for one in sheet.labels] == ["a", "0", "A", "_", "b", "Z"]
    assert ann.store.sheet("p", "a.png") == sheet


def test_a_key_is_applied_once(ann: Hand) -> None:
    one = gesture(0, label("a"), actions=1)
    first = ann.store.apply("p", "a.png", one, lambda: Sheet(SIZE))
    ann.do("a.png", label("b"))
    again = ann.store.apply("p", "a.png", one, lambda: Sheet(SIZE))
    assert not first.repeated
    assert again.repeated
    assert again.sheet == ann.store.sheet("p", "a.png")
    assert again.sheet.revision == 2
    assert ann.store.totals("p") == (1, 0)


def test_a_key_belongs_to_one_thing_of_its_project(ann: Hand) -> None:
    one = gesture(0, label("a"))
    ann.store.apply("p", "a.png", one, lambda: Sheet(SIZE))
    ann.store.apply("q", "a.png", one, lambda: Sheet(SIZE))
    with pytest.raises(InputError, match="This key was used for something else"):
        ann.store.apply("p", "b.png", one, lambda: Sheet(SIZE))
    with pytest.raises(InputError, match="This key was used"):
        ann.store.undo("p", "ann", one.key)
    with pytest.raises(InputError, match="This key was used"):
        ann.store.spend("p", "a.png", "ann", one.key, 1, 1.0)
    assert ann.store.sheet("p", "b.png") is None


def test_the_second_of_two_people_is_told_what_the_first_has_changed(ann: Hand) -> None:
    ann.do("a.png", label("a"), label("b", square(8)), label("c", square(12)))
    bob = Hand(ann.store, "bob")
    bob.do("a.png", label("a", square(1)), drop=["b"])
    bob.do("a.png", label("a", square(2)))
    late = gesture(1, label("c", square(13)))
    with pytest.raises(ConflictError, match=r"^Somebody else \(bob\) has changed 2 labels") as no:
        ann.store.apply("p", "a.png", late, lambda: Sheet(SIZE))
    assert no.value.touched == {"a", "b"}
    assert no.value.actors == {"bob"}
    assert ann.labels("a.png")["c"].mask == square(12)
    # the same gesture with its key, upon what is there now
    applied = ann.store.apply("p", "a.png", replace(late, revision=3), lambda: Sheet(SIZE))
    assert not applied.repeated
    assert ann.labels("a.png")["c"].mask == square(13)


def test_what_one_did_in_another_window_is_a_conflict_too(ann: Hand) -> None:
    ann.do("a.png", label("a"))
    ann.do("a.png", state="done")
    with pytest.raises(
        ConflictError, match=r"^You yourself have.* changed the state of"
    ) as refusal:
        ann.store.apply("p", "a.png", gesture(1, label("b")), lambda: Sheet(SIZE))
    assert refusal.value.touched == frozenset()
    with pytest.raises(ConflictError, match="at revision 2, not 7"):
        ann.store.apply("p", "a.png", gesture(7, label("b")), lambda: Sheet(SIZE))
    with pytest.raises(ConflictError, match="at revision 0, not 1"):
        ann.store.apply("p", "new.png", gesture(1, label("b")), lambda: Sheet(SIZE))
    assert ann.store.sheet("p", "new.png") is None


def test_a_gesture_that_changes_nothing_is_no_news(ann: Hand) -> None:
    one = label("a")
    ann.do("a.png", one)
    for same in (gesture(1, one), gesture(1, state="open"), gesture(1)):
        assert ann.store.apply("p", "a.png", same, lambda: Sheet(SIZE)).sheet.revision == 1
    assert ann.undo().images["a.png"].labels == ()
    assert ann.undo() is None


def test_an_image_is_done_and_open_again(ann: Hand) -> None:
    assert ann.do("a.png", state="done").sheet.state == "done"
    assert ann.do("a.png", label("a")).sheet.state == "done"
    assert ann.do("a.png", state="open").sheet.state == "open"


def test_labels_that_are_put_again_keep_what_is_not_the_senders_to_say(ann: Hand) -> None:
    first = found(
        "m",
        number=7,
        score=0.9,
        mask_iou=0.8,
        instability=0.25,
        disagreement=0.5,
        extra={"isbn": 1},
    )
    ann.do("a.png", first)
    ann.do("a.png", label("m", z=5, iscrowd=True, state="accepted", checkpoint="lie", number=1))
    assert ann.labels("a.png")["m"] == replace(first, z=5, iscrowd=True, state="accepted")


# -- what the model had proposed ----------------------------------------------------------------


def test_a_proposal_is_kept_while_its_label_is_anything_else(ann: Hand) -> None:
    ann.do("a.png", found("m", square(2)))  # 4 x 4 pixels
    ann.do("a.png", found("m", square(3), state="edited"))  # 12 of them and 4 more
    moved = ann.labels("a.png")["m"]
    assert (moved.proposed, moved.proposed_category) == (square(2), 1)
    assert moved.kept == pytest.approx(12 / 20)
    ann.do("a.png", found("m", square(6), category=2, state="edited"))
    gone = ann.labels("a.png")["m"]
    assert (gone.proposed, gone.proposed_category, gone.kept) == (square(2), 1, 0)
    ann.do("a.png", found("m", square(2), category=2, state="edited"))
    back = ann.labels("a.png")["m"]
    assert (back.proposed, back.proposed_category, back.kept) == (square(2), 1, 1)
    ann.do("a.png", found("m", square(2), state="accepted"))
    assert ann.labels("a.png")["m"] == found("m", square(2), state="accepted")


def test_people_propose_nothing(ann: Hand) -> None:
    sent = label("a", proposed=square(9), proposed_category=3, kept=0.5)
    ann.do("a.png", sent, base=Sheet(SIZE, (label("t1", origin="file", state="accepted"),)))
    ann.do("a.png", label("a", square(1), category=2), label("t1", square(1)))
    for one in ann.labels("a.png").values():
        assert (one.proposed, one.proposed_category, one.kept) == (None, None, None)


# -- lists --------------------------------------------------------------------------------------


def test_sheets_are_described_without_their_labels(ann: Hand) -> None:
    ann.do("b.png", found("m"), found("n"), label("a"), base=Sheet(SIZE, row=3))
    ann.do("b.png", found("n", state="rejected"), drop=["a"])
    ann.do("a.png", state="done")
    rows = {
        "a.png": SheetRow("a.png", 0, 1, "done", NONE),
        "b.png": SheetRow("b.png", 3, 2, "open", NONE | {"proposed": 1, "rejected": 1}),
    }
    assert ann.store.sheets("p") == rows
    assert ann.store.sheets("p", ["b.png", "c.png"]) == {"b.png": rows["b.png"]}
    assert ann.store.sheets("p", []) == ann.store.sheets("q") == {}


def test_all_sheets_are_counted_together(ann: Hand) -> None:
    assert ann.store.tally("p") == Tally(0, 0, NONE)
    assert ann.store.images("p") == []
    ann.do("b.png", found("m"), found("n"), state="done")
    ann.do("a.png", label("a"), found("m"))
    ann.store.spend("p", "c.png", "ann", "k", 1, 1.0)
    Hand(ann.store, project="q").do("d.png", label("a"))
    assert ann.store.tally("p") == Tally(2, 1, NONE | {"proposed": 3, "new": 1})
    assert ann.store.images("p") == ["b.png", "a.png"]


def test_a_history_tells_the_latest_first(ann: Hand) -> None:
    ann.do("a.png", label("a"), label("b"), kind="draw", actions=3, seconds=1.5)
    ann.do("b.png", label("c"))
    Hand(ann.store, "bob").do("a.png", label("a", square(1)), drop=["b"], kind="merge")
    ann.store.spend("p", "a.png", "bob", "k", 2, 0.5)
    rows = ann.store.history("p", "a.png")
    told = [(row["actor"], row["kind"], row["put"], row["drop"], row["actions"]) for row in rows]
    assert told == [
        ("bob", "effort", [], [], 2),
        ("bob", "merge", ["a"], ["b"], 0),
        ("ann", "draw", ["a", "b"], [], 3),
    ]
    times: list[Any] = [row["when"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert ann.store.history("p", "a.png", 1) == rows[:1]
    assert ann.store.history("p", "none.png") == []


SCORES = [  # image, row, uid, class_score, instability, disagreement
    ("late.png", 9, "a", 0.5, None, 0.25),
    ("late.png", 9, "b", 0.9, 0.0, None),
    ("early.png", 1, "b", None, 0.5, 0.5),
    ("early.png", 1, "a", 0.25, 1.0, None),
    ("early.png", 1, "c", 0.5, None, 0.25),
]
QUEUES = {
    "file": ["early c", "early a", "early b", "late b", "late a"],
    "score": ["early a", "early c", "late a", "late b", "early b"],
    "instability": ["early a", "early b", "late b", "early c", "late a"],
    "disagreement": ["early b", "early c", "late a", "early a", "late b"],
}


@pytest.mark.parametrize("order", QUEUES)
def test_the_queue_has_four_orders(ann: Hand, order: Any) -> None:
    for image, row, uid, score, instability, disagreement in SCORES:
        scores = {"class_score": score, "instability": instability, "disagreement": disagreement}
        # states that take turns, so that an order is merged from several
        state = "edited" if uid == "b" else "proposed"
        ann.do(image, found(uid, state=state, **scores), base=Sheet(SIZE, row=row))
    ann.do("late.png", label("other"))
    Hand(ann.store, project="q").do("late.png", found("other", class_score=0.1))
    total, rows = ann.store.queue("p", order, ["proposed", "edited"])
    assert [f"{row.image.removesuffix('.png')} {row.uid}" for row in rows] == QUEUES[order]
    assert total == 5
    assert ann.store.queue("p", order, ["proposed", "edited"], 1, 2) == (5, rows[1:3])
    only = [row for row in rows if row.state == "edited"]
    assert ann.store.queue("p", order, ["edited"]) == (2, only)
    assert ann.store.queue("p", order, ["edited"], 2) == (2, [])
    assert (rows[0].row, rows[0].category) == ({"e": 1, "l": 9}[rows[0].image[0]], 1)
    one = next(row for row in rows if (row.image, row.uid) == ("early.png", "a"))
    assert (one.class_score, one.instability, one.disagreement) == (0.25, 1.0, None)


def test_labels_of_one_name_on_images_of_one_row_are_all_queued(ann: Hand) -> None:
    for image in ("b.png", "a.png", "c.png"):  # as uploads have it
        ann.do(image, found("m1"), found("m2"))
    parts = [ann.store.queue("p", "score", offset=at, limit=1)[1] for at in range(6)]
    asked = [(row.image, row.uid) for (row,) in parts]
    assert asked == [(image, uid) for image in ("b.png", "a.png", "c.png") for uid in ("m1", "m2")]


def test_a_queue_of_nothing_is_empty(ann: Hand) -> None:
    assert ann.store.queue("p", "file") == (0, [])
    ann.do("a.png", label("a"))
    assert ann.store.queue("p", "file") == ann.store.queue("p", "file", []) == (0, [])
    with pytest.raises(InputError, match="no order 'size'"):
        ann.store.queue("p", "size")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="The limit must be a whole number"):
        ann.store.queue("p", "file", limit=-1)


# -- classes and numbers ------------------------------------------------------------------------


def test_classes_are_those_that_were_set(ann: Hand) -> None:
    classes = (Category(90, "雪", "weather", extra={"keypoints": ["a"]}), Category(1, "cell"))
    assert ann.store.categories("p") is None
    ann.do("a.png", label("a", category=1))
    assert ann.store.categories("p") is None
    ann.store.set_categories("p", classes)
    assert ann.store.categories("p") == classes
    assert ann.store.categories("q") is None
    ann.store.set_categories("p", classes[1:])
    assert ann.store.categories("p") == classes[1:]


def test_a_class_that_labels_have_does_not_go(ann: Hand) -> None:
    ann.do("a.png", label("a", category=3))
    with pytest.raises(InputError, match="Labels have the class 3, so it can't go"):
        ann.store.set_categories("p", [Category(1, "cell")])
    ann.do("a.png", label("a", category=1))
    ann.store.set_categories("p", [Category(1, "cell")])
    with pytest.raises(InputError, match="The label b: the project has no class 3"):
        ann.do("a.png", label("b", category=3))


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ([Category(1, "a"), Category(1, "b")], "Two classes have the id 1"),
        ([Category(1, "a"), Category(2, "a")], "Two classes have the name a"),
        ([Category(-1, "a")], "A class's id must be a whole number"),
        ([Category(1, "")], "A class's name must be text of 1 .. 200 characters"),
        ([Category(1, "a\nb")], "without control characters"),
        ([Category(1, "a", "x" * 201)], "A class's group must be text of 0 .. 200"),
        ([Category(1, "a", extra={"x": {1}})], "The class a: its further keys are no JSON"),
        ([Category(k, str(k)) for k in range(10_001)], "10,001 classes are too many"),
    ],
)
def test_classes_that_make_no_sense_are_refused(
    quick: Hand, classes: list[Category], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        quick.store.set_categories("p", classes)
    assert quick.store.categories("p") is None


def test_a_number_is_given_once_and_for_ever(ann: Hand) -> None:
    first = [("a", "new", None), ("a", "t7", 7), ("b", "t3", 3), ("b", "new", None)]
    assert ann.store.numbers("p", first) == [8, 7, 3, 9]
    assert ann.store.numbers("p", first[::-1]) == [9, 3, 7, 8]
    assert ann.store.numbers("p", [("c", "new", None), ("a", "new", 70)]) == [10, 8]
    assert ann.store.numbers("q", [("a", "new", None)]) == [1]
    assert ann.store.numbers("p", []) == []
    # the number of a file that was given to somebody else meanwhile
    assert ann.store.numbers("p", [("d", "t10", 10), ("d", "t11", 11)]) == [12, 11]


def test_a_number_that_a_file_has_twice_goes_to_the_first(ann: Hand) -> None:
    assert ann.store.numbers("p", [("a", "x", 5), ("a", "y", 5), ("a", "z", None)]) == [5, 6, 7]
    assert ann.store.numbers("p", [("a", "w", 2**63 - 1), ("a", "v", None)]) == [2**63 - 1, 8]


# -- what makes no sense ------------------------------------------------------------------------

LONG = "x" * 65


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"key": ""}, "A gesture's key must be text of 1 .. 64"),
        ({"key": LONG}, "A gesture's key must be text of 1 .. 64"),
        ({"key": 5}, "A gesture's key must be text"),
        ({"actor": ""}, "The actor must be text"),
        ({"actor": "a\0"}, "without control characters"),
        ({"actor": "\ud800"}, "without control characters"),
        ({"kind": "x" * 41}, "kind must be text of 1 .. 40"),
        ({"batch": LONG}, "A batch must be text of 0 .. 64"),
        ({"revision": -1}, "The revision must be a whole number"),
        ({"revision": True}, "The revision must be a whole number"),
        ({"revision": 10**5000}, "got a number without end"),
        ({"actions": 1.5}, "The number of actions must be a whole number"),
        ({"actions": -1}, "The number of actions"),
        ({"seconds": float("nan")}, "The time that it took must be a number in 0 .. 1e"),
        ({"seconds": -0.5}, "The time that it took"),
        ({"seconds": "1"}, "The time that it took"),
        ({"state": "shut"}, "An image is open or done, not 'shut'"),
        ({"drop": ["nobody"]}, "The label nobody is not on this image"),
        ({"drop": ["a", "a"]}, "The label a is named twice"),
        ({"drop": [""]}, "A label's name must be 1 .. 64 of"),
        ({"drop": [None]}, "A label's name must be"),
        ({"drop": ["a"] * 20_001}, "20,001 labels are too many for one gesture"),
        ({"put": [label("a b")]}, "A label's name must be 1 .. 64 of"),
        ({"put": [label("ä")]}, "A label's name"),
        ({"put": [label(LONG)]}, "A label's name"),
        ({"put": [label("a"), label("a")]}, "The label a is named twice"),
        ({"put": [label("a")], "drop": ["a"]}, "The label a is named twice"),
        ({"put": [label("a", mask=square(size=(20, 31)))]}, "its mask is 20 x 31 .* 20 x 30"),
        ({"put": [label("a", mask=rle.encode(np.zeros(SIZE)))]}, "its mask is empty"),
        ({"put": [label("a", mask=Rle(SIZE, ""))]}, "its counts do not fill"),
        ({"put": [label("a", mask=Rle(SIZE, "0"))]}, "its counts do not fill"),
        ({"put": [label("a", mask=Rle(SIZE, "\0"))]}, "its counts break off"),
        ({"put": [label("a", mask=Rle(SIZE, 7))]}, "its counts are no text"),  # type: ignore[arg-type]
        ({"put": [label("a", category="1")]}, "its class must be a whole number"),
        ({"put": [label("a", category=True)]}, "its class must be a whole number"),
        ({"put": [label("a", z=2**31)]}, "its place in the order must be"),
        ({"put": [label("a", number=2**63)]}, "its number must be"),
        ({"put": [label("a", state="gone")]}, "its state must be one of proposed, accepted"),
        ({"put": [label("a", origin="god")]}, "its origin must be one of model, person, file"),
        ({"put": [label("a", iscrowd=1)]}, "iscrowd must be true or false"),
        ({"put": [label("a", checkpoint=LONG)]}, "its checkpoint must be text"),
        ({"put": [label("a", class_score=1.01)]}, "its class_score must be a number in 0 .. 1"),
        ({"put": [label("a", score=float("inf"))]}, "its score must be a number"),
        ({"put": [label("a", mask_iou=float("nan"))]}, "its mask_iou must be a number"),
        ({"put": [label("a", instability=-0.1)]}, "its instability must be"),
        ({"put": [label("a", disagreement="0")]}, "its disagreement must be"),
        ({"put": [label("a", extra={"x": float("nan")})]}, "its further keys are no JSON"),
        ({"put": [label("a", extra={"x": "y" * 2**20})]}, "its further keys are too long"),
        ({"put": [label("a", extra=5)]}, "its further keys are no JSON"),
    ],
)
def test_a_gesture_that_makes_no_sense_is_one_sentence(
    quick: Hand, more: dict[str, Any], sentence: str
) -> None:
    one = gesture(more.pop("revision", 0), *more.pop("put", ()), **more)
    with pytest.raises(InputError, match=sentence) as refusal:
        quick.store.apply("p", "a.png", one, lambda: Sheet(SIZE))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400
    assert quick.store.sheet("p", "a.png") is None


@pytest.mark.parametrize(
    ("project", "image", "sentence"),
    [
        ("", "a.png", "A project must be text of 1 .. 200"),
        ("x" * 201, "a.png", "A project must be text"),
        ("p", "", "is no name that a store can keep an image under"),
        ("p", "雪" * 667, "is no name"),
    ],
)
def test_names_that_no_database_takes_are_refused(
    quick: Hand, project: str, image: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        quick.store.apply(project, image, gesture(0, label()), lambda: Sheet(SIZE))
    with pytest.raises(InputError, match=sentence):
        quick.store.spend(project, image, "ann", "k", 1, 1.0)
    with pytest.raises(InputError, match=sentence):
        quick.store.numbers(project, [(image, "a", None)])


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        (Sheet((0, 5)), "An image's height must be a whole number in 1 .. 100000"),
        (Sheet(SIZE, row=-1), "An image's row must be"),
        (Sheet(SIZE, state="shut"), "An image is open or done, not 'shut'"),  # type: ignore[arg-type]
        (Sheet(SIZE, (label("t", state="shut"),)), "its state must be one of"),
        (Sheet(SIZE, (label("t 1"),)), "A label's name must be 1 .. 64 of"),
        (Sheet(SIZE, (label("t"), label("t"))), "names two labels alike"),
        (Sheet(SIZE, (label("t", square(size=(9, 9))),)), "is of another size than its image"),
        (Sheet(SIZE, (label("t", number=2**70),)), "its number must be"),
        (Sheet(SIZE, (label("t", score=float("nan")),)), "its score must be"),
    ],
)
def test_an_image_that_begins_with_nonsense_is_refused(
    quick: Hand, base: Sheet, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        quick.do("a.png", label("b"), base=base)


def test_an_image_holds_no_endless_list(quick: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_checks, "MOST_LABELS", 3)
    quick.do("a.png", label("a"), label("b"))
    with pytest.raises(InputError, match="An image holds at most 3 labels"):
        quick.do("a.png", label("c"), label("d"))
    quick.do("a.png", label("c"), label("d"), drop=["a"])
    assert set(quick.labels("a.png")) == {"b", "c", "d"}


def test_masks_without_end_are_refused(quick: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_checks, "MOST_TEXT", 2 * len(square().counts) - 1)
    quick.do("a.png", label("a"))
    with pytest.raises(InputError, match="The masks of one gesture are too long"):
        quick.do("a.png", label("a"), label("b"))


def test_a_code_with_runs_of_no_pixels_is_kept_in_the_codecs_form(ann: Hand) -> None:
    plain = rle.from_uncompressed([4, 4, 592], *SIZE)
    odd = Rle(SIZE, "4200`b0")  # 4 out, 2 in, 0 out, 2 in, 592 out
    assert rle.runs(odd.counts).tolist() == [4, 2, 0, 2, 592]
    ann.do("a.png", label("a", odd))
    assert ann.labels("a.png")["a"].mask == plain


def test_numbers_of_numpy_are_numbers(ann: Hand) -> None:
    scores = {"class_score": np.float32(0.5), "instability": np.float64(0.25), "score": 1}
    ann.do("a.png", found("m", **scores))
    one = ann.labels("a.png")["m"]
    assert (one.class_score, one.instability, one.score) == (0.5, 0.25, 1.0)


def test_labels_of_another_format_are_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        LabelStore(store)
        with sqlite3.connect(tmp_path / "s") as base:
            base.execute("UPDATE comask_about SET value = '99' WHERE key = 'labels'")
        base.close()
        with pytest.raises(StoreError, match="is a store of format 99"):
            LabelStore(store)


def test_what_is_acknowledged_is_on_the_disk(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        full = store.database.look(lambda base: base.exec_driver_sql("PRAGMA synchronous").scalar())
    assert full == 2  # SQLite's number for FULL: the log is flushed with every commit


def test_a_store_from_before_an_index_gets_it_when_it_is_opened(tmp_path: Path) -> None:
    place = tmp_path / "old.sqlite"
    with Store.open(place) as opened:
        Hand(LabelStore(opened)).do("a.png", found())
    with sqlite3.connect(place) as base:
        base.execute("DROP INDEX comask_labels_ledger")
        base.execute("DELETE FROM comask_about WHERE key = 'comask_labels_ledger'")
    base.close()
    for _ in range(2):
        with Store.open(place) as opened:
            assert [row.waiting for row in LabelStore(opened).effort("p")] == [1]
    with sqlite3.connect(place) as base:
        names = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
    base.close()
    assert "comask_labels_ledger" in names
