"""Planted images with truth and found instances, and pycocotools' own view of them."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Dataset, Rle
from comask.evaluate import matching
from comask.evaluate.matching import UNKNOWN, Pairs

SIDE = 40  # pixels of a planted image


@dataclass(frozen=True)
class Thing:
    """A found instance; its box is (x1, y1, x2, y2)."""

    category: int
    class_score: float
    score: float
    box: tuple[float, float, float, float]
    mask: Rle


@dataclass(frozen=True)
class Scene:
    """One image; ``found`` is in rank order."""

    truth: tuple[Annotation, ...] = ()
    found: tuple[Thing, ...] = ()
    image_id: int = field(default=1)

    def pairs(self) -> Pairs:
        return matching.pair(
            self.truth,
            categories=[thing.category for thing in self.found],
            class_scores=[thing.class_score for thing in self.found],
            scores=[thing.score for thing in self.found],
            boxes=np.array([thing.box for thing in self.found], np.float32),
            masks=[thing.mask for thing in self.found],
        )


def block(x: int, y: int, width: int, height: int, side: int = SIDE) -> Rle:
    """Draw a rectangle."""
    return rle.encode_crop(np.ones((height, width), bool), x, y, (side, side))


def true(
    number: int,
    box: tuple[int, int, int, int],
    *,
    category: int = 1,
    crowd: bool = False,
    image: int = 1,
) -> Annotation:
    """Plant a true rectangle x, y, width, height."""
    mask = block(*box)
    bbox = tuple(float(value) for value in box)
    return Annotation(number, image, category, mask, rle.area(mask), bbox, crowd)  # type: ignore[arg-type]


def thing(
    box: tuple[int, int, int, int], score: float, *, category: int = 1, rank: float | None = None
) -> Thing:
    """Plant a found rectangle x, y, width, height whose box is its mask's."""
    x, y, width, height = box
    corners = (x, y, x + width, y + height)
    return Thing(category, score, score if rank is None else rank, corners, block(*box))


_places = st.tuples(*[st.integers(0, 24)] * 2, *[st.integers(1, 16)] * 2)
_scores = st.sampled_from([0.1, 0.3, 0.3, 0.5, 0.7, 0.9])  # ties are likely


@st.composite
def scenes(draw: st.DrawFn, image_id: int = 1) -> Scene:
    """Draw up to 6 true and 8 found rectangles; found ones often sit on true ones."""
    places = draw(st.lists(_places, max_size=6))
    truth = [
        true(
            number,
            place,
            category=draw(st.integers(1, 2)),
            crowd=draw(st.integers(0, 3)) == 0,
            image=image_id,
        )
        for number, place in enumerate(places, start=1)
    ]
    near = st.sampled_from(places).flatmap(_jittered) if places else _places
    found = []
    for place in draw(st.lists(st.one_of(near, _places), max_size=8)):
        score = draw(_scores)
        one = thing(
            place,
            score,
            category=draw(st.sampled_from([1, 2, UNKNOWN])),
            rank=score + draw(_scores),
        )
        if draw(st.booleans()):  # the box is the model's own, not the mask's
            grown = tuple(value + draw(st.sampled_from([-1.5, 0.0, 0.25])) for value in one.box)
            one = Thing(one.category, one.class_score, one.score, grown, one.mask)  # type: ignore[arg-type]
        found.append(one)
    found.sort(key=lambda one: -one.score)
    return Scene(tuple(truth), tuple(found), image_id)


