"""Detections of the class branch: the authors' numbers, thresholds and limits by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.config import DetectionConfig
from comask.model.class_head import ClassHead, detect
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
