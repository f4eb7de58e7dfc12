"""A 3x3 convolution of stride 2 over a map that is enlarged first, without enlarging it.

Enlarging treats all channels alike, so the kernel's nine taps may go first, at the small map's own
size. What is left, to enlarge, to shift by a tap and to take every other place, is one small matrix
a side. On a map of a quarter the side that is half of the multiplications, of an eighth a tenth.

Letters: B images, C channels in, O channels out, h x w the map's size, H x W the enlarged one's.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

TAPS = 3


def convolve_enlarged(coarse: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge with aligned corners, pad by 1, convolve, halve: -> (B, O, H / 2, W / 2).

    Args:
        coarse: (B, C, h, w).
        weight: (O, C, 3, 3).
        size: H and W, to which the map would be enlarged; halves are rounded up.
    """
    batch, channels, height, width = coarse.shape
    outputs = len(weight)
    rows = coarse.permute(0, 2, 3, 1).reshape(1, -1, channels).expand(TAPS, -1, -1)
    taps = weight.permute(2, 1, 3, 0).reshape(TAPS, channels, TAPS * outputs)  # a kernel's row each
    tapped = torch.bmm(rows, taps).view(TAPS * batch * height, width * TAPS, outputs)
    across = _matrix(width, size[1], coarse.dtype, coarse.device).flatten(1)  # (W / 2, w * 3)
    spread = torch.bmm(across.expand(len(tapped), -1, -1), tapped)
    lines = spread.view(TAPS, batch, height, -1).transpose(0, 1).flatten(1, 2)
    down = _matrix(height, size[0], coarse.dtype, coarse.device).mT.flatten(1)  # (H / 2, 3 * h)
    found = torch.matmul(down, lines).view(batch, len(down), len(across), outputs)
    return found.permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _matrix(short: int, long: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Say what each place and tap of a side gives to what is left of it: (long / 2, short, 3)."""
    places = torch.arange(long, dtype=torch.float64) * ((short - 1) / max(long - 1, 1))
    distances = (places[:, None] - torch.arange(short, dtype=torch.float64)).abs()
    shares = F.pad((1 - distances).clamp(min=0), (0, 0, 1, 1 + long % 2))
    ends = [tap + long + long % 2 for tap in range(TAPS)]
    taps = [shares[tap:end:2] for tap, end in enumerate(ends)]  # (long / 2, short) each
    return torch.stack(taps, dim=2).to(device, dtype)
