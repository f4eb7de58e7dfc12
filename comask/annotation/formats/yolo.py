"""YOLO-seg: a text file an image, a line an instance: its class and one polygon, as shares.

A line holds one polygon, so parts are joined by slits of no width, which cancel out where insides
are told by crossings. The classes are counted from 0; data.yaml names them, and keeps the ids that
they have in the dataset. Shares are of the upright image.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np

from comask.annotation import coco, polygons, rle
from comask.annotation.formats import archive
from comask.annotation.formats.known import Arrived, Known, Sorter, refuse_unknown, without_ending
from comask.annotation.names import shortened
from comask.annotation.records import Annotation, Category, ImageRecord, Size
from comask.errors import AnnotationError

_DIGITS = 9  # of a share: a thousandth of a pixel of the largest image
_MOST_LINES = 100_000  # of one file
_NOT_LABELS = frozenset({"classes", "obj", "train", "val", "test", "readme", "requirements"})
_ITEM = re.compile(r"(?:(\d{1,9})\s*:|-)\s+(.+?)\s*")
_SCALAR = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\s#][^,#]*)\s*(?:,|\]|#|$)""")
_HEAD = """# Shares of the upright image: one that its EXIF orientation turns must be turned before
# these labels fit.
path: .
train: images
val: images
"""


# -- writing ------------------------------------------------------------------------------------


def write(
    stream: IO[bytes],
    categories: Sequence[Category],
    images: Iterable[tuple[ImageRecord, Sequence[Annotation]]],
) -> None:
    """Write a zip: labels/... for every image, and data.yaml; the images go to images/."""
    rows = {category.id: row for row, category in enumerate(categories)}
    taken: dict[str, str] = {}
    with archive.Writer(stream) as zipped:
        zipped.add("data.yaml", _about(categories).encode())
        for image, mine in images:
            archive.inner_path(image)
            stem = without_ending(image.file_name)
            twin = taken.setdefault(stem, image.file_name)
            if twin != image.file_name:
                raise AnnotationError(
                    f"YOLO knows an image's labels by its name without the ending, so "
                    f"{shortened(twin)} and {shortened(image.file_name)} would share one file"
                )
            lines = [_line(rows[one.category_id], one, image) for one in mine]
            zipped.add(f"labels/{stem}.txt", "".join(lines).encode())


def _about(categories: Sequence[Category]) -> str:
    """Write data.yaml; a text in JSON is one in YAML too."""
    names = "".join(
        f"  {row}: {json.dumps(category.name, ensure_ascii=False)}\n"
        for row, category in enumerate(categories)
    )
    ids = json.dumps([category.id for category in categories])
    return f"{_HEAD}names:\n{names}category_ids: {ids}  # of the dataset, in this order\n"


def _line(row: int, one: Annotation, image: ImageRecord) -> str:
    rings = [np.asarray(polygon).reshape(-1, 2) for polygon in one.polygons]
    shares = polygons.bridge(rings) / (image.width, image.height)
    numbers = (f"{share:.{_DIGITS}f}".rstrip("0").rstrip(".") for share in shares.ravel())
    return f"{row} {' '.join(numbers)}\n"


# -- reading ------------------------------------------------------------------------------------


def read(found: Iterable[tuple[str, bytes]], sorter: Sorter, name: str) -> Arrived:
    """Read YOLO's files: data.yaml or a list of names for the classes, else those that are known.

    Raises AnnotationError with one sentence that names the file and the line.
    """
    texts = [(inner, _text(inner, data)) for inner, data in found if _is_text(inner)]
    names = _names(texts)
    classes = [category.name for category in sorter.known.categories] if names is None else names
    met = number = 0
    for inner, text in texts:
        if not inner.lower().endswith(".txt"):
            continue
        image = _image(inner, sorter.known)
        lines = [line for line in text.splitlines() if line.strip()]
        if image is None and _stem(inner) in _NOT_LABELS:
            continue
        if image is None:
            sorter.notes.add(f"there is no image of {shortened(inner)} here", len(lines))
            continue
        met += 1
        size = sorter.known.size(image)
        if len(lines) > _MOST_LINES:
            raise AnnotationError(f"{inner} has {len(lines):,} lines; at most {_MOST_LINES:,} go")
        if not sorter.meet(image, size):
            sorter.notes.count += len(lines)
            continue
        for row, line in enumerate(lines, start=1):
            try:
                number += _read_line(line, classes, image.id, number + 1, (sorter, size))
            except AnnotationError as error:
                raise AnnotationError(f"{inner}, line {row}: {error}") from error
    refuse_unknown(sorter, name, met)
    return sorter.arrived()


