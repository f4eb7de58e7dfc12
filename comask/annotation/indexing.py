"""How the index of a dataset is made: one pass over the COCO file, in bounded memory.

Of an annotation 57 bytes are held while the file is read: numbers, and its place. What is wrong
with single records becomes a list of faults; what is no COCO file raises AnnotationError.
"""

import hashlib
import json
import os
import sqlite3
import uuid
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comask.annotation import coco, glance, names, stream
from comask.annotation.fields import MAX_ID
from comask.annotation.glance import Columns
from comask.annotation.records import Category, ImageRecord
from comask.annotation.stream import Records
from comask.errors import AnnotationError, InputError

SCHEMA = 2
KEPT_FAULTS = 1_000  # of more, only the number is kept

Progress = Callable[[int, int], None]  # done, of total

_TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE categories (
    row INTEGER PRIMARY KEY, id INTEGER, name TEXT, supercategory TEXT, extra TEXT, truth INTEGER);
CREATE TABLE images (
    row INTEGER PRIMARY KEY, id INTEGER, file_name TEXT, folded TEXT, width INTEGER,
    height INTEGER, extra TEXT, truth INTEGER NOT NULL DEFAULT 0);
CREATE TABLE annotations (
    image INTEGER, place INTEGER, id INTEGER, category INTEGER, area REAL, crowd INTEGER,
    offset INTEGER, length INTEGER, PRIMARY KEY (image, place)) WITHOUT ROWID;
