"""The pyramid: the top-down path by hand, odd sizes, P6."""

import torch
from torch.testing import assert_close

from comask.config import NeckConfig
from comask.model.neck import Neck
from tests.models import noise

SIZES = ((25, 42), (13, 21), (7, 11), (4, 6))


def test_coarser_levels_are_added_to_the_finer_ones() -> None:
    neck = Neck((1, 1, 1, 1), NeckConfig(channels=32, branches=1))
    for lateral in neck.laterals:
        torch.nn.init.ones_(lateral.weight)
    stages = [torch.full((1, 1, 8 >> k, 8 >> k), 10.0**k) for k in range(4)]
    assert [level.unique().tolist() for level in neck.merged(stages)] == [
        [1111],
        [1110],
        [1100],
        [1000],
    ]


def test_levels_are_enlarged_by_the_nearest_pixel() -> None:
    neck = Neck((1, 1, 1, 1), NeckConfig(channels=32, branches=1))
    for lateral in neck.laterals:
        torch.nn.init.ones_(lateral.weight)
    stages = [torch.zeros(1, 1, 1, width) for width in (5, 3, 1, 1)]
    stages[1][..., :] = torch.tensor([1.0, 2.0, 3.0])
    # floor(column * 3 / 5) is 0, 0, 1, 1, 2
    assert neck.merged(stages)[0][0, 0, 0].tolist() == [1.0, 1.0, 2.0, 2.0, 3.0]


def test_odd_sizes_give_five_levels_and_leave_the_stages_alone() -> None:
    neck = Neck((24, 32, 96, 320), NeckConfig(channels=32))
    stages = [noise(2, c, *size) for c, size in zip((24, 32, 96, 320), SIZES, strict=True)]
    before = [stage.clone() for stage in stages]
    levels = neck(stages)
    assert [tuple(level.shape[-2:]) for level in levels] == [*SIZES, (2, 3)]
    assert_close(levels[4], levels[3][:, :, ::2, ::2])
    assert all(torch.equal(a, b) for a, b in zip(stages, before, strict=True))
