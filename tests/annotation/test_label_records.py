"""How labels lie in the database and in the log: whatever goes in comes out."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from comask.annotation.label_log import Entry
from comask.annotation.label_sheets import content_hash
from comask.annotation.label_tables import FIELDS, LABELS, Record, state_of, to_label, to_record
from comask.annotation.labels import STATES, Label
from tests.annotation.labelling import SIZE, square

SCORES = st.none() | st.floats(-1e6, 1e6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def labels(draw: st.DrawFn) -> Label:
    proposed = draw(st.booleans())
    return Label(
        uid=draw(st.text("aZ0._-", min_size=1, max_size=64)),
        category=draw(st.integers(0, 2**31 - 1)),
        mask=square(draw(st.integers(0, 20))),
        state=draw(st.sampled_from(STATES)),
        origin=draw(st.sampled_from(["model", "person", "file"])),
        z=draw(st.integers(-(2**31) + 1, 2**31 - 1)),
        iscrowd=draw(st.booleans()),
        number=draw(st.none() | st.integers(-(2**63) + 1, 2**63 - 1)),
        checkpoint=draw(st.sampled_from(["", "0123abc"])),
        **{name: draw(SCORES) for name in ("score", "class_score", "mask_iou")},
        **{name: draw(SCORES) for name in ("instability", "disagreement", "kept")},
        proposed=square(3) if proposed else None,
        proposed_category=7 if proposed else None,
        extra=draw(st.dictionaries(st.text(), JSON, max_size=3)),
    )


@settings(max_examples=40, deadline=None)
@given(labels())
def test_a_label_is_its_record(one: Label) -> None:
    record = to_record(one)
    assert len(record) == len(FIELDS)
    assert to_label(one.uid, record, SIZE) == one
    assert state_of(record) == one.state


RECORDS = st.none() | labels().map(to_record)
CHANGES = st.tuples(st.text("ab", max_size=9), RECORDS, RECORDS)


@settings(max_examples=20, deadline=None)
@given(st.lists(CHANGES, max_size=3))
def test_an_entry_of_the_log_is_read_as_it_was_written(changes: list[Any]) -> None:
    for state in (None, ("open", "done")):
        entry = Entry(changes, state)  # type: ignore[arg-type]
        assert Entry.unpack(entry.pack()) == entry
        assert entry.reversed().reversed() == entry


def test_a_records_fields_are_the_columns_of_a_label() -> None:
    assert FIELDS[0] == "category"
    assert set(FIELDS) == {
        name for name in Label.__annotations__ if name not in ("uid", "mask")
    } | {"counts"}
    assert set(LABELS.c.keys()) - set(FIELDS) == {"image", "uid", "project", "row"}


def test_a_score_of_minus_zero_is_zero() -> None:
    # SQLite gives 0.0 back: without this, what was just written would look changed
    one = Label("a", 1, square(), "new", "person", score=-0.0)
    plain = Label("a", 1, square(), "new", "person", score=0.0)
    hashes = {content_hash(SIZE, "open", {"a": to_record(label)}) for label in (one, plain)}
    assert len(hashes) == 1


def test_the_order_of_labels_in_memory_does_not_name_a_sheet() -> None:
    first: Record = to_record(Label("a", 1, square(), "new", "person"))
    second: Record = to_record(Label("b", 1, square(2), "new", "person"))
    there = content_hash(SIZE, "open", {"a": first, "b": second})
    assert content_hash(SIZE, "open", {"b": second, "a": first}) == there
    assert content_hash(SIZE, "done", {"a": first, "b": second}) != there
    assert content_hash((30, 20), "open", {"a": first, "b": second}) != there
