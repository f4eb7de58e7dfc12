"""labelme: one JSON file an image, beside it; polygons, or masks that may have holes.

The shapes of one instance share their label and their group. Other keys pass by. labelme turns
images upright as it opens them; the sizes are of the upright image.
"""

import base64
import binascii
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.annotation import files, rle
from comask.annotation.fields import MAX_ID, Fields, is_number, shown
from comask.annotation.formats import archive
from comask.annotation.formats.known import Arrived, Sorter, refuse_unknown
from comask.annotation.names import shortened
from comask.annotation.records import Annotation, Category, ImageRecord, Rle, Size
from comask.errors import AnnotationError

VERSION = "5.5.0"  # of the format: the first that holds masks and the keys that are written
SPACE = "pixels of the upright image, turned as its EXIF orientation says"
CROWD = "iscrowd"  # a flag of a shape

_MOST_SHAPES = 100_000  # of one image
_CIRCLE = 72  # corners of the polygon that stands for a circle
_PNG = b"\x89PNG\r\n\x1a\n"

Shape = dict[str, Any]
Part = tuple[str, int | None, Rle, bool, float | None]  # label, group, mask, crowd, score


# -- writing ------------------------------------------------------------------------------------


def write(
    stream: IO[bytes],
    categories: Sequence[Category],
    images: Iterable[tuple[ImageRecord, Sequence[Annotation]]],
) -> None:
    """Write a zip: a JSON file for every image, and labels.txt with the classes."""
    names = _names(categories)
    taken: set[str] = {"labels.txt"}
    with archive.Writer(stream) as zipped:
        zipped.add("labels.txt", "".join(f"{name}\n" for name in names.values()).encode())
        for image, mine in images:
            path = archive.inner_path(image)
            name = path.with_suffix(".json").as_posix()
            if name in taken:  # the same name with another ending
                name = f"{path.as_posix()}.json"
            taken.add(name)
            zipped.add(name, files.dump_json(_content(image, mine, names)))


def _names(categories: Sequence[Category]) -> dict[int, str]:
    names = {category.id: category.name for category in categories}
    twins = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twins:
        raise AnnotationError(
            f"labelme tells classes apart by their names alone, and two are called "
            f"{shortened(twins[0])}"
        )
    return names


def _content(
    image: ImageRecord, annotations: Sequence[Annotation], names: dict[int, str]
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "flags": {},
        "shapes": [shape for one in annotations for shape in _shapes(one, names[one.category_id])],
        "imagePath": image.file_name.rpartition("/")[2],
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
        "coordinates": SPACE,
    }


def _shapes(one: Annotation, label: str) -> Iterator[Shape]:
    if not one.polygons:
        crop, x, y = rle.decode_crop(one.rle)
        height, width = crop.shape
        corners = [[x, y], [x + width - 1, y + height - 1]]  # both of them inside
        yield _shape(one, label, "mask", corners) | {"mask": _to_png(crop)}
    for polygon in one.polygons:
        points = [list(point) for point in zip(polygon[::2], polygon[1::2], strict=True)]
        yield _shape(one, label, "polygon", points)


def _shape(one: Annotation, label: str, kind: str, points: list[list[float]]) -> Shape:
    shape: Shape = {
        "label": label,
        "points": points,
        "group_id": one.id,
        "description": "",
        "shape_type": kind,
        "flags": {CROWD: True} if one.iscrowd else {},
        "mask": None,
    }
    return shape if one.score is None else {**shape, "score": one.score}


def _to_png(crop: NDArray[np.uint8]) -> str:
    done, content = cv2.imencode(".png", np.ascontiguousarray(crop, np.uint8))
    assert done
    return base64.b64encode(content.tobytes()).decode("ascii")


# -- reading ------------------------------------------------------------------------------------


def read(found: Iterable[tuple[str, bytes]], sorter: Sorter, name: str) -> Arrived:
    """Read labelme's files; what else lies among them passes by."""
    met = 0
    numbers = _Numbers()
    for inner, data in found:
        if not inner.lower().endswith(".json"):
            continue
        content, flaw = files.parse_json(data, inner)
        if flaw:
            raise AnnotationError(flaw)
        if not isinstance(content, dict) or "shapes" not in content:
            raise AnnotationError(f"{inner} is no file of labelme: it has no shapes")
        try:
            met += _read_one(inner, Fields(content), sorter, numbers)
        except AnnotationError as error:
            raise AnnotationError(f"{inner}: {error}") from error
    refuse_unknown(sorter, name, met)
    return sorter.arrived()


