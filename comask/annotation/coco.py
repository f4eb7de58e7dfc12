"""COCO files: read strictly, written whole, and the builders of what goes into them.

Reading takes polygons, both run-length codes, crowds and ids with gaps; it refuses anything
malformed in one sentence that names the file, the record and the field. ``area`` and ``bbox`` stay
what the file says. Writing sets both from the mask, in whole pixels, so that they agree with it
and with pycocotools. Keys that this library does not know pass through.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from comask.annotation import files, rle
from comask.annotation.fields import MAX_ID, Fields, is_number, shown
from comask.annotation.records import (
    Annotation,
    Bbox,
    Category,
    Dataset,
    ImageRecord,
    Rle,
    Size,
)
from comask.errors import AnnotationError

Record = TypeVar("Record")

_AT_ONCE = 1_000  # records whose codes are looked at together


@dataclass(frozen=True)
class Result:
    """One record of a COCO results list; it has a box or a mask, or both, as have its fellows."""

    image_id: int
    category_id: int
    score: float
    bbox: Bbox | None
    rle: Rle | None


# -- building -----------------------------------------------------------------------------------


def annotate(
    annotation_id: int,
    image_id: int,
    category_id: int,
    mask: Rle,
    *,
    score: float | None = None,
    class_score: float | None = None,
    mask_iou: float | None = None,
) -> Annotation:
    """Make one instance of its mask; area and tight box are taken from it."""
    return Annotation(
        id=annotation_id,
        image_id=image_id,
        category_id=category_id,
        rle=mask,
        area=rle.area(mask),
        bbox=rle.bbox(mask),
        score=None if score is None else float(score),
        class_score=None if class_score is None else float(class_score),
        mask_iou=None if mask_iou is None else float(mask_iou),
    )


def results(
    image_id: int,
    category_ids: Sequence[int],
    boxes: ArrayLike,
    masks: Sequence[Rle],
    scores: Sequence[float],
) -> list[dict[str, Any]]:
    """Write one image's instances as COCO results; boxes (N, 4) xyxy are cut off at its edge."""
    records = []
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    for category, box, mask, score in zip(category_ids, corners, masks, scores, strict=True):
        height, width = mask.size
        x1, x2 = box[[0, 2]].clip(0, width).tolist()
        y1, y2 = box[[1, 3]].clip(0, height).tolist()
        records.append(
            {
                "image_id": image_id,
                "category_id": int(category),
                "bbox": [x1, y1, max(x2 - x1, 0.0), max(y2 - y1, 0.0)],
                "segmentation": mask.to_coco(),
                "score": float(score),
            }
        )
    return records


# -- reading ------------------------------------------------------------------------------------


def read(path: str | Path) -> Dataset:
    """Read a COCO file; raises AnnotationError with one sentence."""
    return parse(files.load(Path(path)), Path(path).name)


def parse(data: bytes, name: str = "the file") -> Dataset:
    """Read the content of a COCO file; ``name`` is what a refusal calls it."""
    content, flaw = files.parse_json(data, name)
    if not isinstance(content, dict):
        raise AnnotationError(f"{name}: a COCO file holds an object, not {shown(content)}")
    with _named(name), files.uncollected():
        top = Fields(content)
        categories = _records(top.items("categories"), "categories", _category)
        images = _records(top.items("images"), "images", _image)
        _refuse_twins(categories, "categories")
        _refuse_twins(images, "images")
        sizes = {image.id: (image.height, image.width) for image in images}
        known = {category.id for category in categories}
        rows = top.items("annotations")
        plain = _plain_codes(rows, sizes)
        annotations = _records(
            rows, "annotations", lambda row: _annotation(row, sizes, known, next(plain))
        )
        _refuse_twins(annotations, "annotations")
        info = top.object("info")
        licenses = top.items("licenses") if top.has("licenses") else []
    if flaw:  # NaN or an endless number under a key that nobody reads
        raise AnnotationError(flaw)
    return Dataset(images, annotations, categories, info, tuple(licenses), top.rest())


def read_results(source: Path | Sequence[Any], truth: Dataset) -> tuple[Result, ...]:
    """Read a COCO results list, a file or its content, about the images of ``truth``."""
    name, content, flaw = "the results", source, ""
    if isinstance(source, str | Path):
        name = Path(source).name
        content, flaw = files.parse_json(files.load(Path(source)), name)
    if not isinstance(content, list | tuple):
        raise AnnotationError(f"{name}: a results file holds a list, not {shown(content)}")
    sizes = {image.id: (image.height, image.width) for image in truth.images}
    known = {category.id for category in truth.categories}
    plain = _plain_codes(content, sizes)
    with _named(name), files.uncollected():
        found = _records(content, "results", lambda row: _result(row, sizes, known, next(plain)))
        _refuse_mixture(found)
    if flaw:
        raise AnnotationError(flaw)
    return found


