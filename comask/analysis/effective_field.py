"""How much each input moves a branch's cells: effective receptive fields by gradient.

Luo et al. (2016): the scalar is what a branch gives at some cells, summed over its channels and
averaged over the cells; the field is its gradient by the input, absolute, summed over the input's
channels. A branch gives what the fusion sees: its map enlarged to the level; "1x" is the level
itself, "fused" the fused map without its bias, before attention.

GroupNorm makes every output depend on every input, and a field says what became of that:
- "frozen": mean and variance are those of the run, and constants. The field is local, and exactly
  0 outside the theoretical box.
- "live": they move with the input, as they do in the network. The field is global.

The frame "level" asks for the gradient by the MSFEM's input, "image" by the network pixels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from comask.analysis.activation import Look, branch_names
from comask.analysis.field_values import EffectiveField, Norm, Question
from comask.analysis.registration import cells_of
from comask.analysis.theoretical_field import (
    FUSED,
    Box,
    Cell,
    box_in_level,
    check_level,
    check_one_of,
    checked_cells,
    theoretical_box,
)
from comask.errors import InputError
from comask.model.backbone import STRIDES
from comask.model.comask import CoMask
from comask.model.msfem import Branch, Msfem, Unit, enlarge
from comask.predict import Predictor
from comask.structures import Size

Progress = Callable[[int, int], None]  # (done, total); what it raises ends the work
_Affine = tuple[Tensor, Tensor]  # a frozen norm: factor and shift, (1, C, 1, 1) each

__all__ = [
    "EffectiveField",
    "Held",
    "Norm",
    "Progress",
    "Question",
    "effective_fields",
    "fields_of",
    "merged_level",
    "scalars",
]


def effective_fields(
    predictor: Predictor,
    image: NDArray[np.uint8],
    *,
    level: int,
    cells: Iterable[Cell],
    branches: Sequence[str] | None = None,
    question: Question | None = None,
    progress: Progress | None = None,
) -> tuple[EffectiveField, ...]:
    """Find the fields of cells of one level of an upright RGB image: (H, W, 3) uint8.

    One forward pass as far as that level's MSFEM, then one backward pass a branch. Nothing is left
    in the network, nor if ``progress`` raises. Raises InputError for what is no such image, level,
    cell or branch.

    Args:
        cells: (row, column) each; the scalar is averaged over them.
        branches: their names; by default all of them, then "fused".
        question: own path, frozen statistics and the level's cells by default.
        progress: called with (passes done, passes in all) before and after each backward pass.
    """
    asked, number = question or Question(), check_level(level)
    with torch.inference_mode(False), predictor.opened(image, gradients=True) as lent:
        model, batch, scale = lent
        msfem, shown = model.neck.msfem[number], batch.sizes[0]
        assert isinstance(msfem, Msfem)
        inputs = _Inputs(
            level=level,
            scale=scale,
            size=(image.shape[0], image.shape[1]),
            places=_places(cells, cells_of(shown, STRIDES[number])),
            question=asked,
        )
        names = _names(msfem, branches)
        if asked.frame == "image":
            seen = batch.tensor.requires_grad_()
            merged = merged_level(model, seen, level)
        else:
            with torch.no_grad():
                merged = merged_level(model, batch.tensor, level)
            seen = merged.requires_grad_()
        found, _ = scalars(msfem, merged, inputs.places, asked)
        maps = _gradients([found[name] for name in names], seen, progress)
        where = {"level": level, "cells": inputs.places, "path": asked.path, "frame": asked.frame}
        boxes = [theoretical_box(model, shown, branch=name, **where) for name in names]  # type: ignore[arg-type]
        limits = shown if asked.frame == "image" else cells_of(shown, STRIDES[number])
        return inputs.fields(names, maps, boxes, limits)


def fields_of(
    seen: Look,
    *,
    level: int,
    cells: Iterable[Cell],
    branches: Sequence[str] | None = None,
    question: Question | None = None,
    progress: Progress | None = None,
) -> tuple[EffectiveField, ...]:
    """Find fields of a look, in the frame "level": only that level's MSFEM runs again.

    As ``effective_fields`` otherwise; also raises InputError where the frame is "image".
    """
    asked, one = question or Question(), seen.level(level)
    if asked.frame != "level":
        raise InputError("a look holds no gradient by the image: its fields are of frame 'level'")
    names = _names(one.msfem, branches)
    inputs = _Inputs(level, seen.scale, seen.size, _places(cells, one.cells), asked)
    with torch.inference_mode(False), torch.enable_grad():
        merged = one.merged.float().clone().requires_grad_()
        found, _ = scalars(one.msfem, merged, inputs.places, asked)
        maps = _gradients([found[name] for name in names], merged, progress)
    height, width = merged.shape[-2:]
    boxes = [
        box_in_level(
            one.msfem, one.cells, (height, width), cells=inputs.places, branch=n, path=asked.path
        )
        for n in names
    ]
    return inputs.fields(names, maps, boxes, one.cells)


@dataclass(frozen=True)
class Held:
    """What is a constant to a field, as it was in one run of an MSFEM.

    views   what each branch gave, deepest first, (1, C, H / 2^d, W / 2^d)
    norms   of each branch the factor and shift of each unit's norm; empty if statistics are live
    """

    views: tuple[Tensor, ...]
    norms: tuple[tuple[_Affine, ...], ...]


def scalars(
    msfem: Msfem,
    merged: Tensor,
    cells: Sequence[Cell],
    question: Question,
    held: Held | None = None,
) -> tuple[dict[str, Tensor], Held]:
    """Compute what fields are gradients of: (1, C, H, W) -> (1,) a branch, and for "fused".

    Also gives what was held constant. Handed in again with other inputs, (B, C, H, W) -> (B,), it
    makes this the very function that a field is the gradient of, for finite differences.
    """
    views, held = _cascade(msfem, merged, question, held)
    own, *others = msfem.fuse.weight.detach().sum(dim=0, keepdim=True).split(merged.shape[1], dim=1)
    plain = [merged.sum(dim=1, keepdim=True)]
    parts = [F.conv2d(merged, own)]
    for view, weight in zip(views, others, strict=True):
        # a sum over channels may go before the enlargement, which treats each channel alike
        plain.append(enlarge(view.sum(dim=1, keepdim=True), merged))
        parts.append(enlarge(F.conv2d(view, weight), merged))
    rows, columns = (list(axis) for axis in zip(*cells, strict=True))
    fused = torch.stack([part[:, 0, rows, columns] for part in parts]).sum(dim=0)
    picked = [*(one[:, 0, rows, columns] for one in plain), fused]
    names = (*branch_names(len(plain)), FUSED)
    found = {name: one.mean(dim=1) for name, one in zip(names, picked, strict=True)}
    return found, held


def merged_level(model: CoMask, images: Tensor, level: int) -> Tensor:
    """Run the network as far as the MSFEM of P2 .. P5: (B, 3, H, W) -> (B, C, H / s, W / s)."""
    number = check_level(level)
    stages = model.backbone(images)[number:]
    laterals = [
        lateral(stage) for lateral, stage in zip(model.neck.laterals[number:], stages, strict=True)
    ]
    return model.neck.from_the_top(laterals)[0]


def _cascade(
    msfem: Msfem, merged: Tensor, question: Question, held: Held | None
) -> tuple[list[Tensor], Held]:
    """Run the branches, deepest first, with what is asked to be constant taken from ``held``."""
    views: list[Tensor] = []
    norms: list[tuple[_Affine, ...]] = []
    for row, branch in enumerate(msfem.branches):
        assert isinstance(branch, Branch)
        deeper = None
        if views:
            deeper = views[-1]
            if question.path == "own":
                deeper = deeper.detach() if held is None else held.views[row - 1]
        if question.norm == "live":
            views.append(branch(merged, deeper))
            continue
        view, constants = _frozen(branch, merged, deeper, held.norms[row] if held else ())
        views.append(view)
        norms.append(constants)
    return views, held or Held(tuple(view.detach() for view in views), tuple(norms))


def _frozen(
    branch: Branch, level: Tensor, deeper: Tensor | None, norms: tuple[_Affine, ...]
) -> tuple[Tensor, tuple[_Affine, ...]]:
    """Run one branch with norms of one factor and one shift a channel: these or the run's own."""
    used: list[_Affine] = []
    for row, unit in enumerate(branch):
        assert isinstance(unit, Unit)
        seen = unit.convolved(level, deeper if row == 0 else None)
        factor, shift = norms[row] if norms else _affine(unit, seen.detach())
        used.append((factor, shift))
        level = F.relu(torch.addcmul(shift, seen, factor), inplace=True)
    return level, tuple(used)


