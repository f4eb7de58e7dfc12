"""One training step's losses, and the one place where the model's parts meet their targets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.config import Reading
from comask.model import losses, refine, targets
from comask.model.comask import CoMask
from comask.model.losses import Mean, alone
from comask.model.targets import MaskSample, RandomSampler, RegionSample, Sampler
from comask.structures import ImageBatch, Target


class TrainingStep(nn.Module):
    """A model with its lessons: images and truth in, unweighted losses out.

    ``mean`` is taken over the processes that share a step, see ``comask.model.losses``; in the
    released reading each process divides by its own counts, as the authors' do.
    """

    def __init__(self, model: CoMask, reading: Reading = "paper", mean: Mean = alone) -> None:
        super().__init__()
        self.model = model
        self.reading = reading
        self.mean = mean if reading == "paper" else alone

    def forward(
        self, images: ImageBatch, truth: Sequence[Target], seeds: Sequence[int]
    ) -> dict[str, Tensor]:
        """Compute the six losses of a batch, named as ``LossWeights`` names them."""
        samplers = [RandomSampler(torch.Generator().manual_seed(seed)) for seed in seeds]
        return self.losses(images, truth, samplers)

    def losses(
        self, images: ImageBatch, truth: Sequence[Target], samplers: Sequence[Sampler]
    ) -> dict[str, Tensor]:
        """Compute the six losses; an image's random draws come from its own sampler."""
        truth = [targets.as_read(target, self.reading) for target in truth]
        levels: tuple[Tensor, ...] = self.model.features(images.tensor)
        found, proposals = self._propose(levels, images, truth, samplers)
        regions = [
            targets.sample_regions(boxes, target, self.model.config.class_head, sampler)
            for boxes, target, sampler in zip(proposals, truth, samplers, strict=True)
        ]
        found["class_score"] = self._classify(levels, images, regions)
        samples = targets.sample_masks(
            regions, truth, images.sizes, self.model.config.mask_head, samplers
        )
        return found | self._draw(levels, images, samples, truth)

    def _propose(
        self,
        levels: Sequence[Tensor],
        images: ImageBatch,
        truth: Sequence[Target],
        samplers: Sequence[Sampler],
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        guesses = self.model.rpn.guesses(levels)
        anchors = torch.cat(guesses.anchors)
        config = self.model.config.proposals
        lessons = [
            targets.proposal_targets(anchors, size, target, config, sampler)
            for size, target, sampler in zip(images.sizes, truth, samplers, strict=True)
        ]
        scores, deltas = torch.cat(guesses.scores, dim=1), torch.cat(guesses.deltas, dim=1)
        proposals = self.model.rpn.proposals(guesses, images.sizes)
        return losses.proposal_losses(scores, deltas, lessons, self.mean), proposals

    def _classify(
        self, levels: Sequence[Tensor], images: ImageBatch, regions: Sequence[RegionSample]
    ) -> Tensor:
        boxes = [region.boxes for region in regions]
        logits: Tensor = self.model.class_head(levels, boxes, images.sizes)
        classes = torch.cat([region.classes for region in regions])
        return losses.class_loss(logits, classes, self.mean, _possible(regions, logits.shape[1]))

    def _draw(
        self,
        levels: Sequence[Tensor],
        images: ImageBatch,
        samples: Sequence[MaskSample],
        truth: Sequence[Target],
    ) -> dict[str, Tensor]:
        boxes = [sample.boxes for sample in samples]
        labels = torch.cat([sample.labels for sample in samples])
        output = self.model.look(levels, boxes, labels, images.sizes)
        votes = refine.votes(torch.cat(boxes), output.distances)
        weights = refine.vote_weights(output.masks)
        if not self.model.config.collaborative:
            weights = torch.ones_like(weights)
        pairs = list(zip(samples, truth, strict=True))
        wanted = torch.cat(
            [targets.mask_targets(s.boxes, s.matched, target.masks) for s, target in pairs]
        )
        parts = zip(
            pairs,
            output.masks.split([len(box) for box in boxes]),
            wanted.split([len(box) for box in boxes]),
            strict=True,
        )
        ious = torch.cat(
            [
                targets.mask_iou_targets(mask, want, s.boxes, s.matched, target.masks)
                for (s, target), mask, want in parts
            ]
        )
        box_truth = torch.cat([sample.truth for sample in samples])
        return {
            "box": losses.box_loss(votes, box_truth, weights, self.reading, self.mean),
            "mask": losses.mask_loss(output.masks, wanted, self.mean),
            "mask_iou": losses.mask_iou_loss(output.mask_ious, ious, self.reading, self.mean),
        }


def _possible(regions: Sequence[RegionSample], classes: int) -> Tensor | None:
    """Gather what the regions may be, where any image leaves it open: B x (R, K + 1) or None."""
    if all(region.possible is None for region in regions):
        return None
    return torch.cat(
        [
            F.one_hot(region.classes, classes).bool()
            if region.possible is None
            else region.possible
            for region in regions
        ]
    )
