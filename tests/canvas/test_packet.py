"""Packets by hand: where head and arrays lie, and that what was packed is what is read."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from app.canvas.packet import Packer, unpack


def packed(head: dict[str, Any], *arrays: Any) -> bytes:
    """Pack a head with all arrays under "arrays"."""
    packer = Packer()
    return packer.pack({**head, "arrays": [packer.array(one) for one in arrays]})


def test_bytes_by_hand() -> None:
    """The head has 36 letters, a multiple of 4; 1 and -2 are 3f800000 and c0000000."""
    content = packed({}, [1.0, -2.0])
    text = b'{"arrays":[{"array":0,"shape":[2]}]}'
    assert len(text) == 36
    assert content == bytes([36, 0, 0, 0]) + text + bytes.fromhex("0000803f000000c0")


@pytest.mark.parametrize("letters", range(9))
def test_arrays_begin_at_multiples_of_four(letters: int) -> None:
    """Whatever the head's length: its padding are spaces, which JSON allows."""
    content = packed({"name": "x" * letters}, [7.0], [8.0, 9.0])
    (length,) = struct.unpack("<I", content[:4])
    assert length % 4 == 0
    assert json.loads(content[4 : 4 + length])["name"] == "x" * letters
    assert content[4 : 4 + length].rstrip(b" ").endswith(b"}")
    assert struct.unpack("<3f", content[4 + length :]) == (7.0, 8.0, 9.0)


@pytest.mark.parametrize("text", ["µm", "細胞", "🔬", '"\\\n'])
def test_lengths_are_bytes_and_not_letters(text: str) -> None:
    head, (one,) = unpack(packed({"text": text}, [5.0]))
    assert head["text"] == text
    assert one.tolist() == [5.0]


@pytest.mark.parametrize(
    "shape", [(1,), (0,), (0, 3), (3, 0), (2, 3), (2, 3, 3), (1, 1, 1, 1), (5, 0, 2)]
)
def test_shapes_come_back(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    head, arrays = unpack(packed({}, [3.0], values, [4.0]))
    assert head["arrays"][1] == {"array": 1, "shape": list(shape)}
    np.testing.assert_array_equal(arrays[1], values)
    assert arrays[1].shape == shape
    assert (arrays[0].tolist(), arrays[2].tolist()) == ([3.0], [4.0])


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.arange(6, dtype=np.float64).reshape(2, 3),
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(3, 2).T,
        np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2],
        np.array([[True, False], [False, True]]),
        [0, 1, 2],
        (),
    ],
    ids=["integers", "doubles", "big-endian", "turned", "every other", "booleans", "list", "none"],
)
def test_any_numbers_become_little_endian_floats_row_by_row(values: Any) -> None:
    wanted = np.asarray(values, np.float32)
    content = packed({}, values)
    _, (one,) = unpack(content)
    np.testing.assert_array_equal(one, wanted)
    count = wanted.size
    numbers = struct.unpack(f"<{count}f", content[len(content) - 4 * count :])
    assert list(numbers) == wanted.ravel(order="C").tolist()


def test_odd_numbers_survive() -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    _, (one,) = unpack(packed({}, values))
    assert one.tobytes() == values.astype("<f4").tobytes()


def test_arrays_may_lie_anywhere_in_the_head() -> None:
    packer = Packer()
    head = {
        "late": {"deep": [{"rows": [packer.array([1, 2])]}, packer.array([[3], [4]])]},
        "early": packer.array([5]),
        "same": None,
    }
    head["same"] = head["early"]
    found, arrays = unpack(packer.pack(head))
    assert found == head
    assert [one.tolist() for one in arrays] == [[1, 2], [[3], [4]], [5]]


def test_what_only_looks_like_an_array_is_left_alone() -> None:
    packer = Packer()
    odd = {"array": 9, "shape": [4], "unit": "px"}
    found, arrays = unpack(packer.pack({"odd": odd, "one": packer.array([1])}))
    assert found["odd"] == odd
    assert [one.tolist() for one in arrays] == [[1]]


def test_a_head_alone_is_a_packet() -> None:
    assert unpack(Packer().pack({"a": [1, None, "x"]})) == ({"a": [1, None, "x"]}, [])
