"""Image classifiers as feature pyramids, cut into their four stages."""

from torch import Tensor, nn

from comask.config import BackboneConfig
from comask.model.classifiers import mobilenet_v2, resnet

STRIDES = (4, 8, 16, 32)


class Backbone(nn.Module):
    """Four feature maps of an image: C2 .. C5 at strides 4, 8, 16, 32.

    Every batch norm runs on its stored statistics, in training too (spec section 2); its affine
    parameters are trained. The stem and the first ``frozen_stages`` stages are not trained at all.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        build = _resnet if config.kind.startswith("resnet") else _mobilenet
        self.stem, self.stages, self.channels = build(config)
        self._frozen = config.frozen_stages
        for part in [self.stem, *self.stages[: self._frozen]] if self._frozen else []:
            part.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Describe images at four scales: (B, 3, H, W) -> 4 x (B, C_k, H / s, W / s)."""
        features: Tensor = self.stem(images)
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels

    def train(self, mode: bool = True) -> "Backbone":
        """Switch to training; batch norms stay on their stored statistics."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self


_Parts = tuple[nn.Module, nn.ModuleList, tuple[int, ...]]


def _resnet(config: BackboneConfig) -> _Parts:
    stem, stages = resnet((3, 4, 6 if config.kind == "resnet50" else 23, 3))
    return stem, nn.ModuleList(stages), (256, 512, 1024, 2048)


def _mobilenet(config: BackboneConfig) -> _Parts:
    blocks = mobilenet_v2()
    stages = nn.ModuleList([blocks[2:4], blocks[4:7], blocks[7:14], blocks[14:18]])
    return blocks[:2], stages, (24, 32, 96, 320)