def _jittered(place: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    x, y, width, height = place
    return st.tuples(
        st.integers(max(x - 2, 0), x + 2),
        st.integers(max(y - 2, 0), y + 2),
        st.integers(max(width - 2, 1), width + 2),
        st.integers(max(height - 2, 1), height + 2),
    )


def cocoeval(
    kept: Sequence[Scene], kind: str, limit: int, min_score: float = 0.0, known: int = 2
) -> COCOeval:
    """Let pycocotools match; truth ids count from 1, found ids too, in the scenes' order."""
    truth, found = [], []
    for scene in kept:
        for one in scene.truth:
            record = _record(len(truth) + 1, scene, one.category_id, one.rle, one.bbox)
            truth.append(record | {"iscrowd": int(one.iscrowd), "area": one.area})
        boxes = np.array([one.box for one in scene.found], np.float32)
        ids = [one.category for one in scene.found]
        scores = np.array([one.score for one in scene.found], np.float32).tolist()
        masks = [one.mask for one in scene.found]
        results = coco.results(scene.image_id, ids, boxes, masks, scores)
        for one, result in zip(scene.found, results, strict=True):
            number = len(found) + 1
            if np.float32(one.class_score) > np.float32(min_score) and 0 < one.category <= known:
                area = result["bbox"][2] * result["bbox"][3]
                found.append(result | {"id": number, "area": area, "iscrowd": 0})
            else:
                found.append(None)
    images = [_image(scene) for scene in kept]
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(
            _index(truth, images, known), _index([f for f in found if f], images, known), kind
        )
        judge.params.maxDets = [1, 10, limit] if limit > 10 else [limit]
        judge.evaluate()
    return judge


def jittered(dataset: Dataset, seed: int, steps: int = 1000) -> list[Scene]:
    """Make found instances of true ones: shifted, doubled, renamed, left out."""
    random = np.random.default_rng(seed)
    categories = [category.id for category in dataset.categories]
    kept = []
    for image in sorted(dataset.images, key=lambda image: image.id):
        truth = tuple(one for one in dataset.annotations if one.image_id == image.id)
        found = []
        for one in truth:
            for _ in range(random.choice([0, 1, 1, 1, 2, 3])):
                found.append(_shaken(one, random, categories, steps))
        found.sort(key=lambda one: -one.score)
        kept.append(Scene(truth, tuple(found), image.id))
    return kept


def write(kept: Sequence[Scene], path: Path) -> Path:
    """Write the found instances as a results file."""
    import orjson

    records: list[dict[str, Any]] = []
    for scene in kept:
        boxes = np.array([one.box for one in scene.found], np.float32)
        ids = [one.category for one in scene.found]
        scores = np.array([one.score for one in scene.found], np.float32).tolist()
        masks = [one.mask for one in scene.found]
        records += coco.results(scene.image_id, ids, boxes, masks, scores)
    path.write_bytes(orjson.dumps(records))
    return path


def _shaken(
    one: Annotation, random: np.random.Generator, categories: list[int], steps: int
) -> Thing:
    crop, x, y = rle.decode_crop(one.rle)
    side = max(crop.shape)
    dx, dy = random.normal(0, 0.08 * side, 2).round().astype(int).tolist()
    if random.random() < 0.5 and min(crop.shape) > 4:
        crop = crop[1:-1, :-2]
    mask = rle.encode_crop(crop, x + dx, y + dy, one.rle.size)
    left, top, width, height = rle.bbox(mask)
    box = np.array([left, top, left + width, top + height]) + random.normal(0, 0.03 * side, 4)
    category = one.category_id if random.random() < 0.85 else int(random.choice(categories))
    class_score = float(random.integers(50, steps) / steps)
    rank = class_score + 0.3 * float(random.integers(0, 10) / 10)
    return Thing(category, class_score, rank, tuple(box.tolist()), mask)


def _record(number: int, scene: Scene, category: int, mask: Rle, box: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": scene.image_id,
        "category_id": category,
        "segmentation": mask.to_coco(),
        "bbox": list(box),
    }


def _image(scene: Scene) -> dict[str, Any]:
    masks = [one.rle for one in scene.truth] + [one.mask for one in scene.found]
    height, width = masks[0].size if masks else (SIDE, SIDE)
    return {"id": scene.image_id, "height": height, "width": width}


def _index(records: list[dict[str, Any]], images: list[dict[str, Any]], known: int) -> COCO:
    index = COCO()
    index.dataset = {
        "images": images,
        "categories": [{"id": number} for number in range(1, known + 1)],
        "annotations": records,
    }
    index.createIndex()
    return index
