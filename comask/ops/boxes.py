"""Boxes as plain tensors, and the one convention they all follow.

A box is (x1, y1, x2, y2) in pixels, float32, half-open: pixel i covers [i, i + 1), so a box's
width is x2 - x1 and an image of width W spans 0 .. W. The authors' inclusive corners are ours with
1 taken from x2 and y2; their formulas with + 1 are then the plain ones below.
"""

import math

import torch
from torch import Tensor

from comask.ops.nms import operator
from comask.structures import Size

MAX_LOG_RATIO = abs(math.log(16 / 1000))  # a delta makes no box more than 62.5 times larger


def area(boxes: Tensor) -> Tensor:
    """Measure boxes: (..., 4) -> (...) in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_iou(left: Tensor, right: Tensor) -> Tensor:
    """Compare every box with every box: (N, 4), (M, 4) -> (N, M) in 0 .. 1.

    Two boxes without area have an IoU of 0, not nan.
    """
    overlap = _overlap(left, right)
    union = area(left)[:, None] + area(right)[None, :] - overlap  # (N, M)
    return torch.where(union > 0, overlap / union, torch.zeros_like(union))


def covered_share(boxes: Tensor, regions: Tensor) -> Tensor:
    """Tell how much of each box lies in each region: (N, 4), (M, 4) -> (N, M) in 0 .. 1."""
    own = area(boxes)[:, None].clamp(min=torch.finfo(boxes.dtype).tiny)
    return _overlap(boxes, regions) / own


def clip(boxes: Tensor, size: Size) -> Tensor:
    """Cut boxes off at the image's edge, at least 1 pixel staying: (N, 4) -> (N, 4).

    A box wholly outside becomes 1 pixel wide at the border (spec section 4.2: corners are clamped
    to the first and last pixel, and boxes without inner width survive).
    """
    height, width = size
    low = boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    high = boxes.new_tensor([width - 1.0, height - 1.0, width, height])
    return boxes.maximum(low).minimum(high)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Write boxes as offsets from anchors: (N, 4), (N, 4) -> (N, 4) as (dx, dy, dw, dh)."""
    centre, extent = _centre_and_extent(boxes)
    anchor_centre, anchor_extent = _centre_and_extent(anchors)
    shift = (centre - anchor_centre) / anchor_extent
    return torch.cat([shift, torch.log(extent / anchor_extent)], dim=-1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Undo ``encode``: (N, 4), (N, 4) -> (N, 4); growth is limited to ``MAX_LOG_RATIO``."""
    anchor_centre, anchor_extent = _centre_and_extent(anchors)
    centre = anchor_centre + anchor_extent * deltas[..., :2]
    limited = deltas[..., 2:].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    half = 0.5 * anchor_extent * torch.exp(limited)
    return torch.cat([centre - half, centre + half], dim=-1)


def nms(boxes: Tensor, scores: Tensor, max_iou: float) -> Tensor:
    """Keep the better of any two boxes that overlap by more than ``max_iou``.

    (N, 4), (N,) -> (K,) row numbers in ascending order, not by score (spec section 4.4).
    """
    kept: Tensor = operator()(boxes, scores, max_iou)
    return kept.sort().values


def pyramid_level(boxes: Tensor, size: Size) -> Tensor:
    """Choose 2 .. 5 for P2 .. P5 by a box's share of its image: (N, 4) -> (N,) int64.

    More than 1/2 of the unpadded image goes to P5, (1/4, 1/2] to P4, (1/8, 1/4] to P3, the rest
    to P2 (spec section 5).
    """
    share = (size[0] * size[1]) / area(boxes)  # inf without area: P2; negative: nan
    level = torch.ceil(3.0 - torch.log2(share)).nan_to_num(0.0).clamp(0, 3)
    return level.long() + 2


def _overlap(left: Tensor, right: Tensor) -> Tensor:
    top_left = torch.maximum(left[:, None, :2], right[None, :, :2])  # (N, M, 2)
    bottom_right = torch.minimum(left[:, None, 2:], right[None, :, 2:])  # (N, M, 2)
    return (bottom_right - top_left).clamp(min=0).prod(dim=-1)


def _centre_and_extent(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) * 0.5, boxes[..., 2:] - boxes[..., :2]
