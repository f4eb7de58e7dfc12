"""Which inputs a branch's cell can see at all: exact, by arithmetic, norm statistics left aside.

Rows and columns never mix in what the network's layers read, so a field is one interval of rows
and one of columns. Each layer turns the interval of its outputs that are read into the interval of
inputs that they read, from a branch back to its MSFEM's input or on to the image:
- a convolution of kernel k, stride s, padding p: [a, b) -> [a s - p, (b - 1) s - p + k);
- an enlargement with aligned corners: a cell lies at i (h - 1) / (H - 1) and reads both cells
  beside that place;
- the pyramid's top-down path: a cell reads cell i h // H of the next coarser level as well.

Letters: h, H lengths of a coarser and a finer map along one axis, n intervals at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from comask.analysis.activation import branch_names
from comask.analysis.registration import cells_of
from comask.config import ModelConfig
from comask.errors import InputError
from comask.model.backbone import STRIDES
from comask.model.comask import CoMask
from comask.model.msfem import Msfem
from comask.model.neck import LEVELS
from comask.model.nowhere import nowhere
from comask.structures import ImageBatch, Size

Path = Literal["own", "cascade"]
Frame = Literal["level", "image"]
Box = tuple[int, int, int, int]  # half-open (x1, y1, x2, y2), cells or network pixels
Cell = tuple[int, int]  # (row, column) of a level
FUSED = "fused"  # stands beside the branches: all of them together, before attention

__all__ = [
    "FUSED",
    "Box",
    "Cell",
    "Frame",
    "Path",
    "TheoreticalSize",
    "box_in_level",
    "check_level",
    "check_one_of",
    "checked_cells",
    "targets",
    "theoretical_box",
    "theoretical_sizes",
]

_LARGE = 8192  # network pixels: of a map on which the widest field touches no border
_Ints = NDArray[np.int64]


def targets(model: CoMask) -> tuple[str, ...]:
    """Name what has a field in each level: the branches, the level's own first, and "fused"."""
    return (*branch_names(model.config.neck.branches), FUSED)


def theoretical_box(
    model: CoMask,
    size: Size,
    *,
    level: int,
    cells: Iterable[Cell],
    branch: str,
    path: Path = "own",
    frame: Frame = "level",
) -> Box:
    """Bound what cells of a branch of P2 .. P5 read: the tight box around all their fields.

    The box is cut off where the image ends. Norm statistics and the attention, which see the whole
    map, are not counted. Raises InputError for a level, cell, branch, path or frame that is none.

    Args:
        size: (H, W) of the image in network pixels, without padding.
        branch: one of ``targets(model)``.
        path: "own" takes the deeper branch's result for a constant, "cascade" looks through it.
        frame: "level" bounds the cells of the MSFEM's input, "image" the network pixels.
    """
    number = check_level(level)
    check_one_of("path", path, get_args(Path))
    check_one_of("frame", frame, get_args(Frame))
    check_one_of("branch", branch, targets(model))
    shown = cells_of(size, STRIDES[number])
    reads = _spans(checked_cells(cells, shown))
    network = _Network.of(model)
    found = [
        network.field(_padded(length), number, read, branch, (path, frame))
        for length, read in zip(size, reads, strict=True)
    ]
    return _box(found, shown if frame == "level" else size)


def box_in_level(
    msfem: Msfem, shown: Size, whole: Size, *, cells: Iterable[Cell], branch: str, path: Path
) -> Box:
    """Do the same for one MSFEM alone: ``shown`` of its ``whole`` map's cells see the image."""
    check_one_of("branch", branch, (*branch_names(len(msfem.branches) + 1), FUSED))
    cascade = _Cascade.of(msfem)
    reads = _spans(checked_cells(cells, shown))
    found = [cascade.inputs(*pair, branch, path) for pair in zip(reads, whole, strict=True)]
    return _box(found, shown)


@dataclass(frozen=True)
class TheoreticalSize:
    """How wide the widest theoretical field of a branch's interior cells is.

    level           2 .. 5, of P2 .. P5
    stride          network pixels between two cells
    branch          "1x", "8x", "4x", "2x" or "fused"
    own_cells       side in cells of the level, deeper branches taken for constants
    cascade_cells   side in cells of the level, through the cascade
    own_pixels      side in network pixels, through the pyramid and the backbone too
    cascade_pixels  the same, through the cascade
    """

    level: int
    stride: int
    branch: str
    own_cells: int
    cascade_cells: int
    own_pixels: int
    cascade_pixels: int

    def side(self, path: Path, frame: Frame) -> int:
        """Give the side for a path, in cells of the level or in network pixels."""
        sides = {
            "level": {"own": self.own_cells, "cascade": self.cascade_cells},
            "image": {"own": self.own_pixels, "cascade": self.cascade_pixels},
        }
        return sides[frame][path]

    def to_plain(self) -> dict[str, Any]:
        """Write as JSON's types."""
        return dict(vars(self))


