"""A quick look at an annotation: all but its mask, which is drawn when somebody asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from comask.annotation.fields import MAX_ID, MAX_NUMBER, Fields, shown
from comask.errors import AnnotationError

_INT, _NUMBERS = {int}, {int, float}
_SCORES = frozenset({"score", "class_score", "mask_iou"})


@dataclass(frozen=True)
class Columns:
    """Annotations as lists of numbers; an area is nan where the file does not say it."""

    ids: Sequence[int]
    images: Sequence[int]
    categories: Sequence[int]
    areas: Sequence[float]
    crowds: Sequence[int]


def columns(values: Sequence[Any]) -> Columns | None:
    """Take the numbers out of annotations; None where one of them may be odd.

    Nearly all files are plain throughout, so that many are looked at together.
    """
    if not values:
        return Columns([], [], [], [], [])
    try:
        found = Columns(
            [value["id"] for value in values],
            [value["image_id"] for value in values],
            [value["category_id"] for value in values],
            [value["area"] for value in values],
            [value["iscrowd"] for value in values],
        )
        boxes = [value["bbox"] for value in values]
        segmentations = [value["segmentation"] for value in values]
    except (KeyError, TypeError, IndexError):
        return None
    plain = (
        all(_SCORES.isdisjoint(value) for value in values)
        and all(map(_are_ids, (found.ids, found.images, found.categories)))
        and _are_sizes(found.areas)
        and set(map(type, found.crowds)) <= _INT
        and set(found.crowds) <= {0, 1}
        and _are_boxes(boxes)
        and all(map(_is_segmentation, segmentations))
    )
    return found if plain else None


def column(value: dict[str, Any]) -> Columns:
    """Take the numbers out of one annotation that ``refuse_odd`` let pass."""
    area = value.get("area")
    return Columns(
        [value["id"]],
        [value["image_id"]],
        [value["category_id"]],
        [float("nan") if area is None else area],
        [value.get("iscrowd") or 0],
    )


def _are_ids(numbers: Sequence[Any]) -> bool:
    return set(map(type, numbers)) <= _INT and min(numbers) >= 0 and max(numbers) <= MAX_ID


def _are_sizes(numbers: Sequence[Any]) -> bool:
    """Tell whether all are numbers from 0 on; nan, which fails every comparison, is none."""
    if not set(map(type, numbers)) <= _NUMBERS:
        return False
    found = np.array(numbers, np.float64)
    return bool(((found >= 0) & (found <= MAX_NUMBER)).all())


def _are_boxes(boxes: Sequence[Any]) -> bool:
    if set(map(type, boxes)) != {list} or set(map(len, boxes)) != {4}:
        return False
    numbers = list(chain.from_iterable(boxes))
    if not set(map(type, numbers)) <= _NUMBERS:
        return False
    found = np.array(numbers, np.float64).reshape(-1, 4)
    inside = (found >= -MAX_NUMBER) & (found <= MAX_NUMBER)
    return bool(inside.all() and (found[:, 2:] >= 0).all())


def _is_segmentation(value: object) -> bool:
    if type(value) is list:
        for part in value:
            if type(part) is not list or len(part) < 6 or len(part) % 2:
                return False
        return bool(value)
    return type(value) is dict and type(value.get("counts")) in (str, list) and "size" in value


def refuse_odd(value: object) -> None:
    """Look at an annotation field by field, mask apart; raises AnnotationError."""
    fields = Fields(value)
    for key in ("id", "image_id", "category_id"):
        fields.whole(key, 0, MAX_ID)
    if fields.has("area"):
        fields.number("area", 0)
    if fields.has("bbox"):
        fields.bbox("bbox")
    fields.whole("iscrowd", 0, 1, default=0)
    for key in ("score", "class_score", "mask_iou"):
        fields.optional(key)
    segmentation = fields.get("segmentation")
    if not _is_segmentation(segmentation):
        _refuse_segmentation(segmentation)


def _refuse_segmentation(value: object) -> None:
    if isinstance(value, list) and value and all(isinstance(part, list) for part in value):
        short = next(len(part) for part in value if len(part) < 6 or len(part) % 2)
        raise AnnotationError(
            f"a polygon needs 3 or more x, y pairs, and this one has {short} numbers"
        )
    raise AnnotationError(f"segmentation must be polygons or a run-length code, not {shown(value)}")
