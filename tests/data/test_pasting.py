"""Copy and paste, worked out by hand on small pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from comask.data.pasting import View, paste
from comask.structures import Target

Box = tuple[int, int, int, int]


def view(size: tuple[int, int], colour: int, *boxes: Box, crowd: tuple[int, ...] = ()) -> View:
    """A picture of one colour with objects that fill their boxes, labels colour, colour + 1, ..."""
    masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    target = Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.arange(len(boxes)) + colour,
        masks,
        torch.tensor([row in crowd for row in range(len(boxes))], dtype=torch.bool),
    )
    return np.full((*size, 3), colour, dtype=np.uint8), target


def pasted(base: View, donor: View, count: int) -> View:
    """Try seeds until ``count`` objects were pasted."""
    for seed in range(200):
        mixed = paste(base, donor, np.random.default_rng(seed))
        if int((mixed[1].labels >= donor[1].labels.min()).sum()) == count:
            return mixed
    raise AssertionError("no seed pastes as many")


def test_an_object_brings_its_pixels_its_class_and_its_box() -> None:
    base, donor = view((20, 30), 1, (0, 0, 8, 8)), view((20, 30), 50, (10, 4, 20, 16))
    pixels, target = pasted(base, donor, 1)
    assert target.labels.tolist() == [1, 50]
    assert_close(target.boxes, torch.tensor([[0.0, 0, 8, 8], [10, 4, 20, 16]]))
    assert (pixels[4:16, 10:20] == 50).all()
    assert pixels.astype(int).sum() == 3 * (50 * 120 + 1 * (600 - 120))
    assert target.masks.sum(dim=(1, 2)).tolist() == [64, 120]
    assert target.crowd.tolist() == [False, False]


def test_what_is_covered_shrinks() -> None:
    base, donor = view((20, 20), 1, (0, 0, 10, 10)), view((20, 20), 50, (4, 0, 20, 20))
    _, target = pasted(base, donor, 1)
    assert_close(target.boxes[0], torch.tensor([0.0, 0, 4, 10]))
    assert int(target.masks[0].sum()) == 40
    assert int((target.masks.sum(dim=0) > 1).sum()) == 0


def test_what_is_nearly_covered_is_dropped_and_a_crowd_never() -> None:
    base = view((40, 40), 1, (0, 0, 40, 40), (10, 10, 20, 20), crowd=(0,))
    donor = view((40, 40), 50, (3, 3, 40, 40))
    _, target = pasted(base, donor, 1)
    assert target.labels.tolist() == [1, 50]
    assert target.crowd.tolist() == [True, False]
    assert int(target.masks[0].sum()) == 1600 - 37 * 37


def test_a_crowd_is_not_pasted() -> None:
    base = view((20, 20), 1, (0, 0, 4, 4))
    donor = view((20, 20), 50, (5, 5, 15, 15), crowd=(0,))
    for seed in range(20):
        assert paste(base, donor, np.random.default_rng(seed)) is base


@pytest.mark.parametrize("size", [(10, 50), (50, 10), (12, 12), (60, 60)])
def test_pictures_of_other_sizes_are_laid_somewhere_over_the_picture(size: tuple[int, int]) -> None:
    base, donor = view((30, 30), 1), view(size, 50, (0, 0, size[1], size[0]))
    places = set()
    for seed in range(40):
        pixels, target = paste(base, donor, np.random.default_rng(seed))
        assert pixels.shape == (30, 30, 3)
        for mask, box in zip(target.masks, target.boxes, strict=True):
            ys, xs = np.nonzero(mask.numpy())
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert len(xs) == min(size[0], 30) * min(size[1], 30)
            places.add((xs.min(), ys.min()))
    assert len(places) > (1 if min(size) < 30 else 0)


def test_the_image_stays_annotated_for_what_it_was() -> None:
    base, donor = view((20, 20), 1, (0, 0, 4, 4)), view((20, 20), 50, (5, 5, 15, 15))
    annotated = torch.tensor([True, False])
    _, target = pasted((base[0], replace(base[1], annotated=annotated)), donor, 1)
    assert target.annotated is annotated


def test_neither_view_is_changed() -> None:
    base, donor = view((20, 20), 1, (0, 0, 8, 8)), view((20, 20), 50, (4, 4, 20, 20))
    kept = (base[0].copy(), base[1].masks.clone(), base[1].boxes.clone())
    pasted(base, donor, 1)
    np.testing.assert_array_equal(base[0], kept[0])
    assert_close(base[1].masks, kept[1])
    assert_close(base[1].boxes, kept[2])
