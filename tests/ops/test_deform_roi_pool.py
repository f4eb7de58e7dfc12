"""Deformable pooling: the worked example of the spec, and the authors' numbers."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.ops.deform_roi_pool import deform_roi_pool, sample_points
from tests import authors

RAMP = torch.arange(16.0).view(1, 1, 4, 4)  # 4 * row + column
FIRST = torch.zeros(1, dtype=torch.long)
BOX = torch.tensor([[1.5, 2.5, 10.4, 11.6]])  # inclusive (1.5, 2.5, 9.4, 10.6)
PLAIN = torch.tensor([[1.0, 5 / 3, 7 / 3], [4.0, 14 / 3, 16 / 3], [7.0, 23 / 3, 25 / 3]])


def test_as_recorded_without_offsets(spec_fixtures: Path) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_deform_pool")
    boxes, rows = authors.regions(recorded["rois"])
    pooled = deform_roi_pool(recorded["data"], boxes, rows, int(recorded["stride"]), 3)
    authors.close(pooled, recorded["pool3_notrans"])


def test_as_recorded_with_offsets(spec_fixtures: Path) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_deform_pool")
    boxes, rows = authors.regions(recorded["rois"])
    offsets = recorded["offsets7"].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    stride = int(recorded["stride"])
    pooled = deform_roi_pool(recorded["data"], boxes, rows, stride, 14, offsets)
    authors.close(pooled, recorded["pool14_trans"])


def test_worked_example() -> None:
    assert_close(deform_roi_pool(RAMP, BOX, FIRST, 4, 3)[0, 0], PLAIN)


@pytest.mark.parametrize(
    ("axis", "place", "offset", "value"),
    [
        (0, (1, 2), 2.0, 16 / 3 + 0.4),  # 2 * 0.1 * width 2 to the right
        (1, (0, 0), -3.0, 0.0),  # up to -0.425: the border row's value
        (0, (2, 0), -5.0, 0.0),  # left to -1: outside
        (1, (0, 0), 2.0, 1.0 + 4 * 0.45),  # 2 * 0.1 * height 2.25 down
    ],
)
def test_worked_example_with_an_offset(
    axis: int, place: tuple[int, int], offset: float, value: float
) -> None:
    offsets = torch.zeros(1, 2, 3, 3)
    offsets[0, axis][place] = offset
    wanted = PLAIN.clone()
    wanted[place] = value
    assert_close(deform_roi_pool(RAMP, BOX, FIRST, 4, 3, offsets)[0, 0], wanted)


def test_corners_are_rounded_half_away_from_zero() -> None:
    boxes = torch.tensor([[2.5, -0.5, 9.5, 1.5]])  # inclusive (2.5, -0.5, 8.5, 0.5): 3, -1, 9, 1
    x, y = sample_points(boxes, 4, 2)
    assert_close(x[0, 0], torch.tensor([3 / 4 - 0.5, 3 / 4 - 0.5 + 7 / 4 / 2]))
    assert_close(y[0, :, 0], torch.tensor([-1 / 4 - 0.5, -1 / 4 - 0.5 + 3 / 4 / 2]))


def test_a_region_is_never_narrower_than_a_tenth_of_a_feature_pixel() -> None:
    x, _ = sample_points(torch.tensor([[8.0, 0.0, 7.0, 9.0]]), 4, 2)
    assert_close(x[0, 0], torch.tensor([1.5, 1.55]))


def test_each_region_reads_its_own_image() -> None:
    level = torch.cat([RAMP, 100 + RAMP])
    pooled = deform_roi_pool(level, BOX.repeat(2, 1), torch.tensor([1, 0]), 4, 3)
    assert_close(pooled[:, 0], torch.stack([100 + PLAIN, PLAIN]))


def test_gradients_reach_features_and_offsets() -> None:
    generator = torch.Generator().manual_seed(0)
    level = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    offsets = torch.randn(1, 2, 2, 2, dtype=torch.float64, generator=generator, requires_grad=True)

    def pool(level: Tensor, offsets: Tensor) -> Tensor:
        return deform_roi_pool(level, BOX.double(), FIRST, 4, 2, offsets)

    assert torch.autograd.gradcheck(pool, (level, offsets))


def test_no_regions_give_an_empty_map() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    assert deform_roi_pool(RAMP, torch.zeros(0, 4), empty, 4, 14).shape == (0, 1, 14, 14)
