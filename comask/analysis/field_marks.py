"""What is drawn over the image for a receptive field, in image pixels, and its sizes as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from comask.analysis.contours import Contour, contours
from comask.analysis.field_table import CONTOURS, THRESHOLDS
from comask.analysis.field_values import BranchField, EffectiveField

LEAST_BLUR = 2.0  # network pixels, where the frame is the image: that gradient is a speckle
CELL_BLUR = 1.0  # cells, where the frame is the level: strides leave a chequered pattern

__all__ = ["CONTOURS", "THRESHOLDS", "FieldMarks", "field_numbers", "marks_of"]


@dataclass(frozen=True, eq=False)
class FieldMarks:
    """Where a field is, in image pixels; of an average, as seen from the middle of its cells.

    first     (x, y) where the map begins
    step      from one number of the map to the next
    box       half-open (x1, y1, x2, y2): what convolutions can reach, norm statistics left aside
    middle    (x, y) of the cells that were asked for
    contours  the smallest share first
    """

    first: tuple[float, float]
    step: float
    box: tuple[float, float, float, float]
    middle: tuple[float, float]
    contours: tuple[Contour, ...]


def marks_of(field: BranchField, shares: Sequence[float] = CONTOURS) -> FieldMarks:
    """Find a field's contours, its theoretical box and its middle.

    Raises InputError for a share that is not above 0 and at most 1.
    """
    in_image = field.question.frame == "image"
    row, column = field.origin
    if not isinstance(field, EffectiveField):
        first = (-(column + 0.5) * field.unit, -(row + 0.5) * field.unit)
    elif in_image:
        first = (0.0, 0.0)
    else:  # cell i looks at network pixel stride x i
        first = ((0.5 - field.stride / 2) / field.scale,) * 2
    x1, y1, x2, y2 = (
        start + field.unit * side for start, side in zip(first * 2, field.box, strict=True)
    )
    blur = max(LEAST_BLUR, field.stride / 4) if in_image else CELL_BLUR
    return FieldMarks(
        first=first,
        step=field.unit,
        box=(x1, y1, x2, y2),
        middle=(first[0] + (column + 0.5) * field.unit, first[1] + (row + 0.5) * field.unit),
        contours=tuple(_moved(one, first) for one in contours(field, shares, blur=blur)),
    )


def field_numbers(field: BranchField, marks: FieldMarks) -> dict[str, Any]:
    """Write a field's sizes as JSON's types: shares in per cent, lengths in image pixels."""
    return {
        "branch": field.branch,
        "mass": field.mass,
        "outside": field.outside,
        "is_global": field.is_global,
        "theoretical_box": list(marks.box),
        "sides": {_percent(share): field.side(share) for share in CONTOURS},
        "contour_sides": {_percent(one.share): one.side for one in marks.contours},
        "squares": {_percent(share): field.square(share) for share in CONTOURS},
        "ratios": {_percent(share): field.covered(share) for share in THRESHOLDS},
    }


def _moved(one: Contour, first: tuple[float, float]) -> Contour:
    shift = np.array(first, np.float32)
    return replace(one, polygons=tuple(points + shift for points in one.polygons))


def _percent(share: float) -> str:
    return f"{100 * share:g}"