class _Numbers:
    """Ids of instances: their groups, as long as each comes once in the whole file."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._next = 1

    def give(self, group: int | None) -> int:
        number = group if group is not None and 0 < group <= MAX_ID else None
        while number is None or number in self._taken:
            number, self._next = self._next, self._next + 1
        self._taken.add(number)
        return number


def _read_one(inner: str, top: Fields, sorter: Sorter, numbers: _Numbers) -> bool:
    path = top.text("imagePath").replace("\\", "/")
    folder = inner.rpartition("/")[0]
    image = sorter.known.image(f"{folder}/{path}" if folder else path)
    if image is None:
        sorter.notes.add(f"there is no image {shortened(path)} here", len(top.items("shapes")))
        return False
    height, width = (top.whole(f"image{side}", 1, rle.MAX_SIDE) for side in ("Height", "Width"))
    if height * width > rle.MAX_PIXELS:
        raise AnnotationError(f"its image is larger than {rle.MAX_PIXELS:,} pixels")
    shapes = top.items("shapes")
    if len(shapes) > _MOST_SHAPES:
        raise AnnotationError(f"it holds {len(shapes):,} shapes; at most {_MOST_SHAPES:,} go")
    if not sorter.meet(image, (height, width)):
        sorter.notes.count += len(shapes)
        return True
    for parts in _instances(shapes, (height, width), sorter):
        label, group, _, _, score = parts[0]
        category = sorter.category(label)
        if category is not None:
            mask = parts[0][2] if len(parts) == 1 else rle.merge([part[2] for part in parts])
            number = numbers.give(group)
            crowd = any(part[3] for part in parts)
            sorter.add(_annotation(number, image.id, category, mask, crowd, score))
    return True


def _annotation(
    number: int, image: int, category: int, mask: Rle, crowd: bool, score: float | None
) -> Annotation:
    area, bbox = rle.area(mask), rle.bbox(mask)
    return Annotation(number, image, category, mask, area, bbox, iscrowd=crowd, score=score)


def _instances(shapes: Sequence[Any], size: Size, sorter: Sorter) -> list[list[Part]]:
    """Put the shapes of one label and one group together, in the order of their first ones."""
    found: dict[object, list[Part]] = {}
    for row, shape in enumerate(shapes):
        try:
            part = _part(Fields(shape), size, sorter)
        except AnnotationError as error:
            raise AnnotationError(f"shapes[{row}]: {error}") from error
        if part is not None:
            alone = part[1] is None
            found.setdefault(row if alone else (part[0], part[1]), []).append(part)
    return list(found.values())


def _part(fields: Fields, size: Size, sorter: Sorter) -> Part | None:
    label, kind = fields.text("label"), fields.text("shape_type", "polygon")
    group = fields.get("group_id")
    if group is not None and type(group) is not int:
        raise AnnotationError(f"group_id must be a whole number, not {shown(group)}")
    points = _points(fields.items("points"), size)
    if kind == "mask":
        mask = _from_png(fields.text("mask"), points, size)
    elif kind in ("polygon", "rectangle", "circle"):
        mask = rle.from_polygons([_polygon(kind, points)], *size)
    else:
        sorter.notes.add(f"a shape of the kind {shortened(kind)} encloses nothing and is left out")
        return None
    score = fields.optional("score")
    return label, group, mask, fields.object("flags").get(CROWD) is True, score


def _points(values: Sequence[Any], size: Size) -> list[tuple[float, float]]:
    limit = 2 * max(size)
    for value in values:
        if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
            raise AnnotationError(f"points must be x, y pairs of finite numbers: {shown(value)}")
        if max(map(abs, value)) > limit:
            raise AnnotationError("a point lies far outside of its image")
    return [(float(x), float(y)) for x, y in values]


def _polygon(kind: str, points: list[tuple[float, float]]) -> list[float]:
    if kind in ("rectangle", "circle") and len(points) != 2:
        raise AnnotationError(f"a {kind} has 2 points, and this one {len(points)}")
    if kind == "polygon":
        return [number for point in points for number in point]
    (left, top), (right, bottom) = points
    if kind == "rectangle":
        return [left, top, right, top, right, bottom, left, bottom]
    radius = math.hypot(right - left, bottom - top)
    turns = [2 * math.pi * step / _CIRCLE for step in range(_CIRCLE)]
    pairs = [(left + radius * math.cos(turn), top + radius * math.sin(turn)) for turn in turns]
    return [number for pair in pairs for number in pair]


def _from_png(text: str, points: list[tuple[float, float]], size: Size) -> Rle:
    """Read a mask of labelme: a PNG between two pixels, both of them inside."""
    if len(points) != 2:
        raise AnnotationError(f"a mask has 2 points, and this one {len(points)}")
    (x1, y1), (x2, y2) = ((int(x), int(y)) for x, y in points)
    if not (0 <= x1 <= x2 < size[1] and 0 <= y1 <= y2 < size[0]):
        raise AnnotationError("a mask lies outside of its image")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AnnotationError("a mask is not written in base64") from None
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    if not data.startswith(_PNG) or (height, width) != (y2 - y1 + 1, x2 - x1 + 1):
        raise AnnotationError("a mask is no PNG image of the size that its points say")
    crop = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if crop is None or crop.shape != (height, width):
        raise AnnotationError("a mask is a damaged PNG image")
    return rle.encode_crop(crop.astype(np.uint8), x1, y1, size)
