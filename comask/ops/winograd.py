"""3x3 convolutions by tiles, with fewer multiplications: Winograd's F(4 x 4, 3 x 3).

Sixteen outputs of a channel take 36 multiplications instead of 144, for some additions and for
rounding: about 1e-5 of the largest value. That pays on wide maps of many channels, and on many
small ones. The points of interpolation are infinity, 0, 1, -1, 2 and -2, as in Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", 2016; fewer outputs take the first of them.
Steps write over the same memory again and again, so no gradient flows back.

Letters: B images, R regions, C channels in, O channels out, T tiles.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

STEP = 4  # outputs a tile and a side
TILE = STEP + 2  # inputs a tile and a side, and points
TILES = 512  # worked on at once: they stay in the cache, and memory stays bounded
REGIONS = 64  # likewise

_FINITE = (0, 1, -1, 2, -2)  # points that follow infinity


def transformed(weight: Tensor) -> Tensor:
    """Carry a 3x3 kernel over, once: (O, C, 3, 3) -> (36, C, O)."""
    rows = [[0.0, 0.0, 1.0]]
    rows += [[at**power / _spread(at, _FINITE) for power in range(3)] for at in _FINITE]
    side = torch.tensor(rows, dtype=torch.float64, device=weight.device)
    kernel = torch.kron(side, side) @ weight.double().permute(2, 3, 1, 0).flatten(0, 1).flatten(1)
    return kernel.view(TILE * TILE, weight.shape[1], weight.shape[0]).to(weight.dtype)


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
    work = _Workspace(features)
    for taken, place in zip(tiles.split(images, 2), places.split(images, 2), strict=True):
        for some, there in zip(taken.split(lines, 3), place.split(lines, 3), strict=True):
            there.copy_(_multiplied(some, kernel, bias, work))
    found = drawn[:, :height, :width].permute(0, 3, 1, 2)
    return found.contiguous(memory_format=torch.channels_last)


def convolve_regions(regions: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Do what ``convolve`` does, sooner for many small maps: (R, C, H, W) -> (R, O, H, W).

    All tiles of a side are one small matrix, so that no map is cut up; a side's last tile has as
    many outputs as are left, and as few points.
    """
    count, inputs, height, width = regions.shape
    outputs = kernel.shape[2]
    found = regions.new_empty((count, height, width, outputs))
    if not count:
        return found.permute(0, 3, 1, 2)
    down = _side(height, regions.dtype, regions.device)
    across = _side(width, regions.dtype, regions.device)
    work = _Workspace(regions)
    for part, place in zip(regions.split(REGIONS), found.split(REGIONS), strict=True):
        size = len(part)
        seen = work.take("seen", height, width, size, inputs).copy_(part.permute(2, 3, 0, 1))
        told = work.take("told", height, width, size, outputs)
        for tile in down.tiles:
            points = len(tile.into)
            rows = torch.mm(
                tile.into,
                seen[tile.inputs].view(-1, width * size * inputs),
                out=work.take("rows", points, width * size * inputs),
            )
            spread = torch.matmul(
                across.into,
                rows.view(points, width, size * inputs),
                out=work.take("spread", points, len(across.into), size * inputs),
            )
            products = work.take("products", points, len(across.into), size * outputs)
            for point in range(points):
                for group in across.groups:
                    first = point * TILE + group.first
                    torch.bmm(
                        spread[point, group.rows].view(group.points, -1, inputs),
                        kernel[first : first + group.points],
                        out=products[point, group.rows].view(group.points, -1, outputs),
                    )
            narrow = torch.matmul(
                across.out_of, products, out=work.take("narrow", points, width, size * outputs)
            )
            lines = told[tile.outputs].view(-1, width * size * outputs)
            torch.mm(tile.out_of, narrow.view(points, -1), out=lines)
        place.copy_(told.permute(2, 0, 1, 3))
    if bias is not None:
        found += bias
    return found.permute(0, 3, 1, 2)


class _Workspace:
    """Memory that is written again and again: new pages cost as much as a product."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._held: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Hand out a tensor of any content; what had that name before is gone."""
        size = math.prod(shape)
        if name not in self._held or self._held[name].numel() < size:
            self._held[name] = self._like.new_empty(size)
        return self._held[name][:size].view(shape)


