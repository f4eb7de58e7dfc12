"""Polygons of masks: exact where polygons can say it, and honest where they can't."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pycocotools import mask as codec

from comask.annotation import polygons, rle
from comask.annotation.records import Rle
from comask.errors import InputError

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 10), st.integers(1, 10)))


def picture(*rows: str) -> Rle:
    """Make a mask of its rows, # inside."""
    return rle.encode(np.array([[sign == "#" for sign in row] for row in rows]))


def points(ring: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in ring.tolist()]


RING = picture("#####", "#...#", "#...#", "#...#", "#####")  # 16 of 25 px


def test_one_pixel_is_a_square_inside_of_it() -> None:
    drawn = polygons.draw(picture("...", "..#"))
    assert drawn.polygons == ((2.25, 1.25, 2.75, 1.25, 2.75, 1.75, 2.25, 1.75),)
    assert (drawn.iou, drawn.points, drawn.holes) == (1.0, 4, 0)


@given(masks)
def test_keyholes_draw_any_mask_exactly(mask: NDArray[np.bool_]) -> None:
    encoded = rle.encode(mask)
    assert polygons.draw(encoded, keyholes=True).mask == encoded


@given(masks)
def test_without_keyholes_exactly_the_holes_are_filled(mask: NDArray[np.bool_]) -> None:
    encoded = rle.encode(mask)
    drawn = polygons.draw(encoded)
    found = rle.decode(drawn.mask).astype(bool)
    assert not (mask & ~found).any()
    assert (drawn.holes == 0) == (drawn.mask == encoded)
    assert drawn.iou == pytest.approx(mask.sum() / max(found.sum(), 1) if mask.any() else 1.0)


@given(masks)
def test_pycocotools_draws_what_is_said(mask: NDArray[np.bool_]) -> None:
    drawn = polygons.draw(rle.encode(mask), 0.8)
    if drawn.polygons:
        parts = codec.frPyObjects([list(one) for one in drawn.polygons], *mask.shape)
        assert codec.merge(parts)["counts"].decode() == drawn.mask.counts


@given(masks)
def test_opencv_and_pillow_draw_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    """As other tools do: OpenCV with coordinates cut to whole pixels, Pillow as labelme."""
    drawn = polygons.draw(rle.encode(mask))
    canvas = np.zeros(mask.shape, np.uint8)
    image = Image.new("L", mask.shape[::-1])
    for polygon in drawn.polygons:
        ring = np.array(polygon).reshape(-1, 2)
        cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
        ImageDraw.Draw(image).polygon([tuple(p) for p in ring.tolist()], outline=1, fill=1)
    expected = rle.decode(drawn.mask)
    np.testing.assert_array_equal(canvas, expected)
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_mask_without_pixels_has_no_polygons() -> None:
    empty = picture("...")
    assert polygons.draw(empty) == polygons.Drawing((), empty, 1.0, 0, 0)


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    for mask in (picture("#.", ".#"), picture(".#", "#.")):
        assert len(polygons.outline(mask).parts) == 2


def test_a_ring_has_its_hole_and_its_iou() -> None:
    ((outer, holes),) = polygons.outline(RING).parts
    assert points(outer) == [(0, 0), (5, 0), (5, 5), (0, 5)]
    assert sorted(points(holes[0])) == [(1, 1), (1, 4), (4, 1), (4, 4)]
    drawn = polygons.draw(RING)
    assert drawn.holes == 1
    assert drawn.iou == 16 / 25


def test_every_hole_belongs_to_its_own_part() -> None:
    two = picture("###.###", "#.#.#.#", "###.###")
    parts = polygons.outline(two).parts
    assert [len(holes) for _, holes in parts] == [1, 1]
    for outer, (hole,) in parts:
        assert outer[:, 0].min() < hole[:, 0].min() < outer[:, 0].max()


def test_an_island_in_a_hole_is_a_part_of_its_own() -> None:
    nested = picture("#####", "#...#", "#.#.#", "#...#", "#####")
    assert [len(holes) for _, holes in polygons.outline(nested).parts] == [1, 0]


def test_simplifying_leaves_points_out_and_says_what_it_costs() -> None:
    bump = picture("...#...", *["#######"] * 5)  # 36 px, one of which sticks out by one
    drawn = polygons.draw(bump, 1.0)
    assert (drawn.iou, drawn.points) == (35 / 36, 4)


def test_nothing_is_simplified_away() -> None:
    assert polygons.draw(picture("..#.."), 50.0).iou == 1.0


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), 1e9])
def test_a_senseless_tolerance_is_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance must be in 0"):
        polygons.draw(RING, tolerance)
