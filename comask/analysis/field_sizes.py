"""How large a field is: contours, sides and squares that hold a share of its mass.

A field's mass is the sum of its map. Sizes are image pixels, whatever the map counts: one number
of a map stands for a square of ``unit`` x ``unit`` image pixels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from comask.errors import InputError

Floats = NDArray[np.float32]

__all__ = ["FieldMap"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldMap:
    """How much each input counts.

    map     (h, w)  not negative
    unit    image pixels from one number to the next
    origin  (row, column) of the map where the field belongs; squares are centred there
    """

    map: Floats
    unit: float
    origin: tuple[float, float]

    @cached_property
    def mass(self) -> float:
        """Add the whole map up."""
        return float(self.map.sum(dtype=np.float64))

    def threshold(self, share: float) -> float:
        """Find the contour: the largest value such that what reaches it holds ``share`` of all.

        Infinite for a field without any mass. Raises InputError unless 0 < share <= 1.
        """
        count = self._count(share)
        return float(self._values[count - 1]) if count else float("inf")

    def area(self, share: float) -> float:
        """Measure the smallest set that holds ``share`` of the mass, in square image pixels."""
        return self._count(share) * self.unit**2

    def side(self, share: float) -> float:
        """Give the side of a square as large as that set, in image pixels."""
        return float(self.area(share) ** 0.5)

    def square(self, share: float) -> float:
        """Give the side of the smallest square around the origin that holds ``share`` of the mass.

        In image pixels; a square that reaches over the border counts as if the map went on.
        """
        reach = self._reach(share)
        return 0.0 if reach is None else (2 * reach + 1) * self.unit

    def covered(self, share: float) -> float:
        """Say which part of the whole map that square covers, 0 .. 1; beyond the border is none.

        That is the high-contribution area ratio of Ding et al. (RepLKNet, 2022).
        """
        reach = self._reach(share)
        if reach is None:
            return 0.0
        rows, columns = (int((distances <= reach).sum()) for distances in self._distances)
        return rows * columns / self.map.size

    @cached_property
    def _values(self) -> Floats:
        return np.sort(self.map, axis=None)[::-1]

    @cached_property
    def _distances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows, columns = (
            np.abs(np.arange(length) - at)
            for length, at in zip(self.map.shape, self.origin, strict=True)
        )
        return rows, columns

    def _count(self, share: float) -> int:
        """Count the numbers of the smallest set."""
        _check(share)
        if self.mass == 0:
            return 0
        return _first(np.cumsum(self._values, dtype=np.float64), share) + 1

    def _reach(self, share: float) -> float | None:
        """Find how far from the origin the square's outermost numbers are, along an axis."""
        _check(share)
        if self.mass == 0:
            return None
        rows, columns = self._distances
        rings = np.unique(np.concatenate([rows, columns]))
        ring = np.maximum(
            np.searchsorted(rings, rows)[:, None], np.searchsorted(rings, columns)[None]
        )
        masses = np.bincount(ring.ravel(), self.map.ravel().astype(np.float64), len(rings))
        return float(rings[_first(masses.cumsum(), share)])


def _check(share: float) -> None:
    if not 0 < share <= 1:
        raise InputError(f"a share of a field's mass is above 0 and at most 1, got {share!r:.40}")


def _first(sums: NDArray[np.float64], share: float) -> int:
    """Find where growing sums reach a share of their last."""
    return int(np.searchsorted(sums, share * sums[-1]))
