"""A COCO folder of any size, opened: which images there are, and what was drawn on each.

The index is a SQLite file in a cache folder. It holds names, sizes, areas and, for every
annotation, its place in the COCO file, where the mask is read when somebody asks for it. So it
is built in one pass, stays small, and opens again at once until the COCO file changes. A folder
of images without a COCO file is listed the same way, without truth.

One bad record does not lose the others: it is left out and listed among the ``faults``.
"""

import hashlib
import json
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from comask.annotation import coco, files, indexing, names
from comask.annotation.indexing import KEPT_FAULTS, Fault, Progress
from comask.annotation.records import Annotation, Category, ImageRecord
from comask.errors import AnnotationError, InputError

__all__ = ["SIZES", "DatasetIndex", "Fault", "Filter", "ObjectSize"]

ObjectSize = Literal["small", "medium", "large"]
Value = TypeVar("Value")

SIZES: dict[ObjectSize, tuple[float, float]] = {  # areas in pixels, both ends included, as COCO's
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e15),
}


def fingerprint(annotations: Path | None, images: Path) -> str:
    """Name a dataset: 64 hex digits that stay while file and folder stay where they are."""
    places = [os.path.realpath(place) if place else "" for place in (annotations, images)]
    return hashlib.sha256("\n".join(places).encode("utf-8", "surrogateescape")).hexdigest()