@torch.no_grad()
def _affine(unit: Unit, seen: Tensor) -> _Affine:
    """Write a norm with the statistics of a map as a factor and a shift: (1, C, 1, 1) each."""
    norm = unit.norm
    channels = seen.shape[1]
    weight, bias = norm.weight.view(1, channels, 1, 1), norm.bias.view(1, channels, 1, 1)
    if seen.shape[1:].numel() == norm.num_groups:  # groups of one value become the bias
        return torch.zeros_like(weight), bias.clone()
    # of channels first: no copy is needed where a channel's values do not lie side by side
    variances, means = torch.var_mean(seen, dim=(0, 2, 3), correction=0)
    means, variances = means.view(norm.num_groups, -1), variances.view(norm.num_groups, -1)
    mean = means.mean(dim=1, keepdim=True)
    variance = variances.mean(dim=1) + (means - mean).square().mean(dim=1)
    each = channels // norm.num_groups
    rate = (variance + norm.eps).rsqrt().repeat_interleave(each).view(1, channels, 1, 1)
    centre = mean[:, 0].repeat_interleave(each).view(1, channels, 1, 1)
    factor = rate * weight
    return factor, bias - centre * factor


def _gradients(
    wanted: Sequence[Tensor], seen: Tensor, progress: Progress | None
) -> list[NDArray[np.float32]]:
    """Give the absolute gradient of each scalar by an input, over its channels: (H, W) each."""
    maps = []
    for done, scalar in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        more = done + 1 < len(wanted)
        # a norm whose groups are single values does not depend on its input
        (found,) = torch.autograd.grad(scalar, seen, retain_graph=more, allow_unused=True)
        whole = torch.zeros_like(seen) if found is None else found
        maps.append(whole[0].abs().sum(dim=0).float().cpu().numpy())
    if progress is not None:
        progress(len(wanted), len(wanted))
    return maps


