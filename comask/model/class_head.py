"""The class branch: what is in a proposal; it never moves the box (spec sections 6.2, 6.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.config import DetectionConfig, ModelConfig
from comask.model.roi_pool import OUTPUT, RegionPool
from comask.ops import boxes as box_ops
from comask.structures import Size


@dataclass(frozen=True)
class Found:
    """Proposals of one image that the class branch kept.

    boxes   (N, 4)  half-open, network pixels, the proposals themselves
    labels  (N,)    int64 in 0 .. num_classes - 1
    scores  (N,)    class probability
    rows    (N,)    int64, the row among the image's proposals
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    rows: Tensor


class ClassHead(nn.Module):
    """Deformable pooling and three linear layers: one probability a class and background."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, hidden = config.neck.channels, config.class_head.hidden
        self.pool = RegionPool(channels, config.class_head.offset_hidden)
        self.hidden1 = nn.Linear(channels * OUTPUT * OUTPUT, hidden)
        self.hidden2 = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, config.num_classes + 1)  # 0 is the background
        for layer in (self.hidden1, self.hidden2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.zeros_(self.score.bias)

    def forward(
        self, levels: Sequence[Tensor], boxes: Sequence[Tensor], sizes: Sequence[Size]
    ) -> Tensor:
        """Judge regions: B x (R_b, 4) -> (sum of R_b, num_classes + 1) logits, background first."""
        pooled: Tensor = self.pool(levels, boxes, sizes)
        hidden = F.relu(self.hidden1(pooled.flatten(1)))
        logits: Tensor = self.score(F.relu(self.hidden2(hidden)))
        return logits


def detect(logits: Tensor, boxes: Tensor, config: DetectionConfig) -> Found:
    """Keep what scores and survives the NMS of its class: (R, K + 1), (R, 4) -> Found.

    One proposal may be kept for several classes. Up to ``max_instances`` the result is grouped
    by class and keeps the proposals' order; beyond, the best ones, best first.
    """
    probabilities = logits.float().softmax(dim=1)[:, 1:]  # (R, K)
    rows, labels, scores = [], [], []
    for label in (probabilities > config.min_score).any(dim=0).nonzero().squeeze(1):
        candidates = (probabilities[:, label] > config.min_score).nonzero().squeeze(1)
        score = probabilities[candidates, label]
        kept = box_ops.nms(boxes[candidates], score, config.nms_iou)
        rows.append(candidates[kept])
        labels.append(label.expand(len(kept)))
        scores.append(score[kept])
    if not rows:
        none = torch.zeros(0, dtype=torch.long, device=boxes.device)
        return Found(boxes[none], none, probabilities.new_zeros(0), none)
    row, label, score = torch.cat(rows), torch.cat(labels), torch.cat(scores)
    if len(row) > config.max_instances:
        best = score.topk(config.max_instances).indices
        row, label, score = row[best], label[best], score[best]
    return Found(boxes[row], label, score, row)
