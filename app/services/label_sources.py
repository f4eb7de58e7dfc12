"""A project's images as files of labels know them: a dataset's, or the uploads and samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from app.services.images import ImageStore, StoredImage
from app.services.sheets import Project, Sheets
from comask.annotation.label_export import LabelExport
from comask.annotation.labels import Sheet
from comask.annotation.records import Dataset, ImageRecord, Upright
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch
    from comask.data.label_folder import LabelFolder


class Source(Protocol):
    """Images in their order; rows count from 0."""

    def about(self) -> Dataset:
        """Give images and classes, no annotations."""

    def base(self, row: int) -> Sheet | None:
        """Begin an image's sheet; None where its size can't be found."""

    def measure(self, image: ImageRecord) -> Upright | None:
        """Look at an image's file; None where it can't be opened."""

    def noted(self, export: LabelExport) -> LabelExport:
        """Add what should be known of the images."""

    def names(self) -> Sequence[str]:
        """List the names that the store knows the images by."""


class DatasetSource:
    """The images of an open dataset, as ``comask export`` has them."""

    def __init__(self, folder: "LabelFolder") -> None:
        self.about, self.base = folder.about, folder.base
        self.measure, self.noted = folder.measure, folder.noted

    def names(self) -> Sequence[str]:
        """List the names that the store knows the images by."""
        return [image.file_name for image in self.about().images]


class PlainSource:
    """Uploads or samples: counted from 1, each under a name of its own."""

    def __init__(self, project: Project, images: ImageStore, sheets: Sheets) -> None:
        source = "samples" if project.name == "samples" else "uploads"
        self._images = images.listed("samples" if source == "samples" else "uploads")
        self._sheets, self._classes = sheets, sheets.categories(project)
        names = _told_apart([image.file_name for image in self._images])
        self._records = tuple(
            ImageRecord(number, name, 0, 0) for number, name in enumerate(names, start=1)
        )

    def about(self) -> Dataset:
        """Give images and classes, no annotations."""
        return Dataset(self._records, (), self._classes)

    def base(self, row: int) -> Sheet | None:
        """Begin an image's sheet; None where it can't be opened."""
        try:
            return self._sheets.begun(self._images[row]).sheet
        except (InputError, OSError):
            return None

    def measure(self, image: ImageRecord) -> Upright | None:
        """Look at an image's file; None where it can't be opened."""
        from comask.data import images

        try:
            return images.measure(self._image(image).path)
        except (InputError, OSError):
            return None

    def noted(self, export: LabelExport) -> LabelExport:
        """Give the export as it is."""
        return export

    def names(self) -> Sequence[str]:
        """List the names that the store knows the images by."""
        return [image.key for image in self._images]

    def _image(self, record: ImageRecord) -> StoredImage:
        return self._images[record.id - 1]


def open_source(project: Project, images: ImageStore, sheets: Sheets) -> Source:
    """Take a project's images."""
    if project.found is None:
        return PlainSource(project, images, sheets)
    from comask.data.label_folder import LabelFolder

    return DatasetSource(LabelFolder(project.found))


def _told_apart(names: Sequence[str]) -> list[str]:
    """Give namesakes a number, so that every name is there once."""
    taken: set[str] = set()
    made = []
    for name in names:
        stem, dot, ending = name.rpartition(".")
        other, number = name, 2
        while other in taken:
            other = f"{stem} ({number}){dot}{ending}" if stem else f"{name} ({number})"
            number += 1
        taken.add(other)
        made.append(other)
    return made
