"""Which truth box each anchor or proposal learns from (spec section 10).

Letters: N boxes, M truth boxes. Boxes are half-open, so the authors' IoU with + 1 is the plain one.
"""

import torch
from torch import Tensor

from comask.ops import boxes as box_ops

NEGATIVE = -1  # learns that nothing is here
IGNORED = -2  # learns nothing
CROWD_SHARE = 0.5  # a box with more of itself than this inside a crowd region is ignored

_PAIRS_AT_ONCE = 1_000_000  # bounds the memory of the pairwise IoU: a few tens of megabytes


def match(
    boxes: Tensor, truth: Tensor, crowds: Tensor, positive_iou: float, negative_iou: float
) -> Tensor:
    """Give every box a row of truth, NEGATIVE or IGNORED: (N, 4), (M, 4), (C, 4) -> (N,) int64.

    A box whose best IoU reaches ``positive_iou`` takes that truth, one below ``negative_iou`` is
    negative, one between is ignored. Then each truth whose best IoU reaches ``negative_iou``
    takes all boxes that tie for it, whatever they had; where two truths want a box the later one
    gets it. Boxes inside a crowd region stay out of all this.
    """
    ignored = _in_crowd(boxes, crowds)
    if len(truth) == 0:
        return torch.where(ignored, IGNORED, NEGATIVE)
    best_iou, best_row, claims = _compare(boxes, truth, ignored, negative_iou)
    matched = torch.full_like(best_row, IGNORED)
    matched = torch.where(best_iou < negative_iou, NEGATIVE, matched)
    matched = torch.where(best_iou >= positive_iou, best_row, matched)
    boxes_claimed, claimed_by = claims
    # "later truths overwrite" is the largest row, and a maximum does not depend on write order
    matched = matched.scatter_reduce(0, boxes_claimed, claimed_by, "amax", include_self=False)
    return torch.where(ignored, IGNORED, matched)


def _in_crowd(boxes: Tensor, crowds: Tensor) -> Tensor:
    if len(crowds) == 0:
        return boxes.new_zeros(len(boxes), dtype=torch.bool)
    return (box_ops.covered_share(boxes, crowds) > CROWD_SHARE).any(dim=1)


def _compare(
    boxes: Tensor, truth: Tensor, ignored: Tensor, claim_iou: float
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Find each box's best truth (N,), (N,), and the boxes that each truth claims (K,), (K,)."""
    best_iou, best_row, rows, columns, values = [], [], [], [], []
    champion = boxes.new_zeros(len(truth))  # (M,) the best IoU of each truth so far
    step = max(1, _PAIRS_AT_ONCE // len(truth))
    for start in range(0, len(boxes), step):
        iou = box_ops.pairwise_iou(boxes[start : start + step], truth)  # (n, M)
        iou = iou.masked_fill(ignored[start : start + step, None], -1.0)
        iou_of_box, row_of_box = iou.max(dim=1)
        best_iou.append(iou_of_box)
        best_row.append(row_of_box)
        champion = champion.maximum(iou.amax(dim=0))
        row, column = ((iou == champion) & (iou >= claim_iou) & (iou > 0)).nonzero(as_tuple=True)
        rows.append(row + start)
        columns.append(column)
        values.append(iou[row, column])
    if not best_iou:
        none = torch.zeros(0, dtype=torch.long, device=boxes.device)
        return boxes.new_zeros(0), none, (none, none)
    row, column, value = torch.cat(rows), torch.cat(columns), torch.cat(values)
    still = value == champion[column]  # a later chunk may have held a better box
    return torch.cat(best_iou), torch.cat(best_row), (row[still], column[still])
