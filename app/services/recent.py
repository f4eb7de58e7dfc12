"""Values used a short while ago, up to a budget; the least recently used ones go first."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A bounded memory that several threads may use; a value above the budget is not kept."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._cost = 0
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        """Look without marking as used."""
        with self._lock:
            return key in self._values

    def get(self, key: Key) -> Value | None:
        """Find a value and mark it as used."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Key, value: Value, cost: int = 1) -> None:
        """Remember a value; others make room for it."""
        with self._lock:
            self._drop(key)
            if cost > self._budget:
                return
            self._values[key] = value, cost
            self._cost += cost
            while self._cost > self._budget:
                self._drop(next(iter(self._values)))

    def drop(self, key: Key) -> None:
        """Forget a value if it is there."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        _, cost = self._values.pop(key, (None, 0))
        self._cost -= cost
