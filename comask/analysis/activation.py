"""What a pyramid level's MSFEM took in and gave out in one image, and how to draw many channels.

Letters: C channels, h x w cells of a level without its padding. Maps of a level, in their order:
- "lateral": the backbone's stage after its 1x1 convolution;
- "1x": the level itself, the lateral with the coarser levels added: what the MSFEM takes in;
- "8x", "4x", "2x": what each branch gave, enlarged to the level, as the fusion sees it;
- "fused": the fusing convolution's output;
- "gated": the fused map times the attention's weights;
- "output": what the level hands on, P2 .. P5.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from comask.analysis.registration import cells_of
from comask.errors import InputError
from comask.model.backbone import STRIDES
from comask.model.comask import CoMask
from comask.model.msfem import Msfem, enlarge
from comask.model.neck import LEVELS
from comask.predict import Predictor
from comask.structures import ImageBatch, Size

Floats = NDArray[np.float32]
Reduction = Literal["mean", "norm", "max", "channel", "pca"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
SPREAD = (0.01, 0.99)  # of each component's values: from black to full colour

_ROUNDING = 1e-6  # of a number in float32, with what sums of many add to it


@dataclass(frozen=True)
class LevelLook:
    """One level of one image; tensors have their padding, what methods return has not.

    level     2 .. 5, of P2 .. P5
    stride    network pixels between two cells
    cells     (h, w) that look at the image
    branches  names, the level's own "1x" first, then from the deepest
    lateral   (1, C, H, W), as are merged, fused and output
    coarse    what the branches gave at their own resolution, deepest first
    weights   (1, C, 1, 1) or (1, C, H, W): what the attention multiplies by
    """

    level: int
    stride: int
    cells: Size
    branches: tuple[str, ...]
    lateral: Tensor
    merged: Tensor
    coarse: tuple[Tensor, ...]
    fused: Tensor
    weights: Tensor
    output: Tensor
    msfem: Msfem

    @property
    def names(self) -> tuple[str, ...]:
        """Name the level's maps in their order."""
        return ("lateral", *self.branches, "fused", "gated", "output")

    @property
    def channels(self) -> int:
        """Count the channels of every map."""
        return int(self.merged.shape[1])

    @property
    def gate(self) -> Floats:
        """Average the attention's weights over the cells: (C,) in 0 .. 1."""
        return _numbers(self._cut(self.weights.expand_as(self.fused)).mean(dim=(1, 2)))

    @property
    def bytes(self) -> int:
        """Count the memory that this look holds; the coarsest level is its own lateral."""
        held = (self.lateral, self.merged, *self.coarse, self.fused, self.weights, self.output)
        sizes = {one.data_ptr(): one.numel() * one.element_size() for one in held}
        return sum(sizes.values())

    @torch.inference_mode()
    def map(self, name: str) -> Tensor:
        """Give a map by its name: (C, h, w) float32; raises InputError for an unknown one."""
        if name not in self.names:
            raise InputError(f"P{self.level} has no map {name!r:.40}, only {', '.join(self.names)}")
        if name in self.branches:
            number = self.branches.index(name)
            whole = self.merged if number == 0 else enlarge(self.coarse[number - 1], self.merged)
        elif name == "gated":
            whole = self.fused * self.weights
        else:
            whole = {"lateral": self.lateral, "fused": self.fused, "output": self.output}[name]
        return self._cut(whole).float()

    def _cut(self, whole: Tensor) -> Tensor:
        height, width = self.cells
        return whole[0, :, :height, :width]


@dataclass(frozen=True)
class Look:
    """P2 .. P5 of one image.

    scale   network pixels an image pixel
    size    (H, W) of the image
    shown   (H, W) of the image in network pixels
    levels  P2 first
    """

    scale: float
    size: Size
    shown: Size
    levels: tuple[LevelLook, ...]

    @property
    def bytes(self) -> int:
        """Count the memory that this look holds."""
        return sum(one.bytes for one in self.levels)

    def level(self, number: int) -> LevelLook:
        """Give one level by its number 2 .. 5; raises InputError for another."""
        found = next((one for one in self.levels if one.level == number), None)
        if found is None:
            raise InputError(f"a level is one of 2 .. 5, got {number!r:.40}")
        return found


