"""One training step's losses, and the one place where the model's parts meet their targets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from comask.config import Reading
from comask.model import losses, refine, targets
from comask.model.comask import CoMask
from comask.model.targets import MaskSample, RandomSampler, RegionSample, Sampler
from comask.structures import ImageBatch, Target


class TrainingStep(nn.Module):
    """A model with its lessons: images and truth in, unweighted losses out."""

    def __init__(self, model: CoMask, reading: Reading = "paper") -> None:
        super().__init__()
        self.model = model
        self.reading = reading

    def forward(
        self, images: ImageBatch, truth: Sequence[Target], seeds: Sequence[int]
    ) -> dict[str, Tensor]:
        """Compute the six losses of a batch, named as ``LossWeights`` names them."""
        sampler = RandomSampler(torch.Generator().manual_seed(seeds[0]))
        return self.losses(images, truth, sampler)

    def losses(
        self, images: ImageBatch, truth: Sequence[Target], sampler: Sampler
    ) -> dict[str, Tensor]:
        """Compute the six losses with all random draws taken from ``sampler``."""
        truth = [targets.as_read(target, self.reading) for target in truth]
        levels: tuple[Tensor, ...] = self.model.features(images.tensor)
        found, proposals = self._propose(levels, images, truth, sampler)
        regions = [
            targets.sample_regions(boxes, target, self.model.config.class_head, sampler)
            for boxes, target in zip(proposals, truth, strict=True)
        ]
        found["class_score"] = self._classify(levels, images, regions)
        samples = targets.sample_masks(
            regions, truth, images.sizes, self.model.config.mask_head, sampler
        )
        return found | self._draw(levels, images, samples, truth)

    def _propose(
        self,
        levels: Sequence[Tensor],
        images: ImageBatch,
        truth: Sequence[Target],
        sampler: Sampler,
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        guesses = self.model.rpn.guesses(levels)
        anchors = torch.cat(guesses.anchors)
        config = self.model.config.proposals
        lessons = [
            targets.proposal_targets(anchors, size, target, config, sampler)
            for size, target in zip(images.sizes, truth, strict=True)
        ]
        scores, deltas = torch.cat(guesses.scores, dim=1), torch.cat(guesses.deltas, dim=1)
        proposals = self.model.rpn.proposals(guesses, images.sizes)
        return losses.proposal_losses(scores, deltas, lessons), proposals

    def _classify(
        self, levels: Sequence[Tensor], images: ImageBatch, regions: Sequence[RegionSample]
    ) -> Tensor:
        boxes = [region.boxes for region in regions]
        logits: Tensor = self.model.class_head(levels, boxes, images.sizes)
        return losses.class_loss(logits, torch.cat([region.classes for region in regions]))

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
            "box": losses.box_loss(votes, box_truth, weights, self.reading),
            "mask": losses.mask_loss(output.masks, wanted),
            "mask_iou": losses.mask_iou_loss(output.mask_ious, ious, self.reading),
        }
