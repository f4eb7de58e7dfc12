"""Collaborative refinement: 49 votes for the box, weighed by the mask (spec section 9).

Letters: N instances. Boxes are half-open, network pixels. The authors' W = x2 - x1 of inclusive
corners is the half-open width minus 1, which is why 1 is taken off and put back here.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

CELLS = 7  # votes a side
EPSILON = 1e-5  # below the line only: a mask that is empty everywhere pulls its box to (0, 0)


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


def weighted_mean(boxes: Tensor, weights: Tensor) -> Tensor:
    """Average votes: (N, 7, 7, 4), (N, 7, 7) -> (N, 4), not clipped to the image."""
    inclusive = boxes - boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    total = weights.sum(dim=(1, 2))[:, None] + EPSILON
    mean = (inclusive * weights[..., None]).sum(dim=(1, 2)) / total
    return mean + mean.new_tensor([0.0, 0.0, 1.0, 1.0])


def plain_mean(boxes: Tensor) -> Tensor:
    """Average votes that all count the same, as without collaboration: (N, 7, 7, 4) -> (N, 4)."""
    return boxes.mean(dim=(1, 2))
