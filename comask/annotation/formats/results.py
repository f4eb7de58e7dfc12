"""COCO results lists: what a detector found, to be judged by COCO's own tools."""

from collections.abc import Iterable, Iterator
from typing import Any

from comask.annotation import files, rle
from comask.annotation.records import Annotation, ImageRecord

CERTAIN = 1.0  # the score of what a person drew


def pieces(found: Iterable[tuple[ImageRecord, list[Annotation]]]) -> Iterator[bytes]:
    """Write a results list piece by piece, images in their order."""
    yield from files.dump_list(_out(one) for _, mine in found for one in mine)
    yield b"\n"


def score_of(annotation: Annotation) -> float:
    """Give the score that ranks an instance among the results."""
    for score in (annotation.score, annotation.class_score):
        if score is not None:
            return score
    return CERTAIN


def _out(annotation: Annotation) -> dict[str, Any]:
    return {
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "bbox": list(rle.bbox(annotation.rle)),
        "segmentation": annotation.rle.to_coco(),
        "score": score_of(annotation),
    }
