"""Labels as pages know them: by image keys and dataset ids, not by names and fingerprints.

An image's labels are kept under its project and its name, so they outlive a changed COCO file, a
removed upload and the server. A COCO file may name a file twice: then its rows share one sheet.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.services.datasets import DatasetShelf
from app.services.images import ImageStore, StoredImage
from comask.annotation import rle
from comask.annotation.index import DatasetIndex
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Sheet, from_file
from comask.annotation.records import Annotation, Category, Dataset, Size
from comask.errors import InputError

Place = tuple[str, int]  # an image's name in the store, and the row that it had there


@dataclass(frozen=True)
class Project:
    """What labels belong to.

    name     as pages say it: a dataset's id, "uploads" or "samples"
    kept_as  as the store knows it: a dataset's fingerprint, or the same word
    found    the dataset; None for the other two
    """

    name: str
    kept_as: str
    found: DatasetIndex | None = None


@dataclass(frozen=True)
class Begun:
    """What an image's sheet is before anybody came; ``note`` says which truth is not taken."""

    sheet: Sheet
    note: str = ""


@dataclass(frozen=True)
class Listed:
    """An image of a list: its key, its name in the store, its file, and how much is drawn on it.

    objects  in its annotation file, crowds apart
    """

    key: str
    name: str
    file_name: str
    objects: int


@dataclass(frozen=True)
class Reach:
    """Which sheets a project's images have.

    gone     names of images that are not there any more; what was done to them is kept
    again    names that several rows go by, and how many
    objects  what people drew on images without a sheet, crowds apart
    """

    gone: tuple[str, ...]
    again: Mapping[str, int]
    objects: int


