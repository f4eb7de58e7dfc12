"""A large JSON object taken apart record by record, in memory that its size does not change.

A COCO file is one object whose lists hold up to millions of records. It is looked through a window
at a time: the brackets outside of texts say where each record of a list begins and ends, so that
every record comes with its place in the file and can be read again alone. A file that breaks off
or is no JSON object is refused.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comask.annotation import files
from comask.errors import AnnotationError

WINDOW = 4 * 2**20  # bytes looked through at a time
LONGEST = 256 * 2**20  # bytes of one record

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_STEPS[_QUOTE] = 2

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Records:
    """Neighbouring records of a list.

    key      the list's own, in the file's object
    first    how many records of the list came before
    values   N x whatever JSON can hold
    offsets  N x the byte of the file that it begins at; -1 for what has no brackets, like a number
    lengths  N x its bytes
    end      bytes of the file that were read by now
    """

    key: str
    first: int
    values: list[Any]
    offsets: list[int]
    lengths: list[int]
    end: int


def records(path: Path, keys: Collection[str], window: int = WINDOW) -> Iterator[Records]:
    """Read some lists of the JSON object in a file; raises AnnotationError with one sentence.

    Each of the lists that is there yields at least once, an empty one without values. What stands
    under other keys is passed over.
    """
    with path.open("rb") as stream, path.open("rb") as again:

        def read(start: int, stop: int) -> bytes:
            if stop - start > LONGEST:
                raise AnnotationError(f"{path.name} holds a record of more than {LONGEST:,} bytes")
            again.seek(start)
            return again.read(stop - start)

        walk = _Walk(path.name, read, keys)
        start, depth, inside = walk.start, 0, False
        stream.seek(start)
        while block := _next_block(stream, window, path.name):
            places, steps, inside = _brackets(block, inside)
            depths = depth + np.cumsum(steps, dtype=np.int64)
            depth = int(depths[-1]) if depths.size else depth
            yield from walk.on(_Brackets(places + start, steps, depths))
            start += len(block)
        walk.finish(start)


def read_one(path: Path, offset: int, length: int) -> bytes:
    """Read a record again from its place."""
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


@dataclass(frozen=True)
class _Brackets:
    """The brackets of a window in order: N places, N steps of +1 or -1, N depths after them."""

    places: Places
    steps: NDArray[np.int8]
    depths: Places

    def cut(self, start: int, stop: int | None) -> "_Brackets":
        part = slice(start, stop)
        return _Brackets(self.places[part], self.steps[part], self.depths[part])


class _Walk:
    """Go through the brackets of a file; the text between them is read where it matters."""

    def __init__(self, name: str, read: Callable[[int, int], bytes], keys: Collection[str]) -> None:
        self._name, self._read, self._wanted = name, read, keys
        self.start = 3 if read(0, 3) == b"\xef\xbb\xbf" else 0  # what was not taken yet
        self._state = "before"  # "object", "list", "value", "behind"
        self._list = ""  # key of the open list, if it is wanted
        self._closing = b""  # bracket of the open value
        self._record: int | None = None  # where the record begins that has not ended
        self._count = 0  # records of the open list
        self._members = 0
        self._known: set[str] = set()

    def on(self, found: _Brackets) -> Iterator[Records]:
        """Go on through one window."""
        level = found.depths + (found.steps < 0)  # the depth that a bracket opens or closes
        last = 0
        for place in np.flatnonzero(level <= 2).tolist():
            yield from self._inner(found.cut(last, place))
            yield from self._outer(int(found.places[place]), int(level[place]))
            last = place + 1
        yield from self._inner(found.cut(last, None))

    def finish(self, end: int) -> None:
        """See that the file was whole; ``end`` is its size."""
        if self._state == "before":
            self._refuse_other(self._read(self.start, min(end, self.start + 1000)))
        if self._state != "behind":
            raise self._broken("it breaks off")
        if self._take(end).strip():
            raise self._broken("something stands behind its end")

    def _outer(self, place: int, level: int) -> Iterator[Records]:
        """Come to a bracket of the object itself or of one of its values."""
        if self._state == "before" or level < 1:
            text, bracket = self._take(place), self._take(place + 1)
            if self._state == "behind":
                raise self._broken("something stands behind its end")
            if text.strip() or bracket != b"{":
                self._refuse_other(text + bracket)
            self._state = "object"
        elif self._state == "object":
            text, bracket = self._take(place), self._take(place + 1)
            key = self._last_key(text, closed=level == 1)
            if level == 1:
                self._match(bracket, b"}")
                self._state = "behind"
            else:
                self._open(key, bracket)
        else:
            if self._list:
                yield from self._rest(place)
            self.start = place
            self._match(self._take(place + 1), self._closing)
            self._state, self._list = "object", ""

    def _open(self, key: str, bracket: bytes) -> None:
        if key in self._known and key in self._wanted:
            raise AnnotationError(f"{self._name} holds {key} twice")
        self._known.add(key)
        self._state = "list" if bracket == b"[" else "value"
        self._closing = b"]" if bracket == b"[" else b"}"
        if key in self._wanted:
            if bracket != b"[":
                raise AnnotationError(f"{self._name}: {key} must be a list, not an object")
            self._list = key
        self._count, self._record = 0, None

    def _inner(self, found: _Brackets) -> Iterator[Records]:
        """Read the records of a wanted list that end here."""
        if not self._list or not found.places.size:
            return
        begins = found.places[(found.steps > 0) & (found.depths == 3)].tolist()
        stops = (found.places[(found.steps < 0) & (found.depths == 2)] + 1).tolist()
        if self._record is not None:
            begins.insert(0, self._record)
        self._record = begins[len(stops)] if len(begins) > len(stops) else None
        if stops:
            text = self._take(stops[-1])
            values = self._values(text)
            lengths = [stop - start for start, stop in zip(begins, stops, strict=False)]
            yield self._counted(values, begins[: len(stops)], lengths, stops[-1])

    def _rest(self, place: int) -> Iterator[Records]:
        """Read what stands between a list's last record and its closing bracket."""
        text = self._take(place)
        if text.strip() or not self._count:
            values = self._values(text) if text.strip() else []
            yield self._counted(values, [], [], place)

    def _values(self, text: bytes) -> list[Any]:
        """Parse neighbouring records; all but a list's first follow a comma."""
        text = text.lstrip(b" \t\r\n")
        if self._count:
            if text[:1] != b",":
                raise self._broken(f"{self._list} lacks a comma after record {self._count}")
            text = text[1:]
        values, flaw = files.parse_json(b"[" + text + b"]", self._name)
        if not isinstance(values, list):
            raise AnnotationError(flaw)
        if not values:
            raise self._broken(f"{self._list} ends with a comma")
        return values

    def _counted(
        self, values: list[Any], offsets: list[int], lengths: list[int], end: int
    ) -> Records:
        if len(values) > len(offsets):  # numbers, texts and the like among them have no brackets
            spans = iter(zip(offsets, lengths, strict=True))
            own = [next(spans) if isinstance(v, dict | list) else (-1, 0) for v in values]
            offsets, lengths = [span[0] for span in own], [span[1] for span in own]
        first, self._count = self._count, self._count + len(values)
        return Records(self._list, first, values, offsets, lengths, end)

    def _last_key(self, text: bytes, *, closed: bool) -> str:
        """Parse the members before a bracket: they are no objects or lists, but for the last."""
        text = text.strip()
        if self._members and (text or not closed):
            if text[:1] != b"," or not text[1:].strip():
                raise self._broken("a comma is missing or stands alone between its members")
            text = text[1:]
        members, flaw = files.parse_json(b"{" + text + (b"}" if closed else b"0}"), self._name)
        if not isinstance(members, dict) or not (members or closed):
            raise AnnotationError(flaw or f"{self._name} is not JSON: a value has no key")
        for key in list(members)[: None if closed else -1]:
            if key in self._wanted:
                raise AnnotationError(f"{self._name}: {key} must be a list")
        self._members += len(members)
        return "" if closed else list(members)[-1]

    def _take(self, stop: int) -> bytes:
        text = self._read(self.start, stop)
        self.start = stop
        return text

    def _match(self, bracket: bytes, wanted: bytes) -> None:
        if bracket != wanted:
            raise self._broken("its brackets do not match")

    def _refuse_other(self, text: bytes) -> None:
        kind = {b"[": "a list", b"": "nothing"}.get(text.strip()[:1], "another kind of content")
        raise AnnotationError(f"{self._name}: a COCO file holds an object, not {kind}")

    def _broken(self, reason: str) -> AnnotationError:
        return AnnotationError(f"{self._name} is not JSON: {reason}")


