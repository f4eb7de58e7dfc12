"""Several processes that share a command's work, started by ``torchrun`` or by hand.

Nothing is sent between them: they meet in the store, where each takes what nobody else is at. So a
process that dies takes nothing with it, and they need not start at the same time.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from comask.errors import InputError

Item = TypeVar("Item")

_MOST = 100_000


@dataclass(frozen=True)
class Processes:
    """How many processes work, and which one this is: 0 writes and speaks.

    local  its number on this machine, which is also that of its GPU; None where nobody said
    """

    count: int = 1
    rank: int = 0
    local: int | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str] | None = None) -> "Processes":
        """Read what ``torchrun`` says; without it, this process is alone."""
        given = os.environ if environment is None else environment
        if "WORLD_SIZE" not in given:
            return cls()
        count = _whole(given, "WORLD_SIZE", 1)
        rank = _whole(given, "RANK", 0)
        if rank >= count:
            raise InputError(f"RANK must be below WORLD_SIZE, {count}, and it is {rank}")
        return cls(count, rank, _whole(given, "LOCAL_RANK", 0) if "LOCAL_RANK" in given else None)

    @property
    def is_first(self) -> bool:
        """Say whether this process writes what is made, and speaks."""
        return self.rank == 0

    def ordered(self, items: Sequence[Item]) -> list[Item]:
        """Put its own share before that of the next process, and so on round."""
        turns = [(self.rank + turn) % self.count for turn in range(self.count)]
        return [item for turn in turns for item in items[turn :: self.count]]

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """Take its own share."""
        return items[self.rank :: self.count]


def _whole(given: Mapping[str, str], name: str, low: int) -> int:
    text = given.get(name, "")
    if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= _MOST):
        raise InputError(f"{name} must be a whole number from {low} on, not {text!r:.40}")
    return int(text)
