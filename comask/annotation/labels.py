"""Labels: the instances of an image as people correct them, and what is done to them.

An image has one sheet: its labels in their order, and a revision that counts what was done to it.
Whatever somebody does is one ``Gesture``: labels that are put, labels that are dropped, the image's
own state. A gesture is undone by putting back what was there, so everything can be undone. Masks
are of the upright image; no pixel is ever turned into a polygon on the way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from comask.annotation.records import Annotation, Rle, Size

State = Literal["proposed", "accepted", "edited", "rejected", "new"]
Origin = Literal["model", "person", "file"]
ImageState = Literal["open", "done"]

STATES: tuple[State, ...] = ("proposed", "accepted", "edited", "rejected", "new")
KEPT: frozenset[State] = frozenset({"accepted", "edited", "new"})  # what an export holds by itself
UNTOUCHED: State = "proposed"  # the only state that another run may replace


@dataclass(frozen=True)
class Label:
    """One instance of an image; image pixels.

    uid           names it within its image for ever: 1 .. 64 of A-Z a-z 0-9 . _ -
    category      id of the dataset
    mask          never empty
    state         proposed: the model's, nobody looked; accepted: somebody found it right; edited:
                  somebody changed it; rejected: it stays as a memory, so that no run brings it
                  back, and is never exported; new: somebody drew it
    origin        model, person, or the file that the dataset was opened with
    z             the higher lies on top; the same z is ordered by uid
    number        its id in that file, or None
    checkpoint    identity of the model's file where origin is "model", else ""
    score         ranking score, class_score 0 .. 1, mask_iou: as the model said
    instability   0 .. 1: how much its box and mask changed between the two passes
    disagreement  0 .. 1: 1 - IoU with the best other opinion, None where there is none
    proposed      the model's own mask and class, kept once somebody changed either
    kept          IoU of ``mask`` with ``proposed``; None while that is None
    extra         keys of the file that this library does not know
    """

    uid: str
    category: int
    mask: Rle
    state: State
    origin: Origin
    z: int = 0
    iscrowd: bool = False
    number: int | None = None
    checkpoint: str = ""
    score: float | None = None
    class_score: float | None = None
    mask_iou: float | None = None
    instability: float | None = None
    disagreement: float | None = None
    proposed: Rle | None = None
    proposed_category: int | None = None
    kept: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Sheet:
    """An image's labels, the lowest first; revision 0 is what was there before anybody came.

    row  of the image in its dataset's order
    """

    size: Size
    labels: tuple[Label, ...] = ()
    revision: int = 0
    state: ImageState = "open"
    row: int = 0


@dataclass(frozen=True)
class Gesture:
    """One thing that somebody did to one image.

    key       names it for ever, 1 .. 64 characters: the same key is never applied twice
    actor     who; undo is theirs
    kind      a word for the log and the undo button: "brush", "merge", "accept", "prelabel", ...
    revision  of the sheet that they saw
    put       labels as they are to be; those with a known uid replace that one
    drop      uids that go
    state     of the image, None leaves it
    actions   strokes, clicks and keys that it took; seconds of work (idle time apart)
    batch     gestures of one batch run, over many images, are undone as one; "" for none
    """

    key: str
    actor: str
    kind: str
    revision: int
    put: Sequence[Label] = ()
    drop: Sequence[str] = ()
    state: ImageState | None = None
    actions: int = 0
    seconds: float = 0.0
    batch: str = ""


@dataclass(frozen=True)
class Applied:
    """What became of a gesture: the sheet after it, and whether it had been applied before."""

    sheet: Sheet
    repeated: bool = False


@dataclass(frozen=True)
class Reverted:
    """What was undone or redone.

    kind    of the gesture
    images  name -> sheet after it, of at most the first hundred images
    count   of images
    skipped labels that somebody has changed since, in a batch: these stay as they are
    """

    kind: str
    images: Mapping[str, Sheet]
    count: int
    skipped: int = 0


def from_file(annotations: Sequence[Annotation], size: Size, row: int = 0) -> Sheet:
    """Begin an image's sheet with what its COCO file says: people drew it, so it is accepted."""
    labels = tuple(
        Label(
            uid=f"t{one.id}",
            category=one.category_id,
            mask=one.rle,
            state="accepted",
            origin="file",
            z=place,
            iscrowd=one.iscrowd,
            number=one.id,
            score=one.score,
            class_score=one.class_score,
            mask_iou=one.mask_iou,
            extra=one.extra,
        )
        for place, one in enumerate(annotations, start=1)
    )
    return Sheet(size, labels, row=row)
