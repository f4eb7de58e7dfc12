"""Documents to draw: masks from plain numpy, so that pycocotools is their judge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    codes = tuple(rle.encode(mask) for mask in masks)
    corners = [rle.bbox(code) for code in codes]
    boxes = [[x, y, x + width, y + height] for x, y, width, height in corners]
    class_scores = np.array(scores, np.float32)
    return Found(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels or [0] * len(codes), np.int64),
        class_scores=class_scores,
        mask_ious=np.full(len(codes), 0.5, np.float32),
        scores=class_scores + np.float32(0.15),
        masks=codes,
        categories=tuple(Category(at + 1, name) for at, name in enumerate(names)),
    )


def drawn(masks: Sequence[Mask], category_id: int = 1) -> list[Annotation]:
    """Make truth of masks."""
    codes = [rle.encode(mask) for mask in masks]
    return [
        Annotation(at + 1, 1, category_id, code, rle.area(code), rle.bbox(code))
        for at, code in enumerate(codes)
    ]


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
    masks = []
    for _ in range(count):
        reach = radius * generator.uniform(0.5, 1.2)
        x, y = generator.uniform(0, width), generator.uniform(0, height)
        masks.append(_blob(size, x, y, reach, generator))
    scores = sorted(generator.uniform(0.05, 1, count).round(3).tolist(), reverse=True)
    labels = generator.integers(0, 2, count).tolist()
    return payload.document(image("crowd", size), prediction=found(masks, scores, labels))


def _blob(
    size: tuple[int, int], x: float, y: float, radius: float, generator: np.random.Generator
) -> Mask:
    """Draw a disc with a wavy edge, inside a window of its own so that large images stay cheap."""
    mask = np.zeros(size, bool)
    top, left = max(0, int(y - 2 * radius)), max(0, int(x - 2 * radius))
    window = mask[top : int(y + 2 * radius) + 1, left : int(x + 2 * radius) + 1]
    rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
    down, right = rows + top - y, columns + left - x
    wave = 1 + 0.2 * np.sin(generator.integers(2, 6) * np.arctan2(down, right))
    window |= down**2 + right**2 <= (radius * wave) ** 2
    if not mask.any():
        mask[min(size[0] - 1, int(y)), min(size[1] - 1, int(x))] = True
    return mask
