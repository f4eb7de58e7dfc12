"""How instances came about, in numbers that are worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from comask.analysis.trace import Pasting, cell_centres, makings
from comask.annotation import rle
from comask.checkpoint.native import CheckpointInfo
from comask.config import DetectionConfig, PreprocessingConfig, tiny
from comask.errors import InputError
from tests import makings as planted


def test_the_mean_of_the_votes_is_the_box() -> None:
    (one,) = makings(planted.made())
    np.testing.assert_allclose(one.mean, planted.BOX, atol=2e-4)  # 1e-5 / 1.5 of up to 15 px
    np.testing.assert_array_equal(one.box, planted.BOX)


def test_numbers_of_a_making_by_hand() -> None:
    (one,) = makings(planted.made())
    assert one.travel == (3.0, "left")  # 4 -> 7, and 2 px at the right, 1 at the bottom
    assert one.agreement == pytest.approx(90 / 149)  # 9 x 10 of 140 + 99 - 90
    assert (one.levels, one.mask_iou, one.row) == ((2, 3), 0.75, 0)
    assert float(one.weights.sum()) == 1.5
    assert rle.bbox(one.first) == planted.FIRST
    assert rle.area(one.first) == 140


@pytest.mark.parametrize(
    ("kind", "scale", "bbox"),
    [
        ("whole", 1.0, planted.FIRST),
        ("whole", 2.0, planted.FIRST),
        # the network's box is 8, 8, 35, 27; half a pixel off and halved: 3.75 .. 17.25, .. 13.25
        ("exact", 2.0, (4, 4, 13, 9)),
    ],
)
def test_the_first_mask_is_drawn_as_the_checkpoint_draws(
    kind: str, scale: float, bbox: tuple[int, ...]
) -> None:
    (one,) = makings(planted.made(), Pasting(kind, scale))  # type: ignore[arg-type]
    assert rle.bbox(one.first) == bbox


def test_a_checkpoint_says_how_it_draws() -> None:
    config = replace(tiny(), num_classes=1, detection=DetectionConfig(paste="exact"))
    view = PreprocessingConfig(short_side=100, long_side=400)
    info = CheckpointInfo(config, planted.made().categories, view)
    assert Pasting.of(info, (50, 80)) == Pasting("exact", 2.0)


def test_without_collaboration_votes_are_equal_and_the_first_mask_is_the_result() -> None:
    prediction = planted.without_collaboration(planted.made())
    (one,) = makings(prediction)
    assert (one.weighted, one.second, one.agreement) == (False, False, 1.0)
    assert one.first == one.mask == prediction.masks[0]
    # 6 + 9 of 49 votes, the others are 0; whole pixels are 1 less at the far side, and 1 more then
    np.testing.assert_allclose(one.mean, np.array([15, 8, 32, 31]) / 49, atol=1e-6)
    np.testing.assert_allclose(one.mean, one.box, atol=1e-6)


def test_nothing_found_has_no_makings() -> None:
    assert makings(planted.made(0)) == ()


@pytest.mark.parametrize("row", [-1, 2])
def test_an_instance_that_is_not_there_is_refused(row: int) -> None:
    with pytest.raises(InputError, match=f"no instance {row} among 2"):
        makings(planted.made(2), rows=[row])


def test_rows_come_in_the_order_asked_for() -> None:
    assert [one.row for one in makings(planted.made(3), rows=[2, 0])] == [2, 0]


def test_cells_are_spread_evenly_over_the_proposal() -> None:
    # whole pixels 0 .. 7 and 0 .. 14: cells of 1 and 2 px, drawn half a pixel further
    centres = cell_centres(np.array([0, 0, 8, 15], np.float32))
    wanted = [(j + 1.0, 2 * i + 1.5) for i in range(7) for j in range(7)]
    np.testing.assert_allclose(centres, wanted)


def test_an_empty_mask_of_either_pass_is_compared_too() -> None:
    empty = rle.encode(np.zeros(planted.SIZE, np.uint8))
    (one,) = makings(planted.made())
    assert replace(one, mask=empty).agreement == 0.0
    assert replace(one, mask=empty, first=empty).agreement == 1.0
