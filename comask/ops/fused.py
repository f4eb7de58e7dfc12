"""Convolutions whose sum and ReLU are done before their outcome leaves the cache.

oneDNN can do that, and PyTorch's compiler asks it to, by operators without a public name. So it is
tried once whether they are there and this processor has them; whoever asks does the plain steps
where not. Only bfloat16 gains: its maps take as long to go through as they save.
"""

from functools import cache

import torch
from torch import Tensor, nn

_FUSED = torch.ops.mkldnn


SIDE = 3  # least height and width: halved, they still tell how a map is stored


@cache
@torch.inference_mode()
def available() -> bool:
    """Tell whether there is such a convolution in bfloat16, and whether it is right."""
    values = torch.arange(-72, 72, dtype=torch.bfloat16).view(1, 3, 3, 16) / 8
    shown = values.permute(0, 3, 1, 2)
    conv = nn.Conv2d(16, 16, 1, dtype=torch.bfloat16)
    conv.weight.copy_(2 * torch.eye(16)[:, :, None, None])
    conv.bias.fill_(1)  # type: ignore[union-attr]
    try:
        alone, added = convolved(conv, shown), convolved(conv, shown, shown)
    except (AttributeError, RuntimeError):  # no operator, or not for this processor
        return False
    wanted = 2 * shown + 1
    return torch.equal(alone, wanted.relu()) and torch.equal(added, (wanted + shown).relu())


def serves(features: Tensor) -> bool:
    """Tell whether ``convolved`` takes such a map: bfloat16 on a CPU, stored channels last."""
    return (
        features.device.type == "cpu"
        and features.dtype == torch.bfloat16
        and min(features.shape[2:]) >= SIDE
        and features.is_contiguous(memory_format=torch.channels_last)
        and available()
    )


def convolved(conv: nn.Conv2d, features: Tensor, other: Tensor | None = None) -> Tensor:
    """Convolve, add and rectify: (B, C, H, W), and (B, O, h, w) if any -> (B, O, h, w).

    Of maps that it ``serves``; no gradient flows back.
    """
    shape = [list(one) for one in (conv.padding, conv.stride, conv.dilation)]
    given = (conv.weight, conv.bias, *shape, conv.groups)
    if other is None:
        made: Tensor = _FUSED._convolution_pointwise(features, *given, "relu", [], None)
    else:
        made = _FUSED._convolution_pointwise.binary(
            features, other, *given, "add", None, "relu", [], None
        )
    return made
