"""What a stranger's file is about: images and classes that are known, found by their names."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from comask.annotation.names import shortened
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord, Size
from comask.errors import AnnotationError

_Tails = dict[str, list[int]]  # rows of images by an end of their paths

MOST_SENTENCES = 100  # on what is left out; all of it is counted


def own_size(image: ImageRecord) -> Size:
    """Take the size that the record says."""
    return image.height, image.width


@dataclass(frozen=True)
class Known:
    """The images and classes that a file's labels can be about.

    size  finds an image's upright size; raises a ComaskError for one that can't be opened
    grow  take the file's classes where none are known; they are left out otherwise
    """

    images: Sequence[ImageRecord]
    categories: Sequence[Category]
    size: Callable[[ImageRecord], Size] = own_size
    grow: bool = False

    def image(self, name: str) -> ImageRecord | None:
        """Find an image by a path, in another folder too where only one image can be meant.

        A name that was written on Windows or with composed letters is understood.
        """
        return self._find(self._tails, name)

    def stem(self, name: str) -> ImageRecord | None:
        """Find an image by a path without its ending."""
        return self._find(self._stem_tails, name)

    def category(self, name: str) -> int | None:
        """Find a class by its name; case and underscores count only where two would be meant."""
        exact = [c.id for c in self.categories if c.name == name]
        if exact:
            return exact[0]
        near = [c.id for c in self.categories if _plain(c.name) == _plain(name)]
        return near[0] if len(near) == 1 else None

    @cached_property
    def _tails(self) -> tuple[_Tails, _Tails]:
        return _tails([one.file_name for one in self.images])

    @cached_property
    def _stem_tails(self) -> tuple[_Tails, _Tails]:
        return _tails([without_ending(one.file_name) for one in self.images])

    def _find(self, tails: tuple[_Tails, _Tails], name: str) -> ImageRecord | None:
        """Look for the letters as they are first: two files may differ in nothing else."""
        exact, folded = tails
        row = _row(exact, _parts(name))
        if row is None:
            row = _row(folded, _parts(_folded(name)))
        return None if row is None else self.images[row]


@dataclass
class Notes:
    """What is left out of a file, counted and the first of it in sentences."""

    count: int = 0
    sentences: list[str] = field(default_factory=list)

    def add(self, sentence: str, count: int = 1) -> None:
        """Note that so many labels are left out."""
        self.count += count
        if len(self.sentences) < MOST_SENTENCES and sentence not in self.sentences:
            self.sentences.append(sentence)


@dataclass(frozen=True)
class Arrived:
    """Labels of a file, on known images.

    dataset    known images that the file speaks of, with or without labels, under their own ids;
               known classes, and grown ones; labels with the ids of the file, or counted
    skipped    labels that are left out
    sentences  why, the first hundred
    proposed   whether the labels are a model's findings
    """

    dataset: Dataset
    skipped: int = 0
    sentences: tuple[str, ...] = ()
    proposed: bool = False


class Sorter:
    """Collect the labels of a file image by image."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.notes = Notes()
        self._images: dict[int, ImageRecord] = {}
        self._annotations: list[Annotation] = []
        self._classes: dict[str, int | None] = {}
        self._grown: list[Category] = []

    def meet(self, image: ImageRecord, size: Size) -> bool:
        """Note that the file speaks of an image of some size.

        False where it is of another size, or the file has spoken of it before.
        """
        if image.id in self._images:
            self.notes.add(
                f"{shortened(image.file_name)} is there twice; what comes second is left out", 0
            )
            return False
        height, width = self.known.size(image)
        if (height, width) != size:
            self.notes.add(
                f"{shortened(image.file_name)} is {width} x {height} pixels when upright, and the "
                f"file was made for {size[1]} x {size[0]}, so its labels are left out",
                0,
            )
            return False
        self._images[image.id] = replace(image, width=width, height=height)
        return True

    def category(self, name: str) -> int | None:
        """Find a class; one that nobody knows is noted."""
        if name not in self._classes:
            known = self.known.category(name)
            self._classes[name] = self._grow(name) if known is None else known
        found = self._classes[name]
        if found is None:
            self.notes.add(f"there is no class {shortened(name)} here, so its labels are left out")
        return found

    def _grow(self, name: str) -> int | None:
        if not self.known.grow or self.known.categories:
            return None
        self._grown.append(Category(len(self._grown) + 1, name))
        return self._grown[-1].id

    def add(self, annotation: Annotation) -> None:
        """Take a label of an image that was met; one without pixels is noted."""
        if annotation.area > 0:
            self._annotations.append(annotation)
        else:
            name = self._images[annotation.image_id].file_name
            self.notes.add(f"{shortened(name)}: a label without a pixel is left out")

    def arrived(self, *, proposed: bool = False) -> Arrived:
        """Give what was collected."""
        dataset = Dataset(
            tuple(self._images.values()),
            tuple(self._annotations),
            (*self.known.categories, *self._grown),
        )
        return Arrived(dataset, self.notes.count, tuple(self.notes.sentences), proposed)


def refuse_unknown(sorter: Sorter, name: str, met: int) -> None:
    """Refuse a file of which no image is known."""
    if not met:
        raise AnnotationError(
            f"{name} speaks of none of the {len(sorter.known.images):,} images here; its images "
            f"must have the same names"
        )


def without_ending(name: str) -> str:
    """Cut the ending of a file name off."""
    folder, slash, last = name.rpartition("/")
    stem, dot, _ = last.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else last}"


def _row(tails: _Tails, parts: Sequence[str]) -> int | None:
    """Find the one image whose path ends as the name does, or the name as the whole path does."""
    for first in range(len(parts)):
        tail = "/".join(parts[first:])
        rows = tails.get(f"/{tail}") or (tails.get(tail) if first == 0 else None)
        if rows:
            return rows[0] if len(rows) == 1 else None
    return None


def _tails(paths: Sequence[str]) -> tuple[_Tails, _Tails]:
    """List the images by every end of their paths, and again with composed letters.

    Whole paths begin with a slash.
    """
    both: tuple[_Tails, _Tails] = ({}, {})
    for row, path in enumerate(paths):
        for found, written in zip(both, (path, _folded(path)), strict=True):
            parts = _parts(written)
            found.setdefault(f"/{'/'.join(parts)}", []).append(row)
            for first in range(len(parts)):
                found.setdefault("/".join(parts[first:]), []).append(row)
    return both


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold().strip()
