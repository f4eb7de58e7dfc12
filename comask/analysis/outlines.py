"""Outlines of masks and what became of instances, as lines over the image, in image pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.analysis.difference import Difference, Kind
from comask.analysis.drawing import Colour, KeyLine, Line
from comask.annotation import rle
from comask.annotation.records import Rle
from comask.predict import Prediction

Points = NDArray[np.float64]  # (n, 2) x, y

# as on the page: colour, kind of line, and what it means
LOOKS: dict[Kind, tuple[Colour, str, str]] = {
    "lost": ((213, 94, 0), "dashed", "only there without the switches"),
    "gained": ((86, 180, 233), "solid", "only there with them"),
    "moved": ((240, 228, 66), "solid", "there in both, elsewhere; dotted where it was"),
    "kept": ((160, 160, 166), "solid", "there in both, where it was"),
}

__all__ = ["LOOKS", "after_lines", "before_lines", "change_key", "mask_lines", "outline"]


def outline(mask: Rle) -> tuple[Points, ...]:
    """Follow the borders of a mask, holes too; one without pixels has none.

    Points are the centres of the mask's own outermost pixels.
    """
    crop, x, y = rle.decode_crop(mask)
    if not crop.size:
        return ()
    found, _ = cv2.findContours(
        np.ascontiguousarray(crop, np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    corner = np.array([x, y]) + 0.5
    return tuple(points[:, 0] + corner for points in found)


def mask_lines(mask: Rle, colour: Colour, line: str = "solid") -> list[Line]:
    """Draw a mask's borders."""
    return [Line(points, colour, line) for points in outline(mask)]


def before_lines(before: Prediction, told: Difference) -> list[Line]:
    """Draw the instances as they were, by what becomes of them."""
    drawn: list[Line] = []
    kinds: tuple[Kind, ...] = ("kept", "moved", "lost")
    for kind in kinds:
        for one in told.of(kind):
            assert one.before is not None
            drawn += mask_lines(before.masks[one.before], *LOOKS[kind][:2])
    return drawn


def after_lines(before: Prediction, after: Prediction, told: Difference) -> list[Line]:
    """Draw the instances as they are now, with ghosts of where they were."""
    drawn: list[Line] = []
    ghosts: tuple[tuple[Kind, str], ...] = (("moved", "dotted"), ("lost", "dashed"))
    for kind, line in ghosts:
        for one in told.of(kind):
            assert one.before is not None
            drawn += mask_lines(before.masks[one.before], LOOKS[kind][0], line)
    kinds: tuple[Kind, ...] = ("kept", "moved", "gained")
    for kind in kinds:
        for one in told.of(kind):
            assert one.after is not None
            drawn += mask_lines(after.masks[one.after], *LOOKS[kind][:2])
    return drawn


def change_key(told: Difference) -> list[KeyLine]:
    """Explain the lines, with how many instances each stands for."""
    counts = told.count()
    return [
        KeyLine(f"{counts[kind]} {kind}: {meaning}", colour, line)
        for kind, (colour, line, meaning) in LOOKS.items()
    ]
