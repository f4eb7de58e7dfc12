"""The six losses, unweighted scalars in float32 (spec section 11).

Letters: B images, A anchors, R regions, P positives, K classes without the background. A loss of
no samples is 0 and still part of the graph. ``reading`` chooses between the paper's words and what
the released code computes.

Where several processes share a step, each loss is divided by the mean count of all of them: then
the mean of their gradients, which is what they exchange, is the gradient of the whole batch.
``mean`` finds it, and every process calls it as often as the others do, with samples or without.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from comask.config import Reading
from comask.model import refine
from comask.model.targets import ProposalTargets
from comask.ops import boxes as box_ops

PROPOSAL_BETA = 1.0 / 9.0  # where smooth L1 turns from square to line
LOW_IOU = 0.1  # below it the box loss adds as much to the IoU, and no mask IoU is learnt
MIN_IOU = 1e-6

Mean = Callable[[Tensor], Tensor]  # of a value over all processes; no gradient passes


def alone(value: Tensor) -> Tensor:
    """Take the mean over one process."""
    return value


def proposal_losses(
    scores: Tensor, deltas: Tensor, targets: Sequence[ProposalTargets], mean: Mean = alone
) -> dict[str, Tensor]:
    """Compare the proposal head with its targets: (B, A) logits, (B, A, 4) -> two losses."""
    logits, wanted, guessed, count = [], [], [], 0
    for score, delta, target in zip(scores, deltas, targets, strict=True):
        logits.append(score[torch.cat([target.positives, target.negatives])])
        wanted.append(torch.ones_like(target.positives, dtype=torch.float32))
        wanted.append(torch.zeros_like(target.negatives, dtype=torch.float32))
        guessed.append(delta[target.positives])
        count += max(len(target.positives), 1) + max(len(target.negatives), 1)
    truth = torch.cat([target.deltas for target in targets])
    score_loss = F.binary_cross_entropy_with_logits(
        torch.cat(logits).float(), torch.cat(wanted), reduction="sum"
    )
    box_loss = F.smooth_l1_loss(
        torch.cat(guessed).float(), truth, beta=PROPOSAL_BETA, reduction="sum"
    )
    shared = mean(score_loss.new_tensor(float(count)))
    return {"proposal_score": score_loss / shared, "proposal_box": box_loss / shared}


def class_loss(
    logits: Tensor, classes: Tensor, mean: Mean = alone, possible: Tensor | None = None
) -> Tensor:
    """Average the cross entropy: (R, K + 1), (R,) 0 = background -> scalar.

    With ``possible`` (R, K + 1) bool a region is only known to be of one of these classes, and the
    loss is that of their probabilities' sum.
    """
    if possible is None:
        total = F.cross_entropy(logits.float(), classes, reduction="sum")
    else:
        allowed = logits.float().masked_fill(~possible, -torch.inf)
        total = (logits.float().logsumexp(dim=1) - allowed.logsumexp(dim=1)).sum()
    return _over(total, mean(total.new_tensor(float(len(classes)))))


def box_loss(
    votes: Tensor, truth: Tensor, weights: Tensor, reading: Reading, mean: Mean = alone
) -> Tensor:
    """Draw the votes to their objects: (P, 7, 7, 4), (P, 4), weights (P, 7, 7) -> scalar.

    Weights count only above 0.5. The paper lets each vote count by its own weight, and here no
    gradient flows back through it; while no weight of any process counts, all votes count the
    same. The release multiplies the plain mean by the mean weight instead, gradient included.
    """
    loss = _iou_loss(votes, truth)  # (P, 7, 7)
    gated = refine.gated(weights).float()
    if reading == "released":
        return _mean(loss) * _mean(gated)
    fixed = gated.detach()
    weight, cells = mean(torch.stack([fixed.sum(), fixed.new_tensor(float(fixed.numel()))]))
    fixed = torch.where(weight > 0, fixed, torch.ones_like(fixed))
    return _over((loss * fixed).sum(), torch.where(weight > 0, weight, cells))


def mask_loss(logits: Tensor, targets: Tensor, mean: Mean = alone) -> Tensor:
    """Average the binary cross entropy of all cells: (P, 28, 28), (P, 28, 28) -> scalar."""
    total = F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="sum")
    return _over(total, mean(total.new_tensor(float(targets.numel()))))


def mask_iou_loss(
    predicted: Tensor, targets: Tensor, reading: Reading, mean: Mean = alone
) -> Tensor:
    """Compare predicted with measured mask IoUs: (P,), (P,) -> scalar.

    A target counts in 0.1 < target <= 1. The paper averages the square error of those that count;
    the release averages all and multiplies by the share that counts.
    """
    counts = ((targets > LOW_IOU) & (targets <= 1.0)).float()
    error = (predicted.float() - targets) ** 2
    if reading == "released":
        return _mean(error) * _mean(counts)
    return _over((error * counts).sum(), mean(counts.sum()))


def _iou_loss(votes: Tensor, truth: Tensor) -> Tensor:
    """Take -ln of each vote's IoU with its object: (P, 7, 7, 4), (P, 4) -> (P, 7, 7)."""
    iou = _iou(votes.float(), truth[:, None, None, :].float()).clamp(min=MIN_IOU)
    return -torch.where(iou <= LOW_IOU, iou + LOW_IOU, iou).log()


def _iou(left: Tensor, right: Tensor) -> Tensor:
    """Compare boxes pair by pair: (..., 4), (..., 4) broadcast -> (...) in 0 .. 1."""
    sides = torch.minimum(left[..., 2:], right[..., 2:]) - torch.maximum(
        left[..., :2], right[..., :2]
    )
    sides = sides.clamp(min=0)
    overlap = sides[..., 0] * sides[..., 1]  # prod's gradient would look for zeros
    return overlap / (box_ops.area(left) + box_ops.area(right) - overlap)


def _over(total: Tensor, count: Tensor) -> Tensor:
    """Divide, and let nothing over nothing be 0."""
    return total / torch.where(count > 0, count, torch.ones_like(count))


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)
