"""Pooling of regions by single bilinear samples, with learnt offsets (spec section 6.1).

Letters: R regions, C channels, p bins a side. Every sample is a weighted sum of four feature
rows, gathered by ``embedding_bag``: several times faster than a grid per region, and without a
copy of the map per region. Boxes are half-open, in network pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

OFFSET_SHARE = 0.1  # an offset of 1 moves a sample by this share of the region's side
MIN_SIDE = 0.1  # feature pixels


def deform_roi_pool(
    level: Tensor, boxes: Tensor, rows: Tensor, stride: int, bins: int, offsets: Tensor | None = None
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
    return bilinear(level, rows, x, y)


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


def bilinear(level: Tensor, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Interpolate features at points: (B, C, H, W), (R, ...) -> (R, C, ...); 0 outside the map."""
    batch, channels, height, width = level.shape
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.floor(), y.floor()
    across, down = x - left, y - top
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    first = rows.view(-1, *[1] * (x.dim() - 1)) * height
    taps = torch.stack(
        [
            (first + top) * width + left,
            (first + top) * width + right,
            (first + bottom) * width + left,
            (first + bottom) * width + right,
        ],
        dim=-1,
    )
    weights = torch.stack(
        [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across], -1
    )
    table = level.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    weights = (weights * inside[..., None]).to(table.dtype)
    gathered = F.embedding_bag(
        taps.reshape(-1, 4), table, per_sample_weights=weights.reshape(-1, 4), mode="sum"
    )
    return gathered.view(*x.shape, channels).movedim(-1, 1)


def _round_half_away(values: Tensor) -> Tensor:
    return torch.sign(values) * torch.floor(values.abs() + 0.5)
