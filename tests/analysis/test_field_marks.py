"""Where a field is in the image, by hand: of cells, of pixels, and of averages."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from comask.analysis.field_average import AverageField
from comask.analysis.field_marks import field_numbers, marks_of
from comask.analysis.field_values import EffectiveField, Question


def field(values: object, frame: str = "level") -> EffectiveField:
    """Stride 8, two network pixels an image pixel: a cell is 4 image pixels wide."""
    in_image = frame == "image"
    return EffectiveField(
        map=np.array(values, np.float32),
        unit=0.5 if in_image else 4.0,
        origin=(0.0, 1.0),
        level=3,
        stride=8,
        branch="2x",
        question=Question(frame=frame),  # type: ignore[arg-type]
        box=(1, 0, 3, 1),
        scale=2.0,
        size=(8, 12),
        cells=((0, 1),),
    )


def test_cells_lie_around_the_pixel_that_they_look_at() -> None:
    """Cell 1 looks at network pixel 8, whose centre is at image pixel 8.5 / 2 = 4.25."""
    marks = marks_of(field([[0, 3, 1]]))
    assert marks.middle == pytest.approx((4.25, 0.25))
    assert marks.box == pytest.approx((2.25, -1.75, 10.25, 2.25))
    half, ninety, _ = marks.contours
    assert (half.area, ninety.area) == (16, 32)  # one cell holds 75 %, two hold all
    corners = half.polygons[0]
    assert_allclose(corners.min(axis=0), [2.75, -1.25])  # a quarter grid's outermost points
    assert_allclose(corners.max(axis=0), [5.75, 1.75])


def test_pixels_lie_where_they_are() -> None:
    marks = marks_of(field([[0, 3, 1]], "image"))
    assert marks.first == (0, 0)
    assert marks.middle == pytest.approx((0.75, 0.25))
    assert marks.box == pytest.approx((0.5, 0, 1.5, 0.5))


def test_an_average_is_seen_from_its_middle() -> None:
    one = AverageField(
        map=np.array([[0.25, 0.75]], np.float32),
        unit=2.0,
        origin=(0, 1),
        level=2,
        stride=4,
        branch="1x",
        question=Question(),
        box=(0, 0, 2, 1),
        windows=((0, 0, 2, 1),),
        empty=0,
    )
    marks = marks_of(one)
    assert marks.middle == pytest.approx((0, 0))
    assert marks.box == pytest.approx((-3, -1, 1, 1))


def test_numbers_are_the_field_s_own() -> None:
    """3 of 4 lie in one cell of 4 x 4 image pixels, and all in two of three cells."""
    one = field([[0, 3, 1]])
    told = field_numbers(one, marks_of(one))
    assert told["sides"] == pytest.approx({"50": 4, "90": 32**0.5, "99": 32**0.5})
    assert told["contour_sides"] == told["sides"]
    assert told["squares"] == pytest.approx({"50": 4, "90": 12, "99": 12})
    assert told["ratios"] == pytest.approx({"20": 1 / 3, "30": 1 / 3, "50": 1 / 3, "99": 1})
    assert (told["mass"], told["outside"], told["is_global"]) == (4, 0, False)


def test_a_field_without_mass_has_no_contours() -> None:
    one = field([[0, 0, 0]])
    marks = marks_of(one)
    assert [contour.polygons for contour in marks.contours] == [(), (), ()]
    assert field_numbers(one, marks)["sides"] == {"50": 0, "90": 0, "99": 0}
