"""Anchors as the table of the spec has them, and how proposals are chosen."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from comask.config import ProposalConfig
from comask.model.rpn import STRIDES, Guesses, ProposalHead, anchor_grid, base_anchors
from comask.structures import ImageBatch
from tests import authors
from tests.models import noise

CPU = torch.device("cpu")
CONFIG = ProposalConfig()
TABLE = {  # inclusive corners, ratios 0.5, 1, 2
    4: ((-21, -9, 24, 12), (-14, -14, 17, 17), (-9, -21, 12, 24)),
    8: ((-41, -19, 48, 26), (-28, -28, 35, 35), (-19, -41, 26, 48)),
    16: ((-83, -37, 98, 52), (-56, -56, 71, 71), (-37, -83, 52, 98)),
    32: ((-165, -75, 196, 106), (-112, -112, 143, 143), (-75, -165, 106, 196)),
    64: ((-330, -149, 393, 212), (-224, -224, 287, 287), (-149, -330, 212, 393)),
}


@pytest.mark.parametrize("stride", STRIDES)
def test_base_anchors_are_those_of_the_table(stride: int) -> None:
    wanted = authors.half_open(torch.tensor(TABLE[stride], dtype=torch.float32))
    assert torch.equal(base_anchors(stride, CONFIG), wanted)


@pytest.mark.parametrize("stride", STRIDES)
def test_anchors_as_recorded(spec_fixtures: Path, stride: int) -> None:
    recorded = authors.arrays(spec_fixtures, "mod_anchors")
    base = authors.half_open(recorded[f"base_{stride}"])
    grid = authors.half_open(recorded[f"grid_{stride}_3x4"])
    assert torch.equal(base_anchors(stride, CONFIG), base)
    assert torch.equal(anchor_grid((3, 4), stride, CONFIG, CPU), grid)


def test_several_scales_come_one_after_the_other() -> None:
    config = replace(CONFIG, anchor_scales=(4.0, 8.0), anchor_ratios=(1.0,))
    sides = base_anchors(4, config)[:, 2:] - base_anchors(4, config)[:, :2]
    assert sides.tolist() == [[16.0, 16.0], [32.0, 32.0]]


def guesses(scores: list[Tensor], anchors: list[Tensor]) -> Guesses:
    rows = [s[None] for s in scores]
    return Guesses(rows, [torch.zeros(1, len(s), 4) for s in scores], anchors)


def apart(count: int, top: float) -> Tensor:
    """Boxes of 2 x 2 pixels that do not touch, in a row at the height ``top``."""
    x = torch.arange(count) * 3.0
    y = torch.full_like(x, top)
    return torch.stack([x, y, x + 2, y + 2], dim=1)


def head(config: ProposalConfig) -> ProposalHead:
    return ProposalHead(32, config).eval()


def test_proposals_are_the_best_of_all_levels_best_first() -> None:
    anchors = [apart(2, 0.0), apart(2, 10.0)]
    scores = [torch.tensor([0.5, 3.0]), torch.tensor([4.0, 1.0])]
    chosen = head(replace(CONFIG, kept=3)).proposals(guesses(scores, anchors), [(20, 20)])
    assert torch.equal(chosen[0], torch.stack([anchors[1][0], anchors[0][1], anchors[1][1]]))


def test_each_level_gives_no_more_than_its_limit() -> None:
    anchors = [apart(4, 0.0), apart(1, 10.0)]
    scores = [torch.tensor([1.0, 4.0, 3.0, 2.0]), torch.tensor([0.0])]
    chosen = head(replace(CONFIG, per_level=2)).proposals(guesses(scores, anchors), [(20, 20)])
    assert torch.equal(chosen[0], torch.stack([anchors[0][1], anchors[0][2], anchors[1][0]]))


def test_training_has_limits_of_its_own() -> None:
    config = replace(CONFIG, kept=1, per_level=1, train_per_level=3, train_kept=2)
    given = guesses([torch.tensor([1.0, 4.0, 3.0, 2.0])], [apart(4, 0.0)])
    assert len(head(config).proposals(given, [(20, 20)])[0]) == 1
    assert len(head(config).train().proposals(given, [(20, 20)])[0]) == 2


def test_boxes_are_clipped_to_their_own_image_and_keep_no_width() -> None:
    given = guesses([torch.tensor([2.0])], [torch.tensor([[30.0, -5.0, 40.0, 5.0]])])
    assert head(CONFIG).proposals(given, [(10, 12)])[0].tolist() == [[11.0, 0.0, 12.0, 5.0]]


def test_of_two_that_overlap_by_more_than_the_limit_one_is_left() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 7.0]])
    given = guesses([torch.tensor([3.0, 2.0, 1.0])], [boxes])  # IoUs with the first: 0.8 and 0.7
    assert torch.equal(head(CONFIG).proposals(given, [(20, 20)])[0], boxes[[0, 2]])


def test_guesses_are_flattened_by_row_column_and_anchor() -> None:
    made = head(CONFIG)
    torch.nn.init.zeros_(made.score.weight)
    torch.nn.init.zeros_(made.delta.weight)
    made.score.bias.data = torch.arange(3.0)
    made.delta.bias.data = torch.arange(12.0)
    sizes = [(16, 20), (8, 10), (4, 5), (2, 3), (1, 2)]
    given = made.guesses([noise(2, 32, h, w) for h, w in sizes])
    for scores, deltas, anchors, (h, w) in zip(
        given.scores, given.deltas, given.anchors, sizes, strict=True
    ):
        assert torch.equal(scores, torch.arange(3.0).repeat(2, h * w))
        assert torch.equal(deltas, torch.arange(12.0).view(3, 4).repeat(2, h * w, 1))
        assert anchors.shape == (h * w * 3, 4)


def test_a_batch_gives_proposals_an_image() -> None:
    sizes = [(16, 20), (8, 10), (4, 5), (2, 3), (1, 2)]
    levels = [noise(2, 32, h, w) for h, w in sizes]
    images = ImageBatch(noise(2, 3, 64, 80), ((60, 75), (64, 80)), ((64, 96), (64, 96)))
    boxes = head(replace(CONFIG, kept=50))(levels, images)
    assert [len(box) for box in boxes] == [50, 50]
    for box, (height, width) in zip(boxes, images.sizes, strict=True):
        assert box.min() >= 0
        assert (box.amax(dim=0)[2:] <= torch.tensor([width, height])).all()
        assert not box.requires_grad
