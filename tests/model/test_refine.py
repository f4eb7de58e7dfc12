"""Votes, weights and means: the authors' numbers, and boxes worked out by hand."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from comask.config import ModelConfig
from comask.model import refine
from comask.model.refine import Refinement
from tests import authors

BOX = torch.tensor([[10.0, 20.0, 25.0, 49.0]])  # inclusive (10, 20, 24, 48): 14 wide, 28 high


def test_as_recorded(spec_fixtures: Path) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_refine")
    votes = refine.votes(authors.half_open(recorded["dets"]), recorded["reg"])
    weights = refine.vote_weights(recorded["mask_logits"][:, 0])
    assert_close(weights, recorded["weights"], rtol=0, atol=1e-5)
    refined = refine.weighted_mean(votes, weights)
    assert_close(refined, authors.half_open(recorded["out"]), rtol=0, atol=1e-3)


def test_votes_without_distance_are_the_cells_centres() -> None:
    votes = refine.votes(BOX, torch.zeros(1, 4, 7, 7))
    # cells are 2 x 4 pixels of the inclusive box; a point is 1 pixel wide, half-open
    assert votes[0, 0, 0].tolist() == [11.0, 22.0, 12.0, 23.0]
    assert votes[0, 6, 3].tolist() == [17.0, 46.0, 18.0, 47.0]


def test_distances_are_left_right_top_bottom_in_shares_of_the_box() -> None:
    distances = torch.tensor([0.5, 1.0, 0.25, 0.75]).view(1, 4, 1, 1).expand(1, 4, 7, 7)
    votes = refine.votes(BOX, distances)
    # from the centre of cell (0, 0) at (11, 22): 7 left, 7 up, 14 right, 21 down
    assert votes[0, 0, 0].tolist() == [4.0, 15.0, 26.0, 44.0]


def test_weights_sample_the_mask_at_aligned_corners() -> None:
    masks = torch.arange(28.0).view(1, 1, 28).expand(1, 28, 28)  # the column's number
    wanted = torch.tensor([0.0, 4.5, 9.0, 13.5, 18.0, 22.5, 27.0]).sigmoid()
    assert_close(refine.vote_weights(masks)[0], wanted.expand(7, 7))
    assert_close(refine.vote_weights(masks.mT)[0], wanted[:, None].expand(7, 7))


def test_a_weighted_mean_by_hand() -> None:
    votes = torch.zeros(1, 7, 7, 4)
    votes[0, 0, 0] = torch.tensor([0.0, 0.0, 10.0, 10.0])
    votes[0, 3, 3] = torch.tensor([4.0, 8.0, 20.0, 30.0])
    weights = torch.zeros(1, 7, 7)
    weights[0, 0, 0], weights[0, 3, 3] = 0.25, 0.75
    wanted = torch.tensor([[3.0, 6.0, 17.5, 25.0]])
    assert_close(refine.weighted_mean(votes, weights), wanted, rtol=0, atol=1e-3)


def test_an_empty_mask_pulls_its_box_to_the_corner_of_the_image() -> None:
    votes = torch.tensor([80.0, 90.0, 101.0, 121.0]).expand(1, 7, 7, 4)
    weights = torch.full((1, 7, 7), 1e-5 / 49)  # together as much as the 1e-5 below the line
    wanted = torch.tensor([[40.0, 45.0, 51.0, 61.0]])  # inclusive corners halve
    assert_close(refine.weighted_mean(votes, weights), wanted, rtol=0, atol=1e-2)


def test_a_plain_mean_counts_every_vote_once() -> None:
    votes = torch.arange(49.0).view(1, 7, 7, 1).expand(1, 7, 7, 4)
    assert_close(refine.plain_mean(votes), torch.full((1, 4), 24.0))


def test_gated_votes_count_nothing_up_to_a_half() -> None:
    weights = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    assert refine.gated(weights).tolist() == [0.0, 0.0, 0.0, 0.75, 1.0]
    masks = torch.full((1, 28, 28), -1.0)
    masks[:, :, 27] = 2.0  # only the last column of cells samples column 27
    votes = torch.arange(7.0).view(1, 1, 7, 1).expand(1, 7, 7, 4)  # the column's number
    boxes, kept = refine.refined(votes, masks, "gated")
    assert_close(
        kept[0, 0], torch.tensor([0.0] * 6 + [2.0]).sigmoid() * torch.tensor([0] * 6 + [1])
    )
    assert_close(boxes, torch.full((1, 4), 6.0))
    outside, inside = torch.tensor([-1.0, 2.0]).sigmoid()
    soft, _ = refine.refined(votes, masks, "sigmoid")
    wanted = (15 * outside + 6 * inside) / (6 * outside + inside)  # 0 + 1 + ... + 5 = 15
    assert_close(soft, wanted.expand(1, 4))


def test_where_no_vote_passes_the_gate_all_count_the_same() -> None:
    votes = torch.arange(49.0).view(1, 7, 7, 1).expand(2, 7, 7, 4)
    masks = torch.stack([torch.full((28, 28), -3.0), torch.full((28, 28), 3.0)])
    boxes, weights = refine.refined(votes, masks, "gated")
    assert torch.equal(weights[0], torch.ones(7, 7))
    assert_close(weights[1], torch.full((7, 7), 3.0).sigmoid())
    assert_close(boxes, torch.full((2, 4), 24.0))


def test_plain_votes_are_the_plain_mean() -> None:
    votes = torch.arange(49.0).view(1, 7, 7, 1).expand(1, 7, 7, 4)
    boxes, weights = refine.refined(votes, torch.zeros(1, 28, 28), "plain")
    assert torch.equal(boxes, refine.plain_mean(votes))
    assert torch.equal(weights, torch.ones(1, 7, 7))


def test_a_checkpoint_refines_in_its_own_way() -> None:
    assert Refinement.of(ModelConfig()) == Refinement("sigmoid", second_pass=True)
    assert Refinement.of(ModelConfig(collaborative=False)) == Refinement("plain", second_pass=False)


@pytest.mark.parametrize("kind", refine.VOTE_KINDS)
def test_none_gives_no_refined_box(kind: refine.VoteKind) -> None:
    boxes, weights = refine.refined(torch.zeros(0, 7, 7, 4), torch.zeros(0, 28, 28), kind)
    assert (boxes.shape, weights.shape) == ((0, 4), (0, 7, 7))


def test_none_gives_none() -> None:
    votes = refine.votes(torch.zeros(0, 4), torch.zeros(0, 4, 7, 7))
    weights = refine.vote_weights(torch.zeros(0, 28, 28))
    assert votes.shape == (0, 7, 7, 4)
    assert weights.shape == (0, 7, 7)
    assert refine.weighted_mean(votes, weights).shape == refine.plain_mean(votes).shape == (0, 4)
