"""Collaborative refinement: 49 votes for the box, weighed by the mask (spec section 9).

Letters: N instances. Boxes are half-open, network pixels. The authors' W = x2 - x1 of inclusive
corners is the half-open width minus 1, which is why 1 is taken off and put back here.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from comask.config import ModelConfig

VoteKind = Literal["sigmoid", "gated", "plain"]
VOTE_KINDS: tuple[VoteKind, ...] = get_args(VoteKind)

CELLS = 7  # votes a side
GATE = 0.5  # in training, a vote whose mask weight is not above this does not count
EPSILON = 1e-5  # below the line only: a mask that is empty everywhere pulls its box to (0, 0)


@dataclass(frozen=True)
class Refinement:
    """How boxes and masks refine each other.

    votes        what a vote counts for: "sigmoid" as much as the mask of pass 1 says; "gated" the
                 same, but nothing up to 0.5, as in training; "plain" as much as any other
    second_pass  whether mask and mask IoU come from the refined box, or else from the proposal
    """

    votes: VoteKind = "sigmoid"
    second_pass: bool = True

    @classmethod
    def of(cls, config: ModelConfig) -> "Refinement":
        """Tell a checkpoint's own way."""
        return cls() if config.collaborative else cls("plain", second_pass=False)


def votes(boxes: Tensor, distances: Tensor) -> Tensor:
    """Turn distances from the cells' centres into boxes: (N, 4), (N, 4, 7, 7) -> (N, 7, 7, 4).

    The channels are left, right, top, bottom in shares of the box's inclusive width and height.
    """
    first, side = boxes[:, :2], boxes[:, 2:] - boxes[:, :2] - 1.0
    x, y = cell_centres(first, side)
    width, height = side[:, 0, None, None], side[:, 1, None, None]
    left, right, top, bottom = distances.unbind(dim=1)  # (N, 7, 7) each
    corners = [
        x - left * width,
        y - top * height,
        x + right * width + 1.0,
        y + bottom * height + 1.0,
    ]
    return torch.stack(corners, dim=-1)


def cell_centres(first: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """Place the cells: corners (N, 2), inclusive sides (N, 2) -> x (N, 1, 7), y (N, 7, 1)."""
    steps = (torch.arange(CELLS, dtype=first.dtype, device=first.device) + 0.5) / CELLS
    x = first[:, :1] + side[:, :1] * steps
    y = first[:, 1:] + side[:, 1:] * steps
    return x[:, None, :], y[:, :, None]


def vote_weights(masks: Tensor) -> Tensor:
    """Sample mask logits at the cells and squash them: (N, 28, 28) -> (N, 7, 7) in 0 .. 1."""
    sampled = F.interpolate(masks[:, None], (CELLS, CELLS), mode="bilinear", align_corners=True)
    return sampled[:, 0].sigmoid()


def gated(weights: Tensor) -> Tensor:
    """Let weights up to ``GATE`` count nothing: any shape -> the same."""
    return torch.where(weights > GATE, weights, torch.zeros_like(weights))


def refined(boxes: Tensor, masks: Tensor, kind: VoteKind) -> tuple[Tensor, Tensor]:
    """Average votes: (N, 7, 7, 4), mask logits (N, 28, 28) -> (N, 4), and weights (N, 7, 7).

    Where no vote passes the gate all votes of that instance count the same, as in training.
    """
    if kind == "plain":
        return plain_mean(boxes), torch.ones_like(boxes[..., 0])
    weights = vote_weights(masks)
    if kind == "gated":
        weights = gated(weights)
        none = (weights == 0).all(dim=2).all(dim=1)[:, None, None]
        weights = torch.where(none, torch.ones_like(weights), weights)
    return weighted_mean(boxes, weights), weights


def weighted_mean(boxes: Tensor, weights: Tensor) -> Tensor:
    """Average votes: (N, 7, 7, 4), (N, 7, 7) -> (N, 4), not clipped to the image."""
    inclusive = boxes - boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    total = weights.sum(dim=(1, 2))[:, None] + EPSILON
    mean = (inclusive * weights[..., None]).sum(dim=(1, 2)) / total
    return mean + mean.new_tensor([0.0, 0.0, 1.0, 1.0])


def plain_mean(boxes: Tensor) -> Tensor:
    """Average votes that all count the same, as without collaboration: (N, 7, 7, 4) -> (N, 4)."""
    return boxes.mean(dim=(1, 2))
