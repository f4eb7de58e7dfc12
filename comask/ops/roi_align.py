"""RoIAlign as the authors' kernels compute it (spec section 7).

Letters: R regions, C channels, p bins a side. torchvision's ``roi_align(aligned=True)`` gives the
same on boxes moved by half a stride; it copies maps that are stored channels last, and its
gradient is several times slower than a gather.
"""

import torch
from torch import Tensor

from comask.ops.sampling import sample

SAMPLES = 2  # a bin and a side


def roi_align(level: Tensor, boxes: Tensor, rows: Tensor, stride: int, bins: int) -> Tensor:
    """Average 2 x 2 samples a bin: (B, C, H, W), (R, 4) half-open -> (R, C, p, p).

    No half-pixel shift and no minimum size: a region may shrink to nothing. Samples more than one
    feature pixel outside the map count as 0. No gradient flows to the boxes.
    """
    start = boxes[:, :2] / stride
    side = (boxes[:, 2:] / stride - start).clamp(min=0) / bins  # (R, 2), of one bin
    places = torch.arange(bins * SAMPLES, dtype=boxes.dtype, device=boxes.device)
    places = places.div(SAMPLES, rounding_mode="floor") + (places % SAMPLES + 0.5) / SAMPLES
    x = start[:, :1] + side[:, :1] * places  # (R, 2 p)
    y = start[:, 1:] + side[:, 1:] * places
    height, width = level.shape[-2:]
    inside_x, inside_y = (x >= -1) & (x <= width), (y >= -1) & (y <= height)
    return sample(level, rows, *_pairs(x, y, bins), _pair_up(inside_x, inside_y, bins))


def _pairs(x: Tensor, y: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Cross columns with rows: (R, 2 p), (R, 2 p) -> x and y, (R, p, p, 4) each."""
    shape = (len(x), bins, bins, SAMPLES, SAMPLES)  # bin's row and column, sample's row and column
    across = x.view(-1, 1, bins, 1, SAMPLES).expand(shape)
    down = y.view(-1, bins, 1, SAMPLES, 1).expand(shape)
    return across.flatten(3), down.flatten(3)


def _pair_up(x: Tensor, y: Tensor, bins: int) -> Tensor:
    across, down = _pairs(x, y, bins)
    return across & down
