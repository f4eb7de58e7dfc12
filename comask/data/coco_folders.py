"""COCO folders put together to learn from, and what each of their images is annotated for.

A file that lists fewer categories than the others was made for those alone: an object of another
category may stand in its images without a word of it. LVIS says the same image by image:
``neg_category_ids`` are looked for and not there, ``not_exhaustive_category_ids`` are there and not
all annotated, and about every other category without an annotation nothing is known.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from comask.annotation import coco
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.errors import InputError

MIN_IMAGE_SIDE = 32  # image pixels; smaller images are not trained on (spec section 1)
NEGATIVE, PARTIAL = "neg_category_ids", "not_exhaustive_category_ids"  # LVIS's names


@dataclass(frozen=True)
class CocoFolder:
    """A COCO file and the folder of its images."""

    annotations: Path
    images: Path


@dataclass(frozen=True)
class Lesson:
    """One image to learn from.

    path       of its file
    truth      its annotations; an id of a category means what it means in its own file
    labels     of the annotations, rows of the common categories
    annotated  the labels that it is annotated for; None: all of them
    """

    record: ImageRecord
    path: Path
    truth: tuple[Annotation, ...]
    labels: tuple[int, ...]
    annotated: frozenset[int] | None


def gather(
    folders: Sequence[CocoFolder],
) -> tuple[tuple[Category, ...], list[Lesson]]:
    """Read folders: their categories, one of each name, and the images that can be learnt from.

    Raises InputError where two files give one id to categories of different names, or where an
    image is not in its folder, before an hour has gone by.
    """
    contents = [coco.read(folder.annotations) for folder in folders]
    categories = _common(folders, contents)
    lessons = []
    for folder, content in zip(folders, contents, strict=True):
        found = list(_lessons(folder, content, categories))
        require_images(folder.images, [lesson.record.file_name for lesson in found])
        lessons += found
    return categories, lessons


def common_categories(folders: Sequence[CocoFolder]) -> tuple[Category, ...]:
    """Read the categories of all files, one of each name; raises as ``gather`` does."""
    return _common(folders, [coco.read(folder.annotations) for folder in folders])


def require_images(folder: Path, names: Sequence[str]) -> None:
    """Raise InputError where images are missing: how many, and one of them."""
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} images are not below {folder}, for example "
            f"{missing[0]}"
        )


def _common(folders: Sequence[CocoFolder], contents: Sequence[Dataset]) -> tuple[Category, ...]:
    named: dict[str, Category] = {}
    numbered: dict[int, Category] = {}
    for folder, content in zip(folders, contents, strict=True):
        for category in content.categories:
            if category.name in named and content is not contents[0]:
                continue
            other = numbered.setdefault(category.id, category)
            if other.name != category.name:
                raise InputError(
                    f"{folder.annotations}: category {category.id} is {category.name!r:.60} here "
                    f"and {other.name!r:.60} in another file; give each its own id"
                )
            named[category.name] = category
    return tuple(numbered.values())


def _lessons(
    folder: CocoFolder, content: Dataset, categories: Sequence[Category]
) -> Iterable[Lesson]:
    named = {category.name: row for row, category in enumerate(categories)}
    # one file may give a name twice: its ids tell the two apart
    numbered = {(category.id, category.name): row for row, category in enumerate(categories)}
    label = {c.id: numbered.get((c.id, c.name), named[c.name]) for c in content.categories}
    truth: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in content.annotations:
        if annotation.area > 0 and min(annotation.bbox[2:]) >= 1:
            truth[annotation.image_id].append(annotation)
    for record in content.images:
        found = truth[record.id]
        large = min(record.width, record.height) >= MIN_IMAGE_SIDE
        if large and any(not one.iscrowd for one in found):
            labels = tuple(label[one.category_id] for one in found)
            known = _annotated(record, labels, label, folder.annotations.name)
            annotated = None if len(known) == len(categories) else known
            path = folder.images / record.file_name
            yield Lesson(record, path, tuple(found), labels, annotated)


def _annotated(
    record: ImageRecord, labels: Sequence[int], label: dict[int, int], name: str
) -> frozenset[int]:
    """Find the labels that an image is annotated for."""
    if NEGATIVE not in record.extra and PARTIAL not in record.extra:
        return frozenset(label.values())
    negative, partial = (_labels_under(key, record, label, name) for key in (NEGATIVE, PARTIAL))
    return (frozenset(labels) | negative) - partial


def _labels_under(
    key: str, record: ImageRecord, label: dict[int, int], name: str
) -> frozenset[int]:
    numbers = record.extra.get(key, [])
    if not isinstance(numbers, list) or not all(type(n) is int and n in label for n in numbers):
        raise InputError(
            f"{name}: {key} of image {record.id} must be a list of ids of the file's categories, "
            f"got {numbers!r:.60}"
        )
    return frozenset(label[number] for number in numbers)
