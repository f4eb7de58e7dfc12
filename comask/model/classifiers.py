"""ResNet and MobileNetV2 without their last layers, as torchvision names and computes them.

Written out here because ``import torchvision`` takes as long as ``import torch``: it brings the
compiler and every other network. Weights of torchvision's own fit by name (``comask.train``).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.model.tracing import forgettable

RESNET_WIDTHS = (64, 128, 256, 512)  # of the 3x3 convolutions, C2 .. C5
RESNET_GROWTH = 4  # a block gives so many times its width
MOBILENET_GROWTH = 6  # a block's inner width, in its inputs
MOBILENET_STEM = 32
# outputs, blocks and the first block's stride of every stretch
MOBILENET_STRETCHES = (
    (16, 1, 1),
    (24, 2, 2),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
)
WIDENED = 4 * 2**20  # values of a widened map at once: they stay in the cache, memory bounded


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the 3x3 one strides (ResNet 1.5)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = RESNET_GROWTH * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Convolve: (B, C, H, W) -> (B, 4 width, H / stride, W / stride), never negative."""
        deep = F.relu(self.bn1(self.conv1(features)), inplace=True)
        deep = F.relu(self.bn2(self.conv2(deep)), inplace=True)
        deep = self.bn3(self.conv3(deep))
        deep += features if self.downsample is None else self.downsample(features)
        return F.relu(deep, inplace=True)


class InvertedResidual(nn.Module):
    """Widen, convolve every channel by itself, narrow; a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, growth: int) -> None:
        super().__init__()
        inner = inputs * growth
        self.inner, self.stride = inner, stride
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([_unit(inputs, inner, 1)] if growth != 1 else []),
            _unit(inner, inner, 3, stride, groups=inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Convolve: (B, C, H, W) -> (B, outputs, H / stride, W / stride).

        Without gradients, on a CPU, a large map is worked on in bands: the same numbers, sooner.
        """
        batch, _, height, width = features.shape
        rows = max(1, WIDENED // (batch * self.inner * width))
        if rows < height and features.device.type == "cpu" and forgettable():
            return self._in_bands(features, max(1, rows // self.stride))
        return self._convolved(features)

    def _in_bands(self, features: Tensor, rows: int) -> Tensor:
        """Convolve so many rows of the outcome at a time, and one above that is thrown away."""
        height = -(-features.shape[2] // self.stride)
        bands = []
        for start in range(0, height, rows):
            end, above = min(start + rows, height), min(start, 1)
            top = self.stride * (start - above)
            below = self.stride * (end - 1) + 2
            band = self._convolved(features[:, :, top:below])
            bands.append(band[:, :, above : above + end - start])
        return torch.cat(bands, dim=2)

    def _convolved(self, features: Tensor) -> Tensor:
        deep: Tensor = self.conv(features)
        return features + deep if self.shortcut else deep


def resnet(blocks: tuple[int, int, int, int]) -> tuple[nn.Sequential, list[nn.Sequential]]:
    """Build the stem, at stride 4, and the four stages of a ResNet with so many blocks each."""
    stem = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(64),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(3, stride=2, padding=1),
        )
    )
    stages, inputs = [], 64
    for number, (width, count) in enumerate(zip(RESNET_WIDTHS, blocks, strict=True)):
        stage = nn.Sequential()
        for block in range(count):
            stride = 2 if number and not block else 1
            stage.append(Bottleneck(inputs, width, stride))
            inputs = RESNET_GROWTH * width
        stages.append(stage)
    _initialise(stem, *stages)
    return stem, stages


def mobilenet_v2() -> nn.Sequential:
    """Build all 18 blocks of MobileNetV2 but the last, which serves its classifier."""
    blocks = nn.Sequential(_unit(3, MOBILENET_STEM, 3, 2))
    inputs = MOBILENET_STEM
    for number, (outputs, count, stride) in enumerate(MOBILENET_STRETCHES):
        for block in range(count):
            growth = MOBILENET_GROWTH if number else 1
            blocks.append(InvertedResidual(inputs, outputs, 1 if block else stride, growth))
            inputs = outputs
    _initialise(blocks)
    return blocks


def _unit(inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


def _initialise(*parts: nn.Module) -> None:
    for part in [inner for outer in parts for inner in outer.modules()]:
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