class Sheets:
    """Find sheets, classes and keys; several threads may ask at once."""

    def __init__(self, labels: LabelStore, images: ImageStore, datasets: DatasetShelf) -> None:
        self._labels, self._images, self._datasets = labels, images, datasets
        self._lock = threading.Lock()
        self._reaches: dict[str, tuple[int, object, Reach]] = {}

    def project(self, name: str) -> Project | None:
        """Find a project by the name that pages use; None for a dataset that is not open."""
        if name in ("uploads", "samples"):
            return Project(name, name)
        found = self._datasets.get(name)
        return None if found is None else Project(name, found.fingerprint, found)

    def project_of(self, image: StoredImage) -> Project:
        """Find the project of an image; raises InputError where its dataset is not open."""
        place = self._datasets.place(image.key)
        found = self.project(image.source if place is None else place[0])
        if found is None:
            raise InputError("The dataset of this image is not open any more; open it again.")
        return found

    def name_of(self, image: StoredImage) -> str:
        """Name an image as the store knows it: by its file in a dataset, else by its key."""
        return image.file_name if image.source == "dataset" else image.key

    def sheet(self, image: StoredImage) -> Sheet:
        """Give an image's sheet: what was done to it, or what is there before anybody comes.

        Raises ImageError or InputError where nobody came and the image or its truth can't be read.
        """
        kept = self._labels.sheet(self.project_of(image).kept_as, self.name_of(image))
        return self.begun(image).sheet if kept is None else kept

    def begun(self, image: StoredImage) -> Begun:
        """Give what an image's sheet begins with: its truth, unless that is of another size.

        Objects without a single pixel are left out. Raises ImageError or InputError where the
        image or its truth can't be read: then nothing may begin, or the truth would be lost.
        """
        size = self._images.size(image)
        taken: list[Annotation] = []
        note = ""
        for truth in self._truths(image):
            said = (truth.images[0].height, truth.images[0].width) if truth.images else (0, 0)
            if said == size:
                taken += [one for one in truth.annotations if rle.area(one.rle) > 0]
            elif 0 not in said:
                note = _misfit(image, size, said)
        return Begun(replace(from_file(taken, size), row=self._row(image)), note)

    def keys(self, project: Project, places: Iterable[Place]) -> dict[str, str]:
        """Find the keys of images by their names; those that are not there any more have none."""
        wanted = dict(places)
        if project.found is None:
            there = {one.key for one in self._plain(project.name)}
            return {name: name for name in wanted if name in there}
        rows = _rows(project.found, wanted)
        return {name: self._datasets.key(project.name, row) for name, row in rows.items()}

    def count(self, project: Project) -> int:
        """Count a project's images."""
        if project.found is not None:
            return len(project.found)
        return len(self._plain(project.name))

    def listed(self, project: Project, offset: int, limit: int) -> list[Listed]:
        """List a part of a project's images in its own order."""
        found = project.found
        if found is None:
            images = self._plain(project.name)[offset : offset + limit]
            return [
                Listed(one.key, one.key, one.file_name, self._objects_of(one)) for one in images
            ]
        rows = range(offset, min(offset + limit, len(found)))
        records = list(zip(rows, found.images(rows), strict=True))
        shared = {row: found.namesakes.get(one.file_name, (row,)) for row, one in records}
        counts = found.truth_counts_of(sorted({row for same in shared.values() for row in same}))
        return [
            Listed(
                self._datasets.key(project.name, row),
                one.file_name,
                one.file_name,
                sum(counts[same] for same in shared[row]),
            )
            for row, one in records
        ]

    def reach(self, project: Project, sheets: int) -> Reach:
        """Tell which sheets the project's images have, ``sheets`` in all.

        Sheets are never removed, so as many are the same ones; the answer is remembered.
        """
        found = project.found
        of = tuple(one.key for one in self._plain(project.name)) if found is None else found
        with self._lock:
            known = self._reaches.get(project.name)
        if known is not None and known[0] == sheets and known[1] == of:
            return known[2]
        names = self._labels.images(project.kept_as)
        if found is None:
            made = self._reach_of_list(project, names)
        else:
            made = _reach_of_dataset(found, names)
        with self._lock:
            self._reaches[project.name] = len(names), of, made
        return made

    def categories(self, project: Project) -> tuple[Category, ...]:
        """List a project's classes: as people set them, else those of its file."""
        kept = self._labels.categories(project.kept_as)
        return self.given_categories(project) if kept is None else kept

    def given_categories(self, project: Project) -> tuple[Category, ...]:
        """List the classes that a project's own annotation file has."""
        if project.found is not None:
            return project.found.categories
        return self._images.sample_categories if project.name == "samples" else ()

    def _truths(self, image: StoredImage) -> list[Dataset]:
        place = self._datasets.place(image.key)
        found = None if place is None else self._datasets.get(place[0])
        if place is None or found is None:
            truth = self._images.truth(image)
            return [] if truth is None else [truth]
        rows = found.namesakes.get(image.file_name, (place[1],))
        read = (self._datasets.truth(self._datasets.key(place[0], row)) for row in rows)
        return [truth for truth in read if truth is not None]

    def _plain(self, source: str) -> tuple[StoredImage, ...]:
        return self._images.listed("samples" if source == "samples" else "uploads")

    def _reach_of_list(self, project: Project, names: Sequence[str]) -> Reach:
        images, touched = self._plain(project.name), set(names)
        gone = touched - {one.key for one in images}
        objects = sum(self._objects_of(one) for one in images if one.key not in touched)
        return Reach(tuple(gone), {}, objects)

    def _objects_of(self, image: StoredImage) -> int:
        truth = self._images.truth(image)
        return 0 if truth is None else sum(not one.iscrowd for one in truth.annotations)

    def _row(self, image: StoredImage) -> int:
        """Say where an image stands in its project, the first of its rows if it has several."""
        place = self._datasets.place(image.key)
        if place is not None:
            found = self._datasets.get(place[0])
            shared = () if found is None else found.namesakes.get(image.file_name, ())
            return min(shared, default=place[1])
        keys = [one.key for one in self._plain(image.source)]
        return keys.index(image.key) if image.key in keys else 0


def _rows(found: DatasetIndex, wanted: dict[str, int]) -> dict[str, int]:
    """Find rows by names: where they were is right, unless the COCO file has changed."""
    likely = sorted({row for row in wanted.values() if 0 <= row < len(found)})
    named: dict[int, str] = {
        row: image.file_name for row, image in zip(likely, found.images(likely), strict=True)
    }
    rows = {name: row for name, row in wanted.items() if named.get(row) == name}
    lost = wanted.keys() - rows.keys()
    if lost:
        moved = found.rows_named(lost)
        for row, image in zip(moved, found.images(moved), strict=True):
            rows.setdefault(image.file_name, row)
    return rows


def _reach_of_dataset(found: DatasetIndex, names: Sequence[str]) -> Reach:
    rows = found.rows_named(set(names))
    again = {name: len(found.namesakes[name]) for name in names if name in found.namesakes}
    gone: set[str] = set()
    if len(rows) < len(names) - len(again) + sum(again.values()):
        gone = set(names) - {one.file_name for one in found.images(rows)}
    touched = sum(found.truth_counts_of(rows).values())
    return Reach(tuple(gone), again, sum(found.truth_counts.values()) - touched)


def _misfit(image: StoredImage, size: Size, said: Size) -> str:
    return (
        f"{image.file_name} is {size[1]} x {size[0]} pixels when upright, and the annotation file "
        f"says {said[1]} x {said[0]}, so its truth is not taken."
    )
