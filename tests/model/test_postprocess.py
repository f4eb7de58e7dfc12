"""From network pixels to image pixels: the authors' masks, and boxes at and over the edge."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from comask.config import PasteKind
from comask.model.postprocess import (
    Crop,
    draw,
    draw_all,
    paste,
    paste_exactly,
    to_image_pixels,
    to_network_pixels,
)
from comask.structures import Size
from tests import authors

FULL = np.full((28, 28), 9.0, dtype=np.float32)


def drawn(crop: Crop, size: Size) -> NDArray[np.uint8]:
    whole = np.zeros(size, dtype=np.uint8)
    height, width = crop.pixels.shape
    whole[crop.y : crop.y + height, crop.x : crop.x + width] = crop.pixels
    return whole


@pytest.mark.parametrize("image_pixels", [True, False])
def test_masks_as_recorded(spec_fixtures: Path, image_pixels: bool) -> None:
    recorded = {k: v.numpy() for k, v in authors.arrays(spec_fixtures, "mod_paste").items()}
    wanted = recorded[f"masks_rescale{int(image_pixels)}"]
    scale = float(recorded["scale_factor"]) if image_pixels else 1.0
    size = (wanted.shape[1], wanted.shape[2])
    boxes = recorded["boxes"] + np.array([0, 0, 1, 1], dtype=np.float32)
    for logits, box, mask in zip(recorded["logits"], boxes, wanted, strict=True):
        np.testing.assert_array_equal(drawn(paste(logits, box, scale, size), size), mask)


def box(*corners: float) -> NDArray[np.float32]:
    return np.array(corners, dtype=np.float32)


@pytest.mark.parametrize(
    ("corners", "scale", "place"),
    [
        ((2, 3, 6, 5), 1.0, (2, 3, 4, 2)),  # whole pixels stay
        ((2.9, 3.9, 6.9, 5.9), 1.0, (2, 3, 4, 2)),  # cut, not rounded
        ((4, 6, 12, 10), 2.0, (2, 3, 4, 2)),  # inclusive (4, 6, 11, 9) / 2
        ((-5, -5, 100, 100), 1.0, (0, 0, 9, 7)),  # clipped to the image
        ((4, 2, 4, 2), 1.0, (4, 2, 1, 1)),  # never less than a pixel
    ],
)
def test_a_full_mask_fills_its_box(
    corners: tuple[float, ...], scale: float, place: tuple[int, int, int, int]
) -> None:
    crop = paste(FULL, box(*corners), scale, (7, 9))
    assert (crop.x, crop.y, crop.pixels.shape[1], crop.pixels.shape[0]) == place
    assert crop.pixels.all()


@pytest.mark.parametrize("corners", [(20, 2, 30, 5), (2, 20, 5, 30), (1e30, 0, 2e30, 5)])
def test_a_box_beyond_the_far_edge_draws_nothing(corners: tuple[float, ...]) -> None:
    assert not paste(FULL, box(*corners), 1.0, (7, 9)).pixels.size


def test_a_box_before_the_near_edge_draws_one_column_as_the_authors_do() -> None:
    crop = paste(FULL, box(-9, 1, -3, 4), 1.0, (7, 9))
    assert (crop.x, crop.y, crop.pixels.shape) == (0, 1, (3, 1))


def test_a_probability_of_one_half_is_outside() -> None:
    logits = np.zeros((28, 28), dtype=np.float32)
    assert not paste(logits, box(0, 0, 7, 7), 1.0, (7, 9)).pixels.any()


def test_the_whole_mask_is_squeezed_into_what_is_left_of_its_box() -> None:
    left_half = np.where(np.arange(28) < 14, 9.0, -9.0) * np.ones((28, 1))
    crop = paste(left_half.astype(np.float32), box(0, 0, 200, 4), 1.0, (4, 8))
    assert crop.pixels.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]] * 4


def test_boxes_are_carried_over_with_inclusive_corners() -> None:
    given = np.array([[2.0, 4.0, 11.0, 21.0]], dtype=np.float32)
    assert to_image_pixels(given, 2.0).tolist() == [[1.0, 2.0, 6.0, 11.0]]
    assert given.tolist() == [[2.0, 4.0, 11.0, 21.0]]
    assert to_image_pixels(np.zeros((0, 4), dtype=np.float32), 2.0).shape == (0, 4)


@pytest.mark.parametrize(
    ("corners", "scale", "first", "end"),
    [
        ((2.5, 2.5, 6.5, 6.5), 1.0, 2, 6),  # half a network pixel to the upper left
        ((4.5, 4.5, 8.5, 8.5), 2.0, 2, 4),
        ((4.9, 4.9, 8.9, 8.9), 1.0, 4, 8),  # the centres 4.5 .. 7.5 lie in 4.4 .. 8.4
        ((-3.5, -3.5, 3.5, 3.5), 1.0, 0, 3),  # cut at the border, not squeezed
        ((8.5, 8.5, 30.5, 30.5), 1.0, 8, 10),
    ],
)
def test_exact_masks_cover_the_centres_inside_their_frame(
    corners: tuple[float, ...], scale: float, first: int, end: int
) -> None:
    wanted = np.zeros((10, 10), dtype=np.uint8)
    wanted[first:end, first:end] = 1
    crop = paste_exactly(FULL, box(*corners), scale, (10, 10))
    np.testing.assert_array_equal(drawn(crop, (10, 10)), wanted)


def test_an_exact_mask_that_is_cut_at_the_border_keeps_its_scale() -> None:
    right_half = np.where(np.arange(28) < 14, -9.0, 9.0).astype(np.float32) * np.ones((28, 1))
    crop = paste_exactly(right_half.astype(np.float32), box(-5.5, 0.5, 6.5, 4.5), 1.0, (4, 10))
    wanted = np.zeros((4, 10), dtype=np.uint8)
    wanted[:, 0:6] = 1  # the frame is -6 .. 6, its middle the image's left border
    np.testing.assert_array_equal(drawn(crop, (4, 10)), wanted)


@pytest.mark.parametrize(
    "corners", [(20.0, 20.0, 30.0, 30.0), (-9.0, -9.0, -2.0, -2.0), (5.0, 5.0, 5.0, 9.0)]
)
def test_an_exact_mask_without_a_pixel_of_the_image_is_empty(corners: tuple[float, ...]) -> None:
    assert not drawn(paste_exactly(FULL, box(*corners), 1.0, (10, 10)), (10, 10)).any()


def test_a_checkpoint_chooses_how_its_masks_are_drawn() -> None:
    place = box(2.5, 2.5, 6.5, 6.5), 1.0, (10, 10)
    assert draw(FULL, *place, "whole").pixels.shape == paste(FULL, *place).pixels.shape
    assert draw(FULL, *place, "exact").pixels.sum() == 16


@pytest.mark.parametrize("kind", ["whole", "exact"])
def test_many_masks_are_drawn_as_each_alone(kind: PasteKind) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (40, 28, 28)).astype(np.float32)
    corners = rng.uniform(-30, 90, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 60, (40, 2))], 1).astype(np.float32)
    crops = list(draw_all(logits, boxes, 1.3, (50, 60), kind))
    assert len(crops) == 40
    assert {crop.pixels.size > 0 for crop in crops} == {True, False}
    for mask, frame, crop in zip(logits, boxes, crops, strict=True):
        alone = draw(mask, frame, 1.3, (50, 60), kind)
        np.testing.assert_array_equal(drawn(crop, (50, 60)), drawn(alone, (50, 60)))
    assert list(draw_all(logits[:0], boxes[:0], 1.3, (50, 60), kind)) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["whole", "exact"])
def test_a_network_may_be_as_sure_as_it_likes(kind: PasteKind) -> None:
    sure = np.where(np.arange(28) < 14, -1e4, 1e4).astype(np.float32) * np.ones((28, 1), np.float32)
    crop = draw(sure, box(0.5, 0.5, 28.5, 28.5), 1.0, (28, 28), kind)
    assert drawn(crop, (28, 28)).sum() == pytest.approx(28 * 14, abs=28)


def test_an_exact_mask_is_interpolated_between_cells() -> None:
    # a frame of 56 x 56 pixels: every cell has 2, a quarter of a cell from its middle
    logits = np.where(np.arange(28) < 14, -1.0, 2.0).astype(np.float32) * np.ones((28, 1))
    crop = paste_exactly(logits.astype(np.float32), box(0.5, 0.5, 56.5, 56.5), 1.0, (56, 56))
    low, high = 1 / (1 + np.exp(1.0)), 1 / (1 + np.exp(-2.0))
    assert 0.75 * low + 0.25 * high < 0.5 < 0.25 * low + 0.75 * high
    wanted = np.zeros((56, 56), dtype=np.uint8)
    wanted[:, 28:] = 1  # from pixel 28 on, three quarters are of cell 14
    np.testing.assert_array_equal(drawn(crop, (56, 56)), wanted)


def test_back_to_network_pixels_by_hand() -> None:
    # (6 - 1) * 2 + 1 = 11 at the far side
    carried = to_network_pixels(box(1, 2, 6, 8), 2.0)
    np.testing.assert_array_equal(carried, box(2, 4, 11, 15))
    np.testing.assert_array_equal(to_image_pixels(carried, 2.0), box(1, 2, 6, 8))
