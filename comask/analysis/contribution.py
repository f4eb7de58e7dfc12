"""How much of an MSFEM's fused map each branch contributes: exact, and without a gradient.

The fusing 1x1 convolution is linear (spec section 3), so the fused map f is the sum of one part a
branch and the bias. At each cell the part p_k has
- a strength |p_k|, the length of its C numbers, and
- a share p_k . f / |f| of the fused map's own length: negative where it works against the others.
  The shares of all branches and of the bias add up to |f|.

Letters: C channels, h x w cells of a level without its padding, K branches: the level itself first
("1x"), then from the deepest ("8x" is halved three times) to the shallowest.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.analysis.registration import cells_of
from comask.model.backbone import STRIDES
from comask.model.msfem import Msfem, enlarge
from comask.model.neck import LEVELS
from comask.predict import Predictor
from comask.structures import Size

Floats = NDArray[np.float32]

_LEAST = 1e-12  # of a length that is divided by


@dataclass(frozen=True)
class Contribution:
    """What the branches of one level's MSFEM contribute in one image.

    level        2 .. 5, of P2 .. P5
    stride       network pixels between two cells
    scale        network pixels an image pixel
    size         (H, W) of the image
    branches     (K,)       names: how many times a branch's own map is coarser than the level
    strength     (K, h, w)  length of each part
    share        (K, h, w)  of ``fused``, signed
    bias         (h, w)     share of the bias
    fused        (h, w)     length of the fused map, from the convolution of the concatenation
    unexplained  largest difference between the sum of parts and the fused map, relative to the
                 largest fused value; rounding alone leaves about 1e-6
    """

    level: int
    stride: int
    scale: float
    size: Size
    branches: tuple[str, ...]
    strength: Floats
    share: Floats
    bias: Floats
    fused: Floats
    unexplained: float

    @property
    def winner(self) -> NDArray[np.int64]:
        """Say which branch has the strongest part at each cell: (h, w) in 0 .. K - 1."""
        return np.asarray(self.strength.argmax(axis=0))

    def shares(self) -> dict[str, float]:
        """Say which part of the whole level each branch makes up, the bias too; they sum to 1."""
        whole = max(float(self.fused.sum(dtype=np.float64)), _LEAST)
        parts = dict(zip(self.branches, self.share, strict=True)) | {"bias": self.bias}
        return {name: float(part.sum(dtype=np.float64)) / whole for name, part in parts.items()}


def contributions(predictor: Predictor, image: NDArray[np.uint8]) -> tuple[Contribution, ...]:
    """Split P2 .. P5 of an upright RGB image, (H, W, 3) uint8, into their branches' parts.

    Raises InputError for what is no such image.
    """
    with predictor.opened(image) as (model, batch, scale):
        size = (image.shape[0], image.shape[1])
        levels = model.neck.merged(model.backbone(batch.tensor))
        return tuple(
            _of_level(msfem, merged, number, stride, scale, size, batch.sizes[0])
            for msfem, merged, number, stride in zip(
                model.neck.msfem, levels, LEVELS, STRIDES, strict=True
            )
        )


def branch_names(count: int) -> tuple[str, ...]:
    """Name the branches of an MSFEM: 4 -> ("1x", "8x", "4x", "2x")."""
    return ("1x", *(f"{2**depth}x" for depth in range(count - 1, 0, -1)))


def split(msfem: Msfem, level: Tensor) -> tuple[list[Tensor], Tensor]:
    """Give the parts of a level, (1, C, H, W) each, and the fused map that they should add up to.

    The fused map is computed as the paper draws it, from the concatenation, and not from the parts.
    """
    coarse = msfem.views(level)
    parts = list(msfem.parts(level, coarse))
    seen = torch.cat([level, *(enlarge(view, level) for view in coarse)], dim=1)
    return parts, F.conv2d(seen, msfem.fuse.weight, msfem.fuse.bias)


def _of_level(
    msfem: nn.Module,
    level: Tensor,
    number: int,
    stride: int,
    scale: float,
    size: Size,
    shown: Size,
) -> Contribution:
    assert isinstance(msfem, Msfem)
    parts, fused = split(msfem, level)
    bias = msfem.fuse.bias.view(-1, 1, 1)  # type: ignore[union-attr]
    whole = fused[0].float()
    added = torch.stack([part[0].float() for part in parts]).sum(dim=0) + bias
    unexplained = (added - whole).abs().max() / whole.abs().max().clamp(min=_LEAST)
    length = whole.norm(dim=0)
    direction = whole / length.clamp(min=_LEAST)
    height, width = cells_of(shown, stride)

    def cut(values: Tensor) -> Floats:
        kept: Floats = values[..., :height, :width].float().cpu().numpy()
        return kept

    return Contribution(
        level=number,
        stride=stride,
        scale=scale,
        size=size,
        branches=branch_names(len(parts)),
        strength=cut(torch.stack([part[0].float().norm(dim=0) for part in parts])),
        share=cut(torch.stack([(part[0].float() * direction).sum(dim=0) for part in parts])),
        bias=cut((bias * direction).sum(dim=0)),
        fused=cut(length),
        unexplained=float(unexplained),
    )
