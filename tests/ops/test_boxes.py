"""Boxes: by hand, and as the authors' code computes them."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.ops import boxes as box_ops
from tests import authors

NONE = torch.zeros(0, 4)


def rows(*boxes: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


# --- against the authors' code ---------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(spec_fixtures: Path) -> dict[str, Tensor]:
    return authors.arrays(spec_fixtures, "mod_boxes")


def test_decoding_and_clipping_as_recorded(recorded: dict[str, Tensor]) -> None:
    decoded = box_ops.decode(recorded["deltas"], authors.half_open(recorded["anchors"]))
    wanted = authors.half_open(recorded["decoded_clip_123x160"])
    assert_close(box_ops.clip(decoded, (123, 160)), wanted, rtol=0, atol=1e-3)


def test_encoding_undoes_decoding_as_recorded(recorded: dict[str, Tensor]) -> None:
    stds = torch.tensor([0.1, 0.1, 0.2, 0.2])  # of the recording; ours are 1
    anchors = authors.half_open(recorded["anchors"])
    decoded = authors.half_open(recorded["decoded_noclip_std"])
    assert_close(box_ops.decode(recorded["deltas"] * stds, anchors), decoded, rtol=0, atol=1e-3)
    assert_close(box_ops.encode(decoded, anchors), recorded["encoded"], rtol=0, atol=1e-4)


def test_overlaps_as_recorded(recorded: dict[str, Tensor]) -> None:
    anchors = authors.half_open(recorded["anchors"])
    left, right = anchors[:30], anchors[30:60]
    assert_close(box_ops.pairwise_iou(left, right), recorded["iou"], rtol=0, atol=1e-6)
    assert_close(box_ops.covered_share(left, right), recorded["iof"], rtol=0, atol=1e-6)
    paired = box_ops.pairwise_iou(left, right).diagonal()
    assert_close(paired, recorded["iou_aligned"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "max_iou"), [("keep_3", 0.3), ("keep_7", 0.7)])
def test_suppression_as_recorded(spec_fixtures: Path, name: str, max_iou: float) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_nms")
    dets = recorded["dets"]
    kept = box_ops.nms(authors.half_open(dets), dets[:, 4], max_iou)
    assert torch.equal(kept, recorded[name])


@pytest.mark.parametrize("image", [0, 1])
def test_levels_as_recorded(spec_fixtures: Path, image: int) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_levels")
    own = recorded["rois"][:, 0] == image
    boxes, _ = authors.regions(recorded["rois"][own])
    height, width = recorded["img_shapes"][image].tolist()
    assert torch.equal(box_ops.pyramid_level(boxes, (height, width)), recorded["levels"][own] + 2)


# --- by hand ---------------------------------------------------------------------------------


def test_iou_by_hand() -> None:
    square = rows((0, 0, 2, 2))
    others = rows((0, 0, 2, 2), (1, 0, 3, 2), (5, 5, 6, 6), (2, 0, 4, 2))
    assert_close(box_ops.pairwise_iou(square, others), torch.tensor([[1.0, 1 / 3, 0.0, 0.0]]))


def test_boxes_without_area_have_an_iou_of_zero() -> None:
    flat = rows((1, 1, 1, 5), (1, 1, 1, 1))
    assert box_ops.pairwise_iou(flat, flat).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_covered_share_by_hand() -> None:
    regions = rows((0, 0, 3, 4), (4, 4, 9, 9))
    assert_close(box_ops.covered_share(rows((0, 0, 4, 4)), regions), torch.tensor([[0.75, 0.0]]))
    assert box_ops.covered_share(rows((1, 1, 1, 1)), regions).tolist() == [[0.0, 0.0]]


def test_clipping_keeps_a_pixel_of_every_box() -> None:
    given = rows((-5, -5, 20, 20), (-9, 2, -3, 4), (30, 30, 40, 40), (2, 3, 4, 5))
    wanted = rows((0, 0, 12, 10), (0, 2, 1, 4), (11, 9, 12, 10), (2, 3, 4, 5))
    before = given.clone()
    assert torch.equal(box_ops.clip(given, (10, 12)), wanted)
    assert torch.equal(given, before)


def test_deltas_by_hand() -> None:
    anchors, boxes = rows((0, 0, 10, 20)), rows((10, 0, 30, 20))
    deltas = torch.tensor([[1.5, 0.0, math.log(2), 0.0]])
    assert_close(box_ops.encode(boxes, anchors), deltas)
    assert_close(box_ops.decode(deltas, anchors), boxes)


def test_growth_is_limited_to_62_and_a_half() -> None:
    grown = box_ops.decode(torch.tensor([[0.0, 0.0, 9.0, -9.0]]), rows((0, 0, 2, 2)))
    assert_close(grown, rows((1 - 62.5, 1 - 0.016, 1 + 62.5, 1 + 0.016)))


def test_suppression_is_strict_and_keeps_the_rows_in_order() -> None:
    # the first two overlap by exactly one half, the last is inside the second by 0.6
    boxes = rows((0, 0, 100, 1), (0, 0, 50, 1), (0, 0, 30, 1))
    scores = torch.tensor([0.5, 0.9, 0.7])
    assert box_ops.nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert box_ops.nms(boxes, scores, 0.49).tolist() == [1]
    assert box_ops.nms(boxes, scores, 0.61).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("width", "level"),
    [(100, 5), (51, 5), (50, 4), (26, 4), (25, 3), (13, 3), (12.5, 2), (1, 2), (0, 2)],
)
def test_a_share_of_the_image_chooses_the_level(width: float, level: int) -> None:
    assert box_ops.pyramid_level(rows((0, 0, width, 10)), (10, 100)).tolist() == [level]


def test_none_gives_none() -> None:
    assert box_ops.area(NONE).shape == (0,)
    assert box_ops.pairwise_iou(NONE, NONE).shape == (0, 0)
    assert box_ops.pairwise_iou(rows((0, 0, 1, 1)), NONE).shape == (1, 0)
    assert box_ops.covered_share(NONE, rows((0, 0, 1, 1))).shape == (0, 1)
    assert box_ops.clip(NONE, (3, 4)).shape == (0, 4)
    assert box_ops.encode(NONE, NONE).shape == (0, 4)
    assert box_ops.decode(NONE, NONE).shape == (0, 4)
    assert box_ops.nms(NONE, torch.zeros(0), 0.5).tolist() == []
    assert box_ops.pyramid_level(NONE, (3, 4)).dtype == torch.int64
