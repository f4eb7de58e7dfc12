"""Matching boxes to truth: every number is worked out by hand."""

import pytest
import torch
from torch import Tensor

from comask.ops import matching
from comask.ops.matching import IGNORED, NEGATIVE, match

NONE = torch.zeros(0, 4)


def rows(*boxes: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def strip(*ends: float) -> Tensor:
    """Boxes of height 1 from x = 0: their IoU with a strip of 100 is their own length / 100."""
    return rows(*((0.0, 0.0, end, 1.0) for end in ends))


def test_thresholds_by_hand() -> None:
    boxes = strip(100, 70, 69, 30, 29)
    matched = match(boxes, strip(100), NONE, positive_iou=0.7, negative_iou=0.3)
    assert matched.tolist() == [0, 0, IGNORED, IGNORED, NEGATIVE]


def test_equal_thresholds_leave_nothing_ignored() -> None:
    matched = match(strip(100, 50, 49), strip(100), NONE, positive_iou=0.5, negative_iou=0.5)
    assert matched.tolist() == [0, 0, NEGATIVE]


def test_a_box_takes_the_truth_that_it_overlaps_most() -> None:
    truth = rows((0, 0, 10, 10), (2, 0, 12, 10))
    boxes = rows((0, 0, 10, 10), (2, 0, 12, 10), (0.5, 0, 10.5, 10), (1.5, 0, 11.5, 10))
    assert match(boxes, truth, NONE, 0.5, 0.5).tolist() == [0, 1, 0, 1]


def test_a_truth_that_nobody_reaches_takes_its_best_box_of_at_least_the_lower_threshold() -> None:
    truth = rows((0, 0, 100, 1), (0, 5, 100, 6))
    boxes = rows((0, 0, 40, 1), (0, 0, 35, 1), (0, 5, 29, 6))
    assert match(boxes, truth, NONE, 0.7, 0.3).tolist() == [0, IGNORED, NEGATIVE]


def test_a_best_box_exactly_at_the_lower_threshold_is_taken() -> None:
    assert match(strip(25, 24), strip(100), NONE, 0.75, 0.25).tolist() == [0, NEGATIVE]


def test_all_boxes_that_tie_for_a_truth_are_taken() -> None:
    boxes = rows((0, 0, 40, 1), (60, 0, 100, 1), (10, 0, 50, 1), (0, 0, 39, 1))
    assert match(boxes, strip(100), NONE, 0.7, 0.3).tolist() == [0, 0, 0, IGNORED]


def test_a_later_truth_takes_a_box_from_an_earlier_one() -> None:
    # the IoUs of the one box are 1 and 0.4, and it is the best that either truth has
    truth = rows((0, 0, 80, 1), (0, 0, 80, 2.5))
    box = rows((0, 0, 80, 1))
    assert match(box, truth, NONE, 0.7, 0.3).tolist() == [1]
    assert match(box, truth.flip(0), NONE, 0.7, 0.3).tolist() == [1]


def test_boxes_mostly_inside_a_crowd_are_ignored_whatever_they_match() -> None:
    crowd, truth = rows((0, 0, 50, 10)), rows((0, 0, 10, 10))
    boxes = rows((0, 0, 10, 10), (45, 0, 55, 10), (44, 0, 54, 10), (60, 0, 70, 10))
    assert match(boxes, truth, crowd, 0.5, 0.5).tolist() == [IGNORED, NEGATIVE, IGNORED, NEGATIVE]


def test_a_truth_whose_best_box_is_ignored_takes_the_next() -> None:
    truth, crowd = strip(100), rows((0, 0, 60, 1))
    boxes = rows((0, 0, 60, 1), (60, 0, 100, 1))
    assert match(boxes, truth, crowd, 0.7, 0.3).tolist() == [IGNORED, 0]


@pytest.mark.parametrize("crowds", [NONE, rows((0, 0, 10, 10))], ids=["no crowd", "a crowd"])
def test_without_truth_all_boxes_outside_crowds_are_negative(crowds: Tensor) -> None:
    boxes = rows((0, 0, 10, 10), (20, 20, 30, 30))
    first = IGNORED if len(crowds) else NEGATIVE
    assert match(boxes, NONE, crowds, 0.7, 0.3).tolist() == [first, NEGATIVE]


@pytest.mark.parametrize("truth", [NONE, strip(10)], ids=["no truth", "a truth"])
def test_without_boxes_nothing_is_matched(truth: Tensor) -> None:
    matched = match(NONE, truth, strip(5), 0.7, 0.3)
    assert matched.shape == (0,)
    assert matched.dtype == torch.int64


def test_boxes_without_area_are_negative() -> None:
    boxes = rows((3, 3, 3, 8), (200, 0, 200, 0))
    assert match(boxes, strip(100), strip(100), 0.7, 0.0).tolist() == [IGNORED, IGNORED]
    assert match(boxes, strip(100), strip(100), 0.7, 0.3).tolist() == [NEGATIVE, NEGATIVE]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    corner = torch.randint(0, 30, (400, 2), generator=random)
    boxes = torch.cat([corner, corner + torch.randint(5, 12, (400, 2), generator=random)], 1)
    boxes, truth = boxes[7:].float(), boxes[:7].float()
    whole = match(boxes, truth, truth[:1], 0.7, 0.3)
    monkeypatch.setattr(matching, "_PAIRS_AT_ONCE", 7 * 11)
    assert torch.equal(match(boxes, truth, truth[:1], 0.7, 0.3), whole)
    assert len(set(whole.tolist())) > 5  # the case is not an empty one


def test_agrees_with_the_rule_written_as_a_loop() -> None:
    random = torch.Generator().manual_seed(1)
    for _ in range(20):
        corner = torch.randint(0, 20, (60, 2), generator=random)
        boxes = torch.cat([corner, corner + torch.randint(4, 9, (60, 2), generator=random)], 1)
        boxes, truth = boxes[9:].float(), boxes[:9].float()
        assert match(boxes, truth, NONE, 0.7, 0.3).tolist() == by_loop(boxes, truth, 0.7, 0.3)


def by_loop(boxes: Tensor, truth: Tensor, positive: float, negative: float) -> list[int]:
    iou = matching.box_ops.pairwise_iou(boxes, truth).tolist()
    matched = []
    for line in iou:
        best = max(line)
        matched.append(
            line.index(best) if best >= positive else NEGATIVE if best < negative else IGNORED
        )
    for column in range(len(truth)):
        best = max(line[column] for line in iou)
        for row, line in enumerate(iou):
            if best >= negative and line[column] == best:
                matched[row] = column
    return matched
