"""Training targets against the recorded step of the authors' code, and by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.config import ClassHeadConfig, MaskHeadConfig, ProposalConfig
from comask.model import targets
from comask.model.rpn import STRIDES, anchor_grid
from comask.model.targets import MaskSample, RandomSampler, RegionSample
from comask.ops import boxes as box_ops
from comask.ops import matching
from comask.structures import Target
from tests.model.recorded import Recorded, Replay

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recorded(spec_fixtures: Path) -> Recorded:
    return Recorded(spec_fixtures)


def sampler(seed: int = 0) -> RandomSampler:
    return RandomSampler(torch.Generator().manual_seed(seed))


def truth(
    *boxes: tuple[int, int, int, int], crowd: tuple[int, ...] = (), side: int = 100
) -> Target:
    """Objects that fill their boxes, labels 0, 1, ..., in an image of side x side pixels."""
    masks = torch.zeros(len(boxes), side, side, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    is_crowd = torch.tensor([row in crowd for row in range(len(boxes))], dtype=torch.bool)
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(corners, torch.arange(len(boxes)), masks, is_crowd)


NOTHING = truth()


# --- against the authors' code ---------------------------------------------------------------


def anchors_of(recorded: Recorded) -> Tensor:
    config = ProposalConfig()
    sizes = [tuple(recorded[f"rpn_cls{k}"].shape[-2:]) for k in range(len(STRIDES))]
    grids = zip(sizes, STRIDES, strict=True)
    return torch.cat([anchor_grid(size, stride, config, CPU) for size, stride in grids])


def as_recorded(matched: Tensor) -> Tensor:
    """Write rows as the authors do: 1 + row, 0 negative, -1 ignored."""
    return torch.where(matched >= 0, matched + 1, torch.where(matched == matching.NEGATIVE, 0, -1))


@pytest.mark.parametrize("image", [0, 1])
def test_anchors_match_as_recorded(recorded: Recorded, image: int) -> None:
    anchors = anchors_of(recorded)
    kept = anchors[targets.inside(anchors, recorded.sizes[image])]
    boxes = recorded.truth[image].boxes
    assigned = recorded[f"sampler{image}_assigned_gt_inds_before_addgt"]
    assert torch.equal(as_recorded(matching.match(kept, boxes, boxes[:0], 0.7, 0.3)), assigned)
    overlaps = box_ops.pairwise_iou(kept, boxes).amax(dim=1)
    assert_close(overlaps, recorded[f"sampler{image}_max_overlaps"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("image", [0, 1])
def test_proposals_match_as_recorded(recorded: Recorded, image: int) -> None:
    boxes = recorded.truth[image].boxes
    matched = matching.match(recorded.proposals()[image], boxes, boxes[:0], 0.5, 0.5)
    assigned = recorded[f"sampler{image + 2}_assigned_gt_inds_before_addgt"]
    assert torch.equal(as_recorded(matched), assigned)


@pytest.mark.parametrize("image", [0, 1])
def test_regions_are_sampled_as_recorded(recorded: Recorded, image: int) -> None:
    name = f"sampler{image + 2}"
    replay = Replay([recorded[f"{name}_pos_inds"], recorded[f"{name}_neg_inds"]], [])
    config = replace(ClassHeadConfig(), sampled=48)
    proposals = recorded.proposals()[image]
    sample = targets.sample_regions(proposals, recorded.truth[image], config, replay)
    positives, negatives = (
        recorded.boxes(f"{name}_pos_bboxes"),
        recorded.boxes(f"{name}_neg_bboxes"),
    )
    assert_close(sample.boxes, torch.cat([positives, negatives]), rtol=0, atol=1e-5)
    assert torch.equal(sample.matched, recorded[f"{name}_pos_assigned_gt_inds"])
    labels = recorded[f"{name}_pos_gt_labels"]
    assert torch.equal(sample.classes, torch.cat([labels, torch.zeros(len(negatives)).long()]))


def test_positives_are_jittered_as_recorded(recorded: Recorded) -> None:
    # what was drawn is not recorded; each draw must lie in its range and give the recorded box
    for image, draws in enumerate(recorded.jitter_draws()):
        assert draws.abs().max() < 1.0
        given = recorded.boxes(f"sampler{image + 2}_pos_bboxes")
        made = targets.jitter(given, recorded.sizes[image], draws * 0.15)
        assert_close(made, recorded.jittered()[image], rtol=0, atol=1e-4)


def test_mask_targets_are_the_recorded_ones_but_for_opencvs_rounding(recorded: Recorded) -> None:
    made = torch.cat(
        [
            targets.mask_targets(boxes, rows, target.masks)
            for boxes, rows, target in zip(
                recorded.jittered(), recorded.matched(), recorded.truth, strict=True
            )
        ]
    )
    wanted = recorded.mask_targets()
    assert (made != wanted).sum() == 10  # of 10,976, as the specification counted
    assert not (wanted > made).any()  # that rounding only ever turns 1 into 0


def test_mask_iou_targets_are_the_recorded_ones(recorded: Recorded) -> None:
    order = recorded["sample_idx"]
    back = order.argsort()
    logits = recorded["head_mask_sel"][back].split([8, 6])
    wanted = recorded.mask_targets().split([8, 6])
    made = [
        targets.mask_iou_targets(logits[i], wanted[i], boxes, rows, recorded.truth[i].masks)
        for i, (boxes, rows) in enumerate(zip(recorded.jittered(), recorded.matched(), strict=True))
    ]
    assert_close(torch.cat(made)[order], recorded["iou_targets"], rtol=0, atol=1e-6)


# --- anchors and regions by hand -------------------------------------------------------------


def test_an_anchor_may_touch_the_image_edge_but_not_pass_it() -> None:
    anchors = torch.tensor(
        [[0, 0, 30, 20], [-1, 0, 30, 20], [0, -1, 30, 20], [0, 0, 31, 20], [0, 0, 30, 21]]
    ).float()
    assert targets.inside(anchors, (20, 30)).tolist() == [True, False, False, False, False]


def test_proposal_targets_by_hand() -> None:
    anchors = torch.tensor(
        [[-5, 0, 5, 10], [0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 20, 10]]
    ).float()
    made = targets.proposal_targets(
        anchors, (100, 100), truth((1, 0, 11, 10)), ProposalConfig(), sampler()
    )
    assert made.positives.tolist() == [1]  # IoU 9 / 11; anchor 3 has 0.5 and is ignored
    assert made.negatives.tolist() == [2]
    assert_close(made.deltas, torch.tensor([[0.1, 0.0, 0.0, 0.0]]))


def test_positive_anchors_never_pass_their_share() -> None:
    grid = torch.arange(60).float()[:, None]
    anchors = torch.cat([grid / 100, grid * 0, grid / 100 + 50, grid * 0 + 50], dim=1)
    far = torch.tensor([[60.0, 60.0, 90.0, 90.0]]).expand(300, 4)
    config = replace(ProposalConfig(), sampled=20, positive_share=0.25)
    made = targets.proposal_targets(
        torch.cat([anchors, far]), (100, 100), truth((0, 0, 50, 50)), config, sampler()
    )
    assert len(made.positives) == 5
    assert len(made.negatives) == 15
    assert (made.positives.diff() > 0).all()
    assert (made.negatives.diff() > 0).all()


def test_objects_are_positives_of_themselves() -> None:
    target = truth((0, 0, 10, 10), (0, 0, 90, 90), (30, 30, 50, 50), crowd=(1,))
    far = torch.tensor([[90.0, 90.0, 99.0, 99.0]])
    sample = targets.sample_regions(far, target, ClassHeadConfig(), sampler())
    assert torch.equal(sample.positives, target.boxes[[0, 2]])
    assert sample.matched.tolist() == [0, 2]  # rows of the target, crowds counted
    assert sample.classes.tolist() == [1, 3, 0]


def test_a_proposal_inside_a_crowd_is_no_background() -> None:
    target = truth((60, 60, 90, 90), (0, 0, 50, 50), crowd=(1,))
    proposals = torch.tensor([[10.0, 10.0, 20.0, 20.0], [60.0, 0.0, 70.0, 10.0]])
    ours = targets.sample_regions(proposals, target, ClassHeadConfig(), sampler())
    assert torch.equal(ours.boxes[1:], proposals[1:])
    released = targets.as_read(target, "released")
    theirs = targets.sample_regions(proposals, released, ClassHeadConfig(), sampler())
    assert torch.equal(theirs.boxes[1:], proposals)


def test_the_released_reading_forgets_crowds_and_nothing_else() -> None:
    target = truth((60, 60, 90, 90), (0, 0, 50, 50), (1, 1, 3, 3), crowd=(1,))
    assert targets.as_read(target, "paper") is target
    made = targets.as_read(target, "released")
    assert made.labels.tolist() == [0, 2]
    assert torch.equal(made.boxes, target.boxes[[0, 2]])
    assert torch.equal(made.masks, target.masks[[0, 2]])
    assert not made.crowd.any()


@pytest.mark.parametrize("target", [NOTHING, truth((0, 0, 90, 90), crowd=(0,))])
def test_without_objects_there_are_no_positives(target: Target) -> None:
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [85.0, 85.0, 99.0, 99.0]])
    first = 0 if not len(target.crowd) else 1
    anchor_lesson = targets.proposal_targets(
        anchors, (100, 100), target, ProposalConfig(), sampler()
    )
    assert anchor_lesson.deltas.shape == (0, 4)
    assert anchor_lesson.negatives.tolist() == [0, 1][first:]
    regions = targets.sample_regions(anchors, target, ClassHeadConfig(), sampler())
    assert torch.equal(regions.boxes, anchors[first:])
    assert regions.classes.tolist() == [0, 0][first:]
    samples = targets.sample_masks([regions], [target], [(100, 100)], MaskHeadConfig(), [sampler()])
    assert samples[0].boxes.shape == samples[0].truth.shape == (0, 4)
    assert samples[0].labels.dtype == samples[0].matched.dtype == torch.int64
    cut = targets.mask_targets(samples[0].boxes, samples[0].matched, target.masks)
    assert cut.shape == (0, 28, 28)
    ious = targets.mask_iou_targets(cut, cut, samples[0].boxes, samples[0].matched, target.masks)
    assert ious.shape == (0,)


def test_without_proposals_the_objects_remain() -> None:
    target = truth((0, 0, 10, 10))
    sample = targets.sample_regions(torch.zeros(0, 4), target, ClassHeadConfig(), sampler())
    assert torch.equal(sample.boxes, target.boxes)
    assert sample.classes.tolist() == [1]


# --- the mask head's samples -----------------------------------------------------------------


def test_jitter_by_hand() -> None:
    # inclusive corners (20, 30) .. (60, 50): centre (40, 40), extent 40 x 20
    boxes = torch.tensor([[20.0, 30.0, 61.0, 51.0]])
    made = targets.jitter(boxes, (100, 100), torch.tensor([[0.1, -0.1, -0.1, 0.1]]))
    # centre (44, 38), extent 36 x 22: inclusive (26, 27) .. (62, 49)
    assert_close(made, torch.tensor([[26.0, 27.0, 63.0, 50.0]]))


def test_jitter_stays_in_the_image_and_leaves_its_argument_alone() -> None:
    boxes = torch.tensor([[0.0, 0.0, 101.0, 51.0]])
    before = boxes.clone()
    made = targets.jitter(boxes, (51, 101), torch.tensor([[0.1, -0.1, 0.1, 0.0]]))
    # inclusive x: 60 -+ 55 -> 5 .. 115, cut at 100; y: 20 -+ 25 -> -5 .. 45
    assert_close(made, torch.tensor([[5.0, 0.0, 101.0, 46.0]]))
    assert torch.equal(boxes, before)


def regions_of(target: Target) -> RegionSample:
    return targets.sample_regions(target.boxes[:0], target, ClassHeadConfig(), sampler())


def test_mask_samples_know_their_objects() -> None:
    batch = [truth((0, 0, 20, 20), (40, 40, 80, 80)), NOTHING, truth((10, 10, 30, 30))]
    sizes = [(100, 100)] * 3
    config = replace(MaskHeadConfig(), jitter=0.0)
    regions = [regions_of(target) for target in batch]
    first, second, third = targets.sample_masks(regions, batch, sizes, config, [sampler()] * 3)
    assert_close(first.boxes, batch[0].boxes)
    assert torch.equal(first.truth, batch[0].boxes)
    assert first.labels.tolist() == first.matched.tolist() == [0, 1]
    assert len(second.boxes) == 0
    assert third.matched.tolist() == [0]


def test_a_mask_sample_is_drawn_to_its_object_not_to_its_proposal() -> None:
    target = truth((0, 0, 20, 20), (40, 40, 80, 80))
    proposal = torch.tensor([[42.0, 40.0, 80.0, 80.0]])
    regions = targets.sample_regions(proposal, target, ClassHeadConfig(), sampler())
    config = replace(MaskHeadConfig(), jitter=0.0)
    made = targets.sample_masks([regions], [target], [(100, 100)], config, [sampler()])[0]
    assert_close(made.boxes, torch.cat([target.boxes, proposal]))
    assert torch.equal(made.truth, target.boxes[[0, 1, 1]])


def test_mask_samples_are_limited_over_the_whole_batch() -> None:
    batch = [truth(*((k, k, k + 20, k + 20) for k in range(12)))] * 3
    config = replace(MaskHeadConfig(), sampled=10)
    regions = [regions_of(target) for target in batch]
    made = targets.sample_masks(regions, batch, [(100, 100)] * 3, config, [sampler()] * 3)
    assert sum(len(sample.boxes) for sample in made) == 10
    assert all(len(sample.boxes) for sample in made)  # this seed leaves none out


def test_the_default_jitter_moves_boxes_by_at_most_its_share() -> None:
    target = truth(*((30, 30, 71, 71),) * 50)
    regions = regions_of(target)
    made = targets.sample_masks([regions], [target], [(100, 100)], MaskHeadConfig(), [sampler()])[0]
    # centre 50 -+ 6, extent 40 x 0.85 .. 1.15
    centre = (made.boxes[:, :2] + made.boxes[:, 2:] - 1) / 2
    extent = made.boxes[:, 2:] - made.boxes[:, :2] - 1
    assert (centre - 50).abs().max() <= 6.001
    assert extent.min() >= 33.99
    assert extent.max() <= 46.01
    assert (centre - 50).abs().max() > 5  # the range is used
    assert extent.std() > 2


# --- mask targets by hand --------------------------------------------------------------------


def test_a_box_of_28_pixels_copies_the_mask() -> None:
    masks = torch.randint(0, 2, (2, 40, 50), dtype=torch.uint8)
    made = targets.mask_targets(torch.tensor([[10.0, 5.0, 38.0, 33.0]]), torch.tensor([1]), masks)
    assert_close(made, masks[1:, 5:33, 10:38].float())


def test_corners_are_truncated_to_whole_pixels() -> None:
    masks = torch.randint(0, 2, (1, 40, 50), dtype=torch.uint8)
    boxes = torch.tensor([[10.9, 5.9, 38.9, 33.9]])  # the last pixels are 37 and 32
    made = targets.mask_targets(boxes, torch.tensor([0]), masks)
    assert_close(made, masks[:, 5:33, 10:38].float())


def test_a_box_of_one_pixel_repeats_it() -> None:
    target = truth((3, 4, 4, 5))
    boxes = torch.tensor([[3.0, 4.0, 4.0, 5.0], [3.9, 4.9, 3.9, 4.9], [4.0, 4.0, 5.0, 5.0]])
    made = targets.mask_targets(boxes, torch.tensor([0, 0, 0]), target.masks)
    assert made.sum(dim=(1, 2)).tolist() == [784.0, 784.0, 0.0]


def test_a_crop_is_resized_with_half_pixel_centres() -> None:
    # four columns 0 1 1 0: a cell's centre lies at (k + 0.5) / 7 - 0.5 of their centres
    target = truth((1, 0, 3, 4))
    made = targets.mask_targets(
        torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([0]), target.masks
    )
    line = [7 <= k <= 20 for k in range(28)]  # 7.5 / 7 - 0.5 = 0.571 is the first above a half
    assert made[0].tolist() == [[float(cell) for cell in line]] * 28


def test_agrees_with_torchs_own_resize() -> None:
    random = torch.Generator().manual_seed(0)
    masks = torch.nn.functional.interpolate(
        torch.rand(5, 1, 9, 9, generator=random), (90, 120), mode="bilinear"
    )[:, 0]
    masks = (masks > 0.5).to(torch.uint8)
    corner = torch.rand(40, 2, generator=random) * 50
    boxes = torch.cat([corner, corner + 2 + torch.rand(40, 2, generator=random) * 38], dim=1)
    rows = torch.randint(0, 5, (40,), generator=random)
    made = targets.mask_targets(boxes, rows, masks)
    for cut, row, (x1, y1, x2, y2) in zip(made, rows, boxes.long().tolist(), strict=True):
        crop = masks[row, y1:y2, x1:x2][None, None].float()
        resized = torch.nn.functional.interpolate(crop, (28, 28), mode="bilinear")[0, 0]
        clear = (resized - 0.5).abs() > 1e-5
        assert_close(cut[clear], (resized[clear] > 0.5).float())


def test_boxes_beyond_the_mask_read_its_edge() -> None:
    target = truth((90, 90, 100, 100), (0, 0, 10, 10))
    beyond = [[95.0, 95.0, 140.0, 140.0], [120.0, 120.0, 140.0, 140.0], [-40.0, -40.0, 5.0, 5.0]]
    made = targets.mask_targets(torch.tensor(beyond), torch.tensor([0, 0, 1]), target.masks)
    assert made.min() == 1.0


def test_mask_iou_targets_by_hand() -> None:
    # the object has 200 pixels of which the box holds 100: its 784 cells stand for 1568
    target = truth((0, 0, 20, 10))
    boxes, rows = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 4), torch.zeros(4, dtype=torch.long)
    wanted = torch.ones(4, 28, 28)
    logits = torch.full((4, 28, 28), -3.0)
    logits[0] = 3.0  # all: 784 of 1568
    logits[1, :14] = 3.0  # half: 392 of 1568
    logits[2] = 0.5  # not above the logit's threshold: nothing is drawn
    ious = targets.mask_iou_targets(logits, wanted, boxes, rows, target.masks)
    assert_close(ious, torch.tensor([0.5, 0.25, 0.0, 0.0]), rtol=0, atol=1e-6)


def test_an_object_outside_its_box_has_a_mask_iou_of_zero() -> None:
    target = truth((50, 50, 60, 60))
    boxes, empty = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.zeros(1, 28, 28)
    for logit in (-1.0, 1.0):
        logits = torch.full((1, 28, 28), logit)
        ious = targets.mask_iou_targets(logits, empty, boxes, torch.tensor([0]), target.masks)
        assert ious.tolist() == [0.0]


# --- the sampler -----------------------------------------------------------------------------


def test_the_sampler_takes_all_when_they_are_few() -> None:
    assert sampler().choose(torch.tensor([3, 5, 9]), 3).tolist() == [3, 5, 9]
    assert sampler().choose(torch.zeros(0, dtype=torch.long), 3).shape == (0,)


def test_the_sampler_chooses_evenly_without_repeating() -> None:
    candidates = torch.arange(10, 20)
    random = sampler()
    counts = torch.zeros(20)
    for _ in range(600):
        chosen = random.choose(candidates, 3)
        assert (chosen.diff() > 0).all()
        counts[chosen] += 1
    assert counts[:10].sum() == 0
    assert counts[10:].min() > 130  # 180 expected, a deviation of 11
    assert counts[10:].max() < 230


def test_the_sampler_draws_evenly_and_repeats_with_its_seed() -> None:
    drawn = sampler().uniform((1000, 4))
    assert torch.equal(drawn, sampler().uniform((1000, 4)))
    assert -1.0 <= drawn.min() < -0.99
    assert 0.99 < drawn.max() <= 1.0
    assert drawn.mean().abs() < 0.05


def test_a_sample_is_a_value() -> None:
    sample = MaskSample(*(torch.zeros(0),) * 4)
    with pytest.raises(AttributeError):
        sample.boxes = torch.zeros(1)  # type: ignore[misc]


# --- images that are annotated for some classes only -----------------------------------------


def test_an_unlabelled_object_is_no_background_of_a_proposal() -> None:
    anchors = torch.tensor([[10.0, 10, 50, 50], [60, 60, 90, 90], [0, 0, 20, 20]])
    target = truth((10, 10, 50, 50))
    assert targets.proposal_targets(
        anchors, (100, 100), target, ProposalConfig(), sampler()
    ).negatives.tolist() == [1, 2]
    partly = replace(target, annotated=torch.tensor([True, False]))
    found = targets.proposal_targets(anchors, (100, 100), partly, ProposalConfig(), sampler())
    assert found.positives.tolist() == [0]
    assert found.negatives.tolist() == []


def test_a_region_beside_the_objects_may_be_of_any_class_that_nobody_annotated() -> None:
    proposals = torch.tensor([[60.0, 60, 90, 90]])
    target = replace(truth((10, 10, 50, 50)), annotated=torch.tensor([True, False, True]))
    region = targets.sample_regions(proposals, target, ClassHeadConfig(), sampler())
    assert region.classes.tolist() == [1, 0]
    assert region.possible is not None
    assert region.possible.tolist() == [
        [False, True, False, False],  # it is an object of label 0
        [True, False, True, False],  # nothing, or of label 1
    ]
    everything = targets.sample_regions(
        proposals, replace(target, annotated=None), ClassHeadConfig(), sampler()
    )
    assert everything.possible is None
