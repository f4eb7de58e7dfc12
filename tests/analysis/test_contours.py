"""Contours by hand: how many numbers a share needs, and where they lie in the image."""

import numpy as np
import pytest

from comask.analysis.contours import contours
from comask.analysis.field_sizes import FieldMap
from comask.errors import InputError


def field(values: list[list[float]], unit: float = 4.0) -> FieldMap:
    return FieldMap(map=np.array(values, np.float32), unit=unit, origin=(0.0, 0.0))


def test_the_largest_numbers_are_inside() -> None:
    """Of 10 in all, 5 + 3 hold 80 %, and 5 alone holds half."""
    half, most, all_ = contours(field([[0, 5, 0], [1, 3, 1]]), (0.5, 0.8, 1.0))
    assert [one.area for one in (half, most, all_)] == [16, 32, 64]
    assert half.side == 4
    assert [one.share for one in (half, most, all_)] == [0.5, 0.8, 1.0]


def test_a_contour_lies_within_a_quarter_of_a_number_of_its_cell() -> None:
    """The number of row 1, column 2 covers 8 .. 12 by 4 .. 8 image pixels, begun at -2: 6 .. 10."""
    (one,) = contours(field([[0, 0, 0], [0, 0, 7]]), (0.9,), first=-2.0)
    (points,) = one.polygons
    np.testing.assert_allclose(points.min(axis=0), [6.5, 2.5])
    np.testing.assert_allclose(points.max(axis=0), [9.5, 5.5])


def test_a_hole_has_its_own_border() -> None:
    (one,) = contours(field([[1, 1, 1], [1, 0, 1], [1, 1, 1]]), (1.0,))
    assert len(one.polygons) == 2


def test_a_blur_joins_speckles_and_still_holds_the_share() -> None:
    speckled = np.zeros((21, 21), np.float32)
    speckled[6:15:2, 6:15:2] = 1.0
    made = FieldMap(map=speckled, unit=1.0, origin=(10.0, 10.0))
    (plain,) = contours(made, (0.9,))
    (smooth,) = contours(made, (0.9,), blur=1.5)
    assert len(plain.polygons) == 23  # 25 of 1 hold 90 % from 22.5 on
    assert len(smooth.polygons) == 1
    assert smooth.area > plain.area


def test_nothing_has_no_contour() -> None:
    (one,) = contours(field([[0, 0], [0, 0]]), (0.5,))
    assert (one.area, one.side, one.polygons) == (0, 0, ())


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_shares_are_shares(share: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        contours(field([[1.0]]), (share,))