CREATE TABLE faults (list TEXT, row INTEGER, sentence TEXT);
"""
_INDICES = """
CREATE INDEX by_category ON annotations (category, area, image);
CREATE INDEX by_area ON annotations (area, image);
"""
_BY_NAME = "CREATE INDEX by_name ON images (file_name)"  # made last, over what is there
_LISTS = ("images", "categories", "annotations")
_HELD = 20_000  # rows that are sent to SQLite at a time


@dataclass(frozen=True)
class Fault:
    """A record that is left out: its list, its place in it, and why, in one sentence."""

    list: str
    row: int
    sentence: str


def build(place: Path, annotations: Path | None, images: Path, progress: Progress) -> None:
    """Make an index beside its place and let it take the place, whole or not at all."""
    beside = place.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with closing(sqlite3.connect(beside)) as base:
            base.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
            maker = _Maker(base, images)
            if annotations is None:
                about = maker.list_folder(_known_names(place), progress)
            else:
                about = maker.read_file(annotations, progress)
            base.execute(_BY_NAME)
            about |= {"schema": str(SCHEMA), "faults": str(maker.fault_count)}
            base.executemany("INSERT INTO about VALUES (?, ?)", about.items())
            base.commit()
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def is_current(place: Path, annotations: Path | None, images: Path) -> bool:
    """Say whether there is an index that still tells what the file or the folder holds."""
    try:
        with closing(sqlite3.connect(f"{place.as_uri()}?mode=rw", uri=True)) as base:
            about = dict(base.execute("SELECT key, value FROM about"))
            if about["schema"] != str(SCHEMA):
                return False
            if annotations is None:
                known = {name for (name,) in base.execute("SELECT file_name FROM images")}
                return known >= set(names.image_files(images))
            now = stamp(annotations.stat())
            if about["stamp"] == now:
                return True
            if about["content"] != _digest(annotations):
                return False
            base.execute("UPDATE about SET value = ? WHERE key = 'stamp'", (now,))
            base.commit()
            return True
    except (sqlite3.Error, OSError, KeyError):
        return False


def stamp(status: os.stat_result) -> str:
    """Write what changes when a file is written again."""
    return f"{status.st_size} {status.st_mtime_ns}"


def fault_sentence(key: str, row: int, number: object, reason: str) -> str:
    """Name a record by its place and its id."""
    known = f" (id {number})" if type(number) is int and 0 <= number <= MAX_ID else ""
    return f"{key}[{row}]{known}: {reason}"


class _Maker:
    """One index in the making."""

    def __init__(self, base: sqlite3.Connection, folder: Path) -> None:
        self._base, self._folder = base, folder
        self.fault_count = 0
        self._categories: list[Category] = []
        self._images: dict[int, int] = {}  # id -> row
        self._refused: set[int] = set()  # ids of images that are left out
        self._drawn = _Drawn()
        self._found: set[str] = set()  # lists

    def list_folder(self, known: list[str], progress: Progress) -> dict[str, str]:
        """List a folder of images; those of an earlier index keep their rows."""
        before = set(known)
        listed: list[str] = []
        for name in names.image_files(self._folder):
            if not name.isprintable():
                reason = f"the file name {names.shortened(name)} can't be written in a COCO file"
                self._fault("images", len(listed), None, reason)
            elif name not in before:
                listed.append(name)
                progress(len(listed), 0)
        order = [*known, *sorted(listed, key=lambda name: name.split("/"))]
        if not order:
            raise InputError(f"There are no images below {self._folder}.")
        rows = [(row, row + 1, name, name.casefold()) for row, name in enumerate(order)]
        self._base.executemany(
            "INSERT INTO images (row, id, file_name, folded, width, height)"
            " VALUES (?, ?, ?, ?, 0, 0)",
            rows,
        )
        return self._about(len(order), 0, truth=False, content="", file_stamp="")

    def read_file(self, annotations: Path, progress: Progress) -> dict[str, str]:
        """Read a COCO file; raises AnnotationError where it is none."""
        before = _status(annotations)
        content = _digest(annotations)
        takers = {
            "images": self._take_images,
            "categories": self._take_categories,
            "annotations": self._take_annotations,
        }
        progress(0, before.st_size)
        for batch in stream.records(annotations, _LISTS):
            self._found.add(batch.key)
            takers[batch.key](batch)
            progress(batch.end, before.st_size)
        if stamp(_status(annotations)) != stamp(before):
            raise AnnotationError(f"{annotations.name} was changed while it was read.")
        if "images" not in self._found:
            raise AnnotationError(f"{annotations.name} is no COCO file: it holds no list of images")
        if not self._images:
            raise AnnotationError(self._no_images(annotations))
        count = self._place_annotations(annotations)
        truth = "annotations" in self._found
        return self._about(len(self._images), count, truth, content, stamp(before))

    def _about(
        self, images: int, annotations: int, truth: bool, content: str, file_stamp: str
    ) -> dict[str, str]:
        return {
            "images": str(images),
            "annotations": str(annotations),
            "truth": str(int(truth)),
            "content": content,
            "stamp": file_stamp,
        }

    def _no_images(self, annotations: Path) -> str:
        first = self._base.execute("SELECT sentence FROM faults LIMIT 1").fetchone()
        reason = f"no image of it can be used, {first[0]}" if first else "it lists no images"
        return f"{annotations.name}: {reason}"

    def _take_images(self, batch: Records) -> None:
        rows = []
        for place, value in enumerate(batch.values, batch.first):
            try:
                record = self._image(value)
            except AnnotationError as error:
                self._fault("images", place, value, str(error))
                continue
            row = self._images[record.id] = len(self._images)
            extra = json.dumps(dict(record.extra)) if record.extra else None
            name, width, height = record.file_name, record.width, record.height
            rows.append((row, record.id, name, name.casefold(), width, height, extra))
        self._base.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, 0)", rows)

    def _image(self, value: object) -> ImageRecord:
        try:
            record = coco.read_image(value)
            names.check(record.file_name)
            record.file_name.encode()
        except UnicodeEncodeError:
            raise AnnotationError("file_name is no text that can be written") from None
        except AnnotationError:
            number = value.get("id") if isinstance(value, dict) else None
            if type(number) is int and number not in self._images:
                self._refused.add(number)
            raise
        if record.id in self._images:
            raise AnnotationError(f"id {record.id} is already that of another image")
        return record

    def _take_categories(self, batch: Records) -> None:
        for place, value in enumerate(batch.values, batch.first):
            try:
                category = coco.read_category(value)
                if any(category.id == other.id for other in self._categories):
                    raise AnnotationError(f"id {category.id} is already that of another category")
                self._categories.append(category)
            except AnnotationError as error:
                self._fault("categories", place, value, str(error))

    def _take_annotations(self, batch: Records) -> None:
        found = glance.columns(batch.values)
        if found is not None:
            last = batch.first + len(batch.values)
            self._drawn.add(found, range(batch.first, last), batch.offsets, batch.lengths)
            return
        places = zip(batch.values, batch.offsets, batch.lengths, strict=True)
        for place, (value, offset, length) in enumerate(places, batch.first):
            try:
                glance.refuse_odd(value)
            except AnnotationError as error:
                self._fault("annotations", place, value, str(error))
            else:
                self._drawn.add(glance.column(value), [place], [offset], [length])

    def _place_annotations(self, annotations: Path) -> int:
        """Sort annotations by their images, leave out those without one, and store them."""
        drawn = self._drawn.arrays()
        rows = self._rows_of(drawn)
        kept = np.flatnonzero(rows >= 0)
        kept = kept[np.lexsort((drawn["place"][kept], rows[kept]))]
        kept = self._measured(annotations, drawn, rows, kept)
        order = ("place", "id", "category", "area", "crowd", "offset", "length")
        for start in range(0, kept.size, _HELD):
            part = kept[start : start + _HELD]
            columns = [rows[part].tolist(), *(drawn[name][part].tolist() for name in order)]
            self._base.executemany(
                "INSERT INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                zip(*columns, strict=True),
            )
        self._base.executescript(_INDICES)
        objects = kept[drawn["crowd"][kept] == 0]
        self._count(rows[objects], drawn["category"][objects])
        return int(kept.size)

    def _rows_of(self, drawn: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
        """Find the image of every annotation: its row, or -1 for what is left out."""
        ids = np.fromiter(self._images, np.int64, len(self._images))
        order = np.argsort(ids)
        at = np.searchsorted(ids, drawn["image"], sorter=order).clip(max=len(ids) - 1)
        rows: NDArray[np.int64] = order[at]
        strange = ids[rows] != drawn["image"]
        known = np.isin(drawn["category"], [category.id for category in self._categories])
        first = np.zeros(len(strange), np.bool_)
        first[np.unique(drawn["id"], return_index=True)[1]] = True
        refused = np.isin(drawn["image"], list(self._refused))
        for row in np.flatnonzero(strange | ~known | ~first).tolist():
            place, number = int(drawn["place"][row]), int(drawn["id"][row])
            image, category = int(drawn["image"][row]), int(drawn["category"][row])
            reason = f"category_id {category} is no category of the annotation file"
            if refused[row]:
                reason = f"its image {image} is left out"
            elif strange[row]:
                reason = f"image_id {image} is no image of the annotation file"
            elif not first[row]:
                reason = f"id {number} is already that of another annotation"
            self._fault("annotations", place, {"id": number}, reason)
        return np.where(strange | ~known | ~first, -1, rows)

    def _measured(
        self,
        annotations: Path,
        drawn: dict[str, NDArray[Any]],
        rows: NDArray[np.int64],
        kept: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Draw those masks whose area the file does not say; leave out those that can't be."""
        unsaid = kept[np.isnan(drawn["area"][kept])]
        spoilt = []
        known = {category.id for category in self._categories}
        for at, record in zip(unsaid.tolist(), self._records(rows[unsaid]), strict=True):
            content = stream.read_one(annotations, drawn["offset"][at], drawn["length"][at])
            try:
                one = coco.read_annotation(json.loads(content), record, known)
                drawn["area"][at] = one.area
            except AnnotationError as error:
                spoilt.append(at)
                number = {"id": int(drawn["id"][at])}
                self._fault("annotations", int(drawn["place"][at]), number, str(error))
        return kept[~np.isin(kept, spoilt)]

    def _records(self, rows: NDArray[np.int64]) -> Iterator[ImageRecord]:
        for row in rows.tolist():
            query = "SELECT id, file_name, width, height FROM images WHERE row = ?"
            yield ImageRecord(*self._base.execute(query, (row,)).fetchone())

    def _count(self, rows: NDArray[np.int64], categories: NDArray[np.int64]) -> None:
        counts = np.bincount(rows, minlength=len(self._images))
        seen = np.flatnonzero(counts)
        self._base.executemany(
            "UPDATE images SET truth = ? WHERE row = ?",
            zip(counts[seen].tolist(), seen.tolist(), strict=True),
        )
        numbers, found = np.unique(categories, return_counts=True)
        truth = dict(zip(numbers.tolist(), found.tolist(), strict=True))
        self._base.executemany(
            "INSERT INTO categories VALUES (?, ?, ?, ?, ?, ?)",
            [
                (row, c.id, c.name, c.supercategory, json.dumps(dict(c.extra)), truth.get(c.id, 0))
                for row, c in enumerate(self._categories)
            ],
        )

    def _fault(self, key: str, row: int, value: object, reason: str) -> None:
        self.fault_count += 1
        if self.fault_count <= KEPT_FAULTS:
            number = value.get("id") if isinstance(value, dict) else None
            sentence = fault_sentence(key, row, number, reason)
            self._base.execute("INSERT INTO faults VALUES (?, ?, ?)", (key, row, sentence))