def _next_block(stream: Any, window: int, name: str) -> bytes:
    """Read a window; a backslash at its end takes along what it may escape."""
    block: bytes = stream.read(window)
    while block.endswith(b"\\"):
        more = stream.read(window)
        if not more or len(block) > LONGEST:
            raise AnnotationError(f"{name} is not JSON: it breaks off")
        block += more
    return block


def _brackets(block: bytes, inside: bool) -> tuple[Places, NDArray[np.int8], bool]:
    """Find the brackets outside of texts: places, steps, and whether the block ends in a text."""
    letters = np.frombuffer(block, np.uint8)
    kinds = _STEPS[letters]
    places = np.flatnonzero(kinds)
    if b"\\" in block:
        places = places[~np.isin(places, _escaped(letters), assume_unique=True)]
    steps = kinds[places]
    quotes = steps == 2
    outside = (np.cumsum(quotes) + inside) % 2 == 0
    found = outside & ~quotes
    return places[found], steps[found], bool((int(quotes.sum()) + inside) % 2)


def _escaped(letters: NDArray[np.uint8]) -> Places:
    """Find what follows an odd number of backslashes."""
    slashes = np.flatnonzero(letters == _BACKSLASH)
    breaks = np.flatnonzero(np.diff(slashes) != 1)
    firsts = slashes[np.concatenate([[0], breaks + 1])]
    lasts = slashes[np.concatenate([breaks, [slashes.size - 1]])]
    odd = (lasts - firsts) % 2 == 0
    found: Places = lasts[odd] + 1
    return found
