"""Region proposals over P2 .. P6 (spec section 4).

Letters: B images, A anchors a position, N anchors of all levels, R proposals. Anchors are
flattened level by level, then by row, column and anchor. Boxes are half-open, network pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.config import ProposalConfig
from comask.ops import boxes as box_ops
from comask.structures import ImageBatch, Size

STRIDES = (4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Guesses:
    """What the proposal head says of every anchor of a batch, level by level.

    scores   5 x (B, n_level)      logits
    deltas   5 x (B, n_level, 4)   offsets from the anchors
    anchors  5 x (n_level, 4)      shared by the batch
    """

    scores: list[Tensor]
    deltas: list[Tensor]
    anchors: list[Tensor]


class ProposalHead(nn.Module):
    """One 3x3 convolution and two 1x1 ones, shared by all levels."""

    def __init__(self, channels: int, config: ProposalConfig) -> None:
        super().__init__()
        self.config = config
        per_position = len(config.anchor_scales) * len(config.anchor_ratios)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.score = nn.Conv2d(channels, per_position, 1)
        self.delta = nn.Conv2d(channels, 4 * per_position, 1)
        for layer in (self.conv, self.score, self.delta):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, levels: Sequence[Tensor], images: ImageBatch) -> list[Tensor]:
        """Propose boxes: P2 .. P6 -> B x (R, 4), best first, clipped to each image."""
        return self.proposals(self.guesses(levels), images.sizes)

    def guesses(self, levels: Sequence[Tensor]) -> Guesses:
        """Judge every anchor of every level."""
        scores, deltas, anchors = [], [], []
        for level, stride in zip(levels, STRIDES, strict=True):
            score, delta = self.judged(level)
            scores.append(score.permute(0, 2, 3, 1).flatten(1).float())
            deltas.append(delta.permute(0, 2, 3, 1).reshape(len(level), -1, 4).float())
            anchors.append(
                anchor_grid((level.shape[-2], level.shape[-1]), stride, self.config, level.device)
            )
        return Guesses(scores, deltas, anchors)

    def judged(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the anchors of one level: (B, C, H, W) -> logits (B, A, H, W), and (B, 4 A, H, W).

        The latter are offsets, four an anchor.
        """
        hidden = F.relu(self.conv(level), inplace=True)
        return self.score(hidden), self.delta(hidden)

    @torch.no_grad()
    def proposals(self, guesses: Guesses, sizes: Sequence[Size]) -> list[Tensor]:
        """Choose the best boxes of each image: B x (R, 4), best first; no gradient."""
        return [self._of_image(guesses, row, size) for row, size in enumerate(sizes)]

    def _of_image(self, guesses: Guesses, row: int, size: Size) -> Tensor:
        config = self.config
        per_level = config.train_per_level if self.training else config.per_level
        found_boxes, found_scores = [], []
        for logits, deltas, anchors in zip(
            guesses.scores, guesses.deltas, guesses.anchors, strict=True
        ):
            scores, offsets = logits[row].sigmoid(), deltas[row]
            if len(scores) > per_level:
                scores, best = scores.topk(per_level)
                offsets, anchors = offsets[best], anchors[best]
            boxes = box_ops.clip(box_ops.decode(offsets, anchors), size)
            kept = box_ops.nms(boxes, scores, config.nms_iou)[:per_level]
            found_boxes.append(boxes[kept])
            found_scores.append(scores[kept])
        scores = torch.cat(found_scores)
        limit = config.train_kept if self.training else config.kept
        best = scores.topk(min(limit, len(scores))).indices
        return torch.cat(found_boxes)[best]


def anchor_grid(size: Size, stride: int, config: ProposalConfig, device: torch.device) -> Tensor:
    """Lay anchors over one level: -> (H * W * A, 4), half-open network pixels."""
    base = base_anchors(stride, config).to(device)  # (A, 4)
    y = torch.arange(size[0], dtype=torch.float32, device=device) * stride
    x = torch.arange(size[1], dtype=torch.float32, device=device) * stride
    shift_y, shift_x = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack([shift_x, shift_y, shift_x, shift_y], dim=-1)  # (H, W, 4)
    return (shifts[:, :, None, :] + base).reshape(-1, 4)


def base_anchors(stride: int, config: ProposalConfig) -> Tensor:
    """Build the anchors of the first position: -> (A, 4), scales in their order, ratios inside.

    The authors round inclusive corners to whole pixels; half-open corners keep their rounding.
    """
    scales = torch.tensor(config.anchor_scales, dtype=torch.float64)[:, None]
    ratios = torch.tensor(config.anchor_ratios, dtype=torch.float64)[None, :]
    width = (stride * scales / ratios.sqrt()).flatten()
    height = (stride * scales * ratios.sqrt()).flatten()
    centre = 0.5 * (stride - 1)
    reach_x, reach_y = 0.5 * (width - 1), 0.5 * (height - 1)
    inclusive = torch.stack(
        [centre - reach_x, centre - reach_y, centre + reach_x, centre + reach_y], dim=1
    ).round()
    return (inclusive + inclusive.new_tensor([0.0, 0.0, 1.0, 1.0])).float()
