"""COCO files of what the model found, read back before anybody gets them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from app.services import CheckpointFile, Services, StoredImage
from comask.annotation import coco
from comask.annotation.records import Annotation, Dataset, ImageRecord
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction


@dataclass(frozen=True)
class Exported:
    """A COCO file's content, and the name that it is saved under."""

    content: bytes
    file_name: str


def one(
    services: Services, file: CheckpointFile, image: StoredImage, min_score: float
) -> Exported | None:
    """Export the instances of one image above a class score; None before the model saw it."""
    prediction = services.prediction(file, image.key)
    if prediction is None:
        return None
    stem = PurePosixPath(image.file_name).stem or image.key
    number = services.datasets.image_id(image.key)
    return _exported(
        [(image, prediction)], min_score, f"{stem}.json", first=1 if number is None else number
    )


def every(
    services: Services, file: CheckpointFile, images: Sequence[StoredImage], min_score: float
) -> Exported:
    """Export many images in one file; raises InputError while some were not seen by the model."""
    found = [(image, services.prediction(file, image.key)) for image in images]
    done = [(image, prediction) for image, prediction in found if prediction is not None]
    if len(done) < len(found):
        missing = len(found) - len(done)
        raise InputError(
            f"{missing} of {len(found)} images have no result yet; run the model over them, or "
            f"remove those that can't be read, and download again."
        )
    return _exported(done, min_score, "instances.json")


def whole(
    services: Services, file: CheckpointFile, dataset: str, min_score: float
) -> Exported | None:
    """Export a dataset as ``comask prelabel`` does, to the last byte; None for an unknown one.

    Images that failed are left out; raises InputError while some were not seen by the model.
    """
    found = services.datasets.get(dataset)
    if found is None:
        return None
    records = found.images(range(len(found)))
    missing = frozenset(found.missing)
    run = services.run(file, found)
    there = [record.file_name for row, record in enumerate(records) if row not in missing]
    if waiting := run.pending(there):
        raise InputError(
            f"{len(waiting)} of {len(there)} images have no result yet; run the model over them "
            f"and download again."
        )
    return _checked(run.export(records, min_score), "instances.json")


def to_dataset(
    found: "Sequence[tuple[StoredImage, Prediction]]", min_score: float, first: int = 1
) -> Dataset:
    """Put predictions into a COCO dataset: instances above a class score, best first.

    Images are numbered from ``first`` on.
    """
    from comask.evaluate.run import to_annotations  # brings torch

    images: list[ImageRecord] = []
    annotations: list[Annotation] = []
    limit = np.float32(min_score)  # scores are float32, and so is the model's own comparison
    for number, (image, prediction) in enumerate(found, start=first):
        height, width = prediction.size
        images.append(ImageRecord(number, image.file_name, width, height))
        for one in to_annotations(prediction, number, 1):
            if one.class_score is not None and np.float32(one.class_score) > limit:
                annotations.append(replace(one, id=len(annotations) + 1))
    categories = found[0][1].categories if found else ()
    return Dataset(tuple(images), tuple(annotations), categories)


def _exported(
    found: "Sequence[tuple[StoredImage, Prediction]]",
    min_score: float,
    file_name: str,
    first: int = 1,
) -> Exported:
    return _checked(to_dataset(found, min_score, first), file_name)


def _checked(dataset: Dataset, file_name: str) -> Exported:
    content = coco.dump(dataset)
    if coco.parse(content, file_name) != dataset:
        raise AssertionError("an export does not read back as what was meant")
    return Exported(content, file_name)
