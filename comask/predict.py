"""One call from an image to its instances: numpy in, ``Prediction`` out, image pixels.

Letters: H x W the image, N instances, R proposals, C candidates. Boxes are half-open and not
clipped: a refined box may reach beyond the image, its mask never does.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from comask.annotation import rle
from comask.annotation.records import Category, Rle
from comask.checkpoint import agreement, native
from comask.checkpoint.native import CheckpointInfo
from comask.config import DetectionConfig, PreprocessingConfig
from comask.data import transforms
from comask.errors import InputError
from comask.model import postprocess
from comask.model.class_head import Found
from comask.model.comask import CoMask
from comask.model.engine import CompiledCoMask, Engine
from comask.model.fold import folded, in_bfloat16
from comask.ops import boxes as box_ops
from comask.structures import Detections, Fate, Fates, ImageBatch, Seen, Size

__all__ = [
    "Candidates",
    "Engine",
    "Fate",
    "Prediction",
    "PredictionSettings",
    "PredictionTrace",
    "Predictor",
    "Prepared",
    "Refit",
    "Seen",
    "choose_device",
    "to_prediction",
]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Shorts = NDArray[np.int32]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class PredictionTrace:
    """How each instance came about, in image pixels where a box is meant.

    proposals      (N, 4)         the box that the class branch judged
    proposal_rows  (N,)           int64, its row among the image's proposals, best first
    levels         (N, 2)         int64, pyramid level 2 .. 5 of pass 1 and pass 2
    first_masks    (N, 28, 28)    mask logits of pass 1, inside the proposal
    votes          (N, 7, 7, 4)   the 49 boxes that pass 1 voted for
    weights        (N, 7, 7)      their weights, 0 .. 1
    second_masks   (N, 28, 28)    mask logits of pass 2, inside the refined box
    """

    proposals: Floats
    proposal_rows: Integers
    levels: Integers
    first_masks: Floats
    votes: Floats
    weights: Floats
    second_masks: Floats


@dataclass(frozen=True)
class Candidates:
    """What the class branch thought of all proposals, and what became of it; image pixels.

    Class scores up to 0.01 are left out; nothing else is.

    proposals       (R, 4)  all of them, best first: ``PredictionTrace.proposal_rows`` counts here
    rows            (C,)    int32, the proposal of each candidate, ascending
    labels          (C,)    int32
    scores          (C,)    class score
    fates           (C,)    int8, a ``Fate`` each
    by              (C,)    int32; KEPT: the row of the instance in the Prediction; SUPPRESSED: the
                            candidate that did it, the best of its class that overlaps by more
                            than the NMS allows and itself survived the NMS; else -1
    suppressor_iou  (C,)    IoU of the two proposals in network pixels where SUPPRESSED, else 0
    """

    proposals: Floats
    rows: Shorts
    labels: Shorts
    scores: Floats
    fates: NDArray[np.int8]
    by: Shorts
    suppressor_iou: Floats


@dataclass(frozen=True)
class Prediction:
    """The instances of one image, best first; N may be 0.

    size          (H, W) of the image
    boxes         (N, 4)  half-open xyxy, image pixels, not clipped
    labels        (N,)    int64; label l is ``categories[l]``
    class_scores  (N,)    0 .. 1: what a threshold gates
    mask_ious     (N,)    predicted, about 0 .. 1 but not bounded
    scores        (N,)    class score + 0.3 x mask IoU: what ranks
    masks         N x Rle of the image's size
    candidates    what else the class branch saw; None unless it was asked for
    """

    size: Size
    boxes: Floats
    labels: Integers
    class_scores: Floats
    mask_ious: Floats
    scores: Floats
    masks: tuple[Rle, ...]
    categories: tuple[Category, ...]
    trace: PredictionTrace
    candidates: Candidates | None = None

    def __len__(self) -> int:
        """Count the instances."""
        return len(self.masks)


@dataclass(frozen=True)
class Refit:
    """One object that the model drew inside a box by hand; image pixels.

    box          (4,)  the refined one, half-open xyxy, not clipped
    mask         Rle of the image's size; may be empty
    category     the one that was asked for, or else what the class branch takes it for
    class_score  0 .. 1, of that category
    mask_iou     predicted, about 0 .. 1 but not bounded
    score        class score + 0.3 x mask IoU
    levels       of the pyramid, 2 .. 5, in pass 1 and pass 2
    """

    box: Floats
    mask: Rle
    category: Category
    class_score: float
    mask_iou: float
    score: float
    levels: tuple[int, int]


class Prepared(NamedTuple):
    """What the network sees of an image: a batch of one, network by image pixels, its (H, W)."""

    batch: ImageBatch
    scale: float
    size: Size


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """What a caller may set per run; ``None`` keeps the checkpoint's own value."""

    min_score: float | None = None
    max_instances: int | None = None
    short_side: int | None = None
    long_side: int | None = None
    bfloat16: bool | None = None  # the network's precision; None: float32

    def detection(self, own: DetectionConfig) -> DetectionConfig:
        """Lay these settings over a checkpoint's: raises ConfigError out of range."""
        return replace(
            own,
            min_score=_or(self.min_score, own.min_score),
            max_instances=_or(self.max_instances, own.max_instances),
        )

    def preprocessing(self, own: PreprocessingConfig) -> PreprocessingConfig:
        """Lay these settings over a checkpoint's: raises ConfigError out of range."""
        return replace(
            own,
            short_side=_or(self.short_side, own.short_side),
            long_side=_or(self.long_side, own.long_side),
        )


