"""Pictures of maps: colours read back as values, lines where they belong, words around them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from comask.analysis.captions import PAPER, Caption
from comask.analysis.contours import Contour
from comask.analysis.drawing import (
    BAR,
    GAP,
    LARGE,
    LINES,
    OPACITY,
    REACH,
    STRIP,
    KeyLine,
    Line,
    SheetRow,
    draw,
    draw_branches,
    draw_colours,
    draw_field,
    draw_lines,
    draw_sheet,
    place_of,
    trace,
)
from comask.analysis.field_marks import FieldMarks
from comask.analysis.scales import BRANCHES, KINDS, Kind, Scale, colour_table
from comask.structures import Size

CAPTION = Caption("Title", "", "What it means.", "A number.")


def ramp(height: int, width: int) -> np.ndarray:
    return np.linspace(-1, 3, height * width, dtype=np.float32).reshape(height, width)


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def panels(picture: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a picture into the map over the image, the map alone, and its bar."""
    height, width = place_of(size).picture
    below = picture[STRIP : STRIP + height]
    first, second = width + GAP, 2 * (width + GAP)
    return below[:, :width], below[:, first : first + width], below[:, second : second + BAR]


def read(colours: np.ndarray, scale: Scale) -> np.ndarray:
    """Turn colours back into values by the scale's own table."""
    table = [tuple(colour) for colour in colour_table(scale.kind).tolist()]
    flat = colours.reshape(-1, 3).tolist()
    values = [scale.value(table.index(tuple(colour)) / 255) for colour in flat]
    return np.array(values).reshape(colours.shape[:2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(30, 40), (31, 400), (1, 1)])
def test_the_map_alone_reads_back_to_a_255th_of_the_scale(size: Size, kind: Kind) -> None:
    laid = ramp(*size)
    scale = Scale.over([laid], kind)
    _, alone, _ = panels(draw(photo(*size), laid, scale, CAPTION), size)
    expected = place_of(size).enlarge(laid)
    got = read(alone, scale)
    if kind == "root":  # even along the colours, whose values follow a square
        got, expected = (np.sqrt(np.maximum(one - scale.low, 0)) for one in (got, expected))
    span = max(scale.high - scale.low, 1e-9)
    assert np.abs(got - expected).max() <= (span**0.5 if kind == "root" else span) / 255


def test_a_map_over_the_image_is_mixed_with_it() -> None:
    laid, pixels = ramp(30, 40), photo(30, 40)
    scale = Scale.over([laid])
    over, alone, _ = panels(draw(pixels, laid, scale, CAPTION), (30, 40))
    enlarged = pixels.repeat(10, axis=0).repeat(10, axis=1)
    assert_allclose(over, (1 - OPACITY) * enlarged + OPACITY * alone, atol=0.51)


def test_a_signed_map_lets_the_image_through_at_zero() -> None:
    laid = np.zeros((30, 40), np.float32)
    laid[:, 20:] = 2
    pixels = np.zeros((30, 40, 3), np.uint8)
    over, _, _ = panels(draw(pixels, laid, Scale(-2, 2, "signed"), CAPTION), (30, 40))
    assert over[:, :200].max() <= 20
    assert over[:, 200:, 0].min() > 100


def test_the_bar_runs_from_the_largest_value_down() -> None:
    laid = ramp(30, 40)
    scale = Scale(-1, 3)
    _, _, bar = panels(draw(photo(30, 40), laid, scale, CAPTION), (30, 40))
    assert_allclose(read(bar, scale)[:, 0], np.linspace(3, -1, 300), atol=4 / 255)


@pytest.mark.parametrize(
    ("size", "picture"),
    [
        ((30, 40), (300, 400)),
        ((300, 399), (300, 399)),
        ((720, 100), (720, 100)),
        ((1, 1), (400, 400)),
    ],
)
def test_small_images_are_enlarged_by_whole_numbers(size: Size, picture: Size) -> None:
    assert place_of(size).picture == picture