def theoretical_sizes(model: CoMask | ModelConfig) -> tuple[TheoreticalSize, ...]:
    """Measure the theoretical fields of every level and branch, "fused" last in each level.

    Weights play no part, so a model's settings, ``predictor.info.config``, are as good as a model.
    Cells of one branch differ a little, since enlarging with aligned corners moves them against
    the coarser grid: the widest field of all cells whose field touches no border is told.
    """
    if isinstance(model, ModelConfig):
        with nowhere():
            model = CoMask(model)
    network = _Network.of(model)
    rows = []
    for number, (level, stride) in enumerate(zip(LEVELS, STRIDES, strict=True)):
        for branch in targets(model):
            own_cells, cascade_cells, own_pixels, cascade_pixels = (
                network.widest(number, branch, (path, frame))
                for frame in get_args(Frame)
                for path in get_args(Path)
            )
            rows.append(
                TheoreticalSize(
                    level, stride, branch, own_cells, cascade_cells, own_pixels, cascade_pixels
                )
            )
    return tuple(rows)


def check_level(level: int) -> int:
    """Turn 2 .. 5 into 0 .. 3; raises InputError for another."""
    if level not in LEVELS:
        raise InputError(f"a level is one of 2 .. 5, got {level!r:.40}")
    return LEVELS.index(level)


def check_one_of(name: str, given: str, known: Sequence[str]) -> None:
    """Raise InputError for what is not among the known."""
    if given not in known:
        raise InputError(f"a {name} is one of {', '.join(known)}, got {given!r:.40}")


def checked_cells(cells: Iterable[Cell], shown: Size) -> NDArray[np.int64]:
    """Take cells of a map of (h, w): (n, 2); raises InputError where none is given or one is off.

    ``shown`` counts the cells that look at the image and not at its padding.
    """
    places = np.array(list(cells), np.int64).reshape(-1, 2)
    if not len(places):
        raise InputError("a field needs at least one cell, got none")
    outside = ((places < 0) | (places >= shown)).any(axis=1)
    if outside.any():
        raise InputError(
            f"cell (row, column) {tuple(places[outside][0].tolist())} is not on a map of "
            f"{shown[0]} x {shown[1]} cells"
        )
    return places


