"""RoIAlign as the authors' kernels compute it (spec section 7), on torchvision's operator."""

import torch
from torch import Tensor
from torchvision.ops import roi_align as torchvision_roi_align


def roi_align(level: Tensor, boxes: Tensor, rows: Tensor, stride: int, bins: int = 14) -> Tensor:
    """Average 2 x 2 samples a bin: (B, C, H, W), (R, 4) half-open -> (R, C, bins, bins).

    The authors sample without a half-pixel shift and let a region shrink to nothing; torchvision
    shifts by half a feature pixel in its ``aligned`` mode, which alone has no minimum size. Boxes
    moved by half a stride make the two equal.
    """
    moved = boxes + 0.5 * stride
    regions = torch.cat([rows[:, None].to(moved.dtype), moved], dim=1)
    pooled: Tensor = torchvision_roi_align(
        level, regions, bins, spatial_scale=1.0 / stride, sampling_ratio=2, aligned=True
    )
    return pooled
