"""The model with something switched off: what becomes of instances, and of a set's AP."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from app.actions import documents
from app.canvas.packet import Packer
from app.services import CheckpointFile, Services, StoredImage
from app.services.tasks import Report
from comask.annotation import rle
from comask.annotation.index import DatasetIndex
from comask.annotation.records import Dataset, ImageRecord
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis.difference import Change
    from comask.analysis.switches import Switches
    from comask.predict import Prediction

SCHEMA = 1
MOST_IMAGES = 500  # of a set, in one question
SHOWN = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def parse(text: str | None) -> "Switches":
    """Read the switches of an address, JSON; raises InputError with one sentence."""
    from comask.analysis.switches import Switches  # brings torch

    try:
        values = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError as error:
        raise InputError("switches must be a JSON object") from error
    return Switches.parse(values)


def about(services: Services, file: CheckpointFile) -> dict[str, Any]:
    """Say what a checkpoint's model has to switch."""
    from comask.analysis.activation import branch_names  # brings torch
    from comask.model.refine import Refinement

    config = services.inspections.predictor(file).info.config
    own = Refinement.of(config)
    return {
        "branches": list(branch_names(config.neck.branches)),
        "votes": own.votes,
        "second_pass": own.second_pass,
    }


def image_change(
    services: Services,
    file: CheckpointFile,
    image: StoredImage,
    switches: "Switches",
    min_score: float,
) -> bytes:
    """Pack the instances with the switches, and what became of those without."""
    from comask.analysis.ablation import ablate  # brings torch
    from comask.analysis.difference import Difference, difference

    predictor = services.inspections.predictor(file)
    base = services.inspections.base(file, image)
    made = ablate(predictor, services.images.pixels(image), switches, base=base)
    told = difference(base.prediction, made.prediction, min_score=min_score)
    changes = [one for one in told.changes if _has_pixels(one, base.prediction, made.prediction)]
    head = {
        "schema": SCHEMA,
        "switches": made.switches.to_plain(),
        "redone": list(made.redone),
        "model": about(services, file),
        "counts": Difference(tuple(changes)).count(),
        "changes": [
            {
                "kind": one.kind,
                "before": _name(one.before),
                "after": _name(one.after),
                "mask_iou": one.mask_iou,
                "travel": one.travel,
                "class_score": one.class_score,
            }
            for one in changes
            if one.kind != "kept"
        ],
        "document": documents.drawn(image, made.prediction.size, made.prediction),
    }
    return Packer().pack(head)


@dataclass(frozen=True)
class _Pixels:
    """The images of a set one by one, with a length, so that progress has an end.

    Those that can't be read, or are of another size than the truth says, are left out.

    rows  record and key each
    """

    services: Services
    rows: tuple[tuple[ImageRecord, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for record, key in self.rows:
            pixels = self.services.inspections.pixels(key)
            if pixels is not None and pixels.shape[:2] == (record.height, record.width):
                yield record.id, pixels


def set_change(
    services: Services,
    file: CheckpointFile,
    dataset: tuple[str, DatasetIndex],
    switches: "Switches",
    most: int,
    report: Report,
) -> bytes:
    """Pack what the switches do to the numbers of the first ``most`` images of a dataset."""
    from comask.analysis.set_change import set_change as change_of_set  # brings torch

    found = dataset[1]
    records = found.images(range(min(most, len(found))))
    rows, annotations = [], []
    for row, record in enumerate(records):
        if record.width and record.height and not found.is_missing(row):
            rows.append((record, services.datasets.key(dataset[0], row)))
            annotations += list(found.annotations(row))
    if not rows or not annotations:
        raise InputError("the dataset has no images with truth to measure with")
    truth = Dataset(
        images=tuple(records), categories=found.categories, annotations=tuple(annotations)
    )
    made = change_of_set(
        services.inspections.predictor(file),
        _Pixels(services, tuple(rows)),
        truth,
        switches,
        progress=report,
        max_detections=(1, 10, 1000),
    )
    return Packer().pack(
        {
            "schema": SCHEMA,
            "switches": made.switches.to_plain(),
            "images": made.images,
            "before": {name: made.before[name] for name in SHOWN},
            "after": {name: made.after[name] for name in SHOWN},
            "counts": dict(made.counts),
        }
    )


def _name(row: int | None) -> str | None:
    return None if row is None else f"p{row + 1}"


def _has_pixels(change: "Change", before: "Prediction", after: "Prediction") -> bool:
    """Tell whether a changed instance can be seen; hollow ones are only paired with each other."""
    if change.before is not None:
        return rle.area(before.masks[change.before]) > 0
    return change.after is not None and rle.area(after.masks[change.after]) > 0
