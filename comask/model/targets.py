"""What each head should have said: training targets and their sampling (spec section 10).

Letters: A anchors, R proposals or regions, P positives, M truth objects of one image. Boxes are
half-open network pixels. The authors compute jitter and crops with inclusive corners; an inclusive
x2 is the half-open one minus 1, which is why a 1 is taken off and put back here.
All randomness comes from a ``Sampler``, one an image: its targets do not depend on what stands
beside it in a batch, and a recorded training step can be replayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from comask.config import ClassHeadConfig, MaskHeadConfig, ProposalConfig, Reading
from comask.ops import boxes as box_ops
from comask.ops import matching
from comask.structures import Size, Target

MASK = 28  # cells a side of a mask target
EPSILON = 1e-7
LOGIT_THRESHOLD = 0.5  # of the raw logit, a probability of 0.62, as the mask-IoU target has it


class Sampler(Protocol):
    """Where every random draw of a training step comes from."""

    def choose(self, candidates: Tensor, count: int) -> Tensor:
        """Take ``count`` of the candidates, or all if they are fewer: (N,) -> (K,) ascending."""

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Draw evenly from -1 .. 1, on the CPU."""


class RandomSampler:
    """Draws from a CPU generator, so that a seed means the same on every device."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def choose(self, candidates: Tensor, count: int) -> Tensor:
        """Take ``count`` of the candidates, or all if they are fewer: (N,) -> (K,) ascending."""
        if len(candidates) <= count:
            return candidates
        order = torch.randperm(len(candidates), generator=self.generator)[:count]
        return candidates[order.sort().values.to(candidates.device)]

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Draw evenly from -1 .. 1, on the CPU."""
        return torch.rand(shape, generator=self.generator) * 2.0 - 1.0


@dataclass(frozen=True)
class ProposalTargets:
    """What the proposal head should say of the sampled anchors of one image.

    positives  (P,)    int64, rows among all anchors, ascending
    negatives  (Q,)    int64, likewise
    deltas     (P, 4)  offsets from the positive anchors to their objects
    """

    positives: Tensor
    negatives: Tensor
    deltas: Tensor


@dataclass(frozen=True)
class RegionSample:
    """The regions of one image that the class head learns from, positives first.

    boxes    (R, 4)  half-open
    classes  (R,)    int64 as the logits are ordered: 0 background, label + 1 an object
    matched  (P,)    int64, the positives' rows among the target's objects; P <= R
    possible (R, K + 1)  bool, the classes that a region may have: its own, and for the background
                         of an image that is not annotated for all classes, the others too.
                         None: the regions are what ``classes`` says
    """

    boxes: Tensor
    classes: Tensor
    matched: Tensor
    possible: Tensor | None = None

    @property
    def positives(self) -> Tensor:
        """The boxes with an object: (P, 4)."""
        return self.boxes[: len(self.matched)]


@dataclass(frozen=True)
class MaskSample:
    """The regions of one image that the mask head learns from.

    boxes    (P, 4)  positives of the class head, jittered and clipped
    labels   (P,)    int64 in 0 .. num_classes - 1
    truth    (P, 4)  the boxes of their objects
    matched  (P,)    int64, the objects' rows in the target
    """

    boxes: Tensor
    labels: Tensor
    truth: Tensor
    matched: Tensor


def as_read(target: Target, reading: Reading) -> Target:
    """Drop the crowd regions where the release takes them for background; else change nothing."""
    if reading == "paper" or not bool(target.crowd.any()):
        return target
    kept = ~target.crowd
    return replace(
        target,
        boxes=target.boxes[kept],
        labels=target.labels[kept],
        masks=target.masks[kept],
        crowd=target.crowd[kept],
    )


def inside(anchors: Tensor, size: Size) -> Tensor:
    """Tell which anchors lie wholly in the unpadded image: (A, 4) -> (A,) bool."""
    height, width = size
    limit = anchors.new_tensor([width, height])
    return (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2:] <= limit).all(dim=1)