@dataclass(frozen=True)
class _Tile:
    """One tile along a side: its inputs, without padding, and its outputs, with their matrices."""

    inputs: slice
    outputs: slice
    into: Tensor  # (points, inputs)
    out_of: Tensor  # (outputs, points)


@dataclass(frozen=True)
class _Group:
    """Points from ``first`` on that as many tiles have, and their rows among a side's."""

    first: int
    points: int
    rows: slice


@dataclass(frozen=True)
class _Side:
    """The tiles of a side, and all of them as two matrices, point by point."""

    tiles: list[_Tile]
    groups: list[_Group]
    into: Tensor  # (rows, side)
    out_of: Tensor  # (side, rows)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _side(side: int, dtype: torch.dtype, device: torch.device) -> _Side:
    """Lay the tiles of a side out."""
    tiles: list[_Tile] = []
    for start in range(0, side, STEP):
        outputs, before = min(STEP, side - start), start - 1
        inputs = slice(max(before, 0), min(start + outputs + 1, side))
        into = _input(outputs)[:, inputs.start - before : inputs.stop - before]
        tiles.append(_Tile(inputs, slice(start, start + outputs), into, _output(outputs)))
    rows = [(tile, point) for point in range(TILE) for tile in tiles if point < len(tile.into)]
    all_into = torch.zeros(len(rows), side, dtype=torch.float64)
    all_out_of = torch.zeros(side, len(rows), dtype=torch.float64)
    for row, (tile, point) in enumerate(rows):
        all_into[row, tile.inputs] = tile.into[point]
        all_out_of[tile.outputs, row] = tile.out_of[:, point]
    groups, first, start = [], 0, 0
    counts = [sum(point == own for _, own in rows) for point in range(TILE)]
    for count, alike in groupby(counts):
        points = len(list(alike))
        if count:
            groups.append(_Group(first, points, slice(start, start + points * count)))
        first, start = first + points, start + points * count
    return _Side(
        [
            replace(t, into=t.into.to(device, dtype), out_of=t.out_of.to(device, dtype))
            for t in tiles
        ],
        groups,
        all_into.to(device, dtype),
        all_out_of.to(device, dtype),
    )


def _spread(point: int, points: tuple[int, ...]) -> int:
    return math.prod(point - other for other in points if other != point)


def _input(outputs: int) -> Tensor:
    """Give what the inputs of a tile are multiplied by: (outputs + 2, outputs + 2).

    A row for each point: the polynomial that is 0 at all others. It makes up for the kernel, which
    is always divided by what all points make.
    """
    points = _FINITE[: outputs + 1]
    rows = [np.poly(points)[::-1]]
    for point in points:
        others = [other for other in points if other != point]
        row = np.poly(others)[::-1] * (_spread(point, _FINITE) / _spread(point, points))
        rows.append(np.append(row, 0.0))
    return torch.from_numpy(np.array(rows))


def _output(outputs: int) -> Tensor:
    """Give what the products of a tile are multiplied by: (outputs, outputs + 2)."""
    points = _FINITE[: outputs + 1]
    last = [1.0 if row == outputs - 1 else 0.0 for row in range(outputs)]
    columns = [last, *([float(point**row) for row in range(outputs)] for point in points)]
    return torch.tensor(columns, dtype=torch.float64).T


# both sides of a whole tile at once: every tile is one column
_INTO = torch.kron(_input(STEP), _input(STEP))  # (36, 36)
_OUT_OF = torch.kron(_output(STEP), _output(STEP))  # (16, 36)


def _multiplied(tiles: Tensor, kernel: Tensor, bias: Tensor | None, work: _Workspace) -> Tensor:
    """Convolve some tiles: (6, 6, b, h, w, C) -> (4, 4, b, h, w, O)."""
    count, inputs, outputs = TILE * TILE, tiles.shape[-1], kernel.shape[2]
    cut = work.take("cut", *tiles.shape).copy_(tiles).view(count, -1)
    seen = torch.mm(_INTO.to(tiles), cut, out=work.take("seen", *cut.shape))
    seen = seen.view(count, -1, inputs)
    products = torch.bmm(seen, kernel, out=work.take("products", *seen.shape[:2], outputs))
    flat = products.view(count, -1)
    told = torch.mm(_OUT_OF.to(tiles), flat, out=work.take("told", len(_OUT_OF), flat.shape[1]))
    told = told.view(-1, outputs)
    if bias is not None:
        told += bias
    return told.view(STEP, STEP, *tiles.shape[2:5], outputs)