def read_segmentation(value: object, size: Size, *, plain: bool = False) -> Rle:
    """Read polygons or a run-length code of either kind into one mask.

    ``plain`` says that its code was found to fill the image: ``rle.are_plain``.
    """
    if isinstance(value, list):
        if not value:
            raise AnnotationError("segmentation is an empty list")
        for polygon in value:
            if not isinstance(polygon, list) or not all(map(is_number, polygon)):
                raise AnnotationError("segmentation must be a list of lists of finite numbers")
        return rle.from_polygons(value, *size)
    if not isinstance(value, dict):
        raise AnnotationError(
            f"segmentation must be polygons or a run-length code, not {shown(value)}"
        )
    if value.get("size") != list(size):
        raise AnnotationError(
            f"segmentation.size must be the image's {list(size)}, not {shown(value.get('size'))}"
        )
    counts = value.get("counts")
    if isinstance(counts, str):
        return Rle(size, counts) if plain else rle.from_compressed(counts, *size)
    if isinstance(counts, list):
        return rle.from_uncompressed(counts, *size)
    raise AnnotationError(f"segmentation.counts must be a text or a list, not {shown(counts)}")


def read_image(value: object) -> ImageRecord:
    """Read one record of ``images``."""
    return _image(Fields(value))


def read_category(value: object) -> Category:
    """Read one record of ``categories``."""
    return _category(Fields(value))


def read_annotation(value: object, image: ImageRecord, categories: set[int]) -> Annotation:
    """Read one record of ``annotations`` that belongs to an image."""
    return _annotation(Fields(value), {image.id: (image.height, image.width)}, categories, False)


# -- writing ------------------------------------------------------------------------------------


def write(path: str | Path, dataset: Dataset) -> None:
    """Replace a COCO file: written beside it, read back, compared, then renamed over it.

    Raises AnnotationError or OSError, and then the old file is still there, untouched.
    """
    expected = replace(dataset, annotations=tuple(map(_tightened, dataset.annotations)))
    name = Path(path).name

    def check(data: bytes) -> None:
        if parse(data, name) != expected:
            raise AnnotationError(f"{name}: what was written does not read back as what was meant")

    files.replace_file(Path(path), b"".join(_pieces(expected, expected.annotations)), check)


def dump(dataset: Dataset) -> bytes:
    """Write a COCO file's content, area and bbox tight to the masks."""
    return b"".join(pieces(dataset))


def pieces(dataset: Dataset, annotations: Iterable[Annotation] | None = None) -> Iterator[bytes]:
    """Write a COCO file's content piece by piece, so that a large one is never there as a whole.

    ``annotations`` stand in for the dataset's own, and are made as they are written.
    """
    drawn = dataset.annotations if annotations is None else annotations
    return _pieces(dataset, map(_tightened, drawn))


def _pieces(dataset: Dataset, annotations: Iterable[Annotation]) -> Iterator[bytes]:
    head = {"info": dict(dataset.info), "licenses": list(dataset.licenses)}
    yield files.dump_json(head)[:-2]
    yield b',"images":'
    yield from files.dump_list(map(_image_out, dataset.images))
    yield b',"annotations":'
    yield from files.dump_list(map(_annotation_out, annotations))
    tail = {"categories": [_category_out(category) for category in dataset.categories]}
    yield b"," + files.dump_json({**tail, **dataset.extra})[1:]


def _tightened(annotation: Annotation) -> Annotation:
    area, bbox = rle.area(annotation.rle), rle.bbox(annotation.rle)
    if (annotation.area, annotation.bbox) == (area, bbox):
        return annotation
    return replace(annotation, area=area, bbox=bbox)


def _image_out(image: ImageRecord) -> dict[str, Any]:
    size = {"width": image.width, "height": image.height}
    return {"id": image.id, "file_name": image.file_name, **size, **image.extra}


def _category_out(category: Category) -> dict[str, Any]:
    named = {"id": category.id, "name": category.name}
    return {**named, "supercategory": category.supercategory, **category.extra}


def _annotation_out(annotation: Annotation) -> dict[str, Any]:
    scores = {
        key: value
        for key in ("score", "class_score", "mask_iou")
        if (value := getattr(annotation, key)) is not None
    }
    return {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "iscrowd": int(annotation.iscrowd),
        "area": annotation.area,
        "bbox": list(annotation.bbox),
        "segmentation": list(map(list, annotation.polygons)) or annotation.rle.to_coco(),
        **scores,
        **annotation.extra,
    }


# -- what a file holds --------------------------------------------------------------------------


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except AnnotationError as error:
        raise AnnotationError(f"{name}: {error}") from error


