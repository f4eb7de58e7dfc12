"""3x3 convolutions by tiles, with fewer multiplications: Winograd's F(4 x 4, 3 x 3).

Sixteen outputs of a channel take 36 multiplications instead of 144, for some additions and for
rounding: about 1e-5 of the largest value. That pays on wide maps of many channels; the points of
interpolation are 0, 1, -1, 2, -2 and infinity, as in Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", 2016.

Letters: B images, C channels in, O channels out, T tiles.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

STEP = 4  # outputs a tile and a side
TILE = STEP + 2  # inputs a tile and a side
TILES = 512  # worked on at once: they stay in the cache, and memory stays bounded

_KERNEL = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
_INPUT = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_OUTPUT = torch.tensor(
    [[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)
# both sides of a tile at once: every tile is one column
_INTO = torch.kron(_INPUT, _INPUT)  # (36, 36)
_OUT_OF = torch.kron(_OUTPUT, _OUTPUT)  # (16, 36)


def transformed(weight: Tensor) -> Tensor:
    """Carry a 3x3 kernel over, once: (O, C, 3, 3) -> (36, C, O)."""
    side = _KERNEL.to(weight.device)
    kernel = torch.einsum("ai,bj,ocij->abco", side, side, weight.double())
    return kernel.flatten(0, 1).to(weight.dtype).contiguous()


def convolve(features: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with padding 1 and stride 1: (B, C, H, W) -> (B, O, H, W), channels last.

    Args:
        features: float32 or float64.
        kernel: what ``transformed`` made of the weights.
        bias: (O,).
    """
    batch, _, height, width = features.shape
    rows, columns = -(-height // STEP), -(-width // STEP)
    right, below = STEP * columns + 1 - width, STEP * rows + 1 - height
    padded = F.pad(features.permute(0, 2, 3, 1), (0, 0, 1, right, 1, below))
    tiles = padded.unfold(1, TILE, STEP).unfold(2, TILE, STEP).permute(4, 5, 0, 1, 2, 3)
    outputs = kernel.shape[2]
    drawn = features.new_empty((batch, STEP * rows, STEP * columns, outputs))
    places = drawn.view(batch, rows, STEP, columns, STEP, outputs).permute(2, 4, 0, 1, 3, 5)
    images = max(1, TILES // (rows * columns))
    lines = max(1, TILES // (images * columns))
    for taken, place in zip(tiles.split(images, 2), places.split(images, 2), strict=True):
        for some, there in zip(taken.split(lines, 3), place.split(lines, 3), strict=True):
            there.copy_(_multiplied(some, kernel, bias))
    found = drawn[:, :height, :width].permute(0, 3, 1, 2)
    return found.contiguous(memory_format=torch.channels_last)


def _multiplied(tiles: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve some tiles: (6, 6, b, h, w, C) -> (4, 4, b, h, w, O)."""
    count, inputs = TILE * TILE, tiles.shape[-1]
    seen = _INTO.to(tiles) @ tiles.reshape(count, -1)
    products = seen.view(count, -1, inputs) @ kernel  # (36, T, O)
    told = (_OUT_OF.to(tiles) @ products.view(count, -1)).view(-1, kernel.shape[2])
    if bias is not None:
        told += bias
    return told.view(STEP, STEP, *tiles.shape[2:5], kernel.shape[2])
