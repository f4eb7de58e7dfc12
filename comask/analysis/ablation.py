"""One image again with something switched off, from what the switches leave as it is.

A ``Base`` holds what one image left in the network, stage by stage. A switch at a level changes
that level and what follows the levels (proposals, classes, both passes); a switch of the refinement
changes only what follows pass 1. Everything else is taken from the base, so that a result is what a
full run with the switch gives.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from comask.analysis.switches import Switches
from comask.checkpoint.native import CheckpointInfo
from comask.errors import InputError
from comask.model.class_head import Found
from comask.model.comask import CoMask
from comask.model.mask_head import HeadOutput
from comask.model.msfem import Msfem
from comask.model.neck import LEVELS
from comask.model.refine import Refinement
from comask.predict import Prediction, Predictor, to_prediction
from comask.structures import Detections, ImageBatch, Size

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB, upright
AFTER_LEVELS = ("proposals", "classes", "pass 1", "pass 2")


@dataclass(frozen=True, eq=False)
class _Level:
    """What one MSFEM took in and made; (1, C, h, w) each, the coarse views smaller."""

    merged: Tensor
    coarse: list[Tensor]
    fused: Tensor
    output: Tensor


@dataclass(frozen=True, eq=False)
class _Kept:
    """What one image left in the network."""

    levels: tuple[_Level, ...]
    found: Found
    first: HeadOutput
    detections: Detections


@dataclass(frozen=True, eq=False)
class _Source:
    """Whose a base is: what gives other tensors if it differs."""

    info: CheckpointInfo
    settings: tuple[object, ...]
    image: bytes

    @classmethod
    def of(cls, predictor: Predictor, image: Pixels) -> "_Source":
        """Tell it of a predictor and an image."""
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
        how = (predictor.detection, predictor.preprocessing, predictor.device, image.shape)
        return cls(predictor.info, (*how, predictor.bfloat16), digest.digest())

    def is_same(self, other: "_Source") -> bool:
        same = (self.settings, self.image) == (other.settings, other.image)
        return same and (self.info is other.info or self.info == other.info)


@dataclass(frozen=True, eq=False)
class Base:
    """One image as the checkpoint sees it, and what is needed to see it otherwise.

    prediction  what ``Predictor.predict`` gives
    bytes       memory that is held, on the predictor's device and beside it
    """

    prediction: Prediction
    bytes: int
    _kept: _Kept
    _source: _Source


@dataclass(frozen=True, eq=False)
class Ablated:
    """One image with something switched off.

    switches    settled: as the model tells them apart
    prediction  what the model finds so, image pixels
    redone      the stages that ran again, in their order: "P2" .. "P5", "proposals", "classes",
                "pass 1", "pass 2"; what only weighs votes anew or takes other masks is no stage
    base        what it is compared with
    """

    switches: Switches
    prediction: Prediction
    redone: tuple[str, ...]
    base: Base


def base_run(predictor: Predictor, image: Pixels) -> Base:
    """Find the instances of an upright RGB image, (H, W, 3) uint8, and keep what came before.

    It takes as long as ``Predictor.predict``. Raises InputError for what is no such image.
    """
    with predictor.opened(image) as (model, batch, scale):
        kept, source = _run(model, batch), _Source.of(predictor, image)
    return _base(predictor, image, (kept, source), scale)


def ablate(
    predictor: Predictor, image: Pixels, switches: Switches, *, base: Base | None = None
) -> Ablated:
    """Find the instances of an upright RGB image with something switched off.

    What is found is what a whole run with these switches finds; without any it is ``base``'s own.

    Args:
        predictor: a loaded checkpoint.
        image: (H, W, 3) uint8.
        switches: raises InputError for a branch that the model does not have.
        base: of the same predictor and image, or else InputError; None runs it first.
    """
    with predictor.opened(image) as (model, batch, scale):
        settled, source = switches.settled(model.config), _Source.of(predictor, image)
        if base is not None and not base._source.is_same(source):
            raise InputError("the base is of another image, checkpoint or setting than this one")
        kept = _run(model, batch) if base is None else base._kept
        detections, redone = _again(model, batch, kept, settled)
    base = base or _base(predictor, image, (kept, source), scale)
    prediction = base.prediction
    if detections is not kept.detections:
        prediction = _told(predictor, image, detections, scale)
    return Ablated(settled, prediction, redone, base)


def _run(model: CoMask, batch: ImageBatch) -> _Kept:
    merged = model.neck.merged(model.backbone(batch.tensor))
    pairs = zip(model.neck.msfem, merged, strict=True)
    levels = tuple(_level(msfem, level) for msfem, level in pairs)
    pyramid = model.neck.pyramid([level.output for level in levels])
    boxes: list[Tensor] = model.rpn(pyramid, batch)
    found = model.classes(pyramid, boxes, batch.sizes)
    first = model.look(pyramid, [found[0].boxes], found[0].labels, batch.sizes)
    detections = model.refined(pyramid, found, batch.sizes, first)[0]
    return _Kept(levels, found[0], first, detections)


def _again(
    model: CoMask, batch: ImageBatch, kept: _Kept, switches: Switches
) -> tuple[Detections, tuple[str, ...]]:
    """Run what follows the switches; also names it."""
    how = switches.refinement(Refinement.of(model.config))
    pyramid = model.neck.pyramid(
        [
            _switched(msfem, level, switches, number) if number in switches.levels else level.output
            for msfem, level, number in zip(model.neck.msfem, kept.levels, LEVELS, strict=True)
        ]
    )
    after = AFTER_LEVELS if how.second_pass else AFTER_LEVELS[:-1]
    if switches.levels:
        boxes: list[Tensor] = model.rpn(pyramid, batch)
        found = model.classes(pyramid, boxes, batch.sizes)
        detections = model.masks(pyramid, found, batch.sizes, how)[0]
        return detections, (*(f"P{number}" for number in sorted(switches.levels)), *after)
    if how == Refinement.of(model.config):
        return kept.detections, ()
    detections = model.refined(pyramid, [kept.found], batch.sizes, kept.first, how)[0]
    return detections, after[3:]


def _level(msfem: torch.nn.Module, merged: Tensor) -> _Level:
    assert isinstance(msfem, Msfem)
    coarse = msfem.views(merged)
    fused = msfem.fused(merged, coarse)
    output: Tensor = msfem.attention(fused)
    return _Level(merged, coarse, fused, output)


def _switched(msfem: torch.nn.Module, level: _Level, switches: Switches, number: int) -> Tensor:
    """Make one level anew: (1, C, H, W)."""
    assert isinstance(msfem, Msfem)
    off = switches.off_at(number)
    fused = level.fused
    if off:
        coarse = level.coarse
        if switches.reach == "cascade":
            before = coarse[: min(off - {0}, default=len(coarse))]  # the first one off included
            coarse = msfem.views(level.merged, off, before)
        fused = msfem.fused(level.merged, coarse, off)
    if number in switches.attention_off:
        return F.relu(fused)
    output: Tensor = msfem.attention(fused)
    return output


def _base(predictor: Predictor, image: Pixels, made: tuple[_Kept, _Source], scale: float) -> Base:
    kept, source = made
    prediction = _told(predictor, image, kept.detections, scale)
    return Base(prediction, _bytes(kept, prediction), kept, source)


def _told(predictor: Predictor, image: Pixels, detections: Detections, scale: float) -> Prediction:
    size: Size = (image.shape[0], image.shape[1])
    categories = predictor.info.categories
    return to_prediction(detections, scale, size, categories, predictor.detection)


def _bytes(kept: _Kept, prediction: Prediction) -> int:
    """Count what is held; tensors that are parts of one another count once."""
    tensors: list[Tensor] = [*kept.first, *_tensors(kept.found), *_tensors(kept.detections)]
    tensors += _tensors(kept.detections.trace)
    for level in kept.levels:
        tensors += [level.merged, *level.coarse, level.fused, level.output]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    arrays = [*vars(prediction).values(), *vars(prediction.trace).values()]
    return sum(storages.values()) + sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))


def _tensors(value: object) -> list[Tensor]:
    return [one for one in vars(value).values() if isinstance(one, Tensor)]
