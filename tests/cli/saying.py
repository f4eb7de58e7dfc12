"""What the command line says when a test asks it."""

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    code: int
    out: str
    err: str


Say = Callable[..., Said]


def assert_refused(answer: Said, sentence: str) -> None:
    """Hold an answer to exit code 2 and one sentence."""
    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert answer.err.startswith("comask")
    assert answer.err.count("\n") == 1
