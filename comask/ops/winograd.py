"""3x3 convolutions by tiles, with fewer multiplications: Winograd's F(4 x 4, 3 x 3).

Sixteen outputs of a channel take 36 multiplications instead of 144, for some additions and for
rounding: 1e-6 of the result in float32, 0.013 in bfloat16, where a plain convolution has 0.003.
That pays on wide maps of many channels, and on many small ones. It is the algorithm of Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, at other points of interpolation:
theirs, 0, 1, -1, 2 and -2 beside infinity, round twice as much. Fewer outputs take the first of
them. Steps write over the same memory again and again, so no gradient flows back.

Letters: B images, R regions, C channels in, O channels out, T tiles.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, product

import numpy as np
import torch
from torch import Tensor

STEP = 4  # outputs a tile and a side
TILE = STEP + 2  # inputs a tile and a side, and points
TILES = 256  # worked on at once: they stay in the cache, and memory stays bounded
PLACES = 64 * 14 * 14  # of regions, likewise

_FINITE = (0.0, 0.625, -0.625, 1.5, -1.5)  # points of interpolation that follow infinity


def transformed(weight: Tensor) -> Tensor:
    """Carry a 3x3 kernel over, once: (O, C, 3, 3) -> (36, C, O), points column by column."""
    rows = [[0.0, 0.0, 1.0]]
    rows += [[at**power / _spread(at, _FINITE) for power in range(3)] for at in _FINITE]
    side = torch.tensor(rows, dtype=torch.float64, device=weight.device)
    kernel = torch.kron(side, side) @ weight.double().permute(3, 2, 1, 0).flatten(0, 1).flatten(1)
    return kernel.view(TILE * TILE, weight.shape[1], weight.shape[0]).to(weight.dtype)


def convolve(
    features: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    then: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Convolve with padding 1 and stride 1: (B, C, H, W) -> (B, O, H, W), channels last.

    Args:
        features: float32, float64 or bfloat16.
        kernel: what ``transformed`` made of the weights.
        bias: (O,).
        then: What to do with every place of the answer while it is in the cache, (N, O) -> (N, P),
            for an answer of P channels; it may write over what it is given.
    """
    batch, _, height, width = features.shape
    rows, columns = -(-height // STEP), -(-width // STEP)
    then = then or _as_it_is
    given = features.permute(0, 2, 3, 1)
    outputs = then(kernel.new_zeros(1, kernel.shape[2])).shape[1]
    drawn = features.new_empty((batch, STEP * rows, STEP * columns, outputs))
    places = drawn.view(batch, rows, STEP, columns, STEP, outputs).permute(2, 4, 0, 1, 3, 5)
    images = max(1, TILES // (rows * columns))
    lines = max(1, TILES // (images * columns))
    work = _Workspace(features)
    for image, row in product(range(0, batch, images), range(0, rows, lines)):
        place = places[:, :, image : image + images, row : row + lines]
        some, across = given[image : image + images], STEP * columns + 2
        band = _band(some, STEP * row - 1, STEP * place.shape[3] + 2, across, work)
        tiles = band.unfold(1, TILE, STEP).unfold(2, TILE, STEP).permute(4, 5, 0, 1, 2, 3)
        found = then(_multiplied(tiles, kernel, bias, work))
        place.copy_(found.view(STEP, STEP, *tiles.shape[2:5], outputs))
    whole = drawn[:, :height, :width].permute(0, 3, 1, 2)
    return whole.contiguous(memory_format=torch.channels_last)


def convolve_regions(regions: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Do what ``convolve`` does, sooner for many small maps: (R, C, H, W) -> (R, O, H, W).

    All tiles of a side are one small matrix, so that no map is cut up; a side's last tile has as
    many outputs as are left, and as few points. In bfloat16 processors multiply sooner than they
    read, so a row of tiles takes one larger matrix for both sides.
    """
    count, inputs, height, width = regions.shape
    outputs = kernel.shape[2]
    found = regions.new_empty((count, height, width, outputs))
    if not count:
        return found.permute(0, 3, 1, 2)
    grid = _grid(height, width, regions.dtype, regions.device)
    work = _Workspace(regions)
    for part, place in zip(regions.split(grid.regions), found.split(grid.regions), strict=True):
        size = len(part)
        seen = work.take("seen", height, width, size * inputs)
        seen.view(height, width, size, inputs).copy_(part.permute(2, 3, 0, 1))
        for row in grid.rows:
            spread = work.take("spread", row.points, grid.across, size * inputs)
            _turn(row.into, seen[row.inputs], spread, work)
            products = work.take("products", row.points, grid.across, size * outputs)
            for step in row.steps:
                weights = kernel[step.kernels]
                torch.bmm(
                    spread.flatten(0, 1)[step.places].view(len(weights), -1, inputs),
                    weights,
                    out=products.flatten(0, 1)[step.places].view(len(weights), -1, outputs),
                )
            lines = place[:, row.outputs]
            told = work.take("spread", lines.shape[1], width, size * outputs)
            _turn(row.out_of, products, told, work)
            lines.copy_(told.view(-1, width, size, outputs).permute(2, 0, 1, 3))
    if bias is not None:
        found += bias
    return found.permute(0, 3, 1, 2)


def _band(features: Tensor, top: int, rows: int, columns: int, work: "_Workspace") -> Tensor:
    """Cut rows out, zeros around: (B, H, W, C) -> (B, rows, columns, C) from row ``top`` on.

    The first column is one of zeros. Cut out as it is worked on, a band stays in the cache.
    """
    batch, height, width, channels = features.shape
    band = work.take("band", batch, rows, columns, channels)
    low, high = max(top, 0), min(top + rows, height)
    band[:, low - top : high - top, 1 : width + 1] = features[:, low:high]
    for edge in (
        band[:, : low - top],
        band[:, high - top :],
        band[:, :, 0],
        band[:, :, width + 1 :],
    ):
        edge.zero_()
    return band


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


_Sides = tuple[Tensor] | tuple[Tensor, Tensor]  # one matrix for both sides of a map, or one each


def _turn(sides: _Sides, given: Tensor, into: Tensor, work: _Workspace) -> None:
    """Multiply both sides of maps: (u, h) and (v, w), or (u v, h w); (h, w, n) -> (u, v, n)."""
    count = given.shape[2]
    if len(sides) == 1:
        torch.mm(sides[0], given.view(-1, count), out=into.view(-1, count))
        return
    down, across = sides
    height, width = len(down), given.shape[1] * count
    turned = torch.mm(down, given.view(-1, width), out=work.take("turned", height, width))
    torch.matmul(across, turned.view(height, -1, count), out=into)


@dataclass(frozen=True)
class _Tile:
    """One tile along a side: its inputs, without padding, and its outputs, with their matrices."""

    inputs: slice
    outputs: slice
    into: Tensor  # (points, inputs)
    out_of: Tensor  # (outputs, points)


@dataclass(frozen=True)
class _Step:
    """Points that as many tiles of a row have, and the places in it that are theirs."""

    kernels: slice  # of the 36
    places: slice


@dataclass(frozen=True)
class _Row:
    """One row of tiles: the lines that it reads and writes, with what they are multiplied by."""

    inputs: slice
    outputs: slice
    points: int
    into: _Sides
    out_of: _Sides
    steps: list[_Step]


@dataclass(frozen=True)
class _Grid:
    """The tiles of a map, row by row."""

    rows: list[_Row]
    across: int  # points of a line of tiles
    regions: int  # worked on at once: they stay in the cache, and memory stays bounded


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _grid(height: int, width: int, dtype: torch.dtype, device: torch.device) -> _Grid:
    """Lay the tiles of a map out."""
    line = _Line.of(_tiles(width))
    half = dtype == torch.bfloat16

    def row(tile: _Tile) -> _Row:
        points = len(tile.into)
        into: _Sides
        out_of: _Sides
        if half:
            order, steps = line.at_once(points)
            into = (torch.kron(tile.into.contiguous(), line.into)[order],)
            out_of = (torch.kron(tile.out_of.contiguous(), line.out_of)[:, order],)
        else:
            into, out_of = (tile.into, line.into), (tile.out_of, line.out_of)
            steps = line.by_lines(points)
        return _Row(tile.inputs, tile.outputs, points, cast(into), cast(out_of), steps)

    def cast(sides: _Sides) -> _Sides:
        return tuple(side.to(device, dtype) for side in sides)  # type: ignore[return-value]

    rows = [row(tile) for tile in _tiles(height)]
    return _Grid(rows, len(line.into), max(1, PLACES // (height * width)))


@dataclass(frozen=True)
class _Line:
    """The tiles of a line: their points lie side by side, every tile's first one first of all."""

    into: Tensor  # (across, inputs)
    out_of: Tensor  # (outputs, across)
    tiles: list[int]  # that have the point

    @classmethod
    def of(cls, tiles: list[_Tile]) -> "_Line":
        """Put the tiles' matrices beside each other."""
        width = tiles[-1].outputs.stop
        places = [
            (tile, point) for point in range(TILE) for tile in tiles if point < len(tile.into)
        ]
        into = torch.zeros(len(places), width, dtype=torch.float64)
        out_of = torch.zeros(width, len(places), dtype=torch.float64)
        for place, (tile, point) in enumerate(places):
            into[place, tile.inputs] = tile.into[point]
            out_of[tile.outputs, place] = tile.out_of[:, point]
        have = [sum(point < len(tile.into) for tile in tiles) for point in range(TILE)]
        return cls(into, out_of, have)

    def by_lines(self, points: int) -> list[_Step]:
        """Multiply line after line, of so many, as they lie."""
        steps, start = [], 0
        for line in range(points):
            for first, columns, tiles in self._alike():
                stop = start + columns * tiles
                kernels = slice(first * TILE + line, (first + columns) * TILE, TILE)
                steps.append(_Step(kernels, slice(start, stop)))
                start = stop
        return steps

    def at_once(self, points: int) -> tuple[list[int], list[_Step]]:
        """Put the lines' places in an order that takes few steps: column after column.

        A step has its cost, however small the product: in bfloat16 often more than the product's.
        """
        order: list[int] = []
        steps = []
        for first, columns, tiles in self._alike():
            taken = columns if points == TILE else 1  # kernels of whole columns are side by side
            for column in range(first, first + columns):
                if (column - first) % taken == 0:
                    kernels = slice(column * TILE, (column + taken - 1) * TILE + points)
                    stop = len(order) + taken * points * tiles
                    steps.append(_Step(kernels, slice(len(order), stop)))
                place = sum(self.tiles[:column])
                for line in range(points):
                    start = line * len(self.into) + place
                    order += range(start, start + tiles)
        return order, steps

    def _alike(self) -> Iterator[tuple[int, int, int]]:
        """Find points that as many tiles have: the first one, how many they are, and the tiles."""
        first = 0
        for tiles, points in groupby(self.tiles):
            count = len(list(points))
            if tiles:
                yield first, count, tiles
            first += count


def _tiles(side: int) -> list[_Tile]:
    tiles = []
    for start in range(0, side, STEP):
        outputs, before = min(STEP, side - start), start - 1
        inputs = slice(max(before, 0), min(start + outputs + 1, side))
        into = _input(outputs)[:, inputs.start - before : inputs.stop - before]
        tiles.append(_Tile(inputs, slice(start, start + outputs), into, _output(outputs)))
    return tiles


def _spread(point: float, points: tuple[float, ...]) -> float:
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
_BY_COLUMNS = torch.arange(TILE * TILE).view(TILE, TILE).T.flatten()
_INTO = torch.kron(_input(STEP), _input(STEP))[_BY_COLUMNS]  # (36, 36)
_OUT_OF = torch.kron(_output(STEP), _output(STEP))[:, _BY_COLUMNS]  # (16, 36)


def _multiplied(tiles: Tensor, kernel: Tensor, bias: Tensor | None, work: _Workspace) -> Tensor:
    """Convolve some tiles: (6, 6, b, h, w, C) -> (4 * 4 * b * h * w, O).

    What is not needed any more is written over: the less memory, the more of it is in the cache.
    """
    count, inputs, outputs = TILE * TILE, tiles.shape[-1], kernel.shape[2]
    cut = work.take("cut", *tiles.shape).copy_(tiles).view(count, -1)
    seen = torch.mm(_INTO.to(tiles), cut, out=work.take("seen", *cut.shape))
    seen = seen.view(count, -1, inputs)
    products = torch.bmm(seen, kernel, out=work.take("cut", *seen.shape[:2], outputs))
    flat = products.view(count, -1)
    told = torch.mm(_OUT_OF.to(tiles), flat, out=work.take("seen", len(_OUT_OF), flat.shape[1]))
    told = told.view(-1, outputs)
    if bias is not None:
        told += bias
    return told


def _as_it_is(found: Tensor) -> Tensor:
    return found
