"""Sizes of fields, by hand."""

import numpy as np
import pytest

from comask.analysis.field_sizes import FieldMap
from comask.errors import InputError


def field(values: object, unit: float = 1.0, origin: tuple[float, float] = (0, 0)) -> FieldMap:
    return FieldMap(map=np.array(values, np.float32), unit=unit, origin=origin)


def test_contours_by_hand() -> None:
    """Of 10, the largest 4 is 40 %, with 3 it is 70 %, with 2 it is 90 %."""
    one = field([[1, 4], [3, 2]], unit=2.5)
    assert one.mass == 10
    shares = (0.1, 0.4, 0.5, 0.7, 0.75, 0.9, 0.99, 1.0)
    assert [one.threshold(share) for share in shares] == [4, 4, 3, 3, 2, 2, 1, 1]
    assert [one.area(share) / 6.25 for share in shares] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert one.side(1.0) == 5.0  # 4 numbers of 2.5 x 2.5 image pixels


def test_what_has_no_mass_has_no_size() -> None:
    nothing = field(np.zeros((3, 2)))
    assert (nothing.area(0.9), nothing.side(0.9), nothing.square(0.9)) == (0, 0, 0)
    assert nothing.covered(0.9) == 0
    assert nothing.threshold(0.9) == float("inf")


def test_equal_numbers_are_counted_one_by_one() -> None:
    one = field(np.ones((4, 5)))
    assert one.area(0.5) == 10
    assert one.threshold(0.5) == 1


def test_squares_by_hand() -> None:
    """Around the middle of 5 x 5 ones: 1, 9 and 25 numbers."""
    one = field(np.ones((5, 5)), unit=4.0, origin=(2, 2))
    assert [one.square(share) for share in (0.04, 0.36, 0.37, 1.0)] == [4, 12, 20, 20]
    assert [one.covered(share) for share in (0.04, 0.36, 0.37)] == [1 / 25, 9 / 25, 1]


def test_a_square_between_cells_is_even() -> None:
    """Two cells side by side: their middle is half a cell from each."""
    one = field([[0, 3, 3, 0], [0, 3, 3, 0]], origin=(0.5, 1.5))
    assert one.square(1.0) == 2
    assert one.covered(1.0) == 0.5


def test_a_square_over_the_border_is_not_cut() -> None:
    """From the corner of 3 x 3, number (2, 0) is 2 steps away: a square of 5, 9 of it on the map.

    Rows and columns count alike: so is (0, 2).
    """
    one = field([[1, 0, 0], [0, 0, 0], [1, 0, 0]])
    assert one.square(0.5) == 1
    assert one.square(0.51) == 5
    assert one.covered(0.51) == 1


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_impossible_shares_are_refused(share: float) -> None:
    one = field([[1]])
    for measure in (one.threshold, one.area, one.side, one.square, one.covered):
        with pytest.raises(InputError, match="share"):
            measure(share)
