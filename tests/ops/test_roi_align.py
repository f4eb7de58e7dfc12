"""RoIAlign: the worked example, the authors' numbers, torchvision as a second opinion."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.ops.roi_align import roi_align
from tests import authors

RAMP = torch.arange(16.0).view(1, 1, 4, 4)  # 4 * row + column
FIRST = torch.zeros(1, dtype=torch.long)


def one(x1: float, y1: float, x2: float, y2: float) -> Tensor:
    return torch.tensor([[x1, y1, x2, y2]])


def test_as_recorded(spec_fixtures: Path) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_roi_align")
    boxes, rows = authors.regions(recorded["rois"])
    pooled = roi_align(recorded["data"], boxes, rows, int(recorded["stride"]), 14)
    authors.close(pooled, recorded["out14_s2"])


def test_worked_example() -> None:
    # inclusive (2, 3, 9, 11): from (0.5, 0.75), 2 x 2.25 feature pixels, bins of 1 x 1.125
    pooled = roi_align(RAMP, one(2, 3, 10, 12), FIRST, 4, 2)
    assert_close(pooled[0, 0], torch.tensor([[6.25, 7.25], [10.75, 11.75]]))


def test_a_region_without_width_samples_one_column() -> None:
    pooled = roi_align(RAMP, one(8, 0, 8, 8), FIRST, 4, 2)  # column 2, rows 0.25 .. 1.75
    assert_close(pooled[0, 0], torch.tensor([[4.0, 4.0], [8.0, 8.0]]))


def test_samples_far_outside_count_as_nothing() -> None:
    # bins of 2 feature pixels: samples at -1.5 (out), -0.5 (moved to 0), 0.5 and 1.5 on both sides
    pooled = roi_align(RAMP, one(-8, -8, 8, 8), FIRST, 4, 2)
    only_corner = 0.0 / 4  # of four samples three are out and the last is the map's corner, 0
    right = (0.5 + 1.5) / 4  # the upper two samples are out, the lower two lie on row 0
    lower = (4 * 0.5 + 4 * 1.5) / 4
    inside = (2.5 + 3.5 + 6.5 + 7.5) / 4
    assert_close(pooled[0, 0], torch.tensor([[only_corner, right], [lower, inside]]))


@pytest.mark.slow
def test_equals_torchvision_on_boxes_moved_by_half_a_stride() -> None:
    from torchvision.ops import roi_align as torchvisions  # takes longer than all other tests here

    generator = torch.Generator().manual_seed(0)
    level = torch.randn(2, 3, 25, 42, generator=generator)
    boxes = torch.rand(50, 4, generator=generator) * 300 - 30
    boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:].abs()], dim=1)
    rows = torch.arange(50) % 2
    moved = torch.cat([rows[:, None].float(), boxes + 4.0], dim=1)
    wanted = torchvisions(level, moved, 7, 1 / 8, 2, aligned=True)
    assert_close(roi_align(level, boxes, rows, 8, 7), wanted, rtol=0, atol=1e-4)


def test_gradient_reaches_the_features() -> None:
    level = torch.randn(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[0.3, 1.1, 9.2, 10.7]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: roi_align(m, boxes, FIRST, 4, 2), level)


def test_no_regions_give_an_empty_map() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    assert roi_align(RAMP, torch.zeros(0, 4), empty, 4, 14).shape == (0, 1, 14, 14)