class _Drawn:
    """Annotations as columns of numbers; an area is nan where the file does not say it."""

    def __init__(self) -> None:
        self._whole = {
            name: array("q") for name in ("id", "image", "category", "place", "offset", "length")
        }
        self._area, self._crowd = array("d"), array("b")

    def add(
        self, found: Columns, places: Sequence[int], offsets: Sequence[int], lengths: Sequence[int]
    ) -> None:
        """Take in annotations that were looked at."""
        whole = (found.ids, found.images, found.categories, places, offsets, lengths)
        for column, numbers in zip(self._whole.values(), whole, strict=True):
            column.extend(numbers)
        self._area.extend(found.areas)
        self._crowd.extend(found.crowds)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give the columns."""
        found: dict[str, NDArray[Any]] = {
            name: np.frombuffer(column, np.int64) for name, column in self._whole.items()
        }
        return found | {
            "area": np.array(self._area, np.float64),
            "crowd": np.frombuffer(self._crowd, np.int8),
        }


def _known_names(place: Path) -> list[str]:
    """List what an earlier index of a folder names, in its order."""
    if not place.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{place.as_uri()}?mode=ro", uri=True)) as base:
            rows = base.execute("SELECT file_name FROM images ORDER BY row").fetchall()
    except sqlite3.Error:
        return []
    return [name for (name,) in rows]


def _status(path: Path) -> os.stat_result:
    try:
        status = path.stat()
    except OSError as error:
        raise AnnotationError(f"{path} can't be read: {error.strerror}") from error
    if not path.is_file():
        raise AnnotationError(f"{path} is not a file; a JSON file is needed")
    return status


def _digest(path: Path) -> str:
    with path.open("rb") as stream_:
        return hashlib.file_digest(stream_, "sha256").hexdigest()
