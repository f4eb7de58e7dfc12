"""From an image and its truth to what the network sees, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from comask.config import AugmentConfig, PreprocessingConfig
from comask.data import transforms
from comask.data.transforms import Truth, Window
from comask.structures import ImageBatch, Size, Target
from comask.train.step import TrainingStep
from tests.models import small_model

STILL = AugmentConfig(flip=0.0)
TURNING = AugmentConfig(flip=0.5, turns=True)
VIEW = PreprocessingConfig(short_side=50, long_side=1000)
Box = tuple[int, int, int, int]


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(size: Size, seed: int = 0) -> np.ndarray:
    return random(seed).integers(0, 256, (*size, 3), np.uint8)


def truth(size: Size, *boxes: Box, crowd: tuple[int, ...] = ()) -> Truth:
    """Objects that fill their boxes, labels 0, 1, ..."""
    masks = np.zeros((len(boxes), *size), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    return Truth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.arange(len(boxes)),
        masks,
        np.array([row in crowd for row in range(len(boxes))]),
    )


def whole(size: Size, network: Size | None = None) -> Window:
    return Window(0, 0, size[1], size[0], network or size)


def tight(mask: torch.Tensor) -> list[float]:
    y, x = mask.nonzero(as_tuple=True)
    return [float(v) for v in (x.min(), y.min(), x.max() + 1, y.max() + 1)]


def assert_masks_fill_boxes(target: Target) -> None:
    assert [tight(mask) for mask in target.masks] == target.boxes.tolist()


# --- what prediction does too ----------------------------------------------------------------


def test_pixels_are_centred_and_scaled_channel_by_channel() -> None:
    pixels = np.array([[[255, 0, 128]]], np.uint8)
    made = transforms.normalise(pixels, PreprocessingConfig())
    wanted = [(255 - 123.675) / 58.395, -116.28 / 57.12, (128 - 103.53) / 57.375]
    assert_close(made, torch.tensor(wanted).view(3, 1, 1))


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 7), (12, 9)])
def test_every_pixel_gets_its_own_value_however_it_is_stored(size: Size) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    for shown in (pixels, pixels[:, ::-1], pixels.transpose(1, 0, 2)):
        made = transforms.normalise(shown, PreprocessingConfig()).numpy()
        assert_allclose(made, ((shown - mean) / std).transpose(2, 0, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "network", "scale"),
    [((100, 200), (50, 100), 0.5), ((25, 42), (50, 84), 2.0), ((10, 2000), (5, 1000), 0.5)],
)
def test_an_image_is_brought_to_the_side_that_binds(
    size: Size, network: Size, scale: float
) -> None:
    made, found = transforms.prepare(noise(size), VIEW)
    assert made.shape == (3, *network)
    assert found == scale


# --- the window ------------------------------------------------------------------------------


def test_without_a_crop_the_window_is_the_whole_image() -> None:
    made = transforms.choose_window((100, 200), VIEW, STILL, random())
    assert made == Window(0, 0, 200, 100, (50, 100))


def test_scales_are_drawn_from_their_range() -> None:
    augment = replace(STILL, scale_low=0.5, scale_high=2.0)
    heights = []
    for seed in range(200):
        made = transforms.choose_window((100, 200), VIEW, augment, random(seed))
        height, width = made.size
        assert (made.x, made.y, made.width, made.height) == (0, 0, 200, 100)
        assert abs(width - 2 * height) <= 1
        heights.append(height)
    assert 25 <= min(heights) <= 27
    assert 95 <= max(heights) <= 100
    assert abs(np.median(heights) - 50) < 6  # evenly in the logarithm


def test_a_crop_takes_every_part_of_the_image() -> None:
    # 32 network pixels at half scale are 64 image pixels, at 0 .. 36 down and 0 .. 136 across
    augment = replace(STILL, crop=32)
    made = [transforms.choose_window((100, 200), VIEW, augment, random(k)) for k in range(400)]
    assert {(one.width, one.height, one.size) for one in made} == {(64, 64, (32, 32))}
    assert {one.y for one in made} == set(range(37))
    assert min(one.x for one in made) == 0
    assert max(one.x for one in made) == 136


@pytest.mark.parametrize(("crop", "size"), [(100, (50, 100)), (99, (50, 99)), (70, (50, 70))])
def test_a_crop_binds_the_sides_that_are_longer(crop: int, size: Size) -> None:
    made = transforms.choose_window((100, 200), VIEW, replace(STILL, crop=crop), random())
    assert made.size == size
    assert made.height == 100


def test_a_crop_of_less_than_a_pixel_is_a_pixel() -> None:
    augment = AugmentConfig(flip=0.0, crop=1, scale_low=20.0, scale_high=20.0)
    window = transforms.choose_window((1, 50), VIEW, augment, random())
    assert (window.width, window.height, window.size) == (1, 1, (1, 1))
    shown, target = transforms.view(
        noise((1, 50)), truth((1, 50), (0, 0, 50, 1)), window, augment, random()
    )
    assert shown.shape == (1, 1, 3)
    assert len(target.boxes) == 0


# --- the view --------------------------------------------------------------------------------


def test_the_whole_image_at_its_own_size_is_left_as_it_is() -> None:
    pixels, given = noise((25, 42)), truth((25, 42), (3, 5, 20, 12), (0, 0, 42, 25), crowd=(1,))
    shown, target = transforms.view(pixels, given, whole((25, 42)), STILL, random())
    assert_array_equal(shown, pixels)
    assert target.boxes.tolist() == [[3, 5, 20, 12], [0, 0, 42, 25]]
    assert target.labels.tolist() == [0, 1]
    assert target.crowd.tolist() == [False, True]
    assert_array_equal(target.masks.numpy(), given.masks)
    assert target.masks.dtype == torch.uint8


def test_a_mirror_image_by_hand() -> None:
    pixels, given = noise((2, 5)), truth((2, 5), (0, 0, 2, 1))
    always = replace(STILL, flip=1.0)
    shown, target = transforms.view(pixels, given, whole((2, 5)), always, random())
    assert_array_equal(shown, pixels[:, ::-1])
    assert target.boxes.tolist() == [[3, 0, 5, 1]]
    assert target.masks[0].tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]


def test_a_quarter_turn_by_hand() -> None:
    pixels, given = noise((2, 5)), truth((2, 5), (0, 0, 2, 1))
    turning = AugmentConfig(flip=0.0, turns=True)
    seed = next(k for k in range(20) if turns_of(k) == 1)
    shown, target = transforms.view(pixels, given, whole((2, 5)), turning, random(seed))
    assert shown.shape == (5, 2, 3)
    assert_array_equal(shown[4, 0], pixels[0, 0])  # against the clock: top left goes bottom left
    assert_array_equal(shown[0, 0], pixels[0, 4])
    assert target.boxes.tolist() == [[0, 3, 1, 5]]
    assert target.masks[0].tolist() == [[0, 0], [0, 0], [0, 0], [1, 0], [1, 0]]


def turns_of(seed: int) -> int:
    rng = random(seed)
    rng.random()  # the mirror is drawn first
    return int(rng.integers(0, 4))


def test_boxes_and_masks_move_together_into_all_eight_positions() -> None:
    pixels, given = (
        noise((25, 42)),
        truth((25, 42), (3, 5, 20, 12), (30, 0, 42, 25), (0, 24, 1, 25)),
    )
    seen = set()
    for seed in range(60):
        shown, target = transforms.view(pixels, given, whole((25, 42)), TURNING, random(seed))
        assert_masks_fill_boxes(target)
        assert shown.shape[:2] == tuple(target.masks.shape[1:])
        x1, y1, x2, y2 = (int(v) for v in target.boxes[0])
        part = np.sort(shown[y1:y2, x1:x2].ravel())
        assert_array_equal(part, np.sort(pixels[5:12, 3:20].ravel()))
        seen.add((shown.shape, x1, y1))
    assert len(seen) == 8


@pytest.mark.parametrize("network", [(50, 84), (25, 42), (33, 55), (13, 21), (101, 170)])
def test_resized_boxes_stay_with_their_masks(network: Size) -> None:
    given = truth((25, 42), (3, 5, 20, 12), (30, 0, 42, 25))
    _, target = transforms.view(noise((25, 42)), given, whole((25, 42), network), STILL, random())
    scale = torch.tensor([network[1] / 42, network[0] / 25] * 2)
    assert_close(target.boxes, torch.from_numpy(given.boxes) * scale)
    drawn = torch.tensor([tight(mask) for mask in target.masks])
    assert (drawn - target.boxes).abs().max() <= 1.0  # masks are whole pixels


def test_what_a_window_cuts_gets_the_box_of_its_rest() -> None:
    given = truth((40, 60), (5, 5, 30, 30), (20, 10, 50, 25))
    window = Window(10, 8, 30, 20, (20, 30))  # x 10 .. 40, y 8 .. 28
    shown, target = transforms.view(noise((40, 60)), given, window, STILL, random())
    assert_array_equal(shown, noise((40, 60))[8:28, 10:40])
    assert target.boxes.tolist() == [[0, 0, 20, 20], [10, 2, 30, 17]]
    assert_masks_fill_boxes(target)


def test_the_rest_of_a_curved_object_has_a_tighter_box_than_the_cut() -> None:
    given = truth((20, 20), (0, 0, 20, 20))
    given.masks[0] = np.tri(20, dtype=np.uint8)  # the lower left triangle
    window = Window(10, 0, 10, 20, (20, 10))
    _, target = transforms.view(noise((20, 20)), given, window, STILL, random())
    assert target.boxes.tolist() == [[0, 10, 10, 20]]


def test_slivers_and_what_lies_outside_are_dropped() -> None:
    boxes = (
        (0, 0, 12, 9),
        (0, 0, 13, 9),
        (0, 0, 30, 2),
        (0, 0, 30, 3),
        (0, 0, 9, 9),
        (0, 0, 60, 40),
    )
    given = truth((40, 60), *boxes, crowd=(5,))
    window = Window(10, 0, 30, 20, (20, 30))  # of the first two, 2 and 3 columns are left
    _, target = transforms.view(noise((40, 60)), given, window, STILL, random())
    assert target.labels.tolist() == [1, 3, 5]
    assert target.boxes.tolist() == [[0, 0, 3, 9], [0, 0, 20, 3], [0, 0, 30, 20]]
    assert target.crowd.tolist() == [False, False, True]
    assert len(target.masks) == 3


def test_a_thin_object_that_nothing_cuts_is_kept() -> None:
    given = truth((40, 60), (20, 10, 21, 30))
    _, target = transforms.view(
        noise((40, 60)), given, Window(10, 0, 40, 40, (40, 40)), STILL, random()
    )
    assert target.boxes.tolist() == [[10, 10, 11, 30]]


def test_a_view_without_objects_still_teaches() -> None:
    pixels, given = noise((80, 120)), truth((80, 120), (90, 50, 110, 70))
    shown, target = transforms.view(
        pixels, given, Window(0, 0, 64, 64, (64, 64)), TURNING, random()
    )
    assert target.boxes.shape == (0, 4)
    assert target.masks.shape == (0, 64, 64)
    assert len(target.labels) == len(target.crowd) == 0
    images = ImageBatch.of([transforms.normalise(shown, VIEW)])
    found = TrainingStep(small_model().train())(images, [target], [3])
    assert found["class_score"] > 0
    assert found["box"] == found["mask"] == found["mask_iou"] == found["proposal_box"] == 0
    torch.stack(list(found.values())).sum().backward()


def test_colour_changes_pixels_and_nothing_else() -> None:
    pixels, given = noise((25, 42)), truth((25, 42), (3, 5, 20, 12))
    before = pixels.copy()
    coloured = replace(STILL, colour=0.5)
    shown, target = transforms.view(pixels, given, whole((25, 42)), coloured, random())
    assert shown.dtype == np.uint8
    assert (shown != pixels).mean() > 0.5
    assert target.boxes.tolist() == [[3, 5, 20, 12]]
    assert_array_equal(pixels, before)


def test_colour_stays_within_its_strength() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)  # contrast turns about the mean: only the shift shows
    shifts = [
        transforms.view(grey, truth((4, 4)), whole((4, 4)), replace(STILL, colour=0.5), random(k))[
            0
        ]
        for k in range(50)
    ]
    assert 79 <= np.min(shifts) < 90  # 0.5 x 40 either way
    assert 110 < np.max(shifts) <= 120


def test_a_view_leaves_its_arguments_alone() -> None:
    pixels, given = noise((25, 42)), truth((25, 42), (3, 5, 20, 12))
    copies = pixels.copy(), given.boxes.copy(), given.masks.copy()
    window = Window(5, 3, 20, 20, (40, 40))
    transforms.view(pixels, given, window, replace(TURNING, colour=0.3), random())
    for now, before in zip((pixels, given.boxes, given.masks), copies, strict=True):
        assert_array_equal(now, before)


def test_the_same_seed_gives_the_same_view() -> None:
    pixels, given = noise((60, 90)), truth((60, 90), (3, 5, 50, 42))
    augment = AugmentConfig(turns=True, scale_low=0.5, scale_high=2.0, crop=40, colour=0.3)

    def shown(seed: int) -> np.ndarray:
        rng = random(seed)
        window = transforms.choose_window((60, 90), VIEW, augment, rng)
        return transforms.view(pixels, given, window, augment, rng)[0]

    assert_array_equal(shown(1), shown(1))
    assert shown(1).shape != shown(2).shape or (shown(1) != shown(2)).any()
    assert_allclose(shown(1).shape[:2], 40)
