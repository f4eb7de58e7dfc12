"""A file judged against itself: what is right has an AP of 1, on as many objects as it holds.

The count matters as much as the AP: objects that an evaluation never looks at, such as crowds,
cost no AP.
"""

import contextlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from comask.annotation import rle
from comask.annotation.records import Annotation, Dataset
from comask.evaluate.coco_ap import mean

AT_ONCE = 500  # images; pycocotools keeps some 50 kB of each


@dataclass(frozen=True)
class CategoryLine:
    """One class: instances, crowds apart; how many of them were evaluated, and the AP.

    ap  -1 where there is nothing to find
    """

    id: int
    name: str
    instances: int
    crowds: int
    evaluated: int
    ap: float


def judge_itself(truth: Dataset, found: Sequence[Annotation]) -> tuple[CategoryLine, ...]:
    """Let pycocotools evaluate masks against themselves, however many an image holds.

    It sees a few hundred images at a time: where it finds nothing wrong in any of the parts, every
    AP is 1. Where it does, all images together say what the AP is.

    Args:
        truth: With crowds; ids of annotations are those of the file.
        found: Without crowds; all have the same score.
    """
    instances = Counter(a.category_id for a in truth.annotations if not a.iscrowd)
    crowds = Counter(a.category_id for a in truth.annotations if a.iscrowd)
    aps: dict[int, float] = {}
    evaluated: Counter[int] = Counter()
    for part, some in _parts(truth, found):
        judge = _evaluate(part, some) if some else None
        if judge is None or not _is_flawless(judge):
            judge = _evaluate(truth, found)
            aps, evaluated = _aps(judge), _evaluated(judge)
            break
        aps |= {category: ap for category, ap in _aps(judge).items() if ap >= 0}
        evaluated += _evaluated(judge)
    return tuple(
        CategoryLine(
            category.id,
            category.name,
            instances[category.id],
            crowds[category.id],
            evaluated[category.id],
            aps.get(category.id, -1.0),
        )
        for category in truth.categories
    )


def _parts(
    truth: Dataset, found: Sequence[Annotation]
) -> Iterator[tuple[Dataset, list[Annotation]]]:
    """Split both by the images of true ones, of which alone pycocotools asks."""
    order = dict.fromkeys(a.image_id for a in truth.annotations)
    places = {image: place // AT_ONCE for place, image in enumerate(order)}
    parts: list[tuple[list[Annotation], list[Annotation]]] = [
        ([], []) for _ in range(0, len(order), AT_ONCE)
    ]
    for one in truth.annotations:
        parts[places[one.image_id]][0].append(one)
    for one in found:
        if one.image_id in places:
            parts[places[one.image_id]][1].append(one)
    images = {image.id: image for image in truth.images}
    for true, some in parts:
        # of crowds alone nothing can be lost; objects of which nothing was found are a flaw
        if found and (some or any(not one.iscrowd for one in true)):
            ids = dict.fromkeys(one.image_id for one in true)
            about = tuple(images[number] for number in ids if number in images)
            yield replace(truth, images=about, annotations=tuple(true)), some


def _aps(judge: COCOeval) -> dict[int, float]:
    precision = judge.eval["precision"]  # (10 IoU thresholds, 101 recalls, classes, 1, 1)
    return {
        # of one object pycocotools says 0.9999999999999998
        category: round(mean(precision[:, :, column, 0, 0]), 12)
        for column, category in enumerate(map(int, judge.params.catIds))
    }


def _evaluated(judge: COCOeval) -> Counter[int]:
    count: Counter[int] = Counter()
    for seen in judge.evalImgs:
        if seen is not None:
            count[int(seen["category_id"])] += int((seen["gtIgnore"] == 0).sum())
    return count


def _is_flawless(judge: COCOeval) -> bool:
    """Tell whether every object was found and everything found is one."""
    if any(ap not in (1, -1) for ap in _aps(judge).values()):
        return False
    return not any(
        np.any((seen["dtMatches"] == 0) & (seen["dtIgnore"] == 0))
        for seen in judge.evalImgs
        if seen is not None
    )


def _evaluate(truth: Dataset, found: Sequence[Annotation]) -> COCOeval:
    most = Counter((a.image_id, a.category_id) for a in found)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools talks
        judge = COCOeval(_index(truth, truth.annotations), _index(truth, found), "segm")
        judge.params.maxDets = [max(most.values())]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    return judge


def _index(about: Dataset, annotations: Sequence[Annotation]) -> COCO:
    index = COCO()
    images = {annotation.image_id for annotation in annotations}
    index.dataset = {
        "images": [
            {"id": i.id, "width": i.width, "height": i.height}
            for i in about.images
            if i.id in images
        ],
        "categories": [{"id": category.id} for category in about.categories],
        "annotations": [_record(annotation) for annotation in annotations],
    }
    index.createIndex()
    return index


def _record(annotation: Annotation) -> dict[str, Any]:
    return {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "iscrowd": int(annotation.iscrowd),
        "area": rle.area(annotation.rle),
        "bbox": list(annotation.bbox),
        "segmentation": annotation.rle.to_coco(),
        "score": 1.0,
    }
