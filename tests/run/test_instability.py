"""The three parts of instability by hand, and whether errors come first when they change more."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from comask.run.instability import change, disagreement, instability, travel
from tests.run.instances import EMPTY, FULL, predicted

BOX = (10.0, 10.0, 20.0, 20.0)


def half(side: int) -> NDArray[np.float32]:
    """Draw a mask in the left (0) or the right (1) half of its box."""
    mask = EMPTY.copy()
    mask[:, 14 * side : 14 * (side + 1)] = 9.0
    return mask


def test_what_nothing_moves_is_steady() -> None:
    assert_allclose(instability(predicted([BOX, (0.0, 0.0, 5.0, 7.5)])), [0, 0])


def test_no_instances_have_no_instability() -> None:
    for part in (instability, travel, change, disagreement):
        assert part(predicted([])).shape == (0,)


def test_travel_is_what_the_boxes_do_not_share() -> None:
    # moved by half its width: 50 of 150 square pixels are shared
    proposals = np.array([[15.0, 10.0, 25.0, 20.0]], np.float32)
    assert_allclose(travel(predicted([BOX], proposals=proposals)), [2 / 3])


def test_a_box_without_area_has_gone_all_the_way() -> None:
    found = predicted([(5.0, 5.0, 5.0, 9.0)], votes=np.zeros((1, 7, 7, 4), np.float32))
    assert_allclose(travel(found), [1])
    assert_allclose(instability(found), [2 / 3])  # the votes are elsewhere, the masks are one


def test_change_compares_masks_where_they_lie() -> None:
    # full both times, but the box went on by half its width: a third of the union is shared
    proposals = np.array([[15.0, 10.0, 25.0, 20.0]], np.float32)
    other = np.broadcast_to(FULL + 1, (1, 28, 28))  # a second pass there was
    moved = predicted([BOX], proposals=proposals, second_masks=other)
    assert_allclose(change(moved), [2 / 3], atol=0.04)  # 56 points a side
    halves = predicted([BOX] * 2, first_masks=np.stack([half(0)] * 2),
                       second_masks=np.stack([half(0), half(1)]))  # fmt: skip
    assert_allclose(change(halves), [0, 1])
    quarter = half(0)
    quarter[14:] = -9.0
    found = predicted([BOX], first_masks=half(0)[None], second_masks=quarter[None])
    assert_allclose(change(found), [0.5], atol=0.02)


def test_two_empty_masks_agree_and_so_does_one_pass() -> None:
    empty = predicted([BOX], first_masks=EMPTY[None], second_masks=EMPTY[None] - 1)
    assert_allclose(change(empty), [0])
    proposals = np.array([[15.0, 10.0, 25.0, 20.0]], np.float32)
    assert_allclose(change(predicted([BOX], proposals=proposals)), [0])


def test_votes_count_by_their_weights() -> None:
    votes = np.broadcast_to(np.array(BOX, np.float32), (3, 7, 7, 4)).copy()
    votes[:, 0, 0] = [10, 10, 20, 15]  # half of the box: 0.5 apart
    votes[:, 0, 1] = [50, 50, 60, 60]  # elsewhere: 1 apart
    weights = np.zeros((3, 7, 7), np.float32)
    weights[0, 0, :2] = 0.2, 0.6
    weights[1, 0] = 1.0  # 0.5 + 1 + five that agree
    found = predicted([BOX] * 3, votes=votes, weights=weights)
    assert_allclose(disagreement(found), [(0.2 * 0.5 + 0.6) / 0.8, 1.5 / 7, 0], rtol=1e-6)


def test_the_whole_is_the_mean_of_the_parts() -> None:
    proposals = np.array([[15.0, 10.0, 25.0, 20.0]], np.float32)  # 2/3
    votes = np.broadcast_to(np.array([10, 10, 20, 15], np.float32), (1, 7, 7, 4))  # 1/2
    found = predicted([BOX], proposals=proposals, votes=votes)  # no second pass
    assert_allclose(instability(found), [(2 / 3 + 0 + 1 / 2) / 3], rtol=1e-6)


def errors_found(order: NDArray[np.int64], wrong: NDArray[np.bool_]) -> float:
    """Measure the area under the share of the errors found, against the share looked at."""
    return float((wrong[order].cumsum() / wrong.sum()).mean())


@pytest.mark.parametrize("seed", range(5))
def test_errors_come_sooner_than_by_score_where_they_change_more(seed: int) -> None:
    """Plant 200 instances, 20 of them wrong: their boxes and masks move, their scores tell less."""
    random = np.random.default_rng(seed)
    wrong = np.zeros(200, bool)
    wrong[random.choice(200, 20, replace=False)] = True
    corners = random.uniform(0, 20, (200, 2))
    boxes = np.concatenate([corners, corners + random.uniform(8, 16, (200, 2))], axis=1)
    far = np.where(wrong, 0.35, 0.05)[:, None] * random.normal(size=(200, 4)) * 10
    masks = np.stack([half(0) if one else FULL for one in wrong])
    flips = random.random((200, 28, 28)) < np.where(wrong, 0.2, 0.02)[:, None, None]
    found = predicted(
        [tuple(box) for box in boxes.tolist()],
        scores=random.normal(np.where(wrong, 0.6, 0.7), 0.15).clip(0.05, 1),
        proposals=(boxes + far).astype(np.float32),
        first_masks=np.where(flips, -masks, masks),
        second_masks=np.broadcast_to(FULL, (200, 28, 28)),
        votes=(boxes[:, None, None] + far[:, None, None] * random.normal(size=(200, 7, 7, 1)))
        .astype(np.float32),
    )  # fmt: skip
    by_score = errors_found(found.class_scores.argsort(kind="stable"), wrong)
    by_change = errors_found((-instability(found)).argsort(kind="stable"), wrong)
    assert by_change >= 1.25 * by_score
