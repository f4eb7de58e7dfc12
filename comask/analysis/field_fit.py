"""Whether an object fits what the branch that speaks for it sees.

An object is cut from one level (spec section 5). Of that level's branches, the one that makes up
most of the fused map under the object's mask speaks for it, and its receptive field there, through
the whole network, is as wide as the side of a square that is as large as the smallest set of pixels
which holds 90 % of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from comask.analysis.activation import Look, look
from comask.analysis.cells import Cell, cell_at, cells_of_mask
from comask.analysis.contribution import Contribution, contributions_of
from comask.analysis.effective_field import Question, effective_fields
from comask.annotation import rle
from comask.annotation.records import Rle
from comask.errors import InputError
from comask.ops import boxes as box_ops
from comask.predict import Predictor
from comask.structures import Size

Progress = Callable[[int, int], None]

SHARE = 0.9  # of a field's mass
SAMPLES = 2  # fields of a branch of a level in one image; its objects share their mean
ASKED = Question(path="cascade", norm="frozen", frame="image")


@dataclass(frozen=True)
class Fit:
    """One object beside the field of the branch that speaks for it.

    id      of the object
    level   2 .. 5
    branch  its name
    share   of the fused map under the object that the branch makes up
    size    side of a square as large as the object's mask, image pixels
    field   side of the 90 % field, image pixels; 0 where no pixel moves the branch
    """

    id: int
    level: int
    branch: str
    share: float
    size: float
    field: float

    @property
    def ratio(self) -> float | None:
        """Say how many times the field's side the object's side is; None without a field."""
        return self.size / self.field if self.field > 0 else None


@dataclass(frozen=True)
class _Spoken:
    """An object, who speaks for it, and the cell in its middle."""

    id: int
    level: int
    branch: int
    share: float
    size: float
    middle: Cell


def fits(
    predictor: Predictor,
    image: NDArray[np.uint8],
    objects: Sequence[tuple[int, Rle]],
    *,
    samples: int | None = SAMPLES,
    progress: Progress | None = None,
) -> tuple[Fit, ...]:
    """Measure the objects of an upright RGB image, (H, W, 3) uint8: one Fit each, in their order.

    Objects without pixels are left out. Raises InputError for what is no such image, for a mask of
    another size, and for less than one sample.

    Args:
        predictor: a loaded checkpoint.
        image: its pixels.
        objects: (id, mask) each; masks of the image's size.
        samples: fields that are measured for a branch of a level, of objects evenly chosen among
            those that it speaks for; all of these get their mean. None measures every object's.
        progress: is told (done, total) before every field, and may raise to stop.
    """
    if samples is not None and samples < 1:
        raise InputError(f"at least one field is measured for a branch, got samples={samples}")
    seen = look(predictor, image)
    _check_sizes(objects, seen.size)
    parts = {one.level: one for one in contributions_of(seen)}
    spoken = [_speak(seen, parts, number, mask) for number, mask in objects if rle.area(mask) > 0]
    groups: dict[tuple[int, int], list[int]] = {}
    for row, one in enumerate(spoken):  # ids may occur twice, rows don't
        groups.setdefault((one.level, one.branch), []).append(row)
    chosen = [row for group in groups.values() for row in _evenly(group, samples)]
    sides: dict[int, float] = {}
    for row in chosen:
        if progress is not None:
            progress(len(sides), len(chosen))
        sides[row] = _field(predictor, image, parts[spoken[row].level], spoken[row])
    if samples is not None:
        for group in groups.values():
            mean = float(np.mean([sides[row] for row in group if row in sides]))
            sides |= dict.fromkeys(group, mean)
    return tuple(_fit(one, parts, sides[row]) for row, one in enumerate(spoken))


def _check_sizes(objects: Sequence[tuple[int, Rle]], size: Size) -> None:
    for number, mask in objects:
        if tuple(mask.size) != size:
            height, width = mask.size
            raise InputError(
                f"the mask of object {number} is {width} x {height} pixels, and the image is "
                f"{size[1]} x {size[0]}"
            )


def _speak(seen: Look, parts: dict[int, Contribution], number: int, mask: Rle) -> _Spoken:
    x, y, width, height = rle.bbox(mask)
    box = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float32) * seen.scale
    level = int(box_ops.pyramid_level(box, seen.shown)[0])
    one = seen.level(level)
    cells = cells_of_mask(mask, one.stride, seen.scale, one.cells)
    rows, columns = np.array(cells).T
    shares = parts[level].share[:, rows, columns].sum(axis=1, dtype=np.float64)
    whole = float(parts[level].fused[rows, columns].sum(dtype=np.float64))
    branch = int(shares.argmax())
    return _Spoken(
        id=number,
        level=level,
        branch=branch,
        share=float(shares[branch]) / max(whole, 1e-12),
        size=float(np.sqrt(rle.area(mask))),
        middle=cell_at((x + width / 2, y + height / 2), one.stride, seen.scale, one.cells),
    )


def _evenly(group: Sequence[int], count: int | None) -> list[int]:
    if count is None or len(group) <= count:
        return list(group)
    places = ((np.arange(count) + 0.5) * len(group) / count).astype(int)
    return [group[place] for place in places]


def _field(
    predictor: Predictor, image: NDArray[np.uint8], level: Contribution, one: _Spoken
) -> float:
    found = effective_fields(
        predictor,
        image,
        level=one.level,
        cells=[one.middle],
        branches=[level.branches[one.branch]],
        question=ASKED,
    )
    return found[0].side(SHARE)


def _fit(one: _Spoken, parts: dict[int, Contribution], field: float) -> Fit:
    branch = parts[one.level].branches[one.branch]
    return Fit(one.id, one.level, branch, one.share, one.size, field)