class Predictor:
    """A loaded checkpoint on a device; it keeps nothing of the images that it sees."""

    def __init__(
        self,
        model: CoMask,
        info: CheckpointInfo,
        *,
        device: str = "auto",
        settings: PredictionSettings | None = None,
        engine: Engine = "torch",
    ) -> None:
        """Take a model as it is.

        With the engine "openvino" OpenVINO runs most of it in float32 on a CPU. Whether bfloat16
        finds as well is not asked here, but by ``from_checkpoint``.
        """
        settings = settings or PredictionSettings()
        self.device = choose_device(device)
        self.detection = settings.detection(model.config.detection)
        self.preprocessing = settings.preprocessing(info.preprocessing)
        self.info = info
        tiles = self.device.type == "cpu" and not settings.bfloat16
        twin = folded(model, tiles=tiles)  # the given model stays as it is
        self._exact = twin.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._exact.config = replace(model.config, detection=self.detection)
        self.bfloat16 = bool(settings.bfloat16)
        self._model = self._fast(engine)
        self._lock = threading.Lock()

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        settings: PredictionSettings | None = None,
        engine: Engine = "torch",
    ) -> "Predictor":
        """Load a ``.safetensors`` checkpoint; raises CheckpointError with one sentence.

        That includes bfloat16 for a checkpoint that ``comask agree`` has not found fit for it.
        """
        model, info = native.load(Path(path))
        if settings is not None and settings.bfloat16:
            agreement.demand(Path(path))
        return cls(model, info, device=device, settings=settings, engine=engine)

    @property
    def categories(self) -> tuple[Category, ...]:
        """List the classes that it finds."""
        return self.info.categories

    def predict(self, image: NDArray[np.uint8], *, candidates: bool = False) -> Prediction:
        """Find the instances of an upright RGB image: (H, W, 3) uint8 -> Prediction.

        ``candidates`` also tells what became of all proposals; the instances are the same. It is
        ``prepare``, ``find`` and ``draw``, which a run over many images lets overlap.
        """
        prepared = self.prepare(image)
        return self.draw(self.find(prepared, candidates=candidates), prepared)

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """Make what the network sees of an image; waits for nobody: (H, W, 3) uint8 -> Prepared.

        Raises InputError for what is no (H, W, 3) uint8 image.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(
                f"image must be (H, W, 3) uint8 RGB with H, W > 0, got {image.shape} {image.dtype}"
            )
        pixels, scale = transforms.prepare(image, self.preprocessing)
        return Prepared(ImageBatch.of([pixels]), scale, (image.shape[0], image.shape[1]))

    def find(self, prepared: Prepared, *, candidates: bool = False) -> Detections:
        """Run the network over a prepared image; nobody else runs it meanwhile."""
        with self._lent(prepared) as (model, batch):
            found: Detections = model(batch, candidates)[0]
        return found

    def draw(self, found: Detections, prepared: Prepared) -> Prediction:
        """Carry what was found to image pixels, masks drawn; waits for nobody."""
        size, categories = prepared.size, self.info.categories
        return to_prediction(found, prepared.scale, size, categories, self.detection)

    def see(self, image: NDArray[np.uint8]) -> Seen:
        """Look at an image once, so that many boxes can be refit in it: (H, W, 3) uint8 -> Seen."""
        with self.opened(image) as (model, batch, scale):
            levels = model.features(batch.tensor)
        return Seen(levels, batch.sizes[0], scale, (image.shape[0], image.shape[1]))

    def refit(
        self,
        image: NDArray[np.uint8] | Seen,
        box: Sequence[float],
        category: int | None = None,
    ) -> Refit:
        """Draw the object in a box, as the model does from a proposal of its own.

        Args:
            image: An upright RGB image, (H, W, 3) uint8, or what ``see`` made of it.
            box: x1, y1, x2, y2 in image pixels, half-open; what lies outside is cut off.
            category: id of the checkpoint's class to draw; None takes the likeliest.

        Raises InputError for a box of less than a pixel and for an unknown class.
        """
        seen = image if isinstance(image, Seen) else self.see(image)
        frame = torch.from_numpy(_network_box(box, seen)).to(self.device)
        labels = [label for label, one in enumerate(self.info.categories) if one.id == category]
        if category is not None and not labels:
            raise InputError(f"the checkpoint has no category {category}")
        with self._lock, torch.inference_mode():
            scores = self._model.judged(seen.levels, frame, seen.view)
            chosen = torch.tensor(labels[:1], device=self.device) if labels else scores.argmax(1)
            given = Found(frame, chosen, scores[0, chosen], torch.zeros_like(chosen))
            found = self._model.masks(seen.levels, [given], [seen.view])[0]
        made = to_prediction(found, seen.scale, seen.size, self.info.categories, self.detection)
        levels = made.trace.levels[0].tolist()
        return Refit(
            box=made.boxes[0],
            mask=made.masks[0],
            category=self.info.categories[int(made.labels[0])],
            class_score=float(made.class_scores[0]),
            mask_iou=float(made.mask_ious[0]),
            score=float(made.scores[0]),
            levels=(levels[0], levels[1]),
        )

    @contextmanager
    def opened(
        self, image: NDArray[np.uint8], *, gradients: bool = False
    ) -> Iterator[tuple[CoMask, ImageBatch, float]]:
        """Lend the network, what it sees of an image, and the scale: network by image pixels.

        Nobody else runs it meanwhile. With ``gradients`` autograd runs, in float32 whatever the
        predictor's own precision is; gradients are asked for with ``torch.autograd.grad``, which
        leaves nothing behind. Raises InputError for what is no (H, W, 3) uint8 image.
        """
        prepared = self.prepare(image)
        with self._lent(prepared, gradients) as (model, batch):
            yield model, batch, prepared.scale

    @contextmanager
    def _lent(
        self, prepared: Prepared, gradients: bool = False
    ) -> Iterator[tuple[CoMask, ImageBatch]]:
        with self._lock, ExitStack() as modes:
            modes.enter_context(torch.enable_grad() if gradients else torch.inference_mode())
            batch = prepared.batch.to(self.device)
            if self.bfloat16 and not gradients:
                batch = replace(batch, tensor=batch.tensor.bfloat16())
            yield self._exact if gradients else self._model, batch

    def _fast(self, engine: Engine) -> CoMask:
        """Make what runs where no gradients are asked for."""
        if engine == "torch":
            tiles = self.device.type == "cpu"
            return in_bfloat16(self._exact, tiles=tiles) if self.bfloat16 else self._exact
        if self.bfloat16 or self.device.type != "cpu":
            where = "bfloat16" if self.bfloat16 else f"float32 on {self.device.type}"
            raise InputError(f"the engine {engine} runs in float32 on a CPU, not in {where}")
        return CompiledCoMask(self._exact)


def to_prediction(
    found: Detections,
    scale: float,
    size: Size,
    categories: tuple[Category, ...],
    settings: DetectionConfig,
) -> Prediction:
    """Carry detections from network pixels to image pixels, best first."""
    ranks = found.scores + settings.iou_weight * found.mask_ious
    order = ranks.argsort(descending=True, stable=True)
    boxes = _floats(found.boxes[order])
    frames, logits = _floats(found.mask_boxes[order]), _floats(found.masks[order])
    crops = postprocess.draw_all(logits, frames, scale, size, settings.paste)
    trace = found.trace
    return Prediction(
        size=size,
        boxes=postprocess.to_image_pixels(boxes, scale),
        labels=found.labels[order].cpu().numpy(),
        class_scores=_floats(found.scores[order]),
        mask_ious=_floats(found.mask_ious[order]),
        scores=_floats(ranks[order]),
        masks=tuple(rle.encode_crop(crop.pixels, crop.x, crop.y, size) for crop in crops),
        categories=categories,
        trace=PredictionTrace(
            proposals=postprocess.to_image_pixels(_floats(trace.proposals[order]), scale),
            proposal_rows=trace.proposal_rows[order].cpu().numpy(),
            levels=trace.levels[order].cpu().numpy(),
            first_masks=_floats(trace.first_masks[order]),
            votes=postprocess.to_image_pixels(_floats(trace.votes[order]), scale),
            weights=_floats(trace.weights[order]),
            second_masks=logits,
        ),
        candidates=None if found.fates is None else _candidates(found.fates, order, scale),
    )


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda", "cuda:1", "mps" into a device that this machine has."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {name!r} is not to be had on this machine; try cpu") from error
    return device


def _candidates(told: Fates, order: Tensor, scale: float) -> Candidates:
    """Carry fates to image pixels; instances are counted in their order of rank."""
    by = told.by.clone()
    kept = told.fates == Fate.KEPT
    by[kept] = order.argsort()[told.by[kept]]
    return Candidates(
        proposals=postprocess.to_image_pixels(_floats(told.proposals), scale),
        rows=_shorts(told.rows),
        labels=_shorts(told.labels),
        scores=_floats(told.scores),
        fates=told.fates.cpu().numpy(),
        by=_shorts(by),
        suppressor_iou=_floats(told.suppressor_iou),
    )


def _network_box(box: Sequence[float], seen: Seen) -> Floats:
    """Carry a box by hand to network pixels, clipped as proposals are: -> (1, 4)."""
    given = np.asarray(box, np.float64)
    height, width = seen.size
    if given.shape != (4,) or not np.isfinite(given).all():
        raise InputError(f"a box is x1, y1, x2, y2, four numbers, not {box!s:.80}")
    inside = given.clip(0, [width, height, width, height])
    if (given[2:] - given[:2] < 1).any() or (inside[2:] <= inside[:2]).any():
        raise InputError(
            f"the box is less than a pixel wide or high, or beside the image, which is {width} x "
            f"{height} pixels"
        )
    frame = postprocess.to_network_pixels(given.astype(np.float32)[None], seen.scale)
    return box_ops.clip(torch.from_numpy(frame), seen.view).numpy()


def _or(given: Number | None, own: Number) -> Number:
    return own if given is None else given


def _floats(tensor: Tensor) -> Floats:
    values: Floats = tensor.float().cpu().numpy()
    return values


def _shorts(tensor: Tensor) -> Shorts:
    values: Shorts = tensor.int().cpu().numpy()
    return values
