"""Contours of a field map: where the smallest set that holds a share of all its mass ends.

A gradient by the image is a speckle, and one by the cells of a level is chequered by strides: their
smallest sets are many islands. Contours may therefore be drawn on the map after a blur, and hold
the share of the map as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.analysis.field_sizes import FieldMap
from comask.errors import InputError

SHARES = (0.5, 0.9, 0.99)
FINE = 4  # contour points lie on a grid of a quarter of a number

Points = NDArray[np.float32]  # (n, 2) x, y in image pixels


@dataclass(frozen=True, eq=False)
class Contour:
    """Where a share of the mass ends.

    share     of the map's mass that lies inside, at least
    area      of the inside, square image pixels
    polygons  its borders, holes too
    """

    share: float
    area: float
    polygons: tuple[Points, ...]

    @property
    def side(self) -> float:
        """Give the side of a square as large as the inside, in image pixels."""
        return float(self.area**0.5)


def contours(
    field: FieldMap, shares: Sequence[float] = SHARES, *, first: float = 0.0, blur: float = 0.0
) -> tuple[Contour, ...]:
    """Draw a field's contours, one a share; those of a field without mass are empty.

    Args:
        field: a map and its unit.
        shares: above 0 and at most 1 each, or InputError.
        first: where the map begins, in image pixels.
        blur: standard deviation of the blur, in numbers of the map.
    """
    if not all(0 < share <= 1 for share in shares):
        raise InputError("a share of a field's mass is above 0 and at most 1")
    if field.mass == 0:
        return tuple(Contour(share, 0.0, ()) for share in shares)
    values = field.map.astype(np.float64)
    ordered_by = values
    if blur > 0:
        blurred = cv2.GaussianBlur(values, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
        ordered_by = np.asarray(blurred, np.float64)
    order = np.argsort(-ordered_by, axis=None, kind="stable")
    masses = values.ravel()[order].cumsum()
    return tuple(_contour(field, order, masses, share, first) for share in shares)


def _contour(
    field: FieldMap,
    order: NDArray[np.int64],
    masses: NDArray[np.float64],
    share: float,
    first: float,
) -> Contour:
    # rounding may leave the last sum a hair below the whole
    count = int(np.searchsorted(masses, share * masses[-1] * (1 - 1e-12))) + 1
    inside = np.zeros(field.map.size, np.uint8)
    inside[order[:count]] = 1
    shaped = inside.reshape(field.map.shape)
    return Contour(share, count * field.unit**2, _polygons(shaped, field.unit, first))


def _polygons(inside: NDArray[np.uint8], unit: float, first: float) -> tuple[Points, ...]:
    fine = inside.repeat(FINE, axis=0).repeat(FINE, axis=1)
    found, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    step = unit / FINE
    return tuple(
        (first + (points[:, 0].astype(np.float32) + 0.5) * step).astype(np.float32)
        for points in found
    )
