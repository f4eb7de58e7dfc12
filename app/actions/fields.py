"""Which pixels decide what a branch gives: receptive fields of a cell, an instance, a class, a set.

Fields of a class or a set are means over one cell each, the one in an object's or an image's
middle, laid over each other at that cell.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.actions.maps import SCHEMA, as_file
from app.canvas.packet import Packer
from app.services import CheckpointFile, Services, StoredImage
from app.services.tasks import Report
from comask.annotation import rle
from comask.annotation.index import DatasetIndex
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis.field_values import BranchField, EffectiveField, Question
    from comask.predict import Prediction

LEVELS = (2, 3, 4, 5)
POOLED = 4  # network pixels a side that one drawn number stands for, where the frame is the image
THRESHOLDS = (0.2, 0.3, 0.5, 0.99)  # of the area ratios, as in the literature
SHARES = (0.5, 0.9, 0.99)  # of the mass, that contours hold
MOST_ALIKE = 12  # instances of a class that are averaged over
MOST_IMAGES = 64  # of a set, in one question

Point = tuple[float, float]  # (x, y) in image pixels


@dataclass(frozen=True)
class FieldAsked:
    """Whose field is meant, and how.

    point     where somebody clicked, in image pixels; None is the image's middle
    instance  row of the prediction; its whole mask is meant, and no point
    alike     the mean over instances of that one's class instead
    """

    path: Literal["own", "cascade"]
    norm: Literal["frozen", "live"]
    frame: Literal["level", "image"]
    point: Point | None = None
    instance: int | None = None
    alike: bool = False

    def question(self) -> "Question":
        """Say the same to the library."""
        from comask.analysis.field_values import Question  # brings torch

        return Question(path=self.path, norm=self.norm, frame=self.frame)


@dataclass(frozen=True)
class _Seen:
    """A checkpoint, an image, and what they are asked."""

    services: Services
    file: CheckpointFile
    image: StoredImage
    asked: FieldAsked

    def at(self, level: int, cells: Sequence[tuple[int, int]]) -> "tuple[EffectiveField, ...]":
        """Find the fields of every branch of a level for some cells."""
        from comask.analysis.effective_field import effective_fields, fields_of  # brings torch

        question = self.asked.question()
        if self.asked.frame == "level":
            look = self.services.inspections.look(self.file, self.image)
            return fields_of(look, level=level, cells=cells, question=question)
        return effective_fields(
            self.services.inspections.predictor(self.file),
            self.services.images.pixels(self.image),
            level=level,
            cells=cells,
            question=question,
        )

    @property
    def prediction(self) -> "Prediction":
        """Find the run's instances; raises InputError without them, or without the one asked."""
        found = self.services.prediction(self.file, self.image.key)
        if found is None:
            raise InputError("the checkpoint has not seen this image yet")
        if self.asked.instance is not None and self.asked.instance >= len(found):
            raise InputError("there is no such instance in this image")
        return found


# -- one image ----------------------------------------------------------------------------------


def packet(
    services: Services, file: CheckpointFile, image: StoredImage, asked: FieldAsked, report: Report
) -> bytes:
    """Pack the fields of every branch of every level."""
    seen = _Seen(services, file, image, asked)
    look = services.inspections.look(file, image)
    packer = Packer()
    levels: list[dict[str, Any]] = []
    for done, number in enumerate(LEVELS):
        report(done, len(LEVELS))
        if asked.alike:
            means = _alike(seen, number, report)
            middle = _middle(seen.prediction, asked.instance or 0)
            panels = [_panel(one, packer, middle) for one in means]
            count = means[0].count
        else:
            fields = seen.at(number, _cells(seen, number))
            panels = [_panel(one, packer) for one in fields]
            count = 1
        stride = look.level(number).stride
        levels.append({"level": number, "stride": stride, "count": count, "panels": panels})
    head = {
        "schema": SCHEMA,
        "scale": look.scale,
        "thresholds": list(THRESHOLDS),
        "levels": levels,
        "object": _object(seen),
    }
    return packer.pack(head)


def download(
    services: Services,
    file: CheckpointFile,
    image: StoredImage,
    asked: FieldAsked,
    place: tuple[int, str],
    kind: Literal["npy", "csv"],
) -> bytes:
    """Write one field as a file, at its full resolution."""
    seen = _Seen(services, file, image, asked)
    fields: Sequence[BranchField]
    if asked.alike:
        fields = _alike(seen, place[0], lambda _, __: None)
    else:
        fields = seen.at(place[0], _cells(seen, place[0]))
    found = [one for one in fields if one.branch == place[1]]
    if not found:
        raise InputError(f"P{place[0]} has no branch of this name")
    return as_file(np.asarray(found[0].map, np.float32), kind)


# -- a set --------------------------------------------------------------------------------------


