"""What each checkpoint is for: the classes that it finds, read from its file's header alone."""

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from safetensors import SafetensorError, safe_open

from app.services.checkpoints import CheckpointFile, CheckpointShelf
from comask.annotation.classes import plain

NAMED = 3  # classes that a sentence names before it counts the others
_ENTRY = "comask"  # of a file's metadata, as comask.checkpoint.native has it


@dataclass(frozen=True)
class Purpose:
    """What a checkpoint is for.

    about    what its maker says of it, in a few words; "" where nothing is said
    classes  names of what it finds, in its order; none where the file can't be read
    """

    about: str = ""
    classes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say it in a few words: the maker's, else the first classes."""
        return self.about or some(self.classes)

    def finds(self, names: Iterable[str]) -> bool:
        """Tell whether any of these classes is among those it finds."""
        return not {plain(name) for name in names}.isdisjoint(map(plain, self.classes))


class Purposes:
    """Look up what checkpoints are for; a file is read once for as long as it does not change."""

    def __init__(self, shelf: CheckpointShelf) -> None:
        self._shelf = shelf
        self._known: dict[tuple[str, int, int], Purpose] = {}
        self._lock = threading.Lock()

    def of(self, file: CheckpointFile) -> Purpose:
        """Read what a checkpoint is for; nothing of a file that is broken or gone."""
        try:
            status = file.path.stat()
        except OSError:
            return Purpose()
        stamp = str(file.path), status.st_size, status.st_mtime_ns
        with self._lock:
            if stamp not in self._known:
                self._known[stamp] = _read(file)
            return self._known[stamp]

    def better(self, file: CheckpointFile, annotated: Sequence[str]) -> CheckpointFile | None:
        """Find a checkpoint for classes of which ``file`` finds none; None where it finds one."""
        if not annotated or not (own := self.of(file)).classes or own.finds(annotated):
            return None
        others = (other for other in self._shelf.listed() if other != file)
        return next((other for other in others if self.of(other).finds(annotated)), None)


def some(names: Sequence[str]) -> str:
    """Name a few classes and count the others."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _read(file: CheckpointFile) -> Purpose:
    """Read the metadata of a file that may be anything: the model's own reader needs torch."""
    try:
        with safe_open(file.path, framework="numpy") as opened:
            said = json.loads((opened.metadata() or {})[_ENTRY])
        names = tuple(str(category["name"]) for category in said["categories"])
        about = said["training"].get("about", "")
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError):
        return Purpose()
    return Purpose(about if isinstance(about, str) else "", names)