@dataclass(frozen=True)
class _Inputs:
    """What all fields of one call have in common."""

    level: int
    scale: float
    size: Size
    places: tuple[Cell, ...]
    question: Question

    def fields(
        self,
        names: Sequence[str],
        maps: Sequence[NDArray[np.float32]],
        boxes: Sequence[Box],
        limits: Size,
    ) -> tuple[EffectiveField, ...]:
        """Join names, maps with their padding and boxes; ``limits`` is the map without padding."""
        stride = STRIDES[check_level(self.level)]
        step = stride if self.question.frame == "image" else 1  # from cells to the map's numbers
        row, column = (step * sum(axis) / len(axis) for axis in zip(*self.places, strict=True))
        return tuple(
            EffectiveField(
                map=np.ascontiguousarray(one[: limits[0], : limits[1]]),
                unit=stride / step / self.scale,
                origin=(row, column),
                level=self.level,
                stride=stride,
                scale=self.scale,
                size=self.size,
                branch=name,
                question=self.question,
                cells=self.places,
                box=box,
            )
            for name, one, box in zip(names, maps, boxes, strict=True)
        )


def _places(cells: Iterable[Cell], shown: Size) -> tuple[Cell, ...]:
    return tuple((int(row), int(column)) for row, column in checked_cells(cells, shown))


def _names(msfem: Msfem, branches: Sequence[str] | None) -> tuple[str, ...]:
    known = (*branch_names(len(msfem.branches) + 1), FUSED)
    for name in branches or ():
        check_one_of("branch", name, known)
    return known if branches is None else tuple(branches)
