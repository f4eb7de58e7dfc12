"""CoMask, stage by stage: features, proposals, classes, and the loop between boxes and masks."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from comask.config import ModelConfig
from comask.model import refine
from comask.model.backbone import STRIDES, Backbone
from comask.model.class_head import ClassHead, Found, detect, explain, to_scores
from comask.model.mask_head import REGION, HeadOutput, MaskHead
from comask.model.neck import Neck
from comask.model.refine import Refinement
from comask.model.roi_pool import by_level, levels_of
from comask.model.rpn import ProposalHead
from comask.ops.roi_align import roi_align
from comask.structures import Detections, ImageBatch, Size, Trace


class CoMask(nn.Module):
    """The two-stage model of the paper; ``forward`` finds, ``comask.model.losses`` teaches."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.neck = Neck(self.backbone.channels, config.neck)
        self.rpn = ProposalHead(config.neck.channels, config.proposals)
        self.class_head = ClassHead(config)
        self.mask_head = MaskHead(config)

    def forward(self, images: ImageBatch, explained: bool = False) -> list[Detections]:
        """Find the instances of every image: one Detections an image, network pixels.

        Norms and gates see the padding, so each image is padded as if it were alone: a batch
        gives what its images give one by one. ``explained`` adds the fates of all candidates and
        changes nothing else.
        """
        found: dict[int, Detections] = {}
        for padded in dict.fromkeys(images.padded):
            rows = [row for row, other in enumerate(images.padded) if other == padded]
            found.update(zip(rows, self._find(images.alone(rows), explained), strict=True))
        return [found[row] for row in range(len(images.sizes))]

    def features(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Describe images at five scales: (B, 3, H, W) -> P2 .. P6, (B, C, H / s, W / s)."""
        levels: tuple[Tensor, ...] = self.neck(self.backbone(tensor))
        return levels

    def classes(
        self,
        levels: Sequence[Tensor],
        boxes: Sequence[Tensor],
        sizes: Sequence[Size],
        explained: bool = False,
    ) -> list[Found]:
        """Judge proposals: B x (R, 4) -> B x Found, NMS done, no masks yet."""
        logits: Tensor = self.class_head(levels, boxes, sizes)
        parts = logits.split([len(box) for box in boxes])
        settings = self.config.detection
        found = [detect(part, box, settings) for part, box in zip(parts, boxes, strict=True)]
        if not explained:
            return found
        return [
            replace(one, fates=explain(part, box, one, settings))
            for one, part, box in zip(found, parts, boxes, strict=True)
        ]

    def judged(self, levels: Sequence[Tensor], boxes: Tensor, size: Size) -> Tensor:
        """Judge any boxes of one image: (R, 4) -> class scores (R, K), no threshold, no NMS."""
        logits: Tensor = self.class_head(levels, [boxes], [size])
        return to_scores(logits)

    def masks(
        self,
        levels: Sequence[Tensor],
        found: Sequence[Found],
        sizes: Sequence[Size],
        how: Refinement | None = None,
    ) -> list[Detections]:
        """Move boxes by their masks and draw the masks anew: B x Found -> B x Detections.

        Without ``how`` it is done the checkpoint's own way.
        """
        how = how or Refinement.of(self.config)
        given = [one.boxes for one in found]
        # the second pass judges its own masks
        first = self.look(levels, given, _labels(found), sizes, judged=not how.second_pass)
        return self.refined(levels, found, sizes, first, how)

    def refined(
        self,
        levels: Sequence[Tensor],
        found: Sequence[Found],
        sizes: Sequence[Size],
        first: HeadOutput,
        how: Refinement | None = None,
    ) -> list[Detections]:
        """Do what follows pass 1: its output of all N -> B x Detections."""
        how = how or Refinement.of(self.config)
        counts = [len(one.boxes) for one in found]
        given = [one.boxes for one in found]
        votes = refine.votes(torch.cat(given), first.distances)
        refined, weights = refine.refined(votes, first.masks, how.votes)
        second_boxes, second = given, first
        if how.second_pass:
            second_boxes = list(refined.split(counts))
            second = self.look(levels, second_boxes, _labels(found), sizes)
        passes = torch.stack([levels_of(given, sizes), levels_of(second_boxes, sizes)], dim=1)
        split = [
            part.split(counts)
            for part in (
                refined,
                second.mask_ious,
                second.masks,
                passes,
                first.masks,
                votes,
                weights,
            )
        ]
        return [
            Detections(
                boxes=box, labels=one.labels, scores=one.scores, mask_ious=iou, masks=mask,
                mask_boxes=frame, trace=Trace(one.boxes, one.rows, level, early, vote, weight),
                fates=one.fates,
            )
            for one, frame, box, iou, mask, level, early, vote, weight in zip(
                found, second_boxes, *split, strict=True
            )
        ]  # fmt: skip

    def look(
        self,
        levels: Sequence[Tensor],
        boxes: Sequence[Tensor],
        labels: Tensor,
        sizes: Sequence[Size],
        *,
        judged: bool = True,
    ) -> HeadOutput:
        """Run the mask head over regions: B x (N_b, 4), (N,) -> HeadOutput of all N.

        Where nobody asks for them no masks are ``judged``.
        """
        regions = self.regions(levels, boxes, sizes)
        output: HeadOutput = self.mask_head(regions, labels, judged=judged)
        return output

    def regions(
        self, levels: Sequence[Tensor], boxes: Sequence[Tensor], sizes: Sequence[Size]
    ) -> Tensor:
        """Cut regions out of their levels: B x (N_b, 4) -> (N, C, 14, 14)."""
        return by_level(levels, boxes, sizes, REGION, _align)

    def _find(self, images: ImageBatch, explained: bool) -> list[Detections]:
        levels: tuple[Tensor, ...] = self.features(images.tensor)  # P2 .. P6
        boxes: list[Tensor] = self.rpn(levels, images)  # B x (R, 4)
        found: list[Found] = self.classes(levels, boxes, images.sizes, explained)  # no masks yet
        return self.masks(levels, found, images.sizes)  # boxes moved by masks


def _labels(found: Sequence[Found]) -> Tensor:
    return torch.cat([one.labels for one in found])


def _align(k: int, level: Tensor, boxes: Tensor, rows: Tensor) -> Tensor:
    return roi_align(level, boxes, rows, STRIDES[k], REGION)
