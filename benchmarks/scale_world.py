"""A synthetic dataset of any size for ``scale.py``: each image can be made again by itself.

Objects are blobs of 8 to 40 corners whose sizes are spread as COCO's are: about two fifths small,
a fifth large. What a model found lies near three quarters of them, mostly under their class, and
the rest anywhere. Masks are drawn as crops; pictures are links to a few real JPEG files of one
size.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Category, Rle
from comask.predict import Candidates, Prediction, PredictionTrace

HEIGHT, WIDTH = 480, 640
CLASSES = 80
CATEGORIES = tuple(Category(number, f"class {number}") for number in range(1, CLASSES + 1))
PROPOSALS, CANDIDATES = 1000, 400  # of an image, as a model leaves them
PICTURES = Path(__file__).resolve().parent.parent / "assets" / "samples" / "photographs"

_NOISE = np.random.default_rng(0).normal(size=(64, 28, 28)).astype(np.float32)
_VOTES = np.random.default_rng(1).normal(size=(64, 7, 7, 4)).astype(np.float32)


@dataclass(frozen=True)
class World:
    """What is drawn on one image.

    corners  of each object, (K, 2) x, y in image pixels
    classes  (N,) 1 .. CLASSES
    """

    corners: list[NDArray[np.float64]]
    classes: NDArray[np.int64]


def name(row: int) -> str:
    """Name an image as COCO does."""
    return f"{row + 1:012d}.jpg"


def world(row: int, each: int) -> World:
    """Draw the objects of an image, from its row alone."""
    random = np.random.default_rng([7, row])
    sides = np.exp(random.normal(np.log(50), 1.1, each)).clip(4, 400)
    stretch = np.exp(random.normal(0, 0.3, each))
    halves = np.stack([sides * stretch, sides / stretch], axis=1).clip(3, (620, 460)) / 2
    centres = random.uniform(halves, (WIDTH, HEIGHT) - halves)
    corners = []
    for centre, half, count in zip(centres, halves, random.integers(8, 41, each), strict=True):
        angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
        radii = 1 - 0.3 * random.random(count)
        circle = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)
        corners.append(centre + circle * half)
    return World(corners, random.integers(1, CLASSES + 1, each))


def truth(row: int, each: int) -> list[dict[str, Any]]:
    """Write an image's annotations as COCO does, polygons and all."""
    drawn = world(row, each)
    found = []
    for place, corners in enumerate(drawn.corners):
        low, high = corners.min(axis=0), corners.max(axis=0)
        x, y = corners.T
        area = abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
        found.append(
            {
                "id": row * each + place + 1,
                "image_id": row + 1,
                "category_id": int(drawn.classes[place]),
                "segmentation": [corners.round(2).ravel().tolist()],
                "area": round(area, 2),
                "bbox": [*low.round(2).tolist(), *(high - low).round(2).tolist()],
                "iscrowd": 0,
            }
        )
    return found


def prediction(row: int, each: int) -> Prediction:
    """Make what a model found in an image: as many instances as objects, candidates and all."""
    random, drawn = np.random.default_rng([8, row]), world(row, each)
    shifts = random.normal(0, 2, (each, 2))
    shifts[random.random(each) < 0.25] += (37, 29)  # no object is there
    ranks = np.argsort(-random.random(each))
    scores = np.sort(random.uniform(0.05, 1, each).astype(np.float32))[::-1]
    masks = tuple(blob(drawn.corners[place] + shifts[place]) for place in ranks.tolist())
    flat = np.array([rle.bbox(mask) for mask in masks], np.float32).reshape(-1, 4)
    boxes = np.concatenate([flat[:, :2], flat[:, :2] + flat[:, 2:]], axis=1)
    strange = random.random(each) < 0.15
    labels = np.where(strange, random.integers(0, CLASSES, each), drawn.classes[ranks] - 1)
    ious = random.uniform(0.3, 1, each).astype(np.float32)
    picked = random.integers(0, 64, each)
    rows = np.sort(random.integers(0, PROPOSALS, CANDIDATES)).astype(np.int32)
    proposals = random.uniform(0, HEIGHT, (PROPOSALS, 4)).astype(np.float32)
    return Prediction(
        size=(HEIGHT, WIDTH),
        boxes=boxes,
        labels=labels,
        class_scores=scores,
        mask_ious=ious,
        scores=scores + np.float32(0.3) * ious.min(),  # they must fall
        masks=masks,
        categories=CATEGORIES,
        trace=PredictionTrace(
            proposals=boxes,
            proposal_rows=np.arange(each),
            levels=np.full((each, 2), 3, np.int64),
            first_masks=_NOISE[picked],
            votes=_VOTES[picked],
            weights=np.abs(_VOTES[picked, :, :, 0]),
            second_masks=_NOISE[63 - picked],
        ),
        candidates=Candidates(
            proposals=proposals,
            rows=rows,
            labels=random.integers(0, CLASSES, CANDIDATES).astype(np.int32),
            scores=random.uniform(0.01, 0.05, CANDIDATES).astype(np.float32),
            fates=np.full(CANDIDATES, 2, np.int8),
            by=np.full(CANDIDATES, -1, np.int32),
            suppressor_iou=np.zeros(CANDIDATES, np.float32),
        ),
    )


def blob(corners: NDArray[np.float64]) -> Rle:
    """Draw one object within a crop of its own, on the image at least with its edge."""
    corners = corners.clip(0, (WIDTH - 2, HEIGHT - 2))
    low = np.floor(corners.min(axis=0)).astype(int)
    width, height = (np.ceil(corners.max(axis=0)).astype(int) - low + 1).tolist()
    crop = np.zeros((height, width), np.uint8)
    cv2.fillPoly(crop, [(corners - low).round().astype(np.int32)], 1)
    return rle.encode_crop(crop, int(low[0]), int(low[1]), (HEIGHT, WIDTH))


def write(folder: Path, images: int, each: int) -> tuple[Path, Path]:
    """Write the COCO file and the folder of pictures, unless they are there."""
    file, pictures = folder / "instances.json", folder / "images"
    if file.is_file():
        return file, pictures
    pictures.mkdir(parents=True, exist_ok=True)
    _link(folder, pictures, images)
    head = {"info": {"description": "synthetic"}, "licenses": []}
    with file.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head)[:-1] + ', "images": [')
        for row in range(images):
            one = {"id": row + 1, "file_name": name(row), "width": WIDTH, "height": HEIGHT}
            stream.write(", " * bool(row) + json.dumps(one))
        stream.write('], "annotations": [')
        for row in range(images):
            stream.write(", " * bool(row) + json.dumps(truth(row, each))[1:-1])
        classes = [{"id": one.id, "name": one.name} for one in CATEGORIES]
        stream.write(f'], "categories": {json.dumps(classes)}}}')
    return file, pictures


def _link(folder: Path, pictures: Path, images: int) -> None:
    real = list(_pictures(folder))
    for row in range(images):
        os.link(real[row % len(real)], pictures / name(row))


def _pictures(folder: Path) -> Iterator[Path]:
    """Write the samples as JPEG files of one size."""
    (folder / "real").mkdir(exist_ok=True)
    for number, source in enumerate(sorted(PICTURES.glob("*.jpg"))[:16]):
        pixels = cv2.imread(str(source))
        place = folder / "real" / f"{number}.jpg"
        cv2.imwrite(str(place), cv2.resize(pixels, (WIDTH, HEIGHT)))
        yield place
