"""The store of labels: every gesture in one transaction, kept for ever, undone at will.

It shares its database with the store of runs: SQLite or any other by its URL. A project is a
dataset's fingerprint, "uploads" or "samples"; images go by their names, as in a COCO file. The log
of gestures is only ever appended to; undoing is a gesture of its own. What ``apply`` has returned
is on the disk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from comask.annotation.labels import Applied, Gesture, ImageState, Reverted, Sheet, State
from comask.annotation.records import Category
from comask.annotation.store import Store

Order = Literal["file", "score", "instability", "disagreement"]
Base = Callable[[], Sheet]  # what an image's sheet is before anybody did anything to it


@dataclass(frozen=True)
class SheetRow:
    """One image without its labels: how many it has in which state."""

    image: str
    row: int
    revision: int
    state: ImageState
    counts: Mapping[State, int]


@dataclass(frozen=True)
class QueueRow:
    """One label of the review queue, without its mask."""

    image: str
    row: int
    uid: str
    category: int
    state: State
    class_score: float | None
    instability: float | None
    disagreement: float | None


@dataclass(frozen=True)
class EffortRow:
    """What became of one checkpoint's proposals of one class, or of what people drew.

    checkpoint  "" for what people drew by hand
    accepted    as it was, class and mask; nudged: the mask changed, IoU with the proposal at least
                0.8, or only the class did; redrawn: less than that; rejected; waiting: not seen
    drawn       by hand
    actions, seconds  spent on these labels, waiting ones included
    """

    checkpoint: str
    category: int
    accepted: int
    nudged: int
    redrawn: int
    rejected: int
    waiting: int
    drawn: int
    actions: float
    seconds: float


class LabelStore:
    """Labels in an open store; several threads and processes may use one at once."""

    def __init__(self, store: Store) -> None:
        """Take an open store; makes the tables where they are not there."""
        raise NotImplementedError

    # -- sheets ---------------------------------------------------------------------------------

    def sheet(self, project: str, image: str) -> Sheet | None:
        """Read an image's sheet; None where nobody has done anything to it yet."""
        raise NotImplementedError

    def sheets(self, project: str, images: Sequence[str] | None = None) -> dict[str, SheetRow]:
        """Describe all sheets of a project that exist, or some, by image."""
        raise NotImplementedError

    def apply(self, project: str, image: str, gesture: Gesture, base: Base) -> Applied:
        """Do what somebody did, in one transaction, on the disk when this returns.

        A key that was applied before is not applied again: the sheet as it now is comes back with
        ``repeated``. Raises ConflictError where the sheet is not at ``gesture.revision`` any more,
        InputError where the gesture makes no sense (unknown uid dropped, mask of another size,
        empty mask, twice the same uid, too long a text).

        The store itself keeps ``origin``, ``number``, ``checkpoint``, scores and ``extra`` of a
        label that is put again; it sets ``proposed``, ``proposed_category`` and ``kept`` of a
        model's label the first time that its mask or class changes (and takes them away when both
        are as they were).
        """
        raise NotImplementedError

    def history(self, project: str, image: str, limit: int = 100) -> list[Mapping[str, object]]:
        """List what was done to an image, the latest first: who, when, what, which labels."""
        raise NotImplementedError

    # -- undo -----------------------------------------------------------------------------------

    def standing(self, project: str, actor: str) -> tuple[str | None, str | None]:
        """Name the kind of gesture that the actor would undo, and redo."""
        raise NotImplementedError

    def undo(self, project: str, actor: str, key: str) -> Reverted | None:
        """Undo the actor's latest gesture that stands, a batch as a whole; None where none does.

        Idempotent by ``key``. Raises ConflictError where somebody else has changed a label of it
        since; in a batch such labels are left alone and counted.
        """
        raise NotImplementedError

    def redo(self, project: str, actor: str, key: str) -> Reverted | None:
        """Do again what was undone last; None where nothing was, or something else was done."""
        raise NotImplementedError

    # -- project --------------------------------------------------------------------------------

    def categories(self, project: str) -> tuple[Category, ...] | None:
        """Give the classes of a project; None where nobody has set them."""
        raise NotImplementedError

    def set_categories(self, project: str, categories: Sequence[Category]) -> None:
        """Set the classes; raises InputError where a label's class would go, ids or names twice."""
        raise NotImplementedError

    def numbers(self, project: str, wanted: Sequence[tuple[str, str, int | None]]) -> list[int]:
        """Give every label its id in exported files, for ever: (image, uid, number it had) each.

        A number that it had in the file is taken; others get the next free ones, in the order of
        ``wanted``, and the same label gets the same number ever after.
        """
        raise NotImplementedError

    def queue(
        self,
        project: str,
        order: Order,
        states: Sequence[State] = ("proposed",),
        offset: int = 0,
        limit: int = 200,
    ) -> tuple[int, list[QueueRow]]:
        """List labels to be reviewed, and how many there are in all.

        file: by row, then the best score first; score: the lowest class score first; instability
        and disagreement: the highest first, those without one last.
        """
        raise NotImplementedError

    def effort(self, project: str) -> list[EffortRow]:
        """Add up the ledger; replaying the log gives the same totals."""
        raise NotImplementedError

    def state_hash(self, project: str) -> str:
        """Name the state of all sheets (labels, order, image states; not revisions): SHA-256."""
        raise NotImplementedError
