"""Norms as the spec has them, by the way that is shortest on CPUs."""

import torch
from torch import Tensor, nn

GROUPS = 32
SMALL = 1024  # places: on smaller maps PyTorch's kernel for bfloat16 is slower than float32's


class GroupNorm(nn.GroupNorm):
    """torch's, but a group of a single value becomes the bias instead of an error.

    That happens: 32 channels on a level of one pixel. Nothing is left of such a value but rounding.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each group of channels: (B, C, H, W) -> (B, C, H, W)."""
        if features.shape[1:].numel() == self.num_groups:
            return torch.zeros_like(features) + self.bias[:, None, None]
        half = self.weight.dtype == torch.bfloat16 and features.device.type == "cpu"
        if half and features.shape[2:].numel() < SMALL:
            weight, bias = self.weight.float(), self.bias.float()
            wide = torch.group_norm(features.float(), self.num_groups, weight, bias, self.eps)
            return wide.to(features.dtype)
        return torch.group_norm(features, self.num_groups, self.weight, self.bias, self.eps)


class RegionNorm(nn.InstanceNorm2d):
    """torch's with learnt weights, but where maps are stored channels last they stay so, on CPUs.

    There torch's own turns them over, and whatever follows is slower for it; the means are products
    of matrices here.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each channel of each region: (R, C, H, W) -> the same, float32 at least."""
        if self.training or features.device.type != "cpu":
            turned: Tensor = super().forward(features)
            return turned
        size = features.shape[2:]
        exact = torch.promote_types(features.dtype, torch.float32)
        rows = features.permute(0, 2, 3, 1).flatten(1, 2).to(exact)  # (R, H * W, C)
        share = rows.new_full((1, 1, rows.shape[1]), 1 / rows.shape[1]).expand(len(rows), -1, -1)
        centred = rows - share @ rows
        scale = self.weight * torch.rsqrt(share @ centred.square() + self.eps)
        normed = torch.addcmul(self.bias.to(exact), centred, scale.to(exact))
        return normed.view(-1, *size, features.shape[1]).permute(0, 3, 1, 2)


def place_means(features: Tensor) -> Tensor:
    """Average every channel of every map: (B, C, H, W) -> (B, C).

    In bfloat16 a product of matrices does it in a tenth of the time of PyTorch's mean, on CPUs.
    """
    if features.dtype != torch.bfloat16:
        return features.mean(dim=(2, 3))
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H * W, C)
    ones = rows.new_ones(1, 1, rows.shape[1]).expand(len(rows), -1, -1)
    return (ones @ rows)[:, 0] / rows.shape[1]
