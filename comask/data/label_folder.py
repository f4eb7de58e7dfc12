"""A COCO folder whose labels go out: its images, what was drawn on each before, and their sizes."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from comask.annotation import stream
from comask.annotation.index import DatasetIndex
from comask.annotation.label_export import LabelExport, Note
from comask.annotation.labels import Sheet, from_file
from comask.annotation.records import Annotation, Dataset, ImageRecord, Upright
from comask.data import images
from comask.errors import InputError

_HEAD = 64 * 1024  # bytes of a COCO file in which its info is looked for
_INFO = re.compile(r'\s*\{\s*"info"\s*:\s*')


class LabelFolder:
    """An open dataset as an export asks for it; every picture is measured once."""

    def __init__(self, found: DatasetIndex) -> None:
        self._found = found
        self._images = found.images(range(len(found)))
        self._rows: dict[int, int] = {image.id: row for row, image in enumerate(self._images)}
        self._measured: dict[int, Upright | None] = {}
        self._notes: list[Note] = []

    def about(self) -> Dataset:
        """Give images and classes, and what the COCO file says of itself; no annotations."""
        info, licenses = _said(self._found)
        return Dataset(self._images, (), self._found.categories, info, licenses)

    def base(self, row: int) -> Sheet | None:
        """Begin an image's sheet with what its COCO file says, if that is of the upright picture.

        None where nobody knows the picture's size.
        """
        image = self._images[row]
        upright = self.measure(image)
        said = (image.height, image.width)
        size = said if upright is None else upright.size
        if 0 in size:
            return None
        taken: list[Annotation] = []
        for twin in self._found.namesakes.get(image.file_name, (row,)):
            record = self._images[twin]
            drawn = self._found.annotations(twin) if self._found.has_truth else ()
            if (record.height, record.width) == size:
                taken += drawn
            elif drawn:
                self._note(record, len(drawn), size)
        return replace(from_file(taken, size), row=row)

    def measure(self, image: ImageRecord) -> Upright | None:
        """Look at an image's file; None where it is missing or damaged."""
        row = self._rows[image.id]
        if row not in self._measured:
            try:
                self._measured[row] = images.measure(self._found.path(row))
            except (InputError, OSError):
                self._measured[row] = None
        return self._measured[row]

    def noted(self, export: LabelExport) -> LabelExport:
        """Add to an export what was left out of the COCO file."""
        return replace(export, notes=(*export.notes, *self._notes))

    def _note(self, image: ImageRecord, count: int, size: tuple[int, int]) -> None:
        objects = "1 object" if count == 1 else f"{count:,} objects"
        self._notes.append(
            Note(
                image.file_name,
                f"it is {size[1]} x {size[0]} pixels when upright, and its annotation file says "
                f"{image.width} x {image.height}, so {objects} of that file are left out",
            )
        )


def _said(found: DatasetIndex) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Read what a COCO file says of itself; its info only where that comes first, as usual."""
    file = found.annotations_file
    if file is None:
        return {}, ()
    with file.open("rb") as opened:
        head = opened.read(_HEAD).decode("utf-8", "ignore").removeprefix("\ufeff")
    begin = _INFO.match(head)
    info: object = None
    if begin is not None:
        try:
            info, _ = json.JSONDecoder().raw_decode(head, begin.end())
        except (ValueError, RecursionError):
            info = None
    licenses = [one for batch in stream.records(file, ("licenses",)) for one in batch.values]
    return (info if isinstance(info, dict) else {}), tuple(_plain(licenses))


def _plain(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict)]
