"""What the command line says when a test asks it."""

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    code: int
    out: str
    err: str


Say = Callable[..., Said]
