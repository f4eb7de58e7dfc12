"""One JSON object whose values are taken by name, or refused by name.

A JSON file is a stranger: ``True`` is no number here, ``NaN`` and 10**400 are none either. A
refusal says the field, what it must be and what it is; the caller adds the file and the record.
"""

from collections.abc import Mapping
from typing import Any

from comask.annotation.records import Bbox
from comask.errors import AnnotationError

MAX_ID = 2**63 - 1
MAX_NUMBER = 1e15  # whole numbers up to here are exact as floats
_NUMBERS = frozenset({int, float})


class Fields:
    """A JSON object, taken apart field by field."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise AnnotationError(f"it must be an object, not {shown(value)}")
        self._values: dict[str, Any] = value
        self._taken: set[str] = set()

    def get(self, key: str) -> Any:
        """Take any value; None where there is none."""
        self._taken.add(key)
        return self._values.get(key)

    def has(self, key: str) -> bool:
        """Tell whether a field is there and not null."""
        return self._values.get(key) is not None

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Take a whole number in low .. high."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if type(value) is not int or not low <= value <= high:
            raise _refused(key, f"a whole number in {low} .. {high}", value)
        return value

    def number(self, key: str, low: float = -MAX_NUMBER) -> float:
        """Take a finite number that is ``low`` or more."""
        value = self.get(key)
        if not is_number(value) or value < low:
            wanted = "a finite number" if low == -MAX_NUMBER else f"a finite number from {low:g}"
            raise _refused(key, wanted, value)
        return float(value)

    def optional(self, key: str) -> float | None:
        """Take a finite number, if one is there."""
        return self.number(key) if self.has(key) else None

    def text(self, key: str, default: str | None = None) -> str:
        """Take a string, not an empty one."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or (default is None and not value):
            raise _refused(key, "a text", value)
        return value

    def bbox(self, key: str) -> Bbox:
        """Take a box: four finite numbers x, y, width, height, the last two 0 or more."""
        value = self.get(key)
        if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
            raise _refused(key, "four finite numbers x, y, width, height", value)
        x, y, width, height = map(float, value)
        if min(width, height) < 0:
            raise _refused(key, "x, y, width, height with no negative size", value)
        return x, y, width, height

    def items(self, key: str) -> list[Any]:
        """Take a list that must be there."""
        value = self.get(key)
        if not isinstance(value, list):
            raise _refused(key, "a list", value)
        return value

    def object(self, key: str) -> Mapping[str, Any]:
        """Take an object; an empty one where there is none."""
        value = self.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _refused(key, "an object", value)
        return value

    def rest(self) -> Mapping[str, Any]:
        """Give what nobody took."""
        return {key: value for key, value in self._values.items() if key not in self._taken}


def is_number(value: object) -> bool:
    """Tell whether a JSON value is a number that can be calculated with."""
    return type(value) in _NUMBERS and -MAX_NUMBER <= value <= MAX_NUMBER  # type: ignore[operator]


def shown(value: object) -> str:
    """Write a strange value so that it fits into a sentence."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value)}" if value else f"an empty {kind.split()[1]}"
    if isinstance(value, int) and abs(value) > 10**20:
        return "an endless number"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _refused(key: str, wanted: str, value: object) -> AnnotationError:
    if value is None:
        return AnnotationError(f"{key} is missing; it must be {wanted}")
    return AnnotationError(f"{key} must be {wanted}, not {shown(value)}")
