"""The twelve COCO numbers for masks and boxes, by pycocotools or by what equals it to the bit.

What pycocotools does is kept, its corners included:
- a number is -1 where no truth object is in its size range;
- where results carry a box and a mask, the size of a found object is its box's area, for masks too;
- objects are matched within one image and category, crowds are neither found nor missed.
The one departure: truth ids are numbered anew, because pycocotools takes an object of id 0 for
unfound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from comask.annotation import coco, files, rle
from comask.annotation.coco import Result
from comask.annotation.records import Dataset
from comask.errors import InputError
from comask.evaluate.engines import Content, Engine, Judge, Kind, Limits, Tables, Wanted, choose

__all__ = ["COCO_LIMITS", "Kind", "Limits", "Verdict", "evaluate", "judge", "mean", "summarise"]

COCO_LIMITS: Limits = (1, 10, 100)
_SIZES = ("", "s", "m", "l")  # all, below 32 x 32 px, up to 96 x 96 px, above


@dataclass(frozen=True)
class Verdict:
    """How good the results are, for masks or for boxes.

    numbers      AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl
    by_category  AP of each category id; -1 where it has no truth
    engine       who worked them out; "" for ``metrics.twelve``, which has overlaps that are kept
    """

    kind: Kind
    numbers: Mapping[str, float]
    by_category: Mapping[int, float]
    engine: Engine | Literal[""] = field(default="", compare=False)


def evaluate(
    truth: Dataset | str | Path,
    results: Sequence[Any] | str | Path,
    *,
    max_detections: Sequence[int] = COCO_LIMITS,
    engine: Wanted = "auto",
) -> dict[str, dict[str, float]]:
    """Find the twelve numbers for masks ("segm") and boxes ("bbox").

    Masks are left out where the results hold boxes only. Boxes of results that hold masks only
    are the masks' own. With other ``max_detections`` the AR keys carry those limits, and all else
    counts up to the largest.

    Args:
        truth: A COCO file or what ``coco.read`` made of it.
        results: A COCO results list, or its file.
        max_detections: Three limits of instances an image; COCO's are 1, 10 and 100.
        engine: Who works them out; "auto" takes the fast one where it is installed.
    """
    verdicts = judge(truth, results, max_detections=max_detections, engine=engine)
    return {kind: dict(verdict.numbers) for kind, verdict in verdicts.items()}


def judge(
    truth: Dataset | str | Path,
    results: Sequence[Any] | str | Path,
    *,
    max_detections: Sequence[int] = COCO_LIMITS,
    engine: Wanted = "auto",
) -> dict[Kind, Verdict]:
    """Do what ``evaluate`` does, and find the AP of each category too."""
    limits, chosen = _read_limits(max_detections), choose(engine)
    dataset = truth if isinstance(truth, Dataset) else coco.read(Path(truth))
    if not dataset.images:
        raise InputError("the annotation file holds no images, so there is nothing to evaluate")
    found = coco.read_results(results, dataset)
    kinds: tuple[Kind, ...] = ("segm", "bbox")
    if found and found[0].rle is None:
        kinds = ("bbox",)
    with files.uncollected():
        judge = Judge(chosen, to_truth(dataset), to_found(dataset, found))
    return {kind: _verdict(judge.tables(kind, limits), kind, limits, chosen) for kind in kinds}


def _read_limits(given: Sequence[int]) -> Limits:
    limits = tuple(given)
    whole = len(limits) == 3 and all(type(limit) is int for limit in limits)
    if not whole or not 1 <= limits[0] < limits[1] < limits[2]:
        raise InputError(f"max_detections must be three rising whole numbers, got {limits}")
    return limits[0], limits[1], limits[2]


def summarise(
    precision: NDArray[np.float64], recall: NDArray[np.float64], limits: Limits
) -> dict[str, float]:
    """Take the numbers from pycocotools' tables, whatever the limits are.

    precision  (10 IoU thresholds, 101 recalls, categories, 4 sizes, 3 limits)
    recall     (10 IoU thresholds, categories, 4 sizes, 3 limits)
    """
    numbers = {
        "AP": mean(precision[..., 0, -1]),
        "AP50": mean(precision[0, ..., 0, -1]),
        "AP75": mean(precision[5, ..., 0, -1]),
    }
    numbers |= {f"AP{_SIZES[size]}": mean(precision[..., size, -1]) for size in (1, 2, 3)}
    numbers |= {f"AR{limit}": mean(recall[..., 0, row]) for row, limit in enumerate(limits)}
    numbers |= {f"AR{_SIZES[size]}": mean(recall[..., size, -1]) for size in (1, 2, 3)}
    return numbers


def mean(table: NDArray[np.float64]) -> float:
    """Average what is measured; -1 where nothing is."""
    counted = table[table > -1]
    return float(np.mean(counted)) if counted.size else -1.0


def _verdict(tables: Tables, kind: Kind, limits: Limits, engine: Engine) -> Verdict:
    by_category = {
        category: mean(tables.precision[:, :, column, 0, -1])
        for column, category in enumerate(tables.categories)
    }
    return Verdict(kind, summarise(tables.precision, tables.recall, limits), by_category, engine)


def to_truth(dataset: Dataset) -> Content:
    """Write the truth as both engines read it, ids from 1 on."""
    records = [
        {
            "id": number,
            "image_id": annotation.image_id,
            "category_id": annotation.category_id,
            "iscrowd": int(annotation.iscrowd),
            "area": annotation.area,
            "bbox": list(annotation.bbox),
            "segmentation": annotation.rle.to_coco(),
        }
        for number, annotation in enumerate(dataset.annotations, start=1)
    ]
    return _content(dataset, records)


def to_found(dataset: Dataset, found: Sequence[Result]) -> Content:
    """Write results about a dataset as both engines read them."""
    records: list[dict[str, Any]] = []
    for number, result in enumerate(found, start=1):
        record: dict[str, Any] = {
            "id": number,
            "image_id": result.image_id,
            "category_id": result.category_id,
            "score": result.score,
            "iscrowd": 0,
        }
        if result.rle is not None:
            record["segmentation"] = result.rle.to_coco()
        if result.bbox is not None:
            record |= {"area": result.bbox[2] * result.bbox[3], "bbox": list(result.bbox)}
        elif result.rle is not None:
            record |= {"area": rle.area(result.rle), "bbox": list(rle.bbox(result.rle))}
        records.append(record)
    return _content(dataset, records)


def _content(dataset: Dataset, records: list[dict[str, Any]]) -> Content:
    return {
        "images": [
            {"id": image.id, "width": image.width, "height": image.height}
            for image in dataset.images
        ],
        "categories": [{"id": one.id, "name": one.name} for one in dataset.categories],
        "annotations": records,
    }
