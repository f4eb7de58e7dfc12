"""Pooling of regions by single bilinear samples, with learnt offsets (spec section 6.1).

Letters: R regions, C channels, p bins a side. Boxes are half-open, in network pixels.
"""

import torch
from torch import Tensor

from comask.ops.sampling import sample

OFFSET_SHARE = 0.1  # an offset of 1 moves a sample by this share of the region's side
MIN_SIDE = 0.1  # feature pixels


def deform_roi_pool(
    level: Tensor,
    boxes: Tensor,
    rows: Tensor,
    stride: int,
    bins: int,
    offsets: Tensor | None = None,
) -> Tensor:
    """Sample each region once a bin: (B, C, H, W), (R, 4) -> (R, C, p, p).

    Args:
        level: features of the whole batch at ``stride``.
        boxes: half-open, network pixels; no gradient flows to them.
        rows: (R,) int64, the image of each region.
        stride: network pixels a feature pixel.
        bins: p.
        offsets: (R, 2, p, p), x first, in ``OFFSET_SHARE`` of the region's side.
    """
    x, y = sample_points(boxes, stride, bins, offsets)  # (R, p, p) each
    height, width = level.shape[-2:]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return sample(level, rows, x[..., None], y[..., None], inside[..., None])


def sample_points(
    boxes: Tensor, stride: int, bins: int, offsets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Place the samples at the bins' top-left corners: (R, 4) -> x and y, (R, p, p) each.

    Feature pixels, whose centres are whole numbers.
    """
    start = _round_half_away(boxes[:, :2]) / stride - 0.5
    end = (_round_half_away(boxes[:, 2:] - 1.0) + 1.0) / stride - 0.5
    side = (end - start).clamp(min=MIN_SIDE)  # (R, 2)
    steps = torch.arange(bins, dtype=boxes.dtype, device=boxes.device) / bins
    x = (start[:, :1] + side[:, :1] * steps)[:, None, :].expand(-1, bins, -1)
    y = (start[:, 1:] + side[:, 1:] * steps)[:, :, None].expand(-1, -1, bins)
    if offsets is None:
        return x, y
    moved = offsets * OFFSET_SHARE * side[:, :, None, None]
    return x + moved[:, 0], y + moved[:, 1]


def _round_half_away(values: Tensor) -> Tensor:
    return torch.sign(values) * torch.floor(values.abs() + 0.5)
