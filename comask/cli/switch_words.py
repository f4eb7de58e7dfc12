"""Words for what is switched off: ``P3:8x``, ``2x``, ``attention:P2``."""

import argparse
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comask.errors import InputError

if TYPE_CHECKING:
    from comask.analysis import Switches

ATTENTION = "attention"
LEVELS = (2, 3, 4, 5)  # ``comask.model.neck.LEVELS``, which brings torch
_LEVEL, _PART = re.compile("p([2-5])"), re.compile(rf"\d{{1,2}}x|{ATTENTION}")


@dataclass(frozen=True)
class Off:
    """One thing that is switched off.

    part   a branch's name, or "attention"
    level  2 .. 5; None at all levels
    """

    part: str
    level: int | None

    @property
    def levels(self) -> Sequence[int]:
        """List the levels that are meant."""
        return LEVELS if self.level is None else (self.level,)

    @property
    def word(self) -> str:
        """Say it to people."""
        where = "all levels" if self.level is None else f"P{self.level}"
        return f"{self.part} at {where}"


def off(text: str) -> Off:
    """Read one word of the command line: a part, and the level before or after it."""
    words = text.strip().lower().split(":")
    levels = [int(found[1]) for word in words if (found := _LEVEL.fullmatch(word))]
    parts = [word for word in words if _PART.fullmatch(word)]
    if len(parts) != 1 or len(levels) != len(words) - 1 or len(levels) > 1:
        raise argparse.ArgumentTypeError(
            f"a branch or the attention, and maybe a level, such as P3:8x, 2x or attention:P2, "
            f"not {text!r:.40}"
        )
    return Off(parts[0], levels[0] if levels else None)


def to_switches(
    words: Iterable[Off],
    branches: Sequence[str],
    *,
    reach: str | None = None,
    votes: str | None = None,
    second_pass: bool | None = None,
) -> "Switches":
    """Join words to switches; raises InputError for a branch that is not among ``branches``."""
    from comask.analysis import Switches

    branches_off: set[tuple[int, int]] = set()
    attention_off: set[int] = set()
    for one in words:
        if one.part == ATTENTION:
            attention_off.update(one.levels)
        elif one.part in branches:
            branches_off.update((level, branches.index(one.part)) for level in one.levels)
        else:
            raise InputError(f"the checkpoint has no branch {one.part}, only {', '.join(branches)}")
    return Switches(
        branches_off=frozenset(branches_off),
        attention_off=frozenset(attention_off),
        reach=reach or "fusion",  # type: ignore[arg-type]
        votes=votes,  # type: ignore[arg-type]
        second_pass=second_pass,
    )


def in_words(words: Sequence[Off], reach: str | None, votes: str | None, second: bool) -> str:
    """Say to people what is switched off."""
    told = [one.word for one in words]
    if reach == "cascade" and any(one.part != ATTENTION for one in words):
        told.append("in the cascade too")
    if votes is not None:
        told.append(f"votes weighed as {votes}")
    if not second:
        told.append("the second pass")
    return ", ".join(told)
