"""A checkpoint over many image files: one by one, the next ones decoded while the model works.

A file that can't be used does not end a run: its outcome carries one sentence instead of instances.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

from comask.annotation import coco, rle
from comask.annotation.records import Annotation
from comask.data import images
from comask.data.images import LoadedImage
from comask.errors import ComaskError, ImageError
from comask.predict import Prediction

_AHEAD = 2  # images that are decoded before the model asks for them


class Detector(Protocol):
    """What finds instances: a ``Predictor``, or a test's stand-in."""

    def predict(self, image: Any, /, *, candidates: bool = False) -> Prediction:
        """Find the instances of an upright RGB image: (H, W, 3) uint8 -> Prediction."""


@dataclass(frozen=True)
class Outcome:
    """What became of one image file; ``failure`` is empty where there is a prediction."""

    name: str
    image: LoadedImage | None
    prediction: Prediction | None
    failure: str = ""


def predict_files(
    detector: Detector, files: Sequence[tuple[Path, str]], *, progress: bool = True
) -> Iterator[Outcome]:
    """Run over image files, (path, name) each, in their order; progress goes to stderr."""
    with tqdm(total=len(files), unit="image", disable=not progress) as bar:
        for name, waiting in decoded(files):
            yield look(detector, name, waiting)
            bar.update()


def to_annotations(
    prediction: Prediction, image_id: int, first_id: int, min_score: float | None = None
) -> list[Annotation]:
    """Write a prediction as annotations of a COCO dataset, best first; empty masks are none.

    With ``min_score``, instances whose class score is not above it are left out: that is what
    the model finds when it runs at this threshold.
    """
    above = [True] * len(prediction)
    if min_score is not None:  # scores are float32, and so is this comparison, as the model's own
        above = (prediction.class_scores > min_score).tolist()
    rows = [row for row, mask in enumerate(prediction.masks) if above[row] and rle.area(mask)]
    return [
        coco.annotate(
            first_id + place,
            image_id,
            prediction.categories[prediction.labels[row]].id,
            prediction.masks[row],
            score=prediction.scores[row],
            class_score=prediction.class_scores[row],
            mask_iou=prediction.mask_ious[row],
        )
        for place, row in enumerate(rows)
    ]


def to_results(prediction: Prediction, image_id: int) -> list[dict[str, Any]]:
    """Write a prediction as COCO results: predicted boxes, clipped, and the ranking score."""
    ids = [prediction.categories[label].id for label in prediction.labels]
    scores = prediction.scores.tolist()
    return coco.results(image_id, ids, prediction.boxes, prediction.masks, scores)


def decoded(files: Iterable[tuple[Path, str]]) -> Iterator[tuple[str, Future[LoadedImage]]]:
    """Decode image files, a few ahead of whoever takes them."""
    pool = ThreadPoolExecutor(max_workers=_AHEAD)
    waiting: deque[tuple[str, Future[LoadedImage]]] = deque()
    try:
        for path, name in files:
            waiting.append((name, pool.submit(images.load, path)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        yield from waiting
    finally:
        pool.shutdown(cancel_futures=True)


def look(
    detector: Detector, name: str, waiting: Future[LoadedImage], *, candidates: bool = False
) -> Outcome:
    """Run over one image that is being decoded."""
    try:
        image = waiting.result()
        return Outcome(name, image, detector.predict(image.pixels, candidates=candidates))
    except ImageError as error:  # it says which file
        return Outcome(name, None, None, str(error))
    except ComaskError as error:
        return Outcome(name, None, None, f"{name}: {error}")
    except (MemoryError, torch.OutOfMemoryError):
        return Outcome(name, None, None, f"{name} needs more memory than there is")
