"""A checkpoint over many images: one by one, the next one decoded while the model works.

A file that can't be used does not end a run: its outcome carries one sentence instead of instances.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.checkpoint.native import CheckpointInfo
from comask.data import images
from comask.data.images import LoadedImage
from comask.errors import ComaskError, ImageError, InputError
from comask.evaluate import coco_ap
from comask.evaluate.coco_ap import COCO_LIMITS, Kind, Verdict
from comask.model.comask import CoMask
from comask.predict import Prediction, Predictor

_AHEAD = 2  # images that are decoded before the model asks for them


@dataclass(frozen=True)
class Outcome:
    """What became of one image file; ``failure`` is empty where there is a prediction."""

    name: str
    image: LoadedImage | None
    prediction: Prediction | None
    failure: str = ""


class Harvest:
    """What a run has found so far, in the forms that are written."""

    def __init__(self) -> None:
        self.images: list[ImageRecord] = []
        self.annotations: list[Annotation] = []
        self.results: list[dict[str, Any]] = []
        self.failures: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """Take in one image; ids count from 1 in the order of arrival."""
        if outcome.prediction is None:
            self.failures.append(outcome.failure)
            return
        number = len(self.images) + 1
        height, width = outcome.prediction.size
        self.images.append(ImageRecord(number, outcome.name, width, height))
        first = len(self.annotations) + 1
        self.annotations += to_annotations(outcome.prediction, number, first)
        self.results += to_results(outcome.prediction, number)

    def dataset(self, categories: tuple[Category, ...]) -> Dataset:
        """Give the COCO dataset of all that was taken in."""
        return Dataset(tuple(self.images), tuple(self.annotations), categories)


def predict_files(
    predictor: Predictor, files: Sequence[tuple[Path, str]], *, progress: bool = True
) -> Iterator[Outcome]:
    """Run over image files, (path, name) each, in their order; progress goes to stderr."""
    with tqdm(total=len(files), unit="image", disable=not progress) as bar:
        for name, waiting in _decoded(files):
            yield _outcome(predictor, name, waiting)
            bar.update()


def predict_folder(
    predictor: Predictor, truth: Dataset, folder: Path, *, progress: bool = True
) -> list[dict[str, Any]]:
    """Find the instances of every image of a COCO file, as COCO results under its own ids.

    Categories go by their names. Raises InputError or ImageError where an image is missing, can't
    be read or is not of the size that the file says: numbers on a part would mislead.
    """
    ids = match_categories(predictor.info.categories, truth.categories)
    files = [(folder / image.file_name, image.file_name) for image in truth.images]
    missing = [name for path, name in files if not path.exists()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} images are not below {folder}, for example "
            f"{missing[0]}"
        )
    found: list[dict[str, Any]] = []
    outcomes = predict_files(predictor, files, progress=progress)
    for record, outcome in zip(truth.images, outcomes, strict=True):
        if outcome.prediction is None:
            raise ImageError(outcome.failure)
        height, width = outcome.prediction.size
        if (height, width) != (record.height, record.width):
            raise InputError(
                f"{record.file_name} is {width} x {height} pixels when upright, and the "
                f"annotation file says {record.width} x {record.height}"
            )
        found += [
            result | {"category_id": ids[result["category_id"]]}
            for result in to_results(outcome.prediction, record.id)
            if result["category_id"] in ids
        ]
    return found


def judge_checkpoint(
    predictor: Predictor,
    annotations: Path,
    folder: Path,
    *,
    max_detections: Sequence[int] = COCO_LIMITS,
    progress: bool = True,
) -> dict[Kind, Verdict]:
    """Find the COCO numbers of a checkpoint on a COCO folder."""
    truth = coco.read(annotations)
    found = predict_folder(predictor, truth, folder, progress=progress)
    return coco_ap.judge(truth, found, max_detections=max_detections)


def evaluate_model(
    model: CoMask, info: CheckpointInfo, annotations: Path, folder: Path, *, progress: bool = False
) -> dict[str, dict[str, float]]:
    """Find the twelve numbers of a model where it is, for example between steps of a training."""
    device = str(next(model.parameters()).device)
    predictor = Predictor(model, info, device=device)
    verdicts = judge_checkpoint(predictor, annotations, folder, progress=progress)
    return {kind: dict(verdict.numbers) for kind, verdict in verdicts.items()}


def match_categories(own: Sequence[Category], truth: Sequence[Category]) -> dict[int, int]:
    """Find the truth's id for each of a checkpoint's: {own id: truth id}, by name.

    What the truth does not know is left out, as COCO does; that nothing is known is refused.
    """
    ids = {_plain(category.name): category.id for category in reversed(truth)}
    found = {c.id: ids[_plain(c.name)] for c in own if _plain(c.name) in ids}
    if not found:
        raise InputError(
            f"the checkpoint finds {_some(own)}, and the annotation file knows {_some(truth)}"
        )
    return found


def to_annotations(prediction: Prediction, image_id: int, first_id: int) -> list[Annotation]:
    """Write a prediction as annotations of a COCO dataset, best first; empty masks are none."""
    rows = [row for row, mask in enumerate(prediction.masks) if rle.area(mask)]
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


def _decoded(files: Iterable[tuple[Path, str]]) -> Iterator[tuple[str, Future[LoadedImage]]]:
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


def _outcome(predictor: Predictor, name: str, waiting: Future[LoadedImage]) -> Outcome:
    try:
        image = waiting.result()
        return Outcome(name, image, predictor.predict(image.pixels))
    except ImageError as error:  # it says which file
        return Outcome(name, None, None, str(error))
    except ComaskError as error:
        return Outcome(name, None, None, f"{name}: {error}")
    except (MemoryError, torch.OutOfMemoryError):
        return Outcome(name, None, None, f"{name} needs more memory than there is")


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold().strip()


def _some(categories: Sequence[Category]) -> str:
    counted = Counter(category.name for category in categories)
    names = ", ".join(list(counted)[:3])
    return f"{names} and {len(counted) - 3} more" if len(counted) > 3 else names or "no category"
