"""A file judged against itself: what is right has an AP of 1, on as many objects as it holds.

The count matters as much as the AP: objects that an evaluation never looks at, such as crowds,
cost no AP.
"""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from comask.annotation import rle
from comask.annotation.records import Annotation, Dataset
from comask.evaluate.coco_ap import mean


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

    Args:
        truth: With crowds; ids of annotations are those of the file.
        found: Without crowds; all have the same score.
    """
    instances = Counter(a.category_id for a in truth.annotations if not a.iscrowd)
    crowds = Counter(a.category_id for a in truth.annotations if a.iscrowd)
    aps: dict[int, float] = {}
    evaluated: Counter[int] = Counter()
    if truth.annotations and found:
        judge = _evaluate(truth, found)
        precision = judge.eval["precision"]  # (10 IoU thresholds, 101 recalls, classes, 1, 1)
        for column, category in enumerate(map(int, judge.params.catIds)):
            ap = mean(precision[:, :, column, 0, 0])
            aps[category] = round(ap, 12)  # of one object pycocotools says 0.9999999999999998
        for seen in judge.evalImgs:
            if seen is not None:
                evaluated[int(seen["category_id"])] += int((seen["gtIgnore"] == 0).sum())
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
