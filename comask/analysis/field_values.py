"""What is asked of a receptive field, and fields as values."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from comask.analysis.field_sizes import FieldMap
from comask.analysis.theoretical_field import Box, Cell, Frame, Path, check_one_of
from comask.structures import Size

Norm = Literal["frozen", "live"]

__all__ = ["BranchField", "EffectiveField", "Norm", "Question"]


@dataclass(frozen=True)
class Question:
    """What is asked of a field.

    path   "own": a deeper branch's result is a constant; "cascade": it moves with the input
    norm   "frozen": norm statistics are constants, so the field is local; "live": it is global
    frame  "level": cells of the MSFEM's input; "image": network pixels
    """

    path: Path = "own"
    norm: Norm = "frozen"
    frame: Frame = "level"

    def __post_init__(self) -> None:
        check_one_of("path", self.path, get_args(Path))
        check_one_of("norm", self.norm, get_args(Norm))
        check_one_of("frame", self.frame, get_args(Frame))

    def to_plain(self) -> dict[str, Any]:
        """Write as JSON's types."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True, eq=False)
class BranchField(FieldMap):
    """A map of how much each input moves what a branch gives.

    level     2 .. 5, of P2 .. P5
    stride    network pixels between two cells
    branch    "1x", "8x", "4x", "2x" or "fused"
    question  what was asked
    box       half-open (x1, y1, x2, y2) on the map: what convolutions can reach, norm statistics
              left aside; a field with live statistics goes beyond it
    """

    level: int
    stride: int
    branch: str
    question: Question
    box: Box

    @property
    def is_global(self) -> bool:
        """Tell whether norm statistics moved too, so that the whole image counts."""
        return self.question.norm == "live"

    @property
    def outside(self) -> float:
        """Say which share of the mass lies outside the box: 0 where statistics are frozen."""
        if self.mass == 0:
            return 0.0
        x1, y1, x2, y2 = self.box
        beyond = self.map.astype(np.float64)
        beyond[y1:y2, x1:x2] = 0
        return float(beyond.sum()) / self.mass


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectiveField(BranchField):
    """How much each input moves what a branch gives at some cells; padding is left out.

    map     (h, w)  cells of the level, or network pixels where ``question.frame`` is "image"
    unit    image pixels from one number to the next
    origin  (row, column) of the cells' centroid on the map
    scale   network pixels an image pixel
    size    (H, W) of the image
    cells   (row, column) each
    """

    scale: float
    size: Size
    cells: tuple[Cell, ...]
