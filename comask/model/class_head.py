"""The class branch: what is in a proposal; it never moves the box (spec sections 6.2, 6.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.config import DetectionConfig, ModelConfig
from comask.model.cells import Cells
from comask.model.roi_pool import OUTPUT, RegionPool
from comask.ops import boxes as box_ops
from comask.structures import Fate, Fates, Size

FLOOR = 0.01  # a class score up to this is not worth a word when fates are told


@dataclass(frozen=True)
class Found:
    """Proposals of one image that the class branch kept.

    boxes   (N, 4)  half-open, network pixels, the proposals themselves
    labels  (N,)    int64 in 0 .. num_classes - 1
    scores  (N,)    class probability
    rows    (N,)    int64, the row among the image's proposals
    fates   what became of all candidates; None where nobody asked
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    rows: Tensor
    fates: Fates | None = None


class ClassHead(nn.Module):
    """Deformable pooling and three linear layers: one probability a class and background."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, hidden = config.neck.channels, config.class_head.hidden
        self.pool = RegionPool(channels, config.class_head.offset_hidden)
        self.hidden1 = Cells(channels, OUTPUT, hidden)
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
        hidden = F.relu(self.hidden1(pooled))
        logits: Tensor = self.score(F.relu(self.hidden2(hidden)))
        return logits


def to_scores(logits: Tensor) -> Tensor:
    """Turn logits into class scores, without the background: (R, K + 1) -> (R, K)."""
    return logits.float().softmax(dim=1)[:, 1:]


def detect(logits: Tensor, boxes: Tensor, config: DetectionConfig) -> Found:
    """Keep what scores and survives the NMS of its class: (R, K + 1), (R, 4) -> Found.

    One proposal may be kept for several classes. Up to ``max_instances`` the result is grouped
    by class and keeps the proposals' order; beyond, the best ones, best first.
    """
    row, label, score = _survivors(to_scores(logits), boxes, config)
    if len(row) > config.max_instances:
        best = score.topk(config.max_instances).indices
        row, label, score = row[best], label[best], score[best]
    return Found(boxes[row], label, score, row)


def explain(logits: Tensor, boxes: Tensor, found: Found, config: DetectionConfig) -> Fates:
    """Tell what ``detect`` did with every candidate above ``FLOOR``: (R, K + 1), (R, 4) -> Fates.

    Args:
        logits: What ``detect`` was given.
        boxes: What ``detect`` was given.
        found: What it answered.
        config: What it went by; a threshold under ``FLOOR`` takes its place.
    """
    probabilities = to_scores(logits)
    rows, labels = (probabilities > min(FLOOR, config.min_score)).nonzero(as_tuple=True)
    scores = probabilities[rows, labels]
    alive = torch.zeros_like(probabilities, dtype=torch.bool)
    row, label, _ = _survivors(probabilities, boxes, config)
    alive[row, label] = True
    instance = torch.full_like(probabilities, -1, dtype=torch.long)
    instance[found.rows, found.labels] = torch.arange(len(found.rows), device=boxes.device)
    survived, by = alive[rows, labels], instance[rows, labels]
    fates = torch.full_like(rows, Fate.BELOW, dtype=torch.int8)
    fates[scores > config.min_score] = Fate.SUPPRESSED
    fates[survived] = Fate.CUT
    fates[by >= 0] = Fate.KEPT
    overlaps = torch.zeros_like(scores)
    lost = fates == Fate.SUPPRESSED
    for one in labels[lost].unique():
        own = labels == one
        losers, winners = (lost & own).nonzero()[:, 0], (survived & own).nonzero()[:, 0]
        chosen, overlap = _suppressors(boxes[rows], scores, losers, winners, config.nms_iou)
        by[losers], overlaps[losers] = chosen, overlap
    return Fates(boxes, rows, labels, scores, fates, by, overlaps)


def _survivors(
    probabilities: Tensor, boxes: Tensor, config: DetectionConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Apply the threshold and the NMS of each class: (R, K), (R, 4) -> rows, labels, scores."""
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
        return none, none, probabilities.new_zeros(0)
    return torch.cat(rows), torch.cat(labels), torch.cat(scores)


def _suppressors(
    boxes: Tensor, scores: Tensor, losers: Tensor, winners: Tensor, max_iou: float
) -> tuple[Tensor, Tensor]:
    """Find for each loser the best winner that overlaps it too much: indices -> indices, IoUs."""
    ranked = winners[scores[winners].argsort(descending=True, stable=True)]
    overlaps = box_ops.pairwise_iou(boxes[losers], boxes[ranked])
    over = overlaps.double() > max_iou  # as the NMS itself compares
    # where its own arithmetic differs in the last bit, it was the one that overlaps most
    over = over.where(over.any(dim=1, keepdim=True), overlaps == overlaps.amax(1, keepdim=True))
    first = over.int().argmax(dim=1, keepdim=True)
    return ranked[first[:, 0]], overlaps.gather(1, first)[:, 0]
