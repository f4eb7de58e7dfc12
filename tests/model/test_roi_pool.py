"""Adaptive pooling against the authors' numbers, and each region at its own level."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.model.roi_pool import AdaptivePool, LevelPool, RegionPool, by_level, levels_of
from comask.ops.deform_roi_pool import deform_roi_pool
from tests import authors
from tests.models import noise

SIZE = (100, 100)
# a side of 80, 60, 40, 30 pixels is 0.64, 0.36, 0.16, 0.09 of the image
SIDES = {80: 5, 60: 4, 40: 3, 30: 2}


def squares(*sides: float) -> Tensor:
    return torch.tensor([[0.0, 0.0, side, side] for side in sides]).reshape(-1, 4)


def pyramid(channels: int = 32, images: int = 1) -> list[Tensor]:
    return [noise(images, channels, 100 // s, 100 // s, seed=s) for s in (4, 8, 16, 32)]


def test_adaptive_pooling_as_recorded(spec_fixtures: Path) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_awpool")
    pool = AdaptivePool(16)
    theirs = "bbox_roi_extractor.roi_layers.0.awp."
    weights = {theirs + k.removeprefix("w/"): v for k, v in recorded.items() if k.startswith("w/")}
    authors.fill(pool, weights, "class_head.pool.levels.0.pool.")
    with torch.inference_mode():
        authors.close(pool(recorded["x"]), recorded["out"])


def test_adaptive_pooling_starts_as_a_plain_mean_of_the_cells_inside() -> None:
    cells = torch.arange(196.0).view(1, 1, 14, 14)
    pooled = AdaptivePool(1)(cells)
    assert_close(pooled[0, 0, 0, 0], torch.tensor((0 + 1 + 14 + 15) / 4))  # the corner has 4 cells
    assert_close(pooled[0, 0, 3, 3], cells[0, 0, 6, 6])  # 3 x 3 cells around row 6, column 6


def test_extreme_weights_stay_finite_in_half_precision() -> None:
    pool = AdaptivePool(4)
    torch.nn.init.constant_(pool.norm.bias, 50.0)  # e^12 = 162755 is beyond float16
    with torch.autocast("cpu", dtype=torch.float16):
        pooled = pool(noise(2, 4, 14, 14))
    assert pooled.isfinite().all()


def test_offsets_move_blocks_of_two_by_two_samples() -> None:
    torch.manual_seed(0)
    pool, level = LevelPool(32, 16), noise(1, 32, 25, 25)
    torch.nn.init.normal_(pool.offsets[-1].bias)
    moves = pool.offsets[-1].bias.view(1, 2, 7, 7)
    boxes, rows = squares(50.0), torch.tensor([0])
    wide = moves.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    wanted = pool.pool(deform_roi_pool(level, boxes, rows, 4, 14, wide))
    assert_close(pool(level, boxes, rows, 4), wanted)


def test_the_share_of_its_own_image_chooses_the_level() -> None:
    boxes = squares(*SIDES)
    found = levels_of([boxes, boxes], [SIZE, (1000, 1000)])
    assert found.tolist() == [*SIDES.values(), 2, 2, 2, 2]


def test_regions_keep_their_order_and_go_to_their_level_and_image() -> None:
    boxes = [squares(30, 80, 60), squares(40, 30)]
    seen: list[tuple[int, list[int]]] = []

    def pool(k: int, level: Tensor, boxes: Tensor, rows: Tensor) -> Tensor:
        seen.append((k, rows.tolist()))
        return boxes[:, 2].view(-1, 1, 1, 1).expand(-1, level.shape[1], 2, 2)

    pooled = by_level(pyramid(images=2), boxes, [SIZE, SIZE], 2, pool)
    assert pooled[:, 0, 0, 0].tolist() == [30.0, 80.0, 60.0, 40.0, 30.0]
    assert seen == [(0, [0, 1]), (1, [1]), (2, [0]), (3, [0])]


@pytest.mark.parametrize("training", [False, True])
def test_many_regions_equal_one_by_one(training: bool) -> None:
    torch.manual_seed(0)
    pool, levels = RegionPool(32, 16).train(training), pyramid()
    for part in pool.levels:
        torch.nn.init.normal_(part.pool.conv.weight, std=0.05)
    boxes = torch.cat([squares(*SIDES), squares(*range(1, 90))])  # more than one chunk
    together = pool(levels, [boxes], [SIZE])
    alone = torch.cat([pool(levels, [box[None]], [SIZE]) for box in boxes])
    assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_no_regions_give_an_empty_map() -> None:
    pooled = RegionPool(32, 16)(pyramid(), [squares()], [SIZE])
    assert pooled.shape == (0, 32, 7, 7)
    assert levels_of([squares()], [SIZE]).shape == (0,)
