"""Tables of field sizes: for one checkpoint a row a level and branch, to stand beside others.

High-contribution area ratios are those of Ding et al. (RepLKNet, 2022): the smallest square around
the middle that holds a share t of the contributions, over the whole input's area. Theirs are of
one layer's gradients by the image; ours are of each branch, and of the frame that is asked for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comask.analysis.effective_field import Progress
from comask.analysis.field_average import Site, middle, set_fields
from comask.analysis.field_values import Question
from comask.analysis.theoretical_field import Cell, theoretical_sizes
from comask.model.neck import LEVELS
from comask.predict import Predictor

CONTOURS = (0.5, 0.9, 0.99)  # shares whose sides a row tells
THRESHOLDS = (0.2, 0.3, 0.5, 0.99)  # the literature's t

__all__ = ["CONTOURS", "THRESHOLDS", "FieldRow", "area_ratios"]


@dataclass(frozen=True)
class FieldRow:
    """How large the fields of one branch are, in image pixels.

    checkpoint   a name of the caller's
    branches     how many an MSFEM of the checkpoint has
    level        2 .. 5, of P2 .. P5
    branch       "1x", "8x", "4x", "2x" or "fused"
    question     what was asked
    count        cells that were averaged over
    theoretical  side of an interior cell's theoretical field, norm statistics left aside; where
                 images have different scales, at the first one's
    sides        share of the mass -> side of a square as large as the smallest set holding it
    ratios       share of the mass -> area of the smallest centred square holding it, as a part of
                 the image, 0 .. 1
    """

    checkpoint: str
    branches: int
    level: int
    branch: str
    question: Question
    count: int
    theoretical: float
    sides: Mapping[float, float]
    ratios: Mapping[float, float]

    def to_plain(self) -> dict[str, Any]:
        """Write as JSON's types; shares become per cent, "50"."""
        return vars(self) | {
            "question": self.question.to_plain(),
            "sides": {_percent(share): side for share, side in self.sides.items()},
            "ratios": {_percent(share): ratio for share, ratio in self.ratios.items()},
        }


def area_ratios(
    predictor: Predictor,
    images: Iterable[NDArray[np.uint8]],
    cells_of_image: Callable[[Site], Iterable[Cell]] = middle,
    *,
    checkpoint: str = "",
    levels: Sequence[int] = LEVELS,
    question: Question | None = None,
    progress: Progress | None = None,
) -> tuple[FieldRow, ...]:
    """Measure a checkpoint's fields over images: a row each level and branch, "fused" last.

    By default from the middle cell of each image to the image's pixels, through the cascade, with
    frozen statistics. The rows of several checkpoints stand in one table as they are. Raises
    InputError as ``set_fields`` does.
    """
    asked = question or Question("cascade", "frozen", "image")
    fields = set_fields(
        predictor, images, cells_of_image, levels=levels, question=asked, progress=progress
    )
    config = predictor.info.config
    known = {(one.level, one.branch): one for one in theoretical_sizes(config)}
    return tuple(
        FieldRow(
            checkpoint=checkpoint,
            branches=config.neck.branches,
            level=one.level,
            branch=one.branch,
            question=asked,
            count=one.count,
            theoretical=known[one.level, one.branch].side(asked.path, asked.frame) * one.unit,
            sides={share: one.side(share) for share in CONTOURS},
            ratios={share: one.covered(share) for share in THRESHOLDS},
        )
        for one in fields
    )


def _percent(share: float) -> str:
    return f"{100 * share:g}"
