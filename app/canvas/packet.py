"""Numbers for the page: a JSON head and float32 arrays in one answer, little-endian.

    4 bytes    length of the head in bytes, a multiple of 4
    head       JSON in UTF-8, padded with spaces; wherever it holds {"array": i, "shape": [...]},
               the i-th array is meant
    arrays     float32, one after the other, in C order

JSON alone would triple a map's size, and a picture of it would lose its values.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray


class Packer:
    """Collect arrays while a head is put together."""

    def __init__(self) -> None:
        self._arrays: list[NDArray[np.float32]] = []

    def array(self, values: NDArray[Any] | Sequence[float]) -> dict[str, Any]:
        """Take numbers in; returns what stands for them in the head."""
        kept = np.ascontiguousarray(values, "<f4")
        self._arrays.append(kept)
        return {"array": len(self._arrays) - 1, "shape": list(kept.shape)}

    def pack(self, head: dict[str, Any]) -> bytes:
        """Put head and arrays together."""
        text = orjson.dumps(head)
        text += b" " * (-len(text) % 4)
        parts = [len(text).to_bytes(4, "little"), text]
        return b"".join(parts + [one.tobytes() for one in self._arrays])


def unpack(content: bytes) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    """Read a packet: its head, and its arrays in their shapes."""
    length = int.from_bytes(content[:4], "little")
    head = orjson.loads(content[4 : 4 + length])
    shapes: dict[int, list[int]] = {}
    _find(head, shapes)
    arrays, at = [], 4 + length
    for number in sorted(shapes):
        count = int(np.prod(shapes[number]))
        values = np.frombuffer(content, "<f4", count, at)
        arrays.append(values.reshape(shapes[number]))
        at += 4 * count
    return head, arrays


def _find(part: Any, shapes: dict[int, list[int]]) -> None:
    if isinstance(part, dict) and part.keys() == {"array", "shape"}:
        shapes[part["array"]] = part["shape"]
    elif isinstance(part, dict):
        for value in part.values():
            _find(value, shapes)
    elif isinstance(part, list):
        for value in part:
            _find(value, shapes)
