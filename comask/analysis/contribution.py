"""How much of an MSFEM's fused map each branch contributes: exact, and without a gradient.

The fusing 1x1 convolution is linear (spec section 3), so the fused map f is the sum of one part a
branch and the bias. At each cell the part p_k has
- a strength |p_k|, the length of its C numbers, and
- a share p_k . f / |f| of the fused map's own length: negative where it works against the others.
  The shares of all branches and of the bias add up to |f|.

Letters: C channels, h x w cells of a level without its padding, K branches: the level itself first
("1x"), then from the deepest ("8x" is halved three times) to the shallowest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from comask.analysis.activation import LevelLook, Look, branch_names, look
from comask.model.msfem import Msfem, enlarge
from comask.predict import Predictor
from comask.structures import Size

Floats = NDArray[np.float32]

__all__ = ["Contribution", "branch_names", "contributions", "contributions_of", "of_level", "split"]

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
    return contributions_of(look(predictor, image))


def contributions_of(seen: Look) -> tuple[Contribution, ...]:
    """Split the levels of a look into their branches' parts; nothing of the network runs again."""
    return tuple(of_level(one, seen.scale, seen.size) for one in seen.levels)


def split(msfem: Msfem, level: Tensor, coarse: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Give the parts of a level, (1, C, H, W) each, and the fused map that they should add up to.

    The fused map is computed as the paper draws it, from the concatenation, and not from the parts.
    """
    parts = list(msfem.parts(level, list(coarse)))
    seen = torch.cat([level, *(enlarge(view, level) for view in coarse)], dim=1)
    return parts, F.conv2d(seen, msfem.fuse.weight, msfem.fuse.bias)


@torch.inference_mode()
def of_level(one: LevelLook, scale: float, size: Size) -> Contribution:
    """Split one level into its branches' parts.

    Args:
        one: The level of a look.
        scale: Network pixels an image pixel.
        size: (H, W) of the image.
    """
    coarse = [view.float() for view in one.coarse]
    parts, fused = split(one.msfem, one.merged.float(), coarse)
    bias = one.msfem.fuse.bias.view(-1, 1, 1)  # type: ignore[union-attr]
    whole = fused[0]
    added = torch.stack([part[0] for part in parts]).sum(dim=0) + bias
    unexplained = (added - whole).abs().max() / whole.abs().max().clamp(min=_LEAST)
    length = whole.norm(dim=0)
    direction = whole / length.clamp(min=_LEAST)
    height, width = one.cells

    def cut(values: Tensor) -> Floats:
        kept: Floats = values[..., :height, :width].cpu().numpy()
        return kept

    return Contribution(
        level=one.level,
        stride=one.stride,
        scale=scale,
        size=size,
        branches=one.branches,
        strength=cut(torch.stack([part[0].norm(dim=0) for part in parts])),
        share=cut(torch.stack([(part[0] * direction).sum(dim=0) for part in parts])),
        bias=cut((bias * direction).sum(dim=0)),
        fused=cut(length),
        unexplained=float(unexplained),
    )