def _records(
    items: Iterable[Any], key: str, read_one: Callable[[Fields], Record]
) -> tuple[Record, ...]:
    records = []
    for row, item in enumerate(items):
        try:
            records.append(read_one(Fields(item)))
        except AnnotationError as error:
            number = item.get("id") if isinstance(item, dict) else None
            known = f" (id {number})" if type(number) is int and 0 <= number <= MAX_ID else ""
            raise AnnotationError(f"{key}[{row}]{known}: {error}") from error
    return tuple(records)


def _plain_codes(items: Sequence[Any], sizes: dict[int, Size]) -> Iterator[bool]:
    """Tell of every record whether its code fills its image, looking at many at once."""
    for start in range(0, len(items), _AT_ONCE):
        rows = items[start : start + _AT_ONCE]
        codes = [_code(row, sizes) for row in rows]
        there = [code for code in codes if code is not None]
        plain = iter(rle.are_plain([text for text, _ in there], [size for _, size in there]))
        yield from (code is not None and next(plain) for code in codes)


def _code(record: object, sizes: dict[int, Size]) -> tuple[str, int] | None:
    """Find a record's compressed code and the pixels of its image; None for all that is odd."""
    found = record.get("segmentation") if isinstance(record, dict) else None
    text = found.get("counts") if isinstance(found, dict) else None
    if not isinstance(record, dict) or not isinstance(text, str):
        return None
    number = record.get("image_id")
    height, width = sizes.get(number, (0, 0)) if isinstance(number, int) else (0, 0)
    return text, height * width


def _refuse_twins(records: Iterable[Annotation | Category | ImageRecord], key: str) -> None:
    seen: dict[int, int] = {}
    for row, record in enumerate(records):
        if seen.setdefault(record.id, row) != row:
            raise AnnotationError(
                f"{key}[{row}]: id {record.id} is already that of {key}[{seen[record.id]}]"
            )


def _refuse_mixture(found: Sequence[Result]) -> None:
    """COCO's tools look at the first record to see what all of them have."""
    for row, result in enumerate(found):
        for field, first, own in (
            ("bbox", found[0].bbox, result.bbox),
            ("segmentation", found[0].rle, result.rle),
        ):
            if (first is None) != (own is None):
                verb = "lacks" if own is None else "has"
                raise AnnotationError(f"results[{row}] {verb} {field}, unlike results[0]")


def _category(fields: Fields) -> Category:
    number, name = fields.whole("id", 0, MAX_ID), fields.text("name")
    above = fields.text("supercategory", "")
    return Category(number, name, above, extra=fields.rest())


def _image(fields: Fields) -> ImageRecord:
    number, name = fields.whole("id", 0, MAX_ID), fields.text("file_name")
    width, height = (fields.whole(side, 1, rle.MAX_SIDE) for side in ("width", "height"))
    if width * height > rle.MAX_PIXELS:
        raise AnnotationError(f"width x height must not pass {rle.MAX_PIXELS:,} pixels")
    return ImageRecord(number, name, width, height, fields.rest())


def _annotation(
    fields: Fields, sizes: dict[int, Size], categories: set[int], plain: bool
) -> Annotation:
    number = fields.whole("id", 0, MAX_ID)
    image, category = _references(fields, sizes, categories)
    mask = read_segmentation(fields.get("segmentation"), sizes[image], plain=plain)
    return Annotation(
        id=number,
        image_id=image,
        category_id=category,
        rle=mask,
        area=fields.number("area", 0) if fields.has("area") else rle.area(mask),
        bbox=fields.bbox("bbox") if fields.has("bbox") else rle.bbox(mask),
        iscrowd=fields.whole("iscrowd", 0, 1, default=0) == 1,
        score=fields.optional("score"),
        class_score=fields.optional("class_score"),
        mask_iou=fields.optional("mask_iou"),
        extra=fields.rest(),
    )


def _result(fields: Fields, sizes: dict[int, Size], categories: set[int], plain: bool) -> Result:
    image, category = _references(fields, sizes, categories)
    score = fields.number("score")
    bbox = fields.bbox("bbox") if fields.has("bbox") else None
    mask = None
    if fields.has("segmentation"):
        mask = read_segmentation(fields.get("segmentation"), sizes[image], plain=plain)
    if bbox is None and mask is None:
        raise AnnotationError("it has neither bbox nor segmentation")
    return Result(image, category, score, bbox, mask)


def _references(fields: Fields, sizes: dict[int, Size], categories: set[int]) -> tuple[int, int]:
    image = fields.whole("image_id", 0, MAX_ID)
    if image not in sizes:
        raise AnnotationError(f"image_id {image} is no image of the annotation file")
    category = fields.whole("category_id", 0, MAX_ID)
    if category not in categories:
        raise AnnotationError(f"category_id {category} is no category of the annotation file")
    return image, category
