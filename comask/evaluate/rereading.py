"""An exported file read again, its masks decoded by pycocotools."""

import contextlib
import io
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from comask.annotation import coco, files, formats, stream
from comask.annotation.formats import Known, Written
from comask.annotation.records import Annotation, Dataset, ImageRecord, Rle
from comask.errors import AnnotationError


def reread(path: Path, written: Written, about: Dataset) -> Dataset:
    """Read an exported file again; raises AnnotationError where that can't be done.

    Where the format has no ids of instances, they get those of what was written in their places,
    and ids below 0 where nothing was.

    Args:
        path: The file.
        written: What was written, for its format and order.
        about: The images and classes that it is about.
    """
    kind = written.settings.format
    if kind == "coco":
        return _coco(path)
    if kind == "results":
        return _in_order(_results(path, about), written.dataset)
    found = formats.read(path, Known(about.images, about.categories))
    if found.skipped:
        raise AnnotationError(
            f"{path.name}: {found.skipped:,} labels can't be read: {found.sentences[0]}"
        )
    dataset = found.dataset
    return _in_order(dataset, written.dataset) if kind == "yolo" else dataset


def decoded(record: dict[str, Any], index: COCO) -> Rle:
    """Let pycocotools make a mask of an annotation that was found to be well-formed."""
    found = index.annToRLE(record)
    counts = found["counts"]
    height, width = found["size"]
    return Rle((height, width), counts if isinstance(counts, str) else counts.decode("ascii"))


def _coco(path: Path) -> Dataset:
    data = files.load(path)
    dataset = coco.parse(data, path.name)  # pycocotools trusts whatever it is given
    del data
    index = COCO()
    index.dataset = {"images": [_sized(image) for image in dataset.images]}
    with contextlib.redirect_stdout(io.StringIO()):  # it talks
        index.createIndex()
    # record by record: the whole content takes as much room as everything that is made of it
    records = (one for some in stream.records(path, ("annotations",)) for one in some.values)
    rows = zip(dataset.annotations, records, strict=True)
    masks = tuple(_masked(one, decoded(record, index)) for one, record in rows)
    return replace(dataset, annotations=masks)


def _sized(image: ImageRecord) -> dict[str, Any]:
    return {"id": image.id, "width": image.width, "height": image.height}


def _masked(one: Annotation, mask: Rle) -> Annotation:
    return one if one.rle == mask else replace(one, rle=mask)


def _results(path: Path, about: Dataset) -> Dataset:
    content, _ = files.parse_json(files.load(path), path.name)
    coco.read_results(content, about)
    index = COCO()
    index.dataset = {
        "info": {},
        "images": [_sized(image) for image in about.images],
        "categories": [{"id": c.id} for c in about.categories],
        "annotations": [],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
        records = index.loadRes(content).dataset["annotations"] if content else []
    annotations = []
    for record in records:  # whose areas are those of their boxes
        mask = decoded(record, index)
        one = coco.annotate(record["id"], record["image_id"], record["category_id"], mask)
        x, y, width, height = map(float, record["bbox"])
        annotations.append(replace(one, bbox=(x, y, width, height), score=record["score"]))
    named = {record["image_id"] for record in records}
    images = tuple(image for image in about.images if image.id in named)
    return Dataset(images, tuple(annotations), about.categories)


def _in_order(found: Dataset, written: Dataset) -> Dataset:
    """Give instances the ids of those that were written in their places."""
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for one in written.annotations:
        ids[one.image_id].append(one.id)
    seen: Counter[int] = Counter()
    named = []
    for row, one in enumerate(found.annotations):
        mine, place = ids[one.image_id], seen[one.image_id]
        seen[one.image_id] += 1
        named.append(replace(one, id=mine[place] if place < len(mine) else -1 - row))
    return replace(found, annotations=tuple(named))
