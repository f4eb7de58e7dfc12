"""Detections of the class branch: the authors' numbers, thresholds and limits by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.config import DetectionConfig
from comask.model.class_head import ClassHead, detect, explain
from comask.structures import Fate
from tests import authors
from tests.models import noise, small_config

CONFIG = DetectionConfig(min_score=0.2, nms_iou=0.3, max_instances=100)


@pytest.mark.parametrize("limit", [1000, 40])
def test_detections_as_recorded(spec_fixtures: Path, limit: int) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_nms")
    boxes = authors.half_open(recorded["dets"])
    logits = recorded["scores"].log()  # their softmax is the recorded probabilities
    found = detect(logits, boxes, replace(CONFIG, max_instances=limit))
    assert torch.equal(found.labels, recorded[f"mc_labels_{limit}"])
    wanted = recorded[f"mc_boxes_{limit}"]
    assert_close(found.boxes, authors.half_open(wanted), rtol=0, atol=1e-3)
    assert_close(found.scores, wanted[:, 4], rtol=0, atol=1e-5)
    assert torch.equal(boxes[found.rows], found.boxes)


def logits(*probabilities: tuple[float, ...]) -> Tensor:
    return torch.tensor(probabilities).log()


APART = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0], [40.0, 0.0, 50.0, 10.0]])


def test_one_proposal_may_be_two_things_and_a_score_at_the_threshold_is_none() -> None:
    found = detect(logits((0.25, 0.5, 0.25)), APART[:1], replace(CONFIG, min_score=0.24))
    assert found.labels.tolist() == [0, 1]
    assert_close(found.scores, torch.tensor([0.5, 0.25]))
    at = float(logits((0.25, 0.5, 0.25)).softmax(dim=1)[0, 2])
    assert detect(
        logits((0.25, 0.5, 0.25)), APART[:1], replace(CONFIG, min_score=at)
    ).labels.tolist() == [0]


def test_up_to_the_limit_results_are_grouped_by_class_in_the_proposals_order() -> None:
    given = logits((0.1, 0.3, 0.6), (0.1, 0.8, 0.1), (0.1, 0.4, 0.5))
    found = detect(given, APART, CONFIG)
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.rows.tolist() == [0, 1, 2, 0, 2]


def test_beyond_the_limit_the_best_are_left_best_first() -> None:
    given = logits((0.1, 0.3, 0.6), (0.1, 0.8, 0.1), (0.1, 0.4, 0.5))
    found = detect(given, APART, replace(CONFIG, max_instances=3))
    assert found.rows.tolist() == [1, 0, 2]
    assert found.labels.tolist() == [0, 1, 1]
    assert_close(found.scores, torch.tensor([0.8, 0.6, 0.5]))


def test_suppression_is_within_a_class_only() -> None:
    same = APART[:1].repeat(2, 1)
    assert detect(logits((0.1, 0.9), (0.2, 0.8)), same, CONFIG).rows.tolist() == [0]
    both = detect(logits((0.1, 0.9, 0.0), (0.1, 0.0, 0.9)), same, CONFIG)
    assert both.rows.tolist() == [0, 1]


@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_found_is_an_ordinary_value(rows: int) -> None:
    found = detect(logits((0.98, 0.01, 0.01)).repeat(rows, 1), APART[:rows], CONFIG)
    assert found.boxes.shape == (0, 4)
    assert found.labels.dtype == found.rows.dtype == torch.int64
    assert found.scores.shape == (0,)


def test_the_head_judges_none() -> None:
    levels = [noise(1, 64, 64 // s, 64 // s) for s in (4, 8, 16, 32)]
    assert ClassHead(small_config())(levels, [torch.zeros(0, 4)], [(64, 64)]).shape == (0, 4)


# -- fates --------------------------------------------------------------------------------------


def told(given: Tensor, boxes: Tensor, config: DetectionConfig) -> list[tuple[int, int, Fate, int]]:
    """List every candidate: proposal, label, fate, by."""
    fates = explain(given, boxes, detect(given, boxes, config), config)
    columns = (fates.rows, fates.labels, fates.fates, fates.by)
    listed = zip(*map(Tensor.tolist, columns), strict=True)
    return [(row, label, Fate(fate), by) for row, label, fate, by in listed]


# of 10 x 10 pixels; beside the first one: 2 px further (IoU 8 / 12), 8 px further (IoU 2 / 18)
ROW = torch.tensor([[0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0], [8.0, 0.0, 18.0, 10.0]])


def test_every_fate_by_hand() -> None:
    """The middle box overlaps both others by 2/3 and 4/16 = 1/4, at an NMS of 0.2."""
    given = logits((0.1, 0.9, 0.0), (0.3, 0.7, 0.0), (0.2, 0.8, 0.0), (0.85, 0.15, 0.0))
    boxes = torch.cat([ROW, ROW[:1] + 100])
    config = replace(CONFIG, nms_iou=0.2, max_instances=1)
    assert told(given, boxes, config) == [
        (0, 0, Fate.KEPT, 0),
        (1, 0, Fate.SUPPRESSED, 0),  # by the better one of the two that overlap it
        (2, 0, Fate.CUT, -1),  # 2 / 18 with the first
        (3, 0, Fate.BELOW, -1),
    ]


def test_what_was_cut_may_still_have_suppressed() -> None:
    given = logits((0.1, 0.9), (0.3, 0.7), (0.2, 0.8))
    boxes = torch.stack([ROW[0] + 100, ROW[1], ROW[2]])  # IoU 4 / 16 of the last two
    config = replace(CONFIG, nms_iou=0.2, max_instances=1)
    fates = explain(given, boxes, detect(given, boxes, config), config)
    assert fates.fates.tolist() == [Fate.KEPT, Fate.SUPPRESSED, Fate.CUT]
    assert fates.by.tolist() == [0, 2, -1]
    assert_close(fates.suppressor_iou, torch.tensor([0.0, 0.25, 0.0]))


def test_the_suppressed_suppress_nobody() -> None:
    """The first removes the second (2/3); the third would only have lost to the second (1/4)."""
    given = logits((0.1, 0.9), (0.2, 0.8), (0.3, 0.7))
    config = replace(CONFIG, nms_iou=0.2)
    found = told(given, ROW, config)
    assert found == [(0, 0, Fate.KEPT, 0), (1, 0, Fate.SUPPRESSED, 0), (2, 0, Fate.KEPT, 1)]


def test_of_equal_scores_the_earlier_proposal_suppresses() -> None:
    given = logits((0.1, 0.9)).repeat(3, 1)
    same = ROW[:1].repeat(3, 1)
    kept, *others = told(given, same, CONFIG)
    assert kept == (0, 0, Fate.KEPT, 0)
    assert others == [(1, 0, Fate.SUPPRESSED, 0), (2, 0, Fate.SUPPRESSED, 0)]


def test_one_proposal_has_a_fate_for_each_class() -> None:
    given = logits((0.1, 0.6, 0.3), (0.05, 0.05, 0.9), (0.986, 0.009, 0.005))
    assert told(given, ROW[:1].repeat(3, 1), CONFIG) == [
        (0, 0, Fate.KEPT, 0),
        (0, 1, Fate.SUPPRESSED, 3),
        (1, 0, Fate.BELOW, -1),
        (1, 1, Fate.KEPT, 1),
    ]


def test_kept_rows_count_in_the_order_of_what_was_found() -> None:
    """Beyond the limit the best come first, so the proposals' order is not the instances'."""
    given = logits((0.4, 0.6), (0.1, 0.9), (0.3, 0.7))
    found = told(given, APART, replace(CONFIG, max_instances=2))
    assert found == [(0, 0, Fate.CUT, -1), (1, 0, Fate.KEPT, 0), (2, 0, Fate.KEPT, 1)]


def test_a_threshold_under_the_floor_takes_its_place() -> None:
    given = logits((0.994, 0.006, 0.0))
    assert told(given, APART[:1], CONFIG) == []
    assert told(given, APART[:1], replace(CONFIG, min_score=0.005)) == [(0, 0, Fate.KEPT, 0)]


@pytest.mark.parametrize("nms_iou", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("limit", [100, 5])
def test_fates_agree_with_what_was_found_in_noise(nms_iou: float, limit: int) -> None:
    corners = noise(200, 2, seed=3) * 20
    boxes = torch.cat([corners, corners + 5 + noise(200, 2, seed=4).abs() * 20], dim=1)
    given = noise(200, 4, seed=5) * 2
    config = replace(CONFIG, min_score=0.05, nms_iou=nms_iou, max_instances=limit)
    found = detect(given, boxes, config)
    fates = explain(given, boxes, found, config)
    kept = fates.fates == Fate.KEPT
    assert sorted(fates.by[kept].tolist()) == list(range(len(found.rows)))
    assert torch.equal(found.rows[fates.by[kept]], fates.rows[kept])
    assert torch.equal(found.labels[fates.by[kept]], fates.labels[kept])
    lost = fates.fates == Fate.SUPPRESSED
    winners = fates.by[lost]
    assert set(fates.fates[winners].tolist()) <= {Fate.KEPT, Fate.CUT}
    assert torch.equal(fates.labels[winners], fates.labels[lost])
    assert (fates.scores[winners] >= fates.scores[lost]).all()
    assert (fates.suppressor_iou[lost] > nms_iou).all()
    assert (fates.scores[fates.fates == Fate.BELOW] <= 0.05).all()
    assert (len(found.rows) == limit) == bool((fates.fates == Fate.CUT).any())


@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_to_tell_is_an_ordinary_value(rows: int) -> None:
    given = logits((0.99, 0.005, 0.005)).repeat(rows, 1)
    fates = explain(given, APART[:rows], detect(given, APART[:rows], CONFIG), CONFIG)
    assert fates.proposals.shape == (rows, 4)
    assert fates.rows.shape == fates.by.shape == fates.suppressor_iou.shape == (0,)
    assert fates.fates.dtype == torch.int8
