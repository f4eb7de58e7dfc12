"""A checkpoint over a COCO folder, and how good what it finds is.

How single images are run over, and what becomes of bad ones, is ``comask.run``'s affair.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comask.annotation import coco
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.checkpoint.native import CheckpointInfo
from comask.errors import ImageError, InputError
from comask.evaluate import coco_ap
from comask.evaluate.categories import match_categories
from comask.evaluate.coco_ap import COCO_LIMITS, Kind, Verdict
from comask.evaluate.engines import Wanted, choose
from comask.model.comask import CoMask
from comask.predict import Predictor
from comask.run import Outcome, predict_files, to_annotations, to_results

__all__ = [
    "Harvest",
    "Outcome",
    "evaluate_model",
    "judge_checkpoint",
    "match_categories",
    "predict_files",
    "predict_folder",
    "to_annotations",
    "to_results",
]


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
    engine: Wanted = "auto",
    progress: bool = True,
) -> dict[Kind, Verdict]:
    """Find the COCO numbers of a checkpoint on a COCO folder."""
    choose(engine)  # one that is not there is refused before the model runs
    truth = coco.read(annotations)
    found = predict_folder(predictor, truth, folder, progress=progress)
    return coco_ap.judge(truth, found, max_detections=max_detections, engine=engine)


def evaluate_model(
    model: CoMask, info: CheckpointInfo, annotations: Path, folder: Path, *, progress: bool = False
) -> dict[str, dict[str, float]]:
    """Find the twelve numbers of a model where it is, for example between steps of a training."""
    device = str(next(model.parameters()).device)
    predictor = Predictor(model, info, device=device)
    verdicts = judge_checkpoint(predictor, annotations, folder, progress=progress)
    return {kind: dict(verdict.numbers) for kind, verdict in verdicts.items()}
