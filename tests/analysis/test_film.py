"""Films as pictures: reopened with PIL, and looked at where the answer is known."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from comask.analysis import captions
from comask.analysis.captions import Caption
from comask.analysis.film import film_frames, shown_rows, write_gif, write_strip
from comask.analysis.scene import PALETTE, VOTED, Place, Scene, place_around, place_of_all
from comask.analysis.stages import FIELD, stages_of
from comask.analysis.trace import makings
from comask.annotation import rle
from comask.errors import InputError
from comask.predict import Prediction
from tests import makings as planted

BLACK = np.zeros((*planted.SIZE, 3), np.uint8)
# the mask's inside: half of an orange, at the opacity of a mask that is looked at
INSIDE = np.array(PALETTE[0]) * 0.5 * FIELD


def scene(prediction: Prediction, *, near: bool = True, side: int = 300) -> Scene:
    found = makings(prediction)
    place = place_of_all(prediction.size, side)
    return Scene(BLACK, found, [PALETTE[0]] * len(found), place, near=near)


def at(picture: np.ndarray, x: int, y: int, factor: int = 10) -> np.ndarray:
    """Look at the middle of an image pixel."""
    return picture[y * factor + factor // 2, x * factor + factor // 2].astype(int)


def test_a_film_has_a_frame_for_each_stage_and_those_between() -> None:
    frames = film_frames(BLACK, planted.made(), 0, between=2)
    assert [frame.stage for frame in frames if frame.stage] == [s.name for s in stages_of()]
    assert len(frames) == 6 + 5 * 2
    assert len({frame.pixels.shape for frame in frames}) == 1
    assert frames[-1].seconds > frames[0].seconds > frames[1].seconds


def test_the_mask_is_coloured_where_it_is_and_nowhere_else() -> None:
    picture = scene(planted.made()).draw(stages_of()[4].moment)
    np.testing.assert_allclose(at(picture, 10, 9), INSIDE, atol=1)
    np.testing.assert_array_equal(at(picture, 25, 9), 0)  # right of it
    np.testing.assert_array_equal(at(picture, 5, 9), 0)  # in the first mask, not in the second


def test_the_first_mask_is_drawn_before_the_second() -> None:
    picture = scene(planted.made()).draw(stages_of()[1].moment)
    np.testing.assert_allclose(at(picture, 5, 9), INSIDE, atol=1)
    np.testing.assert_array_equal(at(picture, 10, 14), 0)  # the last row is the second mask's only


@pytest.mark.parametrize(("number", "x"), [(0, 4), (4, 7)])
def test_the_box_goes_from_the_proposal_to_the_mean(number: int, x: int) -> None:
    picture = scene(planted.made()).draw(stages_of()[number].moment)
    rows = slice(84, 100)  # a dash and a gap of its left edge
    assert picture[rows, x * 10 - 1 : x * 10 + 1].max(axis=0).min() > 100
    assert picture[rows, x * 10 - 8 : x * 10 - 4].max() == 0


def test_votes_are_tinted_by_their_weight() -> None:
    # the right edge of the surest vote, at x = 16, is yellow; the canvas around it stays dark
    votes = scene(planted.made()).draw(stages_of()[2].moment)
    red, green, blue = votes[60, 158:162].max(axis=0).astype(int)
    assert (red > 200, green > 200, blue < 110) == (True, True, True)


def test_gif_reopened() -> None:
    frames = film_frames(BLACK, planted.made(2), between=2)
    stream = io.BytesIO()
    write_gif(frames, stream)
    with Image.open(stream) as film:
        height, width = frames[0].pixels.shape[:2]
        assert (film.format, film.n_frames, film.size) == ("GIF", 16, (width, height))
        assert film.info["loop"] == 0
        film.seek(15)
        assert film.info["duration"] == 4000
        last = np.asarray(film.convert("RGB"))
    factor = 28  # 840 pixels for 30
    np.testing.assert_allclose(at(last, 10, 9, factor), np.array(PALETTE[1]) * 0.5 * FIELD, atol=14)
    np.testing.assert_allclose(at(last, 25, 9, factor), 0, atol=14)


def test_strip_reopened() -> None:
    frames = film_frames(BLACK, planted.made(), 0, between=3, side=320)
    stream = io.BytesIO()
    write_strip(frames, stream)
    height, width = frames[0].pixels.shape[:2]
    with Image.open(stream) as strip:
        assert (strip.format, strip.size) == ("PNG", (6 * width + 5 * 12, height))
        first = np.asarray(strip.convert("RGB"))[:, :width]
    np.testing.assert_array_equal(first, frames[0].pixels)


def test_nothing_found_is_one_frame_that_says_so() -> None:
    frames = film_frames(BLACK, planted.made(0))
    assert [frame.stage for frame in frames] == ["none"]
    for write in (write_gif, write_strip):
        stream = io.BytesIO()
        write(frames, stream)
        with Image.open(stream) as picture:
            assert picture.width == 840


@pytest.mark.parametrize("where", [200.0, -200.0])
def test_an_instance_outside_of_the_image_has_a_film_too(where: float) -> None:
    prediction = planted.made()
    shift = np.float32(where)
    empty = rle.encode(np.zeros(planted.SIZE, np.uint8))
    trace = replace(
        prediction.trace,
        proposals=prediction.trace.proposals + shift,
        votes=prediction.trace.votes + shift,
    )
    away = replace(prediction, boxes=prediction.boxes + shift, masks=(empty,), trace=trace)
    frames = film_frames(BLACK, away, 0, between=1)
    assert len(frames) == 11
    assert shown_rows(away, 0.0) == []  # has no pixel
    assert film_frames(BLACK, away)[0].stage == "none"


def test_a_vote_turned_inside_out_is_drawn() -> None:
    prediction = planted.made()
    votes = prediction.trace.votes.copy()
    votes[0, 0, 0] = (16, 14, 6, 4)
    film_frames(BLACK, replace(prediction, trace=replace(prediction.trace, votes=votes)), 0)


def test_without_a_second_pass_the_first_mask_stays_to_the_end() -> None:
    prediction = planted.without_collaboration(planted.made())
    frames = film_frames(BLACK, prediction, 0, between=0)
    assert [frame.stage for frame in frames] == ["proposal", "first", "votes", "box", "iou"]
    last = scene(prediction).draw(stages_of(weighted=False, second=False)[-1].moment)
    np.testing.assert_allclose(at(last, 12, 9), INSIDE, atol=1)


def test_weights_are_not_explained_where_they_mean_nothing() -> None:
    assert scene(planted.made()).weighted
    assert not scene(planted.without_collaboration(planted.made())).weighted
    assert not scene(planted.made(VOTED + 1), near=False).weighted


def test_of_many_instances_only_boxes_move() -> None:
    assert scene(planted.made(VOTED), near=False).voted
    crowd = scene(planted.made(VOTED + 1), near=False)
    assert not crowd.voted
    before, after = (
        crowd.draw(replace(stages_of()[2].moment, votes=share, tint=1.0)) for share in (0, 1)
    )
    np.testing.assert_array_equal(before, after)


def test_all_instances_are_those_above_the_score_with_a_pixel() -> None:
    prediction = planted.made(4)  # 0.9, 0.89, 0.88, 0.87
    assert shown_rows(prediction, 0.885) == [0, 1]
    empty = rle.encode(np.zeros(planted.SIZE, np.uint8))
    hollow = replace(prediction, masks=(empty, *prediction.masks[1:]))
    assert shown_rows(hollow, 0.0) == [1, 2, 3]
    # colours count instances with pixels, as the canvas does
    picture = film_frames(BLACK, hollow, 1, between=0, side=300)[4].pixels
    middle = picture[picture.shape[1] // 2 - 40, picture.shape[1] // 2]
    np.testing.assert_allclose(middle, INSIDE, atol=1)


@pytest.mark.parametrize(
    "pixels", [BLACK[:-1], BLACK.astype(np.float32), BLACK[..., 0]], ids=["size", "type", "grey"]
)
def test_another_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"\(20, 30, 3\) uint8"):
        film_frames(pixels, planted.made())


def test_the_image_is_left_alone() -> None:
    image = BLACK.copy()
    film_frames(image, planted.made(), between=0)
    np.testing.assert_array_equal(image, 0)


def test_a_picture_pixel_shows_the_image_pixel_under_its_centre() -> None:
    place = Place(0, 0, (1, 2), 2.5)  # centres 0.2, 0.6, 1.0, 1.4, 1.8
    assert place.picture == (2, 5)
    assert place.enlarge(np.array([[7, 8]]))[0].tolist() == [7, 7, 8, 8, 8]
    assert Place(10, 20, (5, 5), 2.0).corners(np.array([11, 22, 13, 21])) == (2, 2, 6, 4)


def test_the_window_holds_boxes_and_masks_with_a_margin() -> None:
    (one,) = makings(planted.made())
    place = place_around(one, planted.SIZE, 480)
    # 4 .. 18 and 4 .. 15 with a fifth of the longer side around each; three eighths high at least
    assert place.x <= 4 - 0.2 * 14 + 1
    assert place.x + place.size[1] >= 18 + 0.2 * 14 - 1
    assert place.size[0] >= place.size[1] * 2 / 3 - 1
    assert max(place.picture) <= 480


@pytest.mark.parametrize("width", [50, 900])
def test_a_caption_takes_the_room_it_was_given(width: int) -> None:
    told = [Caption("A"), Caption("B", "1 / 2", "word " * 40, "fact", scale=True)]
    height = captions.room(told, width)
    picture = np.zeros((30, width, 3), np.uint8)
    for one in told:
        assert captions.below(picture, one, height).shape == (30 + height, max(width, 260), 3)
