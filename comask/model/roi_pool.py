"""Pooling of the class branch: learnt offsets, then adaptive weighted pooling (spec section 6.1).

Letters: R regions, C channels. Boxes are half-open, network pixels.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.model.backbone import STRIDES
from comask.model.norm import RegionNorm
from comask.ops import boxes as box_ops
from comask.ops.deform_roi_pool import deform_roi_pool
from comask.structures import Size

OUTPUT = 7  # bins a side of what the class head sees
LOG2_E = 1.4426950408889634  # PyTorch takes a third of the time for powers of two
CHUNK = 64  # regions pooled at once: they stay in the cache, and memory stays bounded
WEIGHED = 32 * 256 * 14 * 14  # values weighed at once, likewise: weights are float32


class AdaptivePool(nn.Module):
    """AWPool: halve a map by means that the map itself weighs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = RegionNorm(channels)
        nn.init.zeros_(self.conv.weight)  # at first every cell weighs the same

    def forward(self, regions: Tensor) -> Tensor:
        """Pool cells by their own weights: (R, C, 14, 14) -> (R, C, 7, 7).

        The weights e^(12 sigmoid) span 1 .. 162755, beyond float16: they are found in float32.
        """
        seen: Tensor = self.conv(regions)
        if self.training:
            return self._weighed(regions, seen)
        step = max(1, WEIGHED // regions.shape[1:].numel())
        parts = zip(regions.split(step), seen.split(step), strict=True)
        return torch.cat([self._weighed(*part) for part in parts])

    def _weighed(self, regions: Tensor, seen: Tensor) -> Tensor:
        normed: Tensor = self.norm(seen, over=True).float()
        if torch.is_grad_enabled():
            weights = torch.exp(12 * torch.sigmoid(normed))
        else:  # over the same memory
            weights = normed.sigmoid_().mul_(12 * LOG2_E).exp2_()
        if not self.training:  # bfloat16 holds them, and what follows averages
            weights = weights.to(regions.dtype)
        weighed = F.avg_pool2d(regions * weights, 3, stride=2, padding=1)
        return weighed / F.avg_pool2d(weights, 3, stride=2, padding=1)


class LevelPool(nn.Module):
    """The deformable pooling of one pyramid level."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.offsets = nn.Sequential(
            nn.Linear(9 * channels, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 2 * OUTPUT * OUTPUT),
        )
        self.pool = AdaptivePool(channels)
        nn.init.zeros_(self.offsets[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.offsets[-1].bias)  # type: ignore[arg-type]

    def forward(self, level: Tensor, boxes: Tensor, rows: Tensor, stride: int) -> Tensor:
        """Pool regions of one level: (B, C, H, W), (R, 4), (R,) -> (R, C, 7, 7)."""
        coarse = deform_roi_pool(level, boxes, rows, stride, 3)
        moves: Tensor = self.offsets(coarse.flatten(1)).float().view(-1, 2, OUTPUT, OUTPUT)
        moves = F.interpolate(moves, scale_factor=2, mode="nearest")  # (R, 2, 14, 14)
        step = max(len(boxes), 1) if self.training else CHUNK
        parts = zip(boxes.split(step), rows.split(step), moves.split(step), strict=True)
        return torch.cat([self._pooled(level, stride, *part) for part in parts])

    def _pooled(
        self, level: Tensor, stride: int, boxes: Tensor, rows: Tensor, moves: Tensor
    ) -> Tensor:
        pooled = deform_roi_pool(level, boxes, rows, stride, 2 * OUTPUT, moves)
        halved: Tensor = self.pool(pooled)
        return halved


class RegionPool(nn.Module):
    """One deformable pooling a pyramid level P2 .. P5; a box's share of the image picks it."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(LevelPool(channels, hidden) for _ in STRIDES)

    def forward(
        self, levels: Sequence[Tensor], boxes: Sequence[Tensor], sizes: Sequence[Size]
    ) -> Tensor:
        """Pool the regions of a batch: P2 .. P5, B x (R_b, 4) -> (sum of R_b, C, 7, 7)."""
        return by_level(levels, boxes, sizes, OUTPUT, self._pool)

    def _pool(self, k: int, level: Tensor, boxes: Tensor, rows: Tensor) -> Tensor:
        pooled: Tensor = self.levels[k](level, boxes, rows, STRIDES[k])
        return pooled


Pool = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def by_level(
    levels: Sequence[Tensor],
    boxes: Sequence[Tensor],
    sizes: Sequence[Size],
    bins: int,
    pool: Pool,
) -> Tensor:
    """Send every region of a batch to its level: B x (R_b, 4) -> (sum of R_b, C, bins, bins).

    ``pool`` takes the level's number 0 .. 3, its map, boxes (r, 4) and image rows (r,).
    """
    flat = torch.cat(list(boxes))
    rows = torch.cat(
        [box.new_full((len(box),), b, dtype=torch.long) for b, box in enumerate(boxes)]
    )
    home = levels_of(boxes, sizes)
    used = [k for k in range(len(STRIDES)) if bool((home == k + 2).any())]
    picks = [(home == k + 2).nonzero().squeeze(1) for k in used]
    parts = [
        pool(k, levels[k], flat[pick], rows[pick]) for k, pick in zip(used, picks, strict=True)
    ]
    if not parts:
        return levels[0].new_zeros((0, levels[0].shape[1], bins, bins))
    order = torch.cat(picks).argsort()
    return torch.cat(parts)[order] if len(parts) > 1 else parts[0]


def levels_of(boxes: Sequence[Tensor], sizes: Sequence[Size]) -> Tensor:
    """Choose the pyramid level of every region: B x (R_b, 4) -> (sum of R_b,) int64, 2 .. 5."""
    pairs = zip(boxes, sizes, strict=True)
    return torch.cat([box_ops.pyramid_level(box, size) for box, size in pairs])