def test_large_images_are_made_smaller() -> None:
    assert place_of((4 * LARGE, LARGE)).picture == (LARGE, LARGE // 4)
    drawn = draw(photo(2000, 30), ramp(2000, 30), Scale(-1, 3), CAPTION)
    assert drawn.shape[0] < LARGE + 200


def test_colours_stay_as_they_are() -> None:
    laid = np.zeros((400, 400, 3), np.float32)
    laid[:, :200] = (1.0, 0.2, 0.0)
    _, alone, _ = panels(draw_colours(photo(400, 400), laid, CAPTION), (400, 400))
    assert_array_equal(alone[0, 0], (255, 51, 0))
    assert_array_equal(alone[0, 399], (0, 0, 0))


def test_branches_have_the_page_s_colours() -> None:
    chosen = np.zeros((400, 400), np.int64)
    chosen[:, 200:] = 3
    names = ("1x", "8x", "4x", "2x")
    _, alone, _ = panels(draw_branches(photo(400, 400), chosen, names, CAPTION), (400, 400))
    assert_array_equal(alone[0, 0], BRANCHES[0])
    assert_array_equal(alone[0, 399], BRANCHES[3])


def test_a_field_has_its_contours_its_box_and_a_cross() -> None:
    laid = np.zeros((400, 400), np.float32)
    laid[195:205, 195:205] = 1
    square = np.array([(190, 190), (210, 190), (210, 210), (190, 210)], np.float32)
    found = (Contour(0.5, 400.0, (square,)), Contour(0.9, 0.0, ()), Contour(0.99, 0.0, ()))
    marks = FieldMarks((0, 0), 1.0, (100, 120, 300, 320), (200.0, 200.0), found)
    pixels = np.zeros((400, 400, 3), np.uint8)
    over, alone, _ = panels(draw_field(pixels, laid, marks, CAPTION), (400, 400))
    # lines run through pixel borders, so two rows share their ink
    assert_array_equal(over[190, 200] > 60, [True, True, True])
    assert over[120, 102:105, 2].max() > over[120, 102:105, 0].max() > 0  # blue: the box
    assert over[10, 10].max() == 0  # the image shows where there is no field
    assert_array_equal(alone[200, 200], colour_table("root")[255])
    assert_array_equal(alone[10, 10], colour_table("root")[0])
    assert over[200, 200].min() > 200  # the cross


def test_a_field_without_mass_is_drawn_too() -> None:
    empty = tuple(Contour(share, 0.0, ()) for share in (0.5, 0.9, 0.99))
    marks = FieldMarks((0, 0), 1.0, (0, 0, 4, 4), (2.0, 2.0), empty)
    laid = np.zeros((5, 7), np.float32)
    assert draw_field(photo(5, 7), laid, marks, CAPTION).dtype == np.uint8


def test_dashes_leave_gaps_and_lines_do_not() -> None:
    black = np.zeros((400, 400, 3), np.uint8)
    points = np.array([(10.0, 100.5), (110.0, 100.5)])
    place = place_of((400, 400))
    lit = {
        line: (trace(black, [Line(points, (255, 0, 0), line, closed=False)], place)[100, :, 0] > 99)
        for line in ("solid", "dashed", "dotted")
    }
    assert 99 <= lit["solid"].sum() <= 103
    assert 55 <= lit["dashed"].sum() <= 75  # 7 of 12 pixels, and the ends' softness
    assert lit["dotted"].sum() < lit["dashed"].sum()
    assert not black.any()  # the given picture stays as it was


def test_an_image_with_lines_has_its_words_and_a_key() -> None:
    pixels = photo(30, 40)
    lines = [Line(np.array([(5.0, 5.0), (20.0, 5.0), (20.0, 20.0)]), (255, 0, 0))]
    key = [KeyLine(f"entry {number} that takes some room", LINES[0]) for number in range(9)]
    drawn = draw_lines(pixels, [("before", lines), ("after", [])], CAPTION, key)
    over, alone, _ = panels(drawn, (30, 40))
    assert_array_equal(alone, pixels.repeat(10, axis=0).repeat(10, axis=1))
    assert (over != alone).any()
    assert drawn.shape[1] == 2 * (400 + GAP)


def test_a_sheet_has_a_bar_where_maps_share_a_scale() -> None:
    scale, other = Scale(0, 1), Scale(0, 2)
    maps = [("a", ramp(30, 40), scale), ("b", ramp(30, 40), scale)]
    with_bar = draw_sheet([SheetRow("P2", maps)], CAPTION)
    own = draw_sheet([SheetRow("P2", [maps[0], ("b", ramp(30, 40), other)])], CAPTION)
    without = draw_sheet([SheetRow("P2", maps)], CAPTION, bars=False)
    assert with_bar.shape[1] > own.shape[1] == without.shape[1]
    assert_array_equal(with_bar[0, 0], PAPER)


def test_reach_and_contours_differ_in_colour() -> None:
    assert len({*LINES, REACH}) == 4
