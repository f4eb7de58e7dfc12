"""How long do the numbers of 500 images take after a slider stops, and how long pycocotools?

Plants 500 images with 50 found instances each (25,000) from a seed, and times in one process:
- the stored overlaps read and joined (once per run), and computed from masks (once per image);
- counts, rates, error kinds, confusion matrix, sizes and image columns at one setting;
- the curves of all categories at one setting;
- COCO's twelve numbers from the same overlaps, and pycocotools' evaluate and accumulate of them.

    python benchmarks/metrics.py [--images 500] [--rounds 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.evaluate import coco_ap, matching, metrics
from comask.evaluate.matching import PairSet

FOUND, TRUE, CATEGORIES, SIDE = 50, 40, 80, 480


def main() -> None:
    """Time every part and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    dataset, results, inputs = plant(given.images)
    start = time.perf_counter()
    pairs = [matching.pair(**one) for one in inputs]
    show("overlaps from masks, all images, once", [time.perf_counter() - start])
    packed = [matching.pack(one) for one in pairs]
    print(f"stored: {sum(map(len, packed)) / 1e6:.1f} MB")
    show("overlaps read and joined", timed(given.rounds, lambda: read(packed)))
    whole = read(packed)
    categories = [category.id for category in dataset.categories]
    settings = iter(np.linspace(0.05, 0.9, 1000))
    show("one setting, all numbers", timed(given.rounds, lambda: ask(whole, categories, settings)))
    draw = timed(given.rounds, lambda: metrics.curves(whole, categories, iou=0.5))
    show("curves", draw)
    start = time.perf_counter()
    ours = {"segm": metrics.twelve(whole, categories, "mask")}
    ours["bbox"] = metrics.twelve(whole, categories, "box")
    show("twelve numbers, masks and boxes", [time.perf_counter() - start])
    start = time.perf_counter()
    theirs = coco_ap.judge(dataset, results)
    show("twelve numbers by pycocotools", [time.perf_counter() - start])
    print("the same numbers" if ours == theirs else "DIFFERENT numbers")


def ask(pairs: PairSet, categories: list[int], settings: Any) -> None:
    """Do what a stop of the score slider asks for."""
    rule = {"iou": 0.5, "min_score": float(next(settings)), "kind": "mask", "limit": 100}
    judgement = metrics.judge(pairs, **rule)
    metrics.total(judgement)
    judgement.errors.count()
    metrics.confusion(judgement, categories)
    metrics.by_category(judgement, categories)
    metrics.images(judgement)
    metrics.by_size(pairs, **rule)


def read(packed: list[bytes]) -> PairSet:
    """Read the overlaps of all images, and sort them once."""
    pairs = matching.join([matching.unpack(data) for data in packed])
    pairs.order("mask"), pairs.found_groups, pairs.same, pairs.ranking
    return pairs


def timed(rounds: int, work: Callable[[], object]) -> list[float]:
    """Repeat work; the seconds of each round."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def show(name: str, seconds: list[float]) -> None:
    """Print the middle and the worst round in milliseconds."""
    middle, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
    print(f"{name:<40} {middle:9.1f} ms   worst {worst:9.1f} ms")


def plant(images: int) -> tuple[Dataset, list[dict[str, Any]], list[dict[str, Any]]]:
    """Make images of ellipses: true ones, and found ones near them or anywhere."""
    random = np.random.default_rng(11)
    annotations: list[Annotation] = []
    results: list[dict[str, Any]] = []
    inputs: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        centres = random.uniform(20, SIDE - 20, (TRUE, 2))
        radii = random.uniform(6, 45, (TRUE, 2))
        kinds = random.integers(1, CATEGORIES + 1, TRUE)
        truth = [
            coco.annotate(len(annotations) + row + 1, image, int(kinds[row]), draw(*shape))
            for row, shape in enumerate(zip(centres, radii, strict=True))
        ]
        annotations += truth
        chosen = random.integers(0, TRUE, FOUND)
        near = centres[chosen] + random.normal(0, 3, (FOUND, 2))
        masks = [draw(*one) for one in zip(near, radii[chosen], strict=True)]
        flat = np.array([rle.bbox(mask) for mask in masks])
        boxes = np.concatenate([flat[:, :2], flat[:, :2] + flat[:, 2:]], axis=1)
        boxes = (boxes + random.normal(0, 1, (FOUND, 4))).astype(np.float32)
        class_scores = random.uniform(0.05, 1, FOUND).astype(np.float32)
        scores = np.sort(class_scores + 0.3 * random.uniform(0, 1, FOUND).astype(np.float32))[::-1]
        named = np.where(
            random.random(FOUND) < 0.85, kinds[chosen], random.integers(1, CATEGORIES + 1, FOUND)
        ).tolist()
        results += coco.results(image, named, boxes, masks, scores.tolist())
        inputs.append(
            {
                "truth": truth,
                "categories": named,
                "class_scores": class_scores,
                "scores": scores,
                "boxes": boxes,
                "masks": masks,
            }
        )
    records = tuple(
        ImageRecord(number, f"{number}.png", SIDE, SIDE) for number in range(1, images + 1)
    )
    kept = tuple(Category(number, f"kind {number}") for number in range(1, CATEGORIES + 1))
    return Dataset(records, tuple(annotations), kept), results, inputs


def draw(centre: np.ndarray, radius: np.ndarray) -> rle.Rle:
    """Draw an ellipse."""
    upper = np.floor(centre - radius).astype(int)
    lower = np.ceil(centre + radius).astype(int)
    rows = np.arange(upper[1], lower[1])[:, None] + 0.5
    columns = np.arange(upper[0], lower[0])[None] + 0.5
    inside = ((columns - centre[0]) / radius[0]) ** 2 + ((rows - centre[1]) / radius[1]) ** 2 <= 1
    return rle.encode_crop(inside, int(upper[0]), int(upper[1]), (SIDE, SIDE))


if __name__ == "__main__":
    main()