def cache_file(cache: Path, name: str) -> Path:
    """Say where the index of a dataset of some fingerprint is kept."""
    return cache / f"{name[:16]}.sqlite"


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which images are meant: all that is said must hold.

    name      a part of the file name, whatever the case
    category  id of a class that was drawn on the image
    size      how large something drawn is, of that class if there is one
    """

    name: str = ""
    category: int | None = None
    size: ObjectSize | None = None


class DatasetIndex:
    """An open dataset; rows count from 0 in the file's order. Several threads may ask at once."""

    def __init__(self, place: Path, annotations: Path | None, images: Path) -> None:
        """Open an index that is there and fits; ``open`` makes one where it is needed."""
        self.annotations_file, self.folder = annotations, images
        self._root = Path(os.path.realpath(images))
        self._lock = threading.Lock()
        self._base = sqlite3.connect(
            f"{place.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        self._base.execute("PRAGMA mmap_size = 0")
        self._about: dict[str, str] = dict(self._ask("SELECT key, value FROM about"))
        self.fingerprint = fingerprint(annotations, images)
        rows = self._ask(
            "SELECT id, name, supercategory, extra, truth FROM categories ORDER BY row"
        )
        self.categories = tuple(Category(*row[:3], extra=json.loads(row[3])) for row in rows)
        self.truth_counts: dict[int, int] = {row[0]: row[4] for row in rows}  # crowds apart
        self._known = set(self.truth_counts)
        self._late: dict[tuple[str, int], Fault] = {}  # what is found when masks are read
        self._missing = self._find_missing()

    @classmethod
    def open(
        cls,
        annotations: Path | None,
        images: Path,
        cache: Path,
        progress: Progress = lambda _done, _total: None,
    ) -> "DatasetIndex":
        """Open a COCO file and the folder of its images, or a folder of images alone.

        Args:
            annotations: The COCO file; None where there is no truth.
            images: The folder that file names are relative to.
            cache: A folder for the index, which is made anew when the COCO file has changed.
            progress: Told how much of how much is read, while an index is made.
        """
        annotations = None if annotations is None else annotations.absolute()
        images = images.absolute()
        if not images.is_dir():
            raise InputError(f"There is no folder {images}.")
        cache.mkdir(parents=True, exist_ok=True)
        place = cache_file(cache, fingerprint(annotations, images))
        if not indexing.is_current(place, annotations, images):
            indexing.build(place, annotations, images, progress)
        return cls(place, annotations, images)

    def close(self) -> None:
        """Let go of the index; nothing can be asked of it any more."""
        with self._lock:
            self._base.close()

    def __len__(self) -> int:
        """Count the images."""
        return int(self._about["images"])

    @property
    def annotation_count(self) -> int:
        """Count the annotations."""
        return int(self._about["annotations"])

    @property
    def has_truth(self) -> bool:
        """Say whether there is a list of annotations, if only an empty one."""
        return self._about["truth"] == "1"

    @property
    def content(self) -> str:
        """Name the COCO file's content by its SHA-256; "" where there is none."""
        return self._about["content"]

    @property
    def missing(self) -> Sequence[int]:
        """List the rows whose files were not in the folder when it was opened."""
        return sorted(self._missing)

    @property
    def fault_count(self) -> int:
        """Count the records that are left out."""
        return int(self._about["faults"]) + len(self._late)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """List records that are left out, and why; the first thousand of them."""
        rows = self._ask("SELECT list, row, sentence FROM faults ORDER BY rowid")
        return (*(Fault(*row) for row in rows), *self._late.values())[:KEPT_FAULTS]

    def image(self, row: int) -> ImageRecord:
        """Find an image; its width and height are 0 where no COCO file says them."""
        return self.images([row])[0]

    def images(self, rows: Sequence[int]) -> tuple[ImageRecord, ...]:
        """Find some images, in the order of ``rows``."""
        found: dict[int, ImageRecord] = {}
        for some in _thousands(rows):
            marks = ",".join("?" * len(some))
            for row, number, name, width, height, extra in self._ask(
                f"SELECT row, id, file_name, width, height, extra FROM images"
                f" WHERE row IN ({marks})",
                some,
            ):
                kept = json.loads(extra) if extra else {}
                found[row] = ImageRecord(number, name, width, height, kept)
        for row in rows:
            if row not in found:
                raise InputError(f"The dataset has {len(self):,} images, so none has row {row}.")
        return tuple(found[row] for row in rows)

    def truth_counts_of(self, rows: Sequence[int]) -> dict[int, int]:
        """Count what is drawn on some images: row -> objects, crowds apart."""
        counts: dict[int, int] = {}
        for some in _thousands(rows):
            marks = ",".join("?" * len(some))
            counts.update(self._ask(f"SELECT row, truth FROM images WHERE row IN ({marks})", some))
        return counts

    def path(self, row: int) -> Path:
        """Find an image's file, which may be missing; raises InputError outside of the folder."""
        return names.inside(self._root, self.image(row).file_name)

    def is_missing(self, row: int) -> bool:
        """Tell whether an image's file was not in the folder when it was opened."""
        return row in self._missing

    def annotations(self, row: int) -> tuple[Annotation, ...]:
        """Read what is drawn on an image; records whose mask is malformed are left out.

        Raises AnnotationError where the COCO file has changed since it was opened.
        """
        image = self.image(row)
        places = self._ask(
            "SELECT place, id, offset, length FROM annotations WHERE image = ? ORDER BY place",
            (row,),
        )
        found = []
        for (place, number, _, _), content in zip(places, self._contents(places), strict=True):
            value, _ = files.parse_json(content, "annotations")
            try:
                found.append(coco.read_annotation(value, image, self._known))
            except AnnotationError as error:
                sentence = indexing.fault_sentence("annotations", place, number, str(error))
                self._late["annotations", place] = Fault("annotations", place, sentence)
        return tuple(found)

    def rows(self, wanted: Filter | None = None) -> Sequence[int]:
        """List the images that a filter means, in the file's order."""
        wanted = wanted or Filter()
        conditions: list[str] = []
        values: list[Any] = []
        if wanted.category is not None or wanted.size is not None:
            own = []
            if wanted.category is not None:
                own.append("category = ?")
                values.append(wanted.category)
            if wanted.size is not None:
                own.append("area BETWEEN ? AND ?")
                values += SIZES[wanted.size]
            conditions.append(f"row IN (SELECT image FROM annotations WHERE {' AND '.join(own)})")
        if wanted.name:
            conditions.append("instr(folded, ?) > 0")
            values.append(wanted.name.casefold())
        if not conditions:
            return range(len(self))
        query = f"SELECT row FROM images WHERE {' AND '.join(conditions)} ORDER BY row"
        return [row for (row,) in self._ask(query, values)]

    def rows_named(self, names: Collection[str]) -> list[int]:
        """List the rows of some file names, in the file's order."""
        if 10 * len(names) > len(self):
            rows = self._ask("SELECT row, file_name FROM images ORDER BY row")
            return [row for row, name in rows if name in names]
        found: list[int] = []
        for some in _thousands(list(names)):
            marks = ",".join("?" * len(some))
            asked = self._ask(f"SELECT row FROM images WHERE file_name IN ({marks})", some)
            found += [row for (row,) in asked]
        return sorted(found)

    @cached_property
    def namesakes(self) -> Mapping[str, tuple[int, ...]]:
        """Find file names that several images of the file have, and the rows of each."""
        rows = self._ask(
            "SELECT row, file_name FROM images WHERE file_name IN"
            " (SELECT file_name FROM images GROUP BY file_name HAVING count(*) > 1) ORDER BY row"
        )
        found: defaultdict[str, list[int]] = defaultdict(list)
        for row, name in rows:
            found[name].append(row)
        return {name: tuple(same) for name, same in found.items()}

    def _contents(self, places: Sequence[tuple[int, int, int, int]]) -> list[bytes]:
        if not places or self.annotations_file is None:
            return []
        try:
            with self.annotations_file.open("rb") as stream:
                if indexing.stamp(os.fstat(stream.fileno())) != self._about["stamp"]:
                    raise AnnotationError(
                        f"{self.annotations_file.name} has changed since it was opened; "
                        f"open the dataset again."
                    )
                contents = []
                for _, _, offset, length in places:
                    stream.seek(offset)
                    contents.append(stream.read(length))
        except OSError as error:
            raise AnnotationError(
                f"{self.annotations_file} can't be read: {error.strerror}"
            ) from error
        return contents

    def _find_missing(self) -> frozenset[int]:
        """Look once into every folder that file names speak of: faster than at every file."""
        look = names.Looker(self._root)
        return frozenset(
            row
            for row, name in self._ask("SELECT row, file_name FROM images")
            if not look.is_there(name)
        )

    def _ask(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._base.execute(query, values).fetchall()


def _thousands(rows: Sequence[Value]) -> list[Sequence[Value]]:
    """Cut a list so that a query takes each part."""
    return [rows[start : start + 1000] for start in range(0, len(rows), 1000)]
