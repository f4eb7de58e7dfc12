"""The six losses against the recorded step of the authors' code, and by hand."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.config import ProposalConfig, Reading
from comask.model import losses, refine, targets
from comask.model.rpn import STRIDES, anchor_grid
from comask.model.targets import ProposalTargets
from tests.model.recorded import ONE, Recorded, Replay

READINGS: tuple[Reading, ...] = ("paper", "released")
both_readings = pytest.mark.parametrize("reading", READINGS)


@pytest.fixture(scope="module")
def recorded(spec_fixtures: Path) -> Recorded:
    return Recorded(spec_fixtures)


def scalar(value: float) -> Tensor:
    return torch.tensor(value)


# --- against the authors' code ---------------------------------------------------------------


def flat(recorded: Recorded, name: str, width: int) -> Tensor:
    maps = [recorded[f"rpn_{name}{k}"] for k in range(len(STRIDES))]
    return torch.cat([m.permute(0, 2, 3, 1).reshape(len(m), -1, width) for m in maps], dim=1)


def test_proposal_losses_are_the_recorded_ones(recorded: Recorded) -> None:
    config = ProposalConfig(sampled=64)
    sizes = [tuple(recorded[f"rpn_cls{k}"].shape[-2:]) for k in range(len(STRIDES))]
    grids = zip(sizes, STRIDES, strict=True)
    anchors = torch.cat([anchor_grid(s, stride, config, ONE.device) for s, stride in grids])
    lessons = []
    for image, (size, truth) in enumerate(zip(recorded.sizes, recorded.truth, strict=True)):
        draws = [recorded[f"sampler{image}_{kind}_inds"] for kind in ("pos", "neg")]
        replay = Replay(draws, [])
        lessons.append(targets.proposal_targets(anchors, size, truth, config, replay))
        assert replay.all_used()
    made = losses.proposal_losses(
        flat(recorded, "cls", 1)[..., 0], flat(recorded, "reg", 4), lessons
    )
    assert_close(made["proposal_score"].item(), recorded.loss("loss_rpn_cls"), rtol=0, atol=1e-5)
    assert_close(made["proposal_box"].item(), recorded.loss("loss_rpn_bbox"), rtol=0, atol=1e-5)


def test_class_loss_is_the_recorded_one(recorded: Recorded) -> None:
    made = losses.class_loss(recorded["bbox_logits"], recorded["bbox_labels"])
    assert_close(2 * made.item(), recorded.loss("loss_cls"), rtol=0, atol=1e-5)


def box_arguments(recorded: Recorded) -> tuple[Tensor, Tensor, Tensor]:
    order = recorded["sample_idx"]
    truth = torch.cat(
        [t.boxes[rows] for t, rows in zip(recorded.truth, recorded.matched(), strict=True)]
    )
    votes = refine.votes(torch.cat(recorded.jittered())[order], recorded["head_reg"])
    return votes, truth[order], refine.vote_weights(recorded["head_mask_sel"])


def test_votes_and_their_weights_are_the_recorded_ones(recorded: Recorded) -> None:
    votes, truth, weights = box_arguments(recorded)
    assert_close(votes.reshape(-1, 4), recorded["reg_pred_boxes"] + ONE, rtol=0, atol=1e-4)
    wanted = truth[:, None, None].expand_as(votes).reshape(-1, 4)
    assert_close(wanted, recorded["reg_target_boxes"] + ONE, rtol=0, atol=1e-4)
    gated = torch.where(weights > refine.GATE, weights, 0.0)
    assert_close(gated.reshape(-1, 1), recorded["reg_weight"], rtol=0, atol=1e-6)


def test_box_loss_is_the_recorded_one(recorded: Recorded) -> None:
    made = losses.box_loss(*box_arguments(recorded), "released")
    assert_close(2 * made.item(), recorded.loss("loss_reg"), rtol=0, atol=1e-5)


def test_the_papers_box_loss_weighs_the_recorded_cells(recorded: Recorded) -> None:
    weight, loss = recorded["reg_weight"][:, 0], recorded["reg_elementwise_loss"]
    made = losses.box_loss(*box_arguments(recorded), "paper")
    assert_close(made, (weight * loss).sum() / weight.sum(), rtol=0, atol=1e-5)
    # the mean of loss x weight over all cells, which the authors' file holds too, times 2
    scale = (weight.mean() * 2).item()
    wanted = float(recorded.arrays["loss_reg_if_elementwise"])
    assert_close(made.item() * scale, wanted, rtol=0, atol=1e-5)


def test_mask_loss_is_the_recorded_one(recorded: Recorded) -> None:
    wanted = recorded.mask_targets()[recorded["sample_idx"]]
    made = losses.mask_loss(recorded["head_mask_sel"], wanted)
    assert_close(made.item(), recorded.loss("loss_instance"), rtol=0, atol=1e-5)


def test_mask_iou_loss_is_the_recorded_one(recorded: Recorded) -> None:
    made = losses.mask_iou_loss(recorded["head_iou_sel"], recorded["iou_targets"], "released")
    assert_close(0.5 * made.item(), recorded.loss("loss_iou"), rtol=0, atol=1e-5)


# --- proposals and classes by hand -----------------------------------------------------------


def lesson(positives: list[int], negatives: list[int], deltas: Tensor) -> ProposalTargets:
    return ProposalTargets(torch.tensor(positives).long(), torch.tensor(negatives).long(), deltas)


def test_proposal_losses_by_hand() -> None:
    scores = torch.tensor([[0.0, 100.0, 0.0, 5.0]])
    deltas = torch.zeros(1, 4, 4)
    # |error| 1: line, 1 - 1/18; |error| 1/18, half of beta: square, 0.5 x (1/18)^2 x 9 = 1/72
    wanted = torch.tensor([[1.0, 1.0 / 18.0, 0.0, 0.0]])
    made = losses.proposal_losses(scores, deltas, [lesson([0], [1, 2], wanted)])
    assert_close(made["proposal_score"], scalar((2 * math.log(2) + 100) / 3))
    assert_close(made["proposal_box"], scalar((17 / 18 + 1 / 72) / 3))


def test_an_image_without_samples_counts_as_two() -> None:
    # the released normaliser: at least 1 positive and 1 negative an image
    scores, deltas = torch.zeros(2, 3), torch.zeros(2, 3, 4)
    empty = lesson([], [], torch.zeros(0, 4))
    made = losses.proposal_losses(scores, deltas, [lesson([0], [1, 2], torch.ones(1, 4)), empty])
    assert_close(made["proposal_score"], scalar(3 * math.log(2) / 5))
    assert_close(made["proposal_box"], scalar(4 * 17 / 18 / 5))


def test_class_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    made = losses.class_loss(logits, torch.tensor([0, 1]))
    assert_close(made, scalar((math.log(2) + math.log(4)) / 2))


# --- boxes by hand ---------------------------------------------------------------------------


def same_votes(box: tuple[float, float, float, float], count: int = 1) -> Tensor:
    return torch.tensor(box).expand(count, 7, 7, 4).clone()


TRUTH = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
ALL = torch.full((1, 7, 7), 0.8)
HALF = (0.0, 0.0, 10.0, 5.0)  # IoU 0.5 with TRUTH


def test_the_paper_weighs_each_vote_by_its_mask() -> None:
    votes, weights = same_votes((0.0, 0.0, 10.0, 10.0)), torch.zeros(1, 7, 7)
    votes[0, 0, 0] = torch.tensor(HALF)  # loss ln 2
    votes[0, 0, 1] = torch.tensor([0.0, 0.0, 10.0, 2.5])  # loss ln 4
    weights[0, 0] = torch.tensor([0.9, 0.6, 0.5, 0.3, 0.0, 0.0, 0.0])  # 0.5 is not above 0.5
    made = losses.box_loss(votes, TRUTH, weights, "paper")
    assert_close(made, scalar((0.9 * math.log(2) + 0.6 * math.log(4)) / 1.5))


def test_the_release_multiplies_two_means() -> None:
    votes, weights = same_votes((0.0, 0.0, 10.0, 10.0)), torch.zeros(1, 7, 7)
    votes[0, 0, 0] = torch.tensor(HALF)
    weights[0, 6, 6] = 0.98  # another cell than the one with a loss: the paper's would be 0
    made = losses.box_loss(votes, TRUTH, weights, "released")
    assert_close(made, scalar(math.log(2) / 49 * 0.98 / 49))


def test_while_no_weight_counts_the_paper_takes_the_plain_mean() -> None:
    low = torch.full((1, 7, 7), 0.5)
    assert_close(losses.box_loss(same_votes(HALF), TRUTH, low, "paper"), scalar(math.log(2)))
    assert losses.box_loss(same_votes(HALF), TRUTH, low, "released") == 0.0


def test_whether_a_weight_counts_is_decided_by_all_processes() -> None:
    low = torch.full((1, 7, 7), 0.5)
    # elsewhere all 49 cells of one more object weigh 0.8: here nothing counts
    shared = torch.tensor([49 * 0.8 / 2, 49.0])
    assert losses.box_loss(same_votes(HALF), TRUTH, low, "paper", lambda _: shared) == 0.0
    # elsewhere three objects weigh nothing: all votes count, 98 cells a process
    none = torch.tensor([0.0, 98.0])
    made = losses.box_loss(same_votes(HALF), TRUTH, low, "paper", lambda _: none)
    assert_close(made, scalar(math.log(2) / 2))


def test_low_ious_are_lifted_by_a_tenth() -> None:
    # 8 of 100 pixels: IoU 0.08 -> 0.18; 12 of 100 stays; none: 1e-6 -> 0.100001
    for bottom, iou in ((0.8, 0.18), (1.2, 0.12)):
        made = losses.box_loss(same_votes((0.0, 0.0, 10.0, bottom)), TRUTH, ALL, "paper")
        assert_close(made, scalar(-math.log(iou)))
    apart = losses.box_loss(same_votes((20.0, 20.0, 30.0, 30.0)), TRUTH, ALL, "paper")
    assert_close(apart, scalar(-math.log(0.100001)), rtol=0, atol=2e-6)


def test_only_the_release_teaches_masks_through_boxes() -> None:
    for reading, teaches in (("paper", False), ("released", True)):
        masks = torch.full((1, 28, 28), 2.0, requires_grad=True)
        votes = same_votes(HALF)
        votes[0, 3, 3, 3] = 8.0  # a better one, so that the weights matter
        votes.requires_grad_()
        loss = losses.box_loss(votes, TRUTH, refine.vote_weights(masks), reading)
        (loss + 0.0 * masks.sum()).backward()
        assert masks.grad is not None
        assert bool(masks.grad.any()) is teaches
        assert votes.grad is not None
        assert votes.grad.any()


def test_the_papers_box_loss_does_not_depend_on_how_many_there_are() -> None:
    one = losses.box_loss(same_votes(HALF), TRUTH, ALL, "paper")
    five = losses.box_loss(
        same_votes(HALF, 5), TRUTH.expand(5, 4), ALL.expand(5, 7, 7) * 0.7, "paper"
    )
    assert_close(one, five)


# --- masks by hand ---------------------------------------------------------------------------


def test_mask_loss_by_hand() -> None:
    logits = torch.zeros(2, 28, 28)
    logits[1] = 50.0
    wanted = torch.ones(2, 28, 28)
    assert_close(losses.mask_loss(logits, wanted), scalar(math.log(2) / 2))


PREDICTED = torch.tensor([0.5, 0.5, 0.5, 0.5])
MEASURED = torch.tensor([0.7, 0.1, 1.5, 1.0])  # errors 0.2, 0.4, 1.0, 0.5; the middle two are out


def test_the_paper_averages_the_errors_of_valid_masks() -> None:
    made = losses.mask_iou_loss(PREDICTED, MEASURED, "paper")
    assert_close(made, scalar((0.04 + 0.25) / 2))


def test_the_release_averages_all_errors_times_the_valid_share() -> None:
    made = losses.mask_iou_loss(PREDICTED, MEASURED, "released")
    assert_close(made, scalar((0.04 + 0.16 + 1.0 + 0.25) / 4 * 2 / 4))


@both_readings
def test_without_valid_masks_the_iou_loss_is_zero(reading: Reading) -> None:
    assert losses.mask_iou_loss(PREDICTED, PREDICTED * 0.0, reading) == 0.0


# --- shared by processes ---------------------------------------------------------------------


def test_each_loss_is_divided_by_the_mean_count_of_all_processes() -> None:
    seen: list[float] = []

    def twice(count: Tensor) -> Tensor:
        seen.append(count.max().item())
        return count * 2.0

    def all_of(mean: losses.Mean) -> dict[str, Tensor]:
        sampled, votes = lesson([0, 2], [1], torch.ones(2, 4)), same_votes(HALF, 2)
        return {
            **losses.proposal_losses(torch.zeros(1, 3), torch.zeros(1, 3, 4), [sampled], mean),
            "class_score": losses.class_loss(torch.zeros(5, 3), torch.zeros(5).long(), mean),
            "box": losses.box_loss(votes, TRUTH.expand(2, 4), ALL.expand(2, 7, 7), "paper", mean),
            "mask": losses.mask_loss(torch.zeros(2, 28, 28), torch.ones(2, 28, 28), mean),
            "mask_iou": losses.mask_iou_loss(PREDICTED, MEASURED, "paper", mean),
        }

    alone = all_of(losses.alone)
    for name, loss in all_of(twice).items():
        assert_close(loss, alone[name] / 2, msg=name)
    assert seen == [3.0, 5.0, 98.0, 2 * 28 * 28, 2.0]  # anchors, regions, votes, cells, masks


# --- nothing, and half precision -------------------------------------------------------------


@both_readings
def test_nothing_gives_zeros_that_are_part_of_the_graph(reading: Reading) -> None:
    def none(*shape: int) -> Tensor:
        return torch.zeros(0, *shape, requires_grad=True)

    whole = torch.zeros(1, 5, requires_grad=True), torch.zeros(1, 5, 4, requires_grad=True)
    empty = lesson([], [], torch.zeros(0, 4))
    made = {
        **losses.proposal_losses(*whole, [empty]),
        "class_score": losses.class_loss(none(81), torch.zeros(0).long()),
        "box": losses.box_loss(none(7, 7, 4), none(4), none(7, 7), reading),
        "mask": losses.mask_loss(none(28, 28), torch.zeros(0, 28, 28)),
        "mask_iou": losses.mask_iou_loss(none(), torch.zeros(0), reading),
    }
    for name, loss in made.items():
        assert loss.shape == (), name
        assert loss.item() == 0.0, name
        assert loss.requires_grad, name
    torch.stack(list(made.values())).sum().backward()
    assert whole[0].grad is not None
    assert not whole[0].grad.any()


@both_readings
def test_losses_stay_in_float32_under_autocast(reading: Reading) -> None:
    def half(*shape: int) -> Tensor:
        return torch.rand(*shape).to(torch.bfloat16)

    def all_of() -> dict[str, Tensor]:
        boxes = same_votes(HALF, 3).to(torch.bfloat16), TRUTH.expand(3, 4)
        sampled = lesson([0, 2], [1], torch.ones(2, 4))
        return {
            **losses.proposal_losses(scores, deltas, [sampled]),
            "class_score": losses.class_loss(logits, torch.tensor([0, 4])),
            "box": losses.box_loss(*boxes, weights, reading),
            "mask": losses.mask_loss(masks, masks.round()),
            "mask_iou": losses.mask_iou_loss(ious, torch.full((3,), 0.4), reading),
        }

    scores, deltas, logits = half(1, 3), half(1, 3, 4), half(2, 5)
    weights, masks, ious = half(3, 7, 7), half(3, 28, 28), half(3)
    plain = all_of()
    with torch.autocast("cpu", torch.bfloat16):
        cast = all_of()
    for name, loss in cast.items():
        assert loss.dtype == torch.float32, name
        assert_close(loss, plain[name], rtol=0, atol=0)


def test_a_region_of_several_possible_classes_learns_their_sum() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])).requires_grad_()
    possible = torch.tensor([[True, False, True], [False, True, False]])
    made = losses.class_loss(logits, torch.tensor([0, 1]), possible=possible)
    assert_close(made.item(), -(math.log(0.8) + math.log(0.6)) / 2)
    made.backward()
    assert logits.grad is not None
    # the possible ones share what the impossible one loses, as they are likely: 0.2 * 5 / 8
    assert_close(logits.grad[0], torch.tensor([-0.125, 0.2, -0.075]) / 2)


def test_regions_that_are_what_they_are_learn_as_ever() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    classes = torch.tensor([2, 0])
    possible = torch.nn.functional.one_hot(classes, 3).bool()
    assert_close(
        losses.class_loss(logits, classes, possible=possible), losses.class_loss(logits, classes)
    )
