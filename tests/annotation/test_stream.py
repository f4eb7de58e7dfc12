import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comask.annotation import stream
from comask.errors import AnnotationError

KEYS = ("images", "annotations")
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text('[]{}",:\\\n aé', max_size=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('"{[\\a', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def read(path: Path, window: int = 7) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for batch in stream.records(path, KEYS, window):
        assert batch.first == len(found.setdefault(batch.key, []))
        found[batch.key] += batch.values
        for value, offset, length in zip(batch.values, batch.offsets, batch.lengths, strict=True):
            if offset >= 0:
                assert json.loads(stream.read_one(path, offset, length)) == value
            else:
                assert not isinstance(value, dict | list)
    return found


@given(
    st.lists(VALUES, max_size=5),
    st.lists(VALUES, max_size=5),
    VALUES,
    st.integers(1, 40),
    st.sampled_from([None, 1]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_records_are_what_a_json_reader_finds(
    tmp_path_factory: pytest.TempPathFactory,
    images: list[Any],
    annotations: list[Any],
    other: Any,
    window: int,
    indent: int | None,
    escape: bool,
) -> None:
    path = tmp_path_factory.mktemp("stream") / "a.json"
    content = {"info": other, "images": images, "b": other, "annotations": annotations, "c": other}
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=escape), encoding="utf-8")
    assert read(path, window) == {"images": images, "annotations": annotations}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "[]",
        '"{}"',
        "{",
        "}",
        "{}}",
        "{} {}",
        "{}x",
        '{"images": []',
        '{"images": [}',
        '{"images": [{]}',
        '{"images": [{}]',
        '{"images": [{}}}',
        '{"images": [{},]}',
        '{"images": [,{}]}',
        '{"images": [{} {}]}',
        '{"images": [{}, , {}]}',
        '{"images": [1 2]}',
        '{"images": [{}] "b": 1}',
        '{"images": [{}], }',
        '{"images": [{}],, "b": []}',
        '{"images" [{}]}',
        "{[]}",
        '{"images": {}}',
        '{"images": null}',
        '{"images": 3}',
        '{"images": [], "images": []}',
        '{"a": "images": []}',
        '{"images": ["a\\',
        '{"images": [{"a": "b}]}',
    ],
)
@pytest.mark.parametrize("window", [1, 5, 1000])
def test_what_is_no_object_of_lists_is_one_sentence(tmp_path: Path, text: str, window: int) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"^a\.json"):
        read(tmp_path / "a.json", window)


def test_places_count_the_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"images": [{"id": 1}, 2, {"id": 3}]}')
    batches = list(stream.records(tmp_path / "a.json", KEYS))
    assert [batch.values for batch in batches] == [[{"id": 1}, 2, {"id": 3}]]
    assert batches[0].offsets == [15, -1, 29]
    assert batches[0].lengths == [9, 0, 9]


def test_no_number_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [{"id": NaN}, {"id": 2}]}', encoding="utf-8")
    (batch,) = stream.records(tmp_path / "a.json", KEYS)
    assert batch.values[1] == {"id": 2}
    assert batch.values[0]["id"] != batch.values[0]["id"]