@torch.no_grad()
def proposal_targets(
    anchors: Tensor, size: Size, target: Target, config: ProposalConfig, sampler: Sampler
) -> ProposalTargets:
    """Choose anchors of one image and what they should say: (A, 4) -> ProposalTargets."""
    considered = inside(anchors, size).nonzero().squeeze(1)
    objects, crowds = _objects_and_crowds(target)
    truth = target.boxes[objects]
    matched = matching.match(
        anchors[considered], truth, target.boxes[crowds], config.positive_iou, config.negative_iou
    )
    positives, negatives = _sample(matched, config.sampled, config.positive_share, sampler)
    if target.annotated is not None:  # an object of a class that nobody annotated is no background
        negatives = negatives[:0]
    rows = considered[positives]
    deltas = box_ops.encode(truth[matched[positives]], anchors[rows])
    return ProposalTargets(rows, considered[negatives], deltas)


@torch.no_grad()
def sample_regions(
    proposals: Tensor, target: Target, config: ClassHeadConfig, sampler: Sampler
) -> RegionSample:
    """Choose what the class head learns from: (R, 4) -> RegionSample.

    The objects' own boxes come before the proposals, as positives of themselves.
    """
    objects, crowds = _objects_and_crowds(target)
    truth = target.boxes[objects]
    themselves = torch.arange(len(objects), device=objects.device)
    matched = matching.match(
        proposals, truth, target.boxes[crowds], config.positive_iou, config.positive_iou
    )
    boxes, matched = torch.cat([truth, proposals]), torch.cat([themselves, matched])
    positives, negatives = _sample(matched, config.sampled, config.positive_share, sampler)
    rows = objects[matched[positives]]
    classes = torch.cat([target.labels[rows] + 1, torch.zeros_like(negatives)])
    possible = None if target.annotated is None else _possible(classes, target.annotated)
    return RegionSample(boxes[torch.cat([positives, negatives])], classes, rows, possible)


def _possible(classes: Tensor, annotated: Tensor) -> Tensor:
    """Tell which classes a region may have: (R,), (K,) -> (R, K + 1) bool."""
    nothing_known = torch.cat([annotated.new_ones(1), ~annotated])
    own = F.one_hot(classes, len(nothing_known)).bool()
    return torch.where((classes == 0)[:, None], nothing_known, own)


@torch.no_grad()
def sample_masks(
    regions: Sequence[RegionSample],
    targets: Sequence[Target],
    sizes: Sequence[Size],
    config: MaskHeadConfig,
    samplers: Sequence[Sampler],
) -> list[MaskSample]:
    """Jitter the positives and keep ``config.sampled`` of the batch: B -> B x MaskSample.

    The limit is that of one process' batch, as in the release; the first image's sampler draws
    those that stay.
    """
    jittered = [
        jitter(region.positives, size, sampler.uniform((len(region.matched), 4)) * config.jitter)
        for region, size, sampler in zip(regions, sizes, samplers, strict=True)
    ]
    counts = [len(boxes) for boxes in jittered]
    everyone = torch.arange(sum(counts), device=jittered[0].device)
    chosen = torch.zeros_like(everyone, dtype=torch.bool)
    chosen[samplers[0].choose(everyone, config.sampled)] = True
    samples = []
    for boxes, region, target, kept in zip(
        jittered, regions, targets, chosen.split(counts), strict=True
    ):
        rows = region.matched[kept]
        samples.append(MaskSample(boxes[kept], target.labels[rows], target.boxes[rows], rows))
    return samples


def jitter(boxes: Tensor, size: Size, draws: Tensor) -> Tensor:
    """Move and stretch boxes, then clip them: (P, 4), (P, 4) -> (P, 4).

    The draws are shares of the inclusive width and height: of the centre's x and y, then of the
    width and height themselves.
    """
    draws = draws.to(boxes)
    first, last = boxes[:, :2], boxes[:, 2:] - 1.0
    extent = last - first
    centre = (first + last) / 2 + extent * draws[:, :2]
    half = extent * (1.0 + draws[:, 2:]) / 2
    return box_ops.clip(torch.cat([centre - half, centre + half + 1.0], dim=1), size)


