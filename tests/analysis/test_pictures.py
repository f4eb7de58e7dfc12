"""Pictures of a real look: each in its words, maps where they belong."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from comask.analysis import difference
from comask.analysis.drawing import GAP, STRIP, place_of
from comask.analysis.field_marks import marks_of
from comask.analysis.field_values import EffectiveField, Question
from comask.analysis.outlines import LOOKS, outline
from comask.analysis.pictures import change_picture, field_over_image, field_picture, field_sheet
from tests.analysis.predicted import predicted


def field(frame: str, values: np.ndarray) -> EffectiveField:
    """Of stride 4; an image pixel is two network pixels."""
    return EffectiveField(
        map=values.astype(np.float32),
        unit=0.5 if frame == "image" else 2.0,
        origin=(1.0, 1.0),
        level=2,
        stride=4,
        branch="8x",
        question=Question(frame=frame),  # type: ignore[arg-type]
        box=(0, 0, 3, 2),
        scale=2.0,
        size=(4, 6),
        cells=((1, 1),),
    )


def test_cells_are_squares_around_the_pixel_that_they_look_at() -> None:
    """Cells look at network pixels 0, 4, 8, and image pixel i lies at network pixel 2 i + 0.5.

    So pixel 0 is nearest to cell 0, pixels 1 and 2 to cell 1, 3 and 4 to cell 2.
    """
    laid = field_over_image(field("level", np.array([[1, 2, 3], [4, 5, 6]])))
    assert_array_equal(laid[0], [1, 2, 2, 3, 3, 3])
    assert_array_equal(laid[:, 0], [1, 4, 4, 4])


def test_pixels_of_the_network_are_laid_over_their_place() -> None:
    values = np.zeros((8, 12))
    values[2:4, 6:8] = 1  # image pixel (1, 3)
    laid = field_over_image(field("image", values))
    assert laid.shape == (4, 6)
    assert laid[1, 3] == laid.max() == 1
    assert laid.sum() == 1


@pytest.mark.parametrize("values", [np.eye(2, 3), np.zeros((2, 3))])
def test_a_field_s_picture_says_what_moved(values: np.ndarray) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    one = field("level", values)
    plain = field_picture(pixels, one, marks_of(one))
    of_object = field_picture(
        pixels, one, marks_of(one), outline(predicted((0, 0, 3, 2), size=(4, 6)).masks[0]), 2.4
    )
    assert plain.shape[1] == of_object.shape[1]
    assert (plain[: of_object.shape[0]] != of_object[: plain.shape[0]]).any()
    assert field_sheet([one, one], "Fields").shape[2] == 3


def test_what_changes_is_drawn_on_its_side() -> None:
    """A lost square is dashed in both panels, a gained one is there only on the right."""
    before, after = predicted((5, 5, 15, 15)), predicted((40, 20, 50, 30))
    pixels = np.zeros((40, 60, 3), np.uint8)
    drawn = change_picture(pixels, before, after, difference(before, after), "2x at P2")
    place = place_of((40, 60))
    height, width = place.picture
    left = drawn[STRIP : STRIP + height, :width].reshape(-1, 3)
    right = drawn[STRIP : STRIP + height, width + GAP : 2 * width + GAP].reshape(-1, 3)

    def has(panel: np.ndarray, colour: tuple[int, int, int]) -> bool:
        return bool((np.abs(panel.astype(int) - colour).max(axis=1) < 40).any())

    lost, gained = LOOKS["lost"][0], LOOKS["gained"][0]
    assert [has(panel, lost) for panel in (left, right)] == [True, True]
    assert [has(panel, gained) for panel in (left, right)] == [False, True]
