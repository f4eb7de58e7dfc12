"""Predictions as bytes: nothing lost, nothing executed, damage told in one sentence."""

import hashlib
import json
import pickle
import zlib
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from comask.annotation.records import Category, Rle
from comask.errors import StoreError
from comask.predict import Prediction
from comask.run import pack, packing, unpack
from tests.run.standin import Boxes

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
FULL = Boxes().predict(PIXELS, candidates=True)
PLAIN = Boxes().predict(PIXELS)


def rows(value: Any, count: int) -> Any:
    """Keep the first rows of every array of a value."""
    changes = {
        f.name: getattr(value, f.name)[:count]
        for f in fields(value)
        if isinstance(getattr(value, f.name), np.ndarray)
    }
    return replace(value, **changes)


NONE = replace(
    rows(PLAIN, 0), masks=(), trace=rows(PLAIN.trace, 0), candidates=rows(FULL.candidates, 0)
)


def assert_same(found: Any, wanted: Any) -> None:
    for field in fields(wanted):
        value, expected = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(value, expected, strict=True)
        elif is_dataclass(expected) and not isinstance(expected, Rle | Category):
            assert_same(value, expected)
        else:
            assert value == expected


@pytest.mark.parametrize("given", [FULL, PLAIN, NONE], ids=["full", "plain", "none"])
def test_a_prediction_comes_back_to_the_last_bit(given: Prediction) -> None:
    packed = pack(given)
    assert_same(unpack(packed), given)
    assert pack(unpack(packed)) == packed


def test_numbers_beyond_the_ordinary_come_back() -> None:
    strange = np.array([np.nan, -np.inf], np.float32)
    boxes = np.array([[-0.0, 1e-45, 3e38, -7], [0, 1, 2, 3]], np.float32)
    given = replace(PLAIN, mask_ious=strange, boxes=boxes)
    found = unpack(pack(given))
    assert found.mask_ious.tobytes() == strange.tobytes()
    assert found.boxes.tobytes() == boxes.tobytes()


def test_names_of_categories_are_any_text() -> None:
    given = replace(PLAIN, categories=(Category(3, 'Zellkern "雪"'), Category(5, "", "a\n")))
    assert unpack(pack(given)).categories == given.categories


def test_what_no_prediction_holds_is_refused_at_once() -> None:
    with pytest.raises(StoreError, match="a prediction holds no float64 arrays"):
        pack(replace(PLAIN, boxes=PLAIN.boxes.astype(np.float64)))


def sealed(content: bytes, size: int | None = None) -> bytes:
    """Put a content into bytes whose checksum is right."""
    rest = (len(content) if size is None else size).to_bytes(8, "little") + zlib.compress(content)
    return packing.START + hashlib.sha256(rest).digest() + rest


def opened(given: Prediction = FULL) -> tuple[dict[str, Any], bytes]:
    """Take bytes apart: the header and the arrays."""
    content = zlib.decompress(pack(given)[len(packing.START) + 40 :])
    length = int.from_bytes(content[:4], "little")
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def changed(header: object, arrays: bytes) -> bytes:
    head = json.dumps(header).encode()
    return sealed(len(head).to_bytes(4, "little") + head + arrays)


def test_the_helpers_of_these_tests_put_together_what_they_took_apart() -> None:
    assert_same(unpack(changed(*opened())), FULL)


WHOLE = pack(FULL)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "begins with something else"),
        (b"PK\x03\x04", "begins with something else"),
        (pickle.dumps({"a": 1}), "begins with something else"),
        (WHOLE.replace(b"prediction 1", b"prediction 2"), "begins with something else"),
        (WHOLE[:-1], "were changed or cut short"),
        (WHOLE + b"x", "were changed or cut short"),
        (WHOLE[:100] + bytes([WHOLE[100] ^ 1]) + WHOLE[101:], "were changed or cut short"),
        (WHOLE[: len(packing.START) + 10], "were changed or cut short"),
        (sealed(b""), "damaged"),
        (sealed(bytes(4)), "damaged"),
        (sealed(b"\xff\xff\xff\x7f{}"), "header has 2,147,483,647 bytes"),
        (sealed(b"", 2**40), "says that it holds 1,099,511,627,776 bytes"),
        (sealed(bytes(1000), 10), "longer or shorter than it says"),
        (sealed(bytes(10), 1000), "longer or shorter than it says"),
        (changed([], b""), "damaged"),
        (changed({"arrays": [["x", "<f4", [2**62]]]}, b""), "x is longer than what is there"),
        (changed({"arrays": [["x", "<f4", [0, 2**62]]]}, b""), "x is longer than"),
        (changed({"arrays": [["x", "<f4", [-1]]]}, b""), "x is no array that predictions have"),
        (changed({"arrays": [["x", "|O", [1]]]}, bytes(8)), "x is no array"),
        (changed({"arrays": []}, b"more"), "holds more than it lists"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(StoreError, match=said) as refusal:
        unpack(data)
    assert str(refusal.value).startswith("a kept prediction is damaged: ")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("labels", 2, "labels are out of range"),
        ("labels", -1, "labels are out of range"),
        ("masks.lengths", -1, "masks are not as long as it says"),
        ("masks.counts", ord("~"), "a mask is none"),
        ("candidates.rows", 3, "candidates are out of range"),
        ("candidates.fates", 4, "candidates are out of range"),
        ("candidates.by", 3, "candidates are out of range"),
    ],
)
def test_numbers_that_point_nowhere_are_refused(name: str, value: int, said: str) -> None:
    header, arrays = opened()
    content, start = bytearray(arrays), 0
    for one, kind, shape in header["arrays"]:
        count = int(np.prod(shape))
        if one == name:
            planes = np.frombuffer(content, np.uint8, count * np.dtype(kind).itemsize, start)
            first = np.array([value], kind).view(np.uint8)
            planes.reshape(-1, count)[:, 0] = first
        start += count * np.dtype(kind).itemsize
    with pytest.raises(StoreError, match=said):
        unpack(changed(header, bytes(content)))


@pytest.mark.parametrize("key", ["size", "categories", "arrays"])
def test_a_header_without_a_part_is_refused(key: str) -> None:
    header, arrays = opened()
    del header[key]
    with pytest.raises(StoreError, match="a kept prediction is damaged"):
        unpack(changed(header, arrays))