@torch.no_grad()
def mask_targets(boxes: Tensor, matched: Tensor, masks: Tensor) -> Tensor:
    """Cut objects out of their masks: (P, 4), (P,), (M, h, w) -> (P, 28, 28) float32 0 or 1.

    The crop is the box truncated to whole pixels, at least one; it is resized bilinearly with
    half-pixel centres and thresholded at 0.5. OpenCV's fixed-point resize, which the authors use,
    turns about 1 target pixel in 400 of those at 0.5 .. 0.69 into 0.
    """
    first, last = _whole_pixels(boxes, masks)
    low_x, high_x, share_x = _between(first[:, 0], last[:, 0])
    low_y, high_y, share_y = _between(first[:, 1], last[:, 1])
    share_x, share_y = share_x[:, None, :], share_y[:, :, None]
    row = matched[:, None, None]

    def across(y: Tensor) -> Tensor:
        left = masks[row, y[:, :, None], low_x[:, None, :]].float()  # (P, 28, 28)
        right = masks[row, y[:, :, None], high_x[:, None, :]].float()
        return left * (1.0 - share_x) + right * share_x

    value = across(low_y) * (1.0 - share_y) + across(high_y) * share_y
    return (value >= 0.5).float()


@torch.no_grad()
def mask_iou_targets(
    logits: Tensor, targets: Tensor, boxes: Tensor, matched: Tensor, masks: Tensor
) -> Tensor:
    """Measure the IoU that the mask head should have predicted: (P, 28, 28) x 2, (P, 4) -> (P,).

    The object may reach out of its box: its area in cells is that of the target, divided by the
    share of its pixels that the box holds.
    """
    drawn = (logits.float() > LOGIT_THRESHOLD).float()
    overlap = (drawn * targets).sum(dim=(1, 2))
    held = _share_held(boxes, matched, masks)
    whole = targets.sum(dim=(1, 2)) / (held + EPSILON)
    union = drawn.sum(dim=(1, 2)) + whole - overlap
    return overlap / (union + EPSILON)


def _objects_and_crowds(target: Target) -> tuple[Tensor, Tensor]:
    return (~target.crowd).nonzero().squeeze(1), target.crowd.nonzero().squeeze(1)


def _sample(
    matched: Tensor, count: int, positive_share: float, sampler: Sampler
) -> tuple[Tensor, Tensor]:
    """Choose positives, at most their share, and fill up with negatives: (N,) -> (P,), (Q,)."""
    positives = (matched >= 0).nonzero().squeeze(1)
    positives = sampler.choose(positives, int(count * positive_share))
    negatives = (matched == matching.NEGATIVE).nonzero().squeeze(1)
    return positives, sampler.choose(negatives, count - len(positives))


def _whole_pixels(boxes: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Truncate boxes to the first and last pixel they hold: (P, 4) -> (P, 2), (P, 2) int64."""
    height, width = masks.shape[-2:]
    limit = torch.tensor([width - 1, height - 1], device=boxes.device)
    first = boxes[:, :2].long().clamp(min=0).minimum(limit)
    last = (boxes[:, 2:] - 1.0).long().minimum(limit)
    return first, last.maximum(first)


def _between(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Place 28 cell centres among the pixels of each crop: (P,), (P,) -> 3 x (P, 28).

    They are the pixel before, the pixel after, and how far the centre is from the first to the
    second, 0 .. 1.
    """
    cells = torch.arange(MASK, device=first.device) + 0.5
    length = (last - first + 1)[:, None]
    position = (cells * length / MASK - 0.5).clamp(min=0.0)  # (P, 28)
    low = position.floor().long()
    high = (low + 1).minimum(length - 1)
    return first[:, None] + low, first[:, None] + high, position - low


def _share_held(boxes: Tensor, matched: Tensor, masks: Tensor) -> Tensor:
    """Tell how much of each object lies in its box: (P, 4), (P,), (M, h, w) -> (P,) in 0 .. 1."""
    first, last = _whole_pixels(boxes, masks)
    corners = torch.cat([matched[:, None], first, last + 1], dim=1).tolist()
    held = [masks[row, y1:y2, x1:x2].sum() for row, x1, y1, x2, y2 in corners]
    if not held:
        return boxes.new_zeros(0)
    rows, places = matched.unique(return_inverse=True)
    pixels = torch.stack([masks[row].sum() for row in rows.tolist()])[places]
    return torch.stack(held).float() / (pixels.float() + EPSILON)
