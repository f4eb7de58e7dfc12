"""Bilinear samples of feature maps at many points, gathered as weighted sums of feature rows.

``embedding_bag`` reads four rows a sample and adds them up: several times faster than a grid or
torchvision's operators on maps that are stored channels last, without a copy of the map a region.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def sample(level: Tensor, rows: Tensor, x: Tensor, y: Tensor, inside: Tensor) -> Tensor:
    """Average samples at points: (B, C, H, W), (R, ..., S) -> (R, C, ...).

    Args:
        level: features of a batch; pixel centres are whole numbers.
        rows: (R,) int64, the image of each region.
        x: (R, ..., S) feature pixels, clamped to the map here; the S samples are averaged.
        y: likewise.
        inside: (R, ..., S) bool; a sample outside counts as 0.
    """
    batch, channels, height, width = level.shape
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.floor(), y.floor()
    across, down = x - left, y - top
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    first = rows.view(-1, *[1] * (x.dim() - 1)) * height
    upper, lower = (first + top) * width, (first + bottom) * width
    taps = torch.stack([upper + left, upper + right, lower + left, lower + right], dim=-1)
    share = inside.to(x.dtype) / x.shape[-1]
    above, below = (1 - down) * share, down * share
    weights = torch.stack(
        [above * (1 - across), above * across, below * (1 - across), below * across], dim=-1
    )
    table = level.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    gathered = F.embedding_bag(
        taps.flatten(-2).flatten(0, -2),
        table,
        per_sample_weights=weights.flatten(-2).flatten(0, -2).to(table.dtype),
        mode="sum",
    )
    return gathered.view(*x.shape[:-1], channels).movedim(-1, 1)
