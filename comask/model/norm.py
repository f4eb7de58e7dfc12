"""Norms as the spec has them, by the way that is shortest on CPUs."""

import torch
from torch import Tensor, nn

from comask.model.tracing import forgettable

GROUPS = 32
SMALL = 1024  # places: on smaller maps PyTorch's kernel for bfloat16 is slower than float32's
WIDE = 2**21  # values of theirs in float32 at once: they stay in the cache

# on many regions PyTorch's kernel for float32 is slow where a group has few channels
REGIONS = 16
ALIKE = 4


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
        small = features.device.type == "cpu" and features.shape[2:].numel() < SMALL
        if small and self.weight.dtype == torch.bfloat16:
            return self._widely_normed(features)
        return self._normed(features, self.weight, self.bias, small)

    def _widely_normed(self, features: Tensor) -> Tensor:
        """Normalise small maps in float32, and round what comes of it to their own numbers."""
        weight, bias = self.weight.float(), self.bias.float()
        if not forgettable():
            return self._normed(features.float(), weight, bias, small=True).to(features.dtype)
        found = torch.empty_like(features)
        maps = max(1, WIDE // features.shape[1:].numel())
        for place, part in zip(found.split(maps), features.split(maps), strict=True):
            place.copy_(self._normed(part.float(), weight, bias, small=True))
        return found

    def _normed(self, features: Tensor, weight: Tensor, bias: Tensor, small: bool) -> Tensor:
        alike = self.num_channels // self.num_groups
        if small and len(features) >= REGIONS and alike <= ALIKE and not self.training:
            return _by_products(features, weight, bias, self.eps, alike)
        return torch.group_norm(features, self.num_groups, weight, bias, self.eps)


class RegionNorm(nn.InstanceNorm2d):
    """torch's with learnt weights, but where maps are stored channels last they stay so, on CPUs.

    There torch's own turns them over, and whatever follows is slower for it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, features: Tensor, *, over: bool = False) -> Tensor:
        """Normalise each channel of each region: (R, C, H, W) -> the same, float32 at least.

        ``over`` tells whether they may be written over, where no gradient needs them.
        """
        if self.training or features.device.type != "cpu":
            turned: Tensor = super().forward(features)
            return turned
        return _by_products(features, self.weight, self.bias, self.eps, 1, over=over)


def _by_products(
    features: Tensor, weight: Tensor, bias: Tensor, eps: float, alike: int, *, over: bool = False
) -> Tensor:
    """Normalise groups of ``alike`` channels: (R, C, H, W) -> the same, float32 at least.

    The means are products of matrices; maps that are stored channels last stay so. As little
    memory as can be is written to: several regions' maps would not fit into the cache twice.
    """
    count, channels, height, width = features.shape
    exact = torch.promote_types(features.dtype, torch.float32)
    over = forgettable() and (over or features.dtype != exact)
    rows = features.permute(0, 2, 3, 1).flatten(1, 2).to(exact)  # (R, H * W, C)
    share = rows.new_full((1, 1, height * width), 1 / (height * width)).expand(count, -1, -1)

    def mean(values: Tensor) -> Tensor:
        means: Tensor = share @ values  # (R, 1, C)
        if alike > 1:
            means = means.unflatten(2, (-1, alike)).mean(3).repeat_interleave(alike, dim=2)
        return means

    centred = torch.sub(rows, mean(rows), out=rows if over else None)
    scale = (weight * torch.rsqrt(mean(centred.square()) + eps)).to(exact)
    place = centred if forgettable() else None
    normed = torch.addcmul(bias.to(exact), centred, scale, out=place)
    return normed.view(count, height, width, channels).permute(0, 3, 1, 2)


def place_means(features: Tensor) -> Tensor:
    """Average every channel of every map: (B, C, H, W) -> (B, C).

    In bfloat16 a product of matrices does it in a tenth of the time of PyTorch's mean, on CPUs.
    """
    if features.dtype != torch.bfloat16:
        return features.mean(dim=(2, 3))
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H * W, C)
    ones = rows.new_ones(1, 1, rows.shape[1]).expand(len(rows), -1, -1)
    return (ones @ rows)[:, 0] / rows.shape[1]