def look(predictor: Predictor, image: NDArray[np.uint8]) -> Look:
    """Run backbone and pyramid over an upright RGB image, (H, W, 3) uint8, and keep every map.

    That is less than a forward pass: neither proposals nor heads run. Raises InputError for what is
    no such image.
    """
    with predictor.opened(image) as (model, batch, scale):
        levels = _levels(model, batch)
        size = (image.shape[0], image.shape[1])
        return Look(scale=scale, size=size, shown=batch.sizes[0], levels=levels)


def branch_names(count: int) -> tuple[str, ...]:
    """Name the branches of an MSFEM: 4 -> ("1x", "8x", "4x", "2x")."""
    return ("1x", *(f"{2**depth}x" for depth in range(count - 1, 0, -1)))


@torch.inference_mode()
def reduced(channels: Tensor, how: Reduction, channel: int = 0) -> Floats:
    """Draw many channels as one map: (C, h, w) -> (h, w), or (h, w, 3) in 0 .. 1 for "pca".

    "mean" and "max" go over the channels as they are, "norm" is the length of each cell's C
    numbers, "channel" is one of them. Raises InputError for an unknown way or channel.
    """
    if how == "mean":
        return _numbers(channels.mean(dim=0))
    if how == "norm":
        return _numbers(channels.norm(dim=0))
    if how == "max":
        return _numbers(channels.amax(dim=0))
    if how == "pca":
        return components(channels)[0]
    if how != "channel":
        raise InputError(f"a reduction is one of {', '.join(REDUCTIONS)}, got {how!r:.40}")
    if not 0 <= channel < len(channels):
        raise InputError(f"a channel is one of 0 .. {len(channels) - 1}, got {channel!r:.40}")
    return _numbers(channels[channel])


@torch.inference_mode()
def components(channels: Tensor) -> tuple[Floats, tuple[float, float, float]]:
    """Draw the three main components as red, green, blue: (C, h, w) -> (h, w, 3) in 0 .. 1.

    Also says which share of the variance each one holds. A component's sign is such that its
    largest loading is positive; its colour is stretched between its 1st and 99th percentile. What
    has no third component has no blue, and what varies by rounding alone has no colour.
    """
    count, height, width = channels.shape
    flat = channels.flatten(1).float()
    centred = flat - flat.mean(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh((centred @ centred.T).double())
    whole = float(values.clamp(min=0).sum())
    least = max(_ROUNDING * whole, _ROUNDING**2 * float(flat.norm().double()) ** 2)
    drawn = torch.zeros(3, height * width, device=channels.device)
    shares = [0.0, 0.0, 0.0]
    for at in range(min(3, count)):
        value, vector = float(values[-1 - at]), vectors[:, -1 - at].float()
        if value <= least:
            break
        vector = vector * vector[vector.abs().argmax()].sign()
        shares[at] = value / whole
        drawn[at] = _stretched(vector @ centred)
    laid = drawn.view(3, height, width).permute(1, 2, 0)
    return _numbers(laid), (shares[0], shares[1], shares[2])


def _stretched(row: Tensor) -> Tensor:
    """Bring numbers to 0 .. 1 between their percentiles: (n,) -> (n,)."""
    low, high = (row.kthvalue(1 + round(share * (len(row) - 1))).values for share in SPREAD)
    least = (_ROUNDING * row.abs().amax()).clamp(min=1e-12)
    return ((row - low) / (high - low).maximum(least)).clamp(0, 1)


def _levels(model: CoMask, batch: ImageBatch) -> tuple[LevelLook, ...]:
    laterals = model.neck.lateral_maps(model.backbone(batch.tensor))
    merged = model.neck.from_the_top(laterals)
    rows = zip(model.neck.msfem, laterals, merged, LEVELS, STRIDES, strict=True)
    return tuple(_level(*row, batch.sizes[0]) for row in rows)


def _level(
    msfem: torch.nn.Module, lateral: Tensor, merged: Tensor, level: int, stride: int, shown: Size
) -> LevelLook:
    assert isinstance(msfem, Msfem)
    coarse = msfem.views(merged)
    fused = msfem.fused(merged, coarse)
    output: Tensor = msfem.attention(fused)
    weights: Tensor = msfem.attention.weights(fused)
    return LevelLook(
        level=level,
        stride=stride,
        cells=cells_of(shown, stride),
        branches=branch_names(len(coarse) + 1),
        lateral=lateral,
        merged=merged,
        coarse=tuple(coarse),
        fused=fused,
        weights=weights,
        output=output,
        msfem=msfem,
    )


def _numbers(values: Tensor) -> Floats:
    return np.ascontiguousarray(values.float().cpu().numpy())