class _Span(NamedTuple):
    """Half-open intervals of one axis: (n,) each."""

    low: _Ints
    high: _Ints

    def with_(self, other: "_Span") -> "_Span":
        return _Span(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


class _Layer(NamedTuple):
    """What a convolution or a pooling reads along either axis."""

    kernel: int  # from its first to its last tap
    stride: int
    padding: int

    @classmethod
    def of(cls, part: nn.Conv2d | nn.MaxPool2d) -> "_Layer":
        kernel, stride, padding, dilation = (
            value if isinstance(value, int) else int(value[0])
            for value in (part.kernel_size, part.stride, part.padding, part.dilation)
        )
        return cls((kernel - 1) * dilation + 1, stride, padding)

    def outputs(self, length: int) -> int:
        return (length + 2 * self.padding - self.kernel) // self.stride + 1

    def inputs(self, read: _Span, length: int) -> _Span:
        low = read.low * self.stride - self.padding
        high = (read.high - 1) * self.stride - self.padding + self.kernel
        return _Span(low.clip(min=0), high.clip(max=length))


@dataclass(frozen=True)
class _Cascade:
    """The branches of one MSFEM, deepest first: the layers of each.

    single   whether numbers are float32
    """

    branches: tuple[tuple[_Layer, ...], ...]
    single: bool

    @classmethod
    def of(cls, msfem: nn.Module) -> "_Cascade":
        assert isinstance(msfem, Msfem)
        branches = tuple(tuple(_layers(branch)) for branch in msfem.branches)
        return cls(branches, msfem.fuse.weight.dtype != torch.float64)

    def inputs(self, read: _Span, length: int, branch: str, path: Path) -> _Span:
        """Go from a branch's cells back to those of the MSFEM's input."""
        names = branch_names(len(self.branches) + 1)
        if branch == FUSED:
            return _hull(self.inputs(read, length, name, path) for name in names)
        row = names.index(branch) - 1
        if row < 0:
            return read
        units = self.branches[row]
        lengths = _lengths(units, length)
        seen = _back(units, lengths, _enlarged(read, lengths[-1], length, self.single))
        if path == "cascade" and row > 0:  # the first unit sees the deeper branch at these cells
            seen = seen.with_(self.inputs(seen, length, names[row], path))
        return seen


@dataclass(frozen=True)
class _Network:
    """The layers of a model that decide what is read."""

    stem: tuple[_Layer, ...]
    stages: tuple[tuple[_Layer, ...], ...]
    cascades: tuple[_Cascade, ...]  # of each level

    @classmethod
    def of(cls, model: CoMask) -> "_Network":
        return cls(
            tuple(_layers(model.backbone.stem)),
            tuple(tuple(_layers(stage)) for stage in model.backbone.stages),
            tuple(_Cascade.of(msfem) for msfem in model.neck.msfem),
        )

    def field(
        self, length: int, number: int, read: _Span, branch: str, question: tuple[Path, Frame]
    ) -> _Span:
        """Find what is read for cells of level ``number``, of an image of ``length`` pixels."""
        path, frame = question
        lengths = self._lengths(length)
        cells = self.cascades[number].inputs(read, lengths[1 + number][-1], branch, path)
        return cells if frame == "level" else self._to_image(lengths, number, cells)

    def widest(self, number: int, branch: str, question: tuple[Path, Frame]) -> int:
        """Measure the widest field that touches no border."""
        at = np.arange(_LARGE // STRIDES[number])
        found = self.field(_LARGE, number, _Span(at, at + 1), branch, question)
        end = len(at) if question[1] == "level" else _LARGE
        inside = (found.low > 0) & (found.high < end)
        return int((found.high - found.low)[inside].max())

    def _to_image(self, lengths: list[list[int]], number: int, read: _Span) -> _Span:
        """Go from the cells of a merged level back through pyramid and backbone."""
        reads = {number: read}
        for k in range(number + 1, len(self.stages)):
            finer, coarser = lengths[k][-1], lengths[k + 1][-1]
            above = reads[k - 1]
            reads[k] = _Span(above.low * coarser // finer, (above.high - 1) * coarser // finer + 1)
        seen: _Span | None = None
        for k in range(len(self.stages) - 1, -1, -1):
            if k in reads:
                seen = reads[k] if seen is None else seen.with_(reads[k])
            assert seen is not None
            seen = _back(self.stages[k], lengths[1 + k], seen)
        assert seen is not None
        return _back(self.stem, lengths[0], seen)

    def _lengths(self, length: int) -> list[list[int]]:
        """Follow a length through stem and stages: the lengths before each layer and at the end."""
        found = []
        for layers in (self.stem, *self.stages):
            found.append(_lengths(layers, length))
            length = found[-1][-1]
        return found


def _layers(part: nn.Module) -> Iterator[_Layer]:
    """List what reads more than its own place, in order.

    A block's shortcut is left out: it reads no more than the block's middle.
    """
    for name, one in part.named_modules():
        if isinstance(one, nn.Conv2d | nn.MaxPool2d) and "downsample" not in name:
            yield _Layer.of(one)


def _lengths(layers: Sequence[_Layer], length: int) -> list[int]:
    """Follow a length through layers: the lengths before each of them and at the end."""
    lengths = [length]
    for layer in layers:
        lengths.append(layer.outputs(lengths[-1]))
    return lengths


def _back(layers: Sequence[_Layer], lengths: Sequence[int], read: _Span) -> _Span:
    for layer, before in zip(reversed(layers), reversed(lengths[:-1]), strict=True):
        read = layer.inputs(read, before)
    return read


def _hull(spans: Iterable[_Span]) -> _Span:
    first, *others = spans
    for other in others:
        first = first.with_(other)
    return first


def _enlarged(read: _Span, coarse: int, fine: int, single: bool) -> _Span:
    """Find what enlarging with aligned corners reads, in PyTorch's own rounding.

    Where a cell lies on a coarser one exactly, rounding can put it a hair beside: then the
    neighbour counts as read, as its weight is about 1e-7 and not 0.
    """
    if coarse == fine:
        return read
    kind = np.dtype(np.float32 if single else np.float64)
    step = np.array(coarse - 1, kind) / np.array(fine - 1, kind)
    exact = Fraction(float(step)) == Fraction(coarse - 1, fine - 1)
    last = read.high - 1
    start, place = (np.asarray(at.astype(kind) * step) for at in (read.low, last))
    first = start.astype(np.int64).clip(max=coarse - 1)
    under = place.astype(np.int64).clip(max=coarse - 1)
    only = (place == under) & (exact | (last == 0))
    return _Span(first, (under + np.where(only, 1, 2)).clip(max=coarse))


def _spans(places: _Ints) -> tuple[_Span, _Span]:
    """Bound cells: (n, 2) -> one interval of rows and one of columns."""
    rows, columns = (_Span(at.min(keepdims=True), at.max(keepdims=True) + 1) for at in places.T)
    return rows, columns


def _box(spans: Sequence[_Span], limits: Size) -> Box:
    """Join intervals of rows and columns, cut off at ``limits``."""
    (y1, y2), (x1, x2) = (
        (min(int(span.low[0]), limit), min(int(span.high[0]), limit))
        for span, limit in zip(spans, limits, strict=True)
    )
    return x1, y1, x2, y2


def _padded(length: int) -> int:
    """Pad a length as a batch pads it."""
    return ImageBatch.of([torch.zeros(1, length, 1)]).padded[0][0]