def _read_line(
    line: str, classes: Sequence[str], image: int, number: int, place: tuple[Sorter, Size]
) -> bool:
    sorter, (height, width) = place
    first, *rest = line.split()
    if not (first.isascii() and first.isdigit()) or int(first[:10]) >= len(classes):
        raise AnnotationError(
            f"the class must be a whole number below {len(classes)}, not {shortened(first)}"
        )
    shares = [_share(text) for text in rest]
    if len(shares) == 4:
        sorter.notes.add("a line that holds a box and no polygon is left out")
        return False
    category = sorter.category(classes[int(first)])
    if category is None:
        return False
    points = np.asarray(shares[: len(shares) // 2 * 2]).reshape(-1, 2) * (width, height)
    if len(shares) % 2:
        raise AnnotationError(f"a polygon is x, y pairs, and these are {len(shares)} numbers")
    mask = rle.from_polygons([points.ravel().tolist()], height, width)
    sorter.add(coco.annotate(number, image, category, mask))
    return True


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not -1 <= share <= 2:  # nan fails this too
        raise AnnotationError(f"a coordinate must be a share in 0 .. 1, not {shortened(text)}")
    return min(max(share, 0.0), 1.0)


def _image(inner: str, known: Known) -> ImageRecord | None:
    """Find the image of a text file: in the same place below images/ instead of labels/."""
    stem = without_ending(inner)
    folders = stem.split("/")
    below = ["images" if folder == "labels" else folder for folder in folders]
    return known.stem("/".join(below)) or known.stem(stem)


def _is_text(inner: str) -> bool:
    return inner.lower().endswith((".txt", ".yaml", ".yml", ".names"))


def _stem(inner: str) -> str:
    return without_ending(inner.rpartition("/")[2]).lower()


def _text(inner: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AnnotationError(f"{inner} is no text in UTF-8") from None


def _names(texts: Sequence[tuple[str, str]]) -> list[str] | None:
    """Find the names of the classes in whatever file holds them; None where none does."""
    for inner, text in texts:
        names = _from_yaml(text, inner) if inner.lower().endswith((".yaml", ".yml")) else None
        if names is not None:
            return names
    for inner, text in texts:
        if _stem(inner) in ("classes", "obj"):
            return [line.strip() for line in text.splitlines() if line.strip()]
    return None


def _from_yaml(text: str, inner: str) -> list[str] | None:
    """Read ``names`` of a data.yaml in the three ways that people write it."""
    lines = text.splitlines()
    for row, line in enumerate(lines):
        key, colon, value = line.partition(":")
        if key != "names" or not colon:
            continue
        if value.split("#")[0].strip():
            return _flow(value.strip(), inner)
        return _block(lines[row + 1 :], inner)
    return None


def _block(lines: Sequence[str], inner: str) -> list[str]:
    found: list[str] = []
    for line in lines:
        item = _ITEM.fullmatch(line.strip())
        if item is None:
            if line.strip():
                break
            continue
        if item[1] is not None and int(item[1]) != len(found):
            raise AnnotationError(f"{inner}: its classes are not numbered 0, 1, 2, ...")
        scalar = _SCALAR.match(item[2])
        quoted = scalar is not None and scalar[1][0] in "\"'"
        found.append(_unquoted(scalar[1] if scalar and quoted else item[2].split(" #")[0].strip()))
    return found


def _flow(value: str, inner: str) -> list[str]:
    if not (value.startswith("[") and "]" in value):
        raise AnnotationError(f"{inner}: names must be a list of class names")
    return [_unquoted(found[1]) for found in _SCALAR.finditer(value[1:])]


def _unquoted(item: str) -> str:
    if item[0] == '"':
        try:
            return str(json.loads(item))
        except ValueError:
            return item[1:-1]
    return item[1:-1].replace("''", "'") if item[0] == "'" else item.strip(" ]")
