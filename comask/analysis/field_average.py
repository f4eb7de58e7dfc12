"""Fields of many cells and many images, laid over each other.

Each field is shifted so that the middle of its cells lies on the middle of the average, and is
divided by its mass: every cell counts the same, however strong its gradient. Where an image has
ended a field is 0. Images of other scales are brought to the first field's image pixels.
"""

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comask.analysis.activation import look
from comask.analysis.effective_field import Progress, effective_fields, fields_of
from comask.analysis.field_values import BranchField, EffectiveField, Question
from comask.analysis.registration import cells_of
from comask.analysis.theoretical_field import Cell, check_level
from comask.data.images import fit_size
from comask.errors import InputError
from comask.model.backbone import STRIDES
from comask.model.neck import LEVELS
from comask.predict import Predictor
from comask.structures import Size

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Window = tuple[float, float, float, float]  # half-open (x1, y1, x2, y2), numbers of a map

SLACK = 1e-6  # of a number: rounding makes no grid larger

__all__ = ["AverageField", "Site", "averaged", "middle", "set_fields"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AverageField(BranchField):
    """The mean of fields, each of mass 1, with all origins on one number.

    box      holds every field's theoretical box
    windows  where each field's image lies on the map
    empty    fields that were left out, as they have no mass
    """

    windows: tuple[Window, ...]
    empty: int

    @property
    def count(self) -> int:
        """Count the fields of the mean."""
        return len(self.windows)

    def covered(self, share: float) -> float:
        """Say which part of an image the square that holds ``share`` covers, 0 .. 1.

        The mean over the images, each with what of the square lies in it. For images of one size
        and cells in their middle that is the ratio of Ding et al. (RepLKNet, 2022).
        """
        reach = self._reach(share)
        if reach is None:
            return 0.0
        row, column = self.origin
        parts = []
        for x1, y1, x2, y2 in self.windows:
            width = min(x2, column + reach + 1) - max(x1, column - reach)
            height = min(y2, row + reach + 1) - max(y1, row - reach)
            parts.append(width * height / ((x2 - x1) * (y2 - y1)))
        return sum(parts) / len(parts)


def averaged(fields: Iterable[EffectiveField]) -> AverageField:
    """Lay fields of one level, branch and question over each other; they are taken one by one.

    Raises InputError where there is none, or where they answer different questions.
    """
    mean: _Mean | None = None
    for one in fields:
        if mean is None:
            mean = _Mean(one)
        mean.add(one)
    if mean is None:
        raise InputError("there is no field to average")
    return mean.field()


@dataclass(frozen=True)
class Site:
    """Where cells can be chosen: one level of one image of a set.

    number  the image's, from 0
    size    (H, W) of the image
    scale   network pixels an image pixel
    level   2 .. 5
    stride  network pixels between two cells
    cells   (h, w) that look at the image
    """

    number: int
    size: Size
    scale: float
    level: int
    stride: int
    cells: Size


def middle(site: Site) -> tuple[Cell, ...]:
    """Choose the cell in the middle of an image, as the literature does."""
    height, width = site.cells
    return ((height // 2, width // 2),)


def set_fields(
    predictor: Predictor,
    images: Iterable[Pixels],
    cells_of_image: Callable[[Site], Iterable[Cell]] = middle,
    *,
    levels: Sequence[int] = LEVELS,
    question: Question | None = None,
    progress: Progress | None = None,
) -> tuple[AverageField, ...]:
    """Average the fields of all branches over images: each level's branches, then "fused".

    A level for which no image has cells is left out. Raises InputError for a wrong image, level or
    cell, and where there is nothing to average.

    Args:
        cells_of_image: chooses cells, each of which makes a field; by default the middle one.
        progress: called with (images done, images in all or 0 if unknown) before each cell; what
            it raises ends the work.
    """
    asked, total = question or Question(), operator.length_hint(images, 0)
    means: dict[tuple[int, str], _Mean] = {}
    done = 0
    for number, image in enumerate(images):
        seen = look(predictor, image) if asked.frame == "level" else None
        for site in _sites(predictor, image, number, levels):
            for cell in cells_of_image(site):
                _tell(progress, number, total)
                if seen is None:
                    found = effective_fields(
                        predictor, image, level=site.level, cells=[cell], question=asked
                    )
                else:
                    found = fields_of(seen, level=site.level, cells=[cell], question=asked)
                for one in found:
                    means.setdefault((one.level, one.branch), _Mean(one)).add(one)
        done = number + 1
    _tell(progress, done, total)
    if not means:
        raise InputError("there is no field to average: no image has a cell to look from")
    return tuple(mean.field() for _, mean in sorted(means.items(), key=lambda pair: pair[0][0]))


class _Mean:
    """A sum that grows as fields come, on a grid of the first one's numbers."""

    def __init__(self, first: EffectiveField) -> None:
        self.first = first
        self.total = np.zeros((1, 1))
        self.row, self.column = 0, 0  # of the origin
        self.windows: list[Window] = []  # from the origin
        self.boxes: list[Window] = []
        self.empty = 0

    def add(self, one: EffectiveField) -> None:
        """Lay one more field on top; raises InputError where it answers another question."""
        first = self.first
        if (one.level, one.branch, one.question) != (first.level, first.branch, first.question):
            raise InputError("only fields of one level, branch and question have an average")
        if one.mass == 0:
            self.empty += 1
            return
        step = one.unit / first.unit  # from its numbers to those of the grid
        height, width = one.map.shape
        window = _moved((0, 0, width, height), one.origin, step)
        self._grow(window)
        rows = _overlaps(self.total.shape[0], self.row, window[1], step, height)
        columns = _overlaps(self.total.shape[1], self.column, window[0], step, width)
        self.total += (rows @ one.map @ columns.T) / one.mass
        self.windows.append(window)
        self.boxes.append(_moved(one.box, one.origin, step))

    def field(self) -> AverageField:
        """Give the mean of what was laid down."""
        first, count = self.first, max(len(self.windows), 1)
        shift = np.array([self.column, self.row])
        corners = shift + np.array(self.boxes or [(0, 0, 0, 0)]).reshape(-1, 2, 2)
        x1, y1 = np.floor(corners[:, 0].min(axis=0) + SLACK).astype(int).tolist()
        x2, y2 = np.ceil(corners[:, 1].max(axis=0) - SLACK).astype(int).tolist()
        windows = shift + np.array(self.windows).reshape(-1, 2, 2)
        return AverageField(
            map=(self.total / count).astype(np.float32),
            unit=first.unit,
            origin=(self.row, self.column),
            level=first.level,
            stride=first.stride,
            branch=first.branch,
            question=first.question,
            box=(x1, y1, x2, y2),
            windows=tuple(tuple(window) for window in windows.reshape(-1, 4).tolist()),
            empty=self.empty,
        )

    def _grow(self, window: Window) -> None:
        """Make room for a window around the origin."""
        height, width = self.total.shape
        left, top = (max(0, math.ceil(-at - SLACK)) for at in window[:2])
        right, bottom = (max(0, math.ceil(at - SLACK)) for at in window[2:])
        above, before = max(top - self.row, 0), max(left - self.column, 0)
        below = max(self.row + bottom - height, 0)
        after = max(self.column + right - width, 0)
        if above or before or below or after:
            self.total = np.pad(self.total, ((above, below), (before, after)))
            self.row, self.column = self.row + above, self.column + before


def _moved(box: Window, origin: tuple[float, float], step: float) -> Window:
    """Write a box of a field's numbers as one of the grid's, from the origin's own (0, 0, 1, 1)."""
    row, column = origin
    x1, y1, x2, y2 = (
        (at - centre - 0.5) * step + 0.5 for at, centre in zip(box, (column, row) * 2, strict=True)
    )
    return x1, y1, x2, y2


def _overlaps(count: int, origin: int, start: float, step: float, length: int) -> Floats:
    """Say how much of each of a field's numbers falls on each of the grid's: (count, length).

    Every number lies on the grid whole: its parts add up to 1.
    """
    edges = origin + start + step * np.arange(length + 1)
    grid = np.arange(count)[:, None]
    shared = np.minimum(grid + 1, edges[1:]) - np.maximum(grid, edges[:-1])
    return np.asarray(shared.clip(min=0) / step, np.float32)


def _sites(
    predictor: Predictor, image: Pixels, number: int, levels: Sequence[int]
) -> Iterator[Site]:
    view = predictor.preprocessing
    size = (image.shape[0], image.shape[1])
    scale, shown = fit_size(size, view.short_side, view.long_side)
    for level in levels:
        stride = STRIDES[check_level(level)]
        yield Site(number, size, scale, level, stride, cells_of(shown, stride))


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
