"""Which pixels decide what a branch gives: receptive fields of a cell, an instance, a class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.actions.maps import SCHEMA, as_file
from app.canvas.packet import Packer
from app.services import CheckpointFile, Services, StoredImage
from app.services.tasks import Report
from comask.annotation import rle
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis.effective_field import EffectiveField, Question

LEVELS = (2, 3, 4, 5)
POOLED = 4  # network pixels a side that one drawn number stands for, where the frame is the image
THRESHOLDS = (0.2, 0.3, 0.5, 0.99)  # of the area ratios, as in the literature
SHARES = (0.5, 0.9, 0.99)  # of the mass, that contours hold
LEAST_BLUR = 2.0  # network pixels; below, a gradient's contours are speckles

Point = tuple[float, float]  # (x, y) in image pixels


@dataclass(frozen=True)
class FieldAsked:
    """Whose field is meant, and how.

    point     where somebody clicked, in image pixels; with ``instance`` None
    instance  row of the prediction
    """

    path: Literal["own", "cascade"]
    norm: Literal["frozen", "live"]
    frame: Literal["level", "image"]
    point: Point | None = None
    instance: int | None = None

    def question(self) -> "Question":
        """Say the same to the library."""
        from comask.analysis.effective_field import Question  # brings torch

        return Question(path=self.path, norm=self.norm, frame=self.frame)


def packet(
    services: Services, file: CheckpointFile, image: StoredImage, asked: FieldAsked, report: Report
) -> bytes:
    """Pack the fields of every branch of every level."""
    packer = Packer()
    levels: list[dict[str, Any]] = []
    seen = services.inspections.look(file, image)
    for done, level in enumerate(LEVELS):
        report(done, len(LEVELS))
        fields = fields_at(services, file, image, asked, level)
        levels.append(
            {
                "level": level,
                "stride": fields[0].stride,
                "cells": [list(one) for one in fields[0].cells],
                "panels": [_panel(one, packer) for one in fields],
            }
        )
    head = {
        "schema": SCHEMA,
        "what": "field",
        "scale": seen.scale,
        "size": list(seen.size),
        "thresholds": list(THRESHOLDS),
        "levels": levels,
        "object": _object(services, file, image, asked),
    }
    return packer.pack(head)


def fields_at(
    services: Services, file: CheckpointFile, image: StoredImage, asked: FieldAsked, level: int
) -> tuple["EffectiveField", ...]:
    """Find the fields of every branch of one level."""
    from comask.analysis.effective_field import effective_fields, fields_of  # brings torch

    seen = services.inspections.look(file, image)
    cells = _cells(services, file, image, asked, level)
    if asked.frame == "level":
        return fields_of(seen, level=level, cells=cells, question=asked.question())
    return effective_fields(
        services.inspections.predictor(file),
        services.images.pixels(image),
        level=level,
        cells=cells,
        question=asked.question(),
    )


def download(
    services: Services,
    file: CheckpointFile,
    image: StoredImage,
    asked: FieldAsked,
    place: tuple[int, str],
    kind: Literal["npy", "csv"],
) -> bytes:
    """Write one field as a file, at its full resolution."""
    found = [
        one for one in fields_at(services, file, image, asked, place[0]) if one.branch == place[1]
    ]
    if not found:
        raise InputError(f"P{place[0]} has no branch of this name")
    return as_file(found[0].map, kind)


def _cells(
    services: Services, file: CheckpointFile, image: StoredImage, asked: FieldAsked, level: int
) -> Sequence[tuple[int, int]]:
    from comask.analysis.cells import cell_at, cells_of_mask  # brings torch

    seen = services.inspections.look(file, image)
    one = seen.level(level)
    if asked.instance is not None:
        prediction = services.prediction(file, image.key)
        if prediction is None:
            raise InputError("the checkpoint has not seen this image yet")
        if asked.instance >= len(prediction):
            raise InputError("there is no such instance in this image")
        return cells_of_mask(prediction.masks[asked.instance], one.stride, seen.scale, one.cells)
    point = asked.point or (seen.size[1] / 2, seen.size[0] / 2)
    return [cell_at(point, one.stride, seen.scale, one.cells)]


def _object(
    services: Services, file: CheckpointFile, image: StoredImage, asked: FieldAsked
) -> dict[str, Any] | None:
    if asked.instance is None:
        return None
    prediction = services.prediction(file, image.key)
    assert prediction is not None
    return {
        "side": float(np.sqrt(rle.area(prediction.masks[asked.instance]))),
        "levels": prediction.trace.levels[asked.instance].tolist(),
    }


def _panel(field: "EffectiveField", packer: Packer) -> dict[str, Any]:
    from comask.analysis.contours import contours  # brings torch

    per_pixel = 1 / field.scale  # image pixels a network pixel
    in_image = field.question.frame == "image"
    first = 0.0 if in_image else (0.5 - field.stride / 2) * per_pixel
    step = field.unit
    blur = max(LEAST_BLUR, field.stride / 4) if in_image else 1.0
    values = _pooled(field.map) if in_image else field.map
    return {
        "name": field.branch,
        "values": packer.array(values),
        "first": first,
        "step": step * (POOLED if in_image else 1),
        "mass": field.mass,
        "outside": field.outside,
        "theory": [first + step * side for side in field.box],
        "sides": [field.side(share) for share in SHARES],
        "contours": [
            {
                "share": one.share,
                "polygons": [points.round(1).tolist() for points in one.polygons],
            }
            for one in contours(field, SHARES, first=first, blur=blur)
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
