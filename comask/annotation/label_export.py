"""What a project's labels are as a dataset: images in their order, labels under lasting ids.

Masks go over as they are, runs of pixels. ``iscrowd`` is what somebody set, and has nothing to do
with how a mask looks. Rejected labels stay at home. The same labels give the same dataset.

By switch, an annotation also carries
- score, class_score, mask_iou  as the model said, and
- comask  {uid, state, origin, checkpoint, instability, disagreement, kept_iou}: who made it, and
  what became of it; kept_iou is the IoU of a corrected mask with what the model proposed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from comask.annotation import coco, files, rle
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import KEPT, UNTOUCHED, Label, Sheet
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.errors import InputError

Include = Literal["kept", "all"]
Base = Callable[[int], Sheet | None]

PROVENANCE = "comask"  # the key of an annotation that says who made it
SPACE = (
    "Image pixels of the upright image, turned as its EXIF orientation says; pixel i covers "
    "i to i + 1."
)


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What of the labels goes out.

    include     kept: what people accepted, corrected or drew; all: proposals too
    min_score   class score that proposals must be above, 0 .. 1
    scores      write what the model said
    provenance  write who made each label and what became of it
    """

    include: Include = "kept"
    min_score: float = 0.0
    scores: bool = False
    provenance: bool = False

    def __post_init__(self) -> None:
        if self.include not in ("kept", "all"):
            raise InputError(f"include must be kept or all, not {self.include!r}")
        if not 0 <= self.min_score <= 1:
            raise InputError(f"min_score must be in 0 .. 1, got {self.min_score}")


@dataclass(frozen=True)
class Origin:
    """Where an annotation of an export comes from: its image in the store, and its uid there."""

    annotation_id: int
    image: str
    uid: str


@dataclass(frozen=True)
class Note:
    """What somebody should know of an image, by its name in the store."""

    image: str
    sentence: str


@dataclass(frozen=True)
class LabelExport:
    """Labels as a dataset.

    dataset  ready to be written
    images   the names in the store of the dataset's images, in their order
    origins  one for each annotation, in their order
    empty    labels without a pixel, which no file can hold
    notes    on images that are left out, or whose file's objects are
    """

    dataset: Dataset
    images: tuple[str, ...]
    origins: tuple[Origin, ...]
    empty: tuple[Origin, ...] = ()
    notes: tuple[Note, ...] = ()


@files.uncollected()
def export(
    store: LabelStore,
    project: str,
    about: Dataset,
    base: Base,
    settings: ExportSettings,
    names: Sequence[str] | None = None,
) -> LabelExport:
    """Gather the labels of a project.

    Args:
        store: Where people's work is; it also gives every label its id, once and for ever.
        project: As the store knows it.
        about: Its images in their order and its classes, with what else the file is to keep;
            the classes that people set in the store go first.
        base: Finds the sheet of an image that nobody has touched, by its row; None where its
            size can't be found. An image that is listed twice is asked for by its first row.
        settings: What goes out.
        names: The images' names in the store; their file names where none are given.
    """
    known = tuple(image.file_name for image in about.images) if names is None else tuple(names)
    there = store.sheets(project)

    def touched(name: str) -> Sheet | None:
        return store.sheet(project, name) if name in there else None

    classes = store.categories(project) or about.categories
    extra = _Extras(settings, classes)
    images: list[ImageRecord] = []
    placed: list[str] = []
    kept: list[tuple[str, str, Annotation | None]] = []  # name, uid; it has no id yet; None: empty
    wanted: list[tuple[str, str, int | None]] = []
    rows: list[int] = []  # of kept, in wanted
    notes: list[Note] = []
    for row, name in _first_rows(known):
        sheet = touched(name) or base(row)
        if sheet is None:
            notes.append(Note(name, "nobody knows its size, so it is left out"))
            continue
        image = replace(about.images[row], width=sheet.size[1], height=sheet.size[0])
        images.append(image)
        placed.append(name)
        for label in sheet.labels:
            if _goes(label, settings):
                rows.append(len(wanted))
                some = rle.area(label.mask) > 0
                made = extra.annotate(name, image.id, label) if some else None
                kept.append((name, label.uid, made))
            # those that stay at home get theirs too, so that no other is given it
            wanted.append((name, label.uid, label.number or None))  # 0 is none to pycocotools
    numbers = store.numbers(project, wanted)
    annotations: list[Annotation] = []
    origins: list[Origin] = []
    empty: list[Origin] = []
    for row, (name, uid, made) in zip(rows, kept, strict=True):
        origin = Origin(numbers[row], name, uid)
        if made is None:
            empty.append(origin)
            continue
        annotations.append(replace(made, id=origin.annotation_id))
        origins.append(origin)
    info = {**about.info, "coordinates": SPACE}
    dataset = replace(
        about,
        images=tuple(images),
        annotations=tuple(annotations),
        categories=tuple(classes),
        info=info,
    )
    return LabelExport(dataset, tuple(placed), tuple(origins), tuple(empty), tuple(notes))


def _first_rows(names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Go through the images, each name once: a file that is listed twice is one image."""
    seen: set[str] = set()
    for row, name in enumerate(names):
        if name not in seen:
            seen.add(name)
            yield row, name


def _goes(label: Label, settings: ExportSettings) -> bool:
    if label.state in KEPT:
        return True
    if label.state != UNTOUCHED or settings.include != "all":
        return False
    score = label.class_score if label.class_score is not None else label.score
    # scores are float32, and so is the model's own comparison
    return score is None or bool(np.float32(score) > np.float32(settings.min_score))


class _Extras:
    """What annotations carry beside their masks."""

    def __init__(self, settings: ExportSettings, classes: Sequence[Category]) -> None:
        self._settings = settings
        self._classes = {category.id for category in classes}

    def annotate(self, image: str, image_id: int, label: Label) -> Annotation:
        """Make an annotation that has no id yet."""
        if label.category not in self._classes:
            raise InputError(
                f"a label of {image} has the class {label.category}, which this project "
                f"does not have; give it another class and export again"
            )
        scores = {
            key: getattr(label, key) if self._settings.scores else None
            for key in ("score", "class_score", "mask_iou")
        }
        made = coco.annotate(0, image_id, label.category, label.mask, **scores)
        extra = dict(label.extra)
        if self._settings.provenance:
            extra[PROVENANCE] = _provenance(label)
        return replace(made, iscrowd=label.iscrowd, extra=extra)


def _provenance(label: Label) -> dict[str, Any]:
    said = {
        "uid": label.uid,
        "state": label.state,
        "origin": label.origin,
        "checkpoint": label.checkpoint or None,
        "instability": label.instability,
        "disagreement": label.disagreement,
        "kept_iou": label.kept,
    }
    return {key: value for key, value in said.items() if value is not None}
