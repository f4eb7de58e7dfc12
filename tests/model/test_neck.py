"""The pyramid: the top-down path by hand, odd sizes, P6."""

import pytest
import torch
from torch.testing import assert_close

from comask.config import NeckConfig
from comask.model.neck import Neck
from tests.models import noise

SIZES = ((25, 42), (13, 21), (7, 11), (4, 6))
DOUBLES = ((24, 40), (12, 20), (6, 10), (3, 5))
CHANNELS = (24, 32, 96, 320)


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
    neck = Neck(CHANNELS, NeckConfig(channels=32))
    stages = [noise(2, c, *size) for c, size in zip(CHANNELS, SIZES, strict=True)]
    before = [stage.clone() for stage in stages]
    levels = neck(stages)
    assert [tuple(level.shape[-2:]) for level in levels] == [*SIZES, (2, 3)]
    assert_close(levels[4], levels[3][:, :, ::2, ::2])
    assert all(torch.equal(a, b) for a, b in zip(stages, before, strict=True))


@pytest.mark.parametrize("sizes", [SIZES, DOUBLES])
def test_without_gradients_levels_are_the_same(sizes: tuple[tuple[int, int], ...]) -> None:
    neck = Neck(CHANNELS, NeckConfig(channels=32))
    stages = [noise(2, c, *size) for c, size in zip(CHANNELS, sizes, strict=True)]
    stages = [stage.to(memory_format=torch.channels_last) for stage in stages]
    learning = neck(stages)
    with torch.no_grad():
        finding = neck(stages)
    for level, wanted in zip(finding, learning, strict=True):
        assert_close(level, wanted)


@torch.no_grad()
def test_laterals_are_written_over_only_where_that_is_allowed() -> None:
    neck = Neck(CHANNELS, NeckConfig(channels=32))
    laterals = [noise(1, 32, *size) for size in DOUBLES]
    before = [lateral.clone() for lateral in laterals]
    merged = neck.from_the_top(laterals)
    assert all(torch.equal(a, b) for a, b in zip(laterals, before, strict=True))
    assert not torch.equal(merged[0], before[0])
    written = neck.from_the_top(laterals, over=True)
    assert all(torch.equal(a, b) for a, b in zip(written, merged, strict=True))
