"""Documents to draw: masks from plain numpy, so that pycocotools is their judge."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as codec

from app.canvas import payload
from comask.annotation import rle
from comask.annotation.records import Annotation, Category, Rle

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """A prediction without a model."""

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_scores: NDArray[np.float32]
    mask_ious: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: tuple[Rle, ...]
    categories: tuple[Category, ...]
    trace: "Trace | None" = None


@dataclass(frozen=True)
class Trace:
    """Where the instances of a prediction came from."""

    proposals: NDArray[np.float32]
    levels: NDArray[np.int64]


def rectangle(size: tuple[int, int], x: int, y: int, width: int, height: int) -> Mask:
    mask = np.zeros(size, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def disc(size: tuple[int, int], x: float, y: float, radius: float) -> Mask:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def found(
    masks: Sequence[Mask],
    scores: Sequence[float],
    labels: Sequence[int] | None = None,
    names: Sequence[str] = ("cell", "nucleus"),
) -> Found:
    """Make a prediction of masks with class scores; every predicted mask IoU is 0.5."""
    return _scored([rle.encode(mask) for mask in masks], scores, labels or [0] * len(masks), names)


def _scored(
    codes: Sequence[Rle], scores: Sequence[float], labels: Sequence[int], names: Sequence[str]
) -> Found:
    corners = [rle.bbox(code) for code in codes]
    boxes = [[x, y, x + width, y + height] for x, y, width, height in corners]
    class_scores = np.array(scores, np.float32)
    return Found(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        class_scores=class_scores,
        mask_ious=np.full(len(codes), 0.5, np.float32),
        scores=class_scores + np.float32(0.15),
        masks=tuple(codes),
        categories=tuple(Category(at + 1, name) for at, name in enumerate(names)),
    )


def traced(prediction: Found) -> Found:
    """Say where instances came from: proposals a little larger, levels P2 and P3."""
    count = len(prediction.masks)
    proposals = prediction.boxes + np.array([-5, -5, 5, 6], np.float32)
    levels = np.tile(np.array([2, 3], np.int64), (count, 1))
    return replace(prediction, trace=Trace(proposals, levels))


def drawn(masks: Sequence[Mask], category_id: int = 1) -> list[Annotation]:
    """Make truth of masks."""
    codes = [rle.encode(mask) for mask in masks]
    return [
        Annotation(at + 1, 1, category_id, code, rle.area(code), rle.bbox(code))
        for at, code in enumerate(codes)
    ]


def compare(prediction: Found, truth: Sequence[Annotation]) -> payload.Compared:
    """Compute the overlaps as pycocotools does, whatever the classes are."""
    crowd = [int(one.iscrowd) for one in truth]
    codes = [{"size": list(mask.size), "counts": mask.counts} for mask in prediction.masks]
    drawn = [{"size": list(one.rle.size), "counts": one.rle.counts} for one in truth]
    sides = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in prediction.boxes.tolist()]
    if not codes or not drawn:
        return payload.Compared([])
    masks = codec.iou(codes, drawn, crowd)
    boxes = codec.iou(np.array(sides), np.array([one.bbox for one in truth], float), crowd)
    rows, columns = np.nonzero((masks >= 0.1) | (boxes >= 0.1))
    return payload.Compared(
        [
            (int(row), int(column), float(masks[row, column]), float(boxes[row, column]))
            for row, column in zip(rows, columns, strict=True)
        ]
    )


def compared(
    key: str,
    size: tuple[int, int],
    prediction: Found,
    truth: Sequence[Annotation],
    categories: Sequence[Category],
) -> payload.Document:
    """Build a document of prediction and truth that the browser can match."""
    return payload.document(
        image(key, size),
        prediction=prediction,
        truth=truth,
        truth_categories=categories,
        compared=compare(prediction, truth),
    )


def image(key: str, size: tuple[int, int]) -> payload.DocumentImage:
    return {
        "key": key,
        "file_name": f"{key}.png",
        "width": size[1],
        "height": size[0],
        "url": f"/api/images/{key}",
    }


def crowd(count: int, size: tuple[int, int], seed: int = 7) -> payload.Document:
    """Build a document of many small instances, some overlapping, scores spread over 0 .. 1."""
    generator = np.random.default_rng(seed)
    height, width = size
    radius = max(3.0, 0.35 * np.sqrt(height * width / count))
    codes = []
    for _ in range(count):
        reach = radius * generator.uniform(0.5, 1.2)
        x, y = generator.uniform(0, width), generator.uniform(0, height)
        codes.append(_blob(size, x, y, reach, generator))
    scores = sorted(generator.uniform(0.05, 1, count).round(3).tolist(), reverse=True)
    labels = generator.integers(0, 2, count).tolist()
    found = _scored(codes, scores, labels, ("cell", "nucleus"))
    return payload.document(image("crowd", size), prediction=found)


def shifted(document: payload.Document, by: int = 3) -> payload.Document:
    """Give a crowd a truth: every instance a little to the right, but each fifth."""
    drawn = [one for one in document["instances"] if one["layer"] == "prediction"]
    size = (document["image"]["height"], document["image"]["width"])
    codes = [Rle(size, one["rle"]["counts"]) for one in drawn]
    prediction = _scored(
        codes,
        [one["class_score"] or 0 for one in drawn],
        [one["category_id"] - 1 for one in drawn],
        ("cell", "nucleus"),
    )
    truth = []
    for row, code in enumerate(codes):
        if row % 5:
            moved = rle.encode(np.roll(rle.decode(code), by, 1))
            label = int(prediction.labels[row]) + 1
            truth.append(Annotation(row + 1, 1, label, moved, rle.area(moved), rle.bbox(moved)))
    return compared(
        document["image"]["key"], size, traced(prediction), truth, prediction.categories
    )


def _blob(
    size: tuple[int, int], x: float, y: float, radius: float, generator: np.random.Generator
) -> Rle:
    """Draw a disc with a wavy edge, inside a window of its own so that large images stay cheap."""
    top, left = max(0, int(y - 2 * radius)), max(0, int(x - 2 * radius))
    bottom, end = min(size[0], int(y + 2 * radius) + 1), min(size[1], int(x + 2 * radius) + 1)
    rows, columns = np.ogrid[top:bottom, left:end]
    down, right = rows - y, columns - x
    wave = 1 + 0.2 * np.sin(generator.integers(2, 6) * np.arctan2(down, right))
    blob = down**2 + right**2 <= (radius * wave) ** 2
    blob[int(y) - top, int(x) - left] = True
    return rle.encode_crop(blob, left, top, size)
