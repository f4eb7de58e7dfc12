"""The one norm of the pyramid and of the mask head: GroupNorm of 32 groups."""

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
