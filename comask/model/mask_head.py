"""The joint head: votes for the box, a mask, the mask's IoU (spec section 8).

Letters: N instances, C channels, K classes. Label l owns channel l + 1, channel 0 is the
background. Masks are logits on 28 x 28 cells of the region's box.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.config import ModelConfig
from comask.model.cells import Cells
from comask.model.norm import GroupNorm

REGION = 14  # cells a side of what the head takes in
CELLS = 7  # cells a side of its trunk
MASK = 28  # cells a side of its masks
CHUNK = 32  # regions drawn at once: their large maps stay in the cache, and memory stays bounded


class HeadOutput(NamedTuple):
    """What the head says of N regions, each for its own label.

    distances  (N, 4, 7, 7)   left, right, top, bottom, shares of the box, never negative
    masks      (N, 28, 28)    logits
    mask_ious  (N,)           predicted IoU, not bounded; nan where nobody asked for it
    """

    distances: Tensor
    masks: Tensor
    mask_ious: Tensor


class MaskHead(nn.Module):
    """A trunk at 7 x 7, from which box votes, the mask and its predicted IoU branch off."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, hidden = config.neck.channels, config.mask_head.hidden
        outputs = config.num_classes + 1
        strides = [2] + [1] * (config.mask_head.convs - 1)
        self.trunk = nn.Sequential(*(_unit(channels, channels, s, bias=False) for s in strides))
        self.distance = nn.Conv2d(channels, 4, 3, padding=1)
        self.enlarge1 = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.norm1 = GroupNorm(channels)
        self.enlarge2 = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.norm2 = GroupNorm(channels)
        self.mask = nn.Conv2d(channels, outputs, 3, padding=1)
        self.judge = nn.Sequential(
            _unit(channels + 1, channels, 1, bias=True), _unit(channels, channels, 1, bias=True)
        )
        self.judge1 = Cells(channels, CELLS, hidden)
        self.judge2 = nn.Linear(hidden, hidden)
        self.mask_iou = nn.Linear(hidden, config.mask_head.iou_outputs or outputs)
        self._initialise()

    def forward(self, regions: Tensor, labels: Tensor, *, judged: bool = True) -> HeadOutput:
        """Vote, draw and judge: (N, C, 14, 14), (N,) 0-based -> HeadOutput."""
        trunk: Tensor = self.trunk(regions)  # (N, C, 7, 7)
        distances = F.relu(self.distance(trunk)).float()
        masks = self._mask(trunk, labels)
        if not judged:
            return HeadOutput(distances, masks, masks.new_full((len(masks),), torch.nan))
        return HeadOutput(distances, masks, self._judged(trunk, masks, labels))

    def _judged(self, trunk: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
        """Predict the masks' IoUs: (N, C, 7, 7), (N, 28, 28), (N,) -> (N,)."""
        hint = F.max_pool2d(masks.detach()[:, None], 4).sigmoid().to(trunk.dtype)
        judged: Tensor = self.judge(torch.cat([trunk, hint], dim=1))
        hidden = F.relu(self.judge2(F.relu(self.judge1(judged))))
        ious: Tensor = self.mask_iou(hidden).float().gather(1, labels[:, None] + 1)[:, 0]
        return ious

    def _mask(self, trunk: Tensor, labels: Tensor) -> Tensor:
        """Draw each region's mask of its own label only: (N, C, 7, 7) -> (N, 28, 28) logits."""
        parts = zip(trunk.split(CHUNK), labels.split(CHUNK), strict=True)
        return torch.cat([self._draw(*part) for part in parts])

    def _draw(self, trunk: Tensor, labels: Tensor) -> Tensor:
        drawn = F.relu(self.norm1(self.enlarge1(trunk)), inplace=True)
        drawn = F.relu(self.norm2(self.enlarge2(drawn)), inplace=True)  # (N, C, 28, 28)
        return own_channel(self.mask, drawn, labels + 1)

    def _initialise(self) -> None:
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        nn.init.normal_(self.distance.weight, std=0.001)
        for layer in (self.judge1, self.judge2):
            nn.init.kaiming_uniform_(layer.weight, a=1)
        nn.init.normal_(self.mask_iou.weight, std=0.01)


def own_channel(conv: nn.Conv2d, features: Tensor, channels: Tensor) -> Tensor:
    """Compute one output channel a region of a 3x3 convolution: (N, C, H, W), (N,) -> (N, H, W).

    Each pixel is multiplied with the nine taps of its region's kernel, then every output pixel
    sums the products around it. The other classes' channels are never computed.
    """
    kernels = conv.weight[channels].flip(2, 3)  # (N, C, 3, 3): a pixel gives where others take
    products = kernels.flatten(2).mT @ features.flatten(2)  # (N, 9, H * W)
    size = (features.shape[2], features.shape[3])
    summed = F.fold(products.float(), size, 3, padding=1)[:, 0]
    return summed + conv.bias[channels][:, None, None]  # type: ignore[index]


def _unit(inputs: int, outputs: int, stride: int, *, bias: bool) -> nn.Sequential:
    unit = nn.Sequential()
    unit.add_module("conv", nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias))
    unit.add_module("norm", GroupNorm(outputs))
    unit.add_module("relu", nn.ReLU(inplace=True))
    return unit