def set_packet(
    services: Services,
    files: Sequence[CheckpointFile],
    dataset: tuple[str, DatasetIndex],
    asked: FieldAsked,
    most: int,
    report: Report,
) -> bytes:
    """Pack the mean fields of the images' middle cells, and one table for all checkpoints.

    Args:
        services: what lives as long as the server.
        files: checkpoints; the first one's fields are drawn, the others' only told.
        dataset: its id and index.
        asked: path, norm and frame.
        most: images, from the first on.
        report: is told how far this is, and may raise to stop.
    """
    from comask.analysis.field_average import set_fields  # brings torch

    packer = Packer()
    drawn: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for number, file in enumerate(files):
        means = set_fields(
            services.inspections.predictor(file),
            _Images(services, dataset, min(most, len(dataset[1]))),
            question=asked.question(),
            progress=lambda done, total, at=number: report(  # type: ignore[misc]
                at * total + done, len(files) * total
            ),
        )
        rows += [_row(file.name, one) for one in means]
        if number == 0:
            drawn = [
                {
                    "level": level,
                    "stride": 2**level,
                    "count": max(one.count for one in means if one.level == level),
                    "panels": [_panel(one, packer) for one in means if one.level == level],
                }
                for level in sorted({one.level for one in means})
            ]
    head = {
        "schema": SCHEMA,
        "scale": 1.0,
        "thresholds": list(THRESHOLDS),
        "levels": drawn,
        "object": None,
        "rows": rows,
    }
    return packer.pack(head)


@dataclass(frozen=True)
class _Images:
    """The first images of a dataset, decoded one by one; those that can't be read are left out."""

    services: Services
    dataset: tuple[str, DatasetIndex]
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for row in range(self.count):
            pixels = self.services.inspections.pixels(
                self.services.datasets.key(self.dataset[0], row)
            )
            if pixels is not None:
                yield pixels


def _row(checkpoint: str, one: "BranchField") -> dict[str, Any]:
    return {
        "checkpoint": checkpoint,
        "level": one.level,
        "name": one.branch,
        "sides": [one.side(share) for share in SHARES],
        "ratios": [one.covered(share) for share in THRESHOLDS],
    }


# -- how ----------------------------------------------------------------------------------------


def _cells(seen: _Seen, number: int) -> Sequence[tuple[int, int]]:
    from comask.analysis.cells import cell_at, cells_of_mask  # brings torch

    look = seen.services.inspections.look(seen.file, seen.image)
    level = look.level(number)
    if seen.asked.instance is not None:
        mask = seen.prediction.masks[seen.asked.instance]
        return cells_of_mask(mask, level.stride, look.scale, level.cells)
    height, width = look.size
    x, y = point = seen.asked.point or (width / 2, height / 2)
    if x > width or y > height:
        raise InputError(f"this image is {width} x {height} pixels, so the point is beside it")
    return [cell_at(point, level.stride, look.scale, level.cells)]


def _alike(seen: _Seen, number: int, report: Report) -> "Sequence[Any]":
    """Average over the class of the instance, or over all where none is picked."""
    from comask.analysis.cells import cell_at  # brings torch
    from comask.analysis.field_average import averaged

    prediction = seen.prediction
    if not len(prediction):
        raise InputError("the model found nothing in this image, so there is no class to average")
    label = prediction.labels[seen.asked.instance or 0]
    rows = np.flatnonzero(prediction.labels == label)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ALIKE)).round().astype(int)]
    look = seen.services.inspections.look(seen.file, seen.image)
    level = look.level(number)
    of_branch: dict[str, list[EffectiveField]] = {}
    for row in rows.tolist():
        report(LEVELS.index(number), len(LEVELS))
        cell = cell_at(_middle(prediction, row), level.stride, look.scale, level.cells)
        for one in seen.at(number, [cell]):
            of_branch.setdefault(one.branch, []).append(one)
    return [averaged(fields) for fields in of_branch.values()]


def _middle(prediction: "Prediction", row: int) -> Point:
    x1, y1, x2, y2 = (float(side) for side in prediction.boxes[row])
    return (x1 + x2) / 2, (y1 + y2) / 2


def _object(seen: _Seen) -> dict[str, Any] | None:
    row = seen.asked.instance
    if row is None:
        return None
    found = seen.prediction
    return {
        "side": float(np.sqrt(rle.area(found.masks[row]))),
        "levels": found.trace.levels[row].tolist(),
    }


def _panel(field: "BranchField", packer: Packer, middle: Point = (0.0, 0.0)) -> dict[str, Any]:
    """Pack one field; a mean over many is laid around ``middle``, in image pixels."""
    from comask.analysis.field_marks import marks_of  # brings torch

    marks = marks_of(field, SHARES)
    in_image = field.question.frame == "image"
    values = np.asarray(field.map, np.float32)
    shift = np.array(middle, np.float32)
    return {
        "name": field.branch,
        "values": packer.array(_pooled(values) if in_image else values),
        "first": (marks.first + shift).tolist(),
        "step": marks.step * (POOLED if in_image else 1),
        "mass": field.mass,
        "outside": field.outside,
        "theory": [side + at for side, at in zip(marks.box, middle * 2, strict=True)],
        "sides": [field.side(share) for share in SHARES],
        "contours": [
            {"share": one.share, "polygons": [(p + shift).round(1).tolist() for p in one.polygons]}
            for one in marks.contours
        ],
        "ratios": [field.covered(share) for share in THRESHOLDS],
    }


def _pooled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add numbers up in squares, so that no mass is lost: (h, w) -> (ceil(h / 4), ceil(w / 4))."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % POOLED), (0, -width % POOLED)))
    rows, columns = padded.shape[0] // POOLED, padded.shape[1] // POOLED
    summed: NDArray[np.float32] = padded.reshape(rows, POOLED, columns, POOLED).sum(axis=(1, 3))
    return summed
