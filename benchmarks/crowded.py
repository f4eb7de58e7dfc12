"""An image that is crowded, and a document that says what is there and what was found.

Made from a seed; the overlaps are computed from the masks, as the Studio does.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import studio  # noqa: F401  from where app can be imported

from app.canvas import payload
from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category
from comask.evaluate import matching

SIDE = 4096
CATEGORIES = (Category(1, "cell"), Category(2, "nucleus"))


@dataclass(frozen=True)
class Found:
    """A prediction without a model."""

    boxes: np.ndarray
    labels: np.ndarray
    class_scores: np.ndarray
    mask_ious: np.ndarray
    scores: np.ndarray
    masks: tuple[rle.Rle, ...]
    categories: tuple[Category, ...] = CATEGORIES
    trace: None = None


def drawn(count: int) -> tuple[payload.Document, np.ndarray]:
    """Make an image of wavy discs, the truth, and found ones a little beside most of them."""
    random = np.random.default_rng(0)
    radii = 0.45 * SIDE / np.sqrt(count) * random.uniform(0.5, 1.2, count)
    centres = random.uniform(0, SIDE, (count, 2))
    kinds = random.integers(0, 2, count)
    grain = random.integers(20, 50, (SIDE // 8, SIDE // 8, 3), np.uint8)
    picture = cv2.resize(grain, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    truth = []
    for row, (centre, radius) in enumerate(zip(centres, radii, strict=True)):
        cv2.circle(
            picture, tuple(centre[::-1].astype(int).tolist()), int(radius), (90, 140, 60), -1
        )
        truth.append(coco.annotate(row + 1, 1, int(kinds[row]) + 1, disc(centre, radius)))
    beside = centres + random.normal(0, 0.15, (count, 2)) * radii[:, None]
    masks = [disc(*shape) for shape in zip(beside, radii, strict=True)]
    scores = np.sort(random.uniform(0, 1, count)).astype(np.float32)[::-1]
    swapped = random.random(count) < 0.1  # found as the other class
    return compared(masks, scores, np.where(swapped, 1 - kinds, kinds), truth), picture


def disc(centre: np.ndarray, radius: float) -> rle.Rle:
    """Draw a disc with a wavy edge: many short runs, as real outlines have."""
    reach = int(1.2 * radius) + 1
    row, column = centre.astype(int)
    down, right = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    edge = radius * (1 + 0.15 * np.sin(5 * np.arctan2(down, right)))
    return rle.encode_crop(down**2 + right**2 <= edge**2, column - reach, row - reach, (SIDE, SIDE))


def compared(
    masks: list[rle.Rle], scores: np.ndarray, labels: np.ndarray, truth: list[Annotation]
) -> payload.Document:
    """Build the document that the page matches by itself."""
    flat = np.array([rle.bbox(mask) for mask in masks], np.float32)
    boxes = np.concatenate([flat[:, :2], flat[:, :2] + flat[:, 2:]], axis=1)
    pairs = matching.pair(
        truth, categories=labels + 1, class_scores=scores, scores=scores, boxes=boxes, masks=masks
    )
    columns = (pairs.rows, pairs.columns, pairs.mask_iou, pairs.box_iou)
    ious = np.full(len(masks), 0.8, np.float32)
    place = {"key": "crowd", "file_name": "crowd.png", "width": SIDE, "height": SIDE}
    return payload.document(
        {**place, "url": "/api/images/crowd"},  # type: ignore[typeddict-item]
        prediction=Found(boxes, labels, scores, ious, scores, tuple(masks)),
        truth=truth,
        truth_categories=CATEGORIES,
        compared=payload.Compared(list(zip(*(c.tolist() for c in columns), strict=True))),
    )
