"""Which found instance is which true one: pycocotools' matching over stored overlaps.

``Pairs`` holds what could be matched in one image, computed from the masks once. Every later
question (another threshold, boxes instead of masks) is answered from it, without a mask.
A ``PairSet`` is many images in one, and whatever takes it takes the ``Pairs`` of one image too.

Letters: I images, N found instances in rank order, M true ones, P pairs. Areas are in pixels,
boxes in image pixels. What pycocotools does is kept:
- only instances of one category and image match, the best ranked one first, each once;
- it takes the free truth object of the largest IoU, the later one where two are equal, and an
  ignored one (a crowd, or one outside of the size range) only where no other will do;
- what matched an ignored object, or matched nothing and lies outside of the size range, is ignored;
- ``limit`` counts instances of one category in one image;
- a found instance's size is its clipped box's area, for masks too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Annotation, Category, Rle
from comask.errors import InputError

Kind = Literal["mask", "box"]
Area = tuple[float, float]  # smallest and largest that count, both included
Integers = NDArray[np.int64]
Rows = NDArray[np.int32]
Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]

FLOOR = 0.1  # overlaps below are not kept; also the lower bar of the error kinds
UNKNOWN = -1  # the category of what the truth has no category for
FORMAT = 2  # of packed pairs
_MAGIC = b"CoMaskP%d" % FORMAT
_NEARLY_ONE = 1 - 1e-10  # pycocotools' own answer to rounding at an IoU of 1


class State(IntEnum):
    """What became of an instance: wrong is a false positive, or a miss among the true ones."""

    WRONG = 0
    RIGHT = 1
    IGNORED = 2


class PredictionLike(Protocol):
    """What pairs need of a ``comask.predict.Prediction``, so that nobody imports torch for it."""

    @property
    def boxes(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def labels(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def class_scores(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def scores(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def masks(self) -> tuple[Rle, ...]: ...  # noqa: D102
    @property
    def categories(self) -> tuple[Category, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Pairs:
    """What could be matched with what in one image.

    found_categories  (N,)  the truth's own ids; UNKNOWN where it has none of that name
    class_scores      (N,)  0 .. 1: what a threshold gates
    scores            (N,)  what ranks, falling
    found_boxes       (N, 4)  half-open xyxy, cut off at the image's edge
    found_areas       (N,)  of the box
    truth_ids         (M,)  as the file has them
    truth_categories  (M,)
    crowd             (M,)
    truth_areas       (M,)  as the file has them
    rows, columns     (P,)  every pair, of any categories, where either IoU is FLOOR or more
    mask_iou, box_iou (P,)  over a crowd: the part of the found instance that lies in it
    """

    found_categories: Integers
    class_scores: Singles
    scores: Singles
    found_boxes: Singles
    found_areas: Doubles
    truth_ids: Integers
    truth_categories: Integers
    crowd: Flags
    truth_areas: Doubles
    rows: Rows
    columns: Rows
    mask_iou: Doubles
    box_iou: Doubles

    def overlaps(self, kind: Kind) -> Doubles:
        """Choose the IoU that counts: (P,)."""
        return self.mask_iou if kind == "mask" else self.box_iou


@dataclass(frozen=True)
class PairSet(Pairs):
    """Many images in one: rows and columns count through all of them, image after image.

    image_ids     (I,)      what ranks images where scores are equal
    found_starts  (I + 1,)  image i has the found instances found_starts[i] .. found_starts[i + 1]
    truth_starts  (I + 1,)
    """

    image_ids: Integers
    found_starts: Integers
    truth_starts: Integers

    def __len__(self) -> int:
        """Count the images."""
        return len(self.image_ids)

    @cached_property
    def found_images(self) -> Integers:
        """Say which image each found instance is in: (N,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.found_starts))

    @cached_property
    def truth_images(self) -> Integers:
        """Say which image each true instance is in: (M,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.truth_starts))

    @cached_property
    def same(self) -> Flags:
        """Mark the pairs of one category: (P,)."""
        same: Flags = self.found_categories[self.rows] == self.truth_categories[self.columns]
        return same

    @cached_property
    def found_groups(self) -> Integers:
        """Number the pairs of image and category that found instances are in: (N,)."""
        keys = np.stack([self.found_images, self.found_categories])
        return np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)

    @cached_property
    def largest_group(self) -> int:
        """Count the instances of the largest group."""
        return int(np.bincount(self.found_groups).max(initial=0))

    @cached_property
    def ranking(self) -> Integers:
        """Sort all found instances by score; equal ones by their image's id: (N,)."""
        ids = self.image_ids[self.found_images]
        return np.lexsort((np.arange(len(ids)), ids, -self.scores))

    def order(self, kind: Kind) -> Integers:
        """Sort the pairs: by rank, then the largest IoU first, then the later truth."""
        return self._mask_order if kind == "mask" else self._box_order

    @cached_property
    def _mask_order(self) -> Integers:
        return np.lexsort((-self.columns, -self.mask_iou, self.rows))

    @cached_property
    def _box_order(self) -> Integers:
        return np.lexsort((-self.columns, -self.box_iou, self.rows))


@dataclass(frozen=True)
class Match:
    """Who took whom.

    found        (N,)  State; ignored too: under the score, past the limit, of unknown category
    found_truth  (N,)  the truth object it took, -1 for none
    found_iou    (N,)  IoU with it, 0 for none
    counted      (N,)  whether it took part at all
    truth        (M,)  State
    truth_found  (M,)  the instance that took it, -1 for none; of a crowd the last one
    """

    found: NDArray[np.int8]
    found_truth: Integers
    found_iou: Doubles
    counted: Flags
    truth: NDArray[np.int8]
    truth_found: Integers


def pair(
    truth: Sequence[Annotation],
    *,
    categories: Sequence[int],
    class_scores: Sequence[float] | Singles,
    scores: Sequence[float] | Singles,
    boxes: NDArray[np.float32] | Doubles,
    masks: Sequence[Rle],
) -> Pairs:
    """Find what could be matched in one image.

    Args:
        truth: The image's annotations, in the file's order.
        categories: The found instances' categories, as the truth numbers them, or UNKNOWN.
        class_scores: What a threshold gates.
        scores: What ranks; they must fall.
        boxes: (N, 4) half-open xyxy, cut off at the image's edge here.
        masks: N masks of the whole image.
    """
    ranks = np.asarray(scores, np.float32)
    if (np.diff(ranks) > 0).any():
        raise InputError("instances must come best first, and their scores rise somewhere")
    corners = _clipped(boxes, masks)
    found = sides(corners)
    crowd = [one.iscrowd for one in truth]
    of_masks = rle.iou(masks, [one.rle for one in truth], crowd).clip(min=0)
    of_boxes = rle.box_iou(found, np.array([one.bbox for one in truth], np.float64), crowd)
    rows, columns = np.nonzero((of_masks >= FLOOR) | (of_boxes >= FLOOR))
    return Pairs(
        found_categories=np.asarray(categories, np.int64),
        class_scores=np.asarray(class_scores, np.float32),
        scores=ranks,
        found_boxes=corners,
        found_areas=found[:, 2] * found[:, 3],
        truth_ids=np.array([one.id for one in truth], np.int64),
        truth_categories=np.array([one.category_id for one in truth], np.int64),
        crowd=np.array(crowd, np.bool_),
        truth_areas=np.array([one.area for one in truth], np.float64),
        rows=rows.astype(np.int32),
        columns=columns.astype(np.int32),
        mask_iou=of_masks[rows, columns],
        box_iou=of_boxes[rows, columns],
    )


def sides(corners: NDArray[np.float32] | Doubles) -> Doubles:
    """Turn corners into x, y, width, height: (N, 4) -> (N, 4)."""
    exact = np.asarray(corners, np.float64).reshape(-1, 4)
    return np.concatenate([exact[:, :2], exact[:, 2:] - exact[:, :2]], axis=1)


def pair_prediction(
    truth: Sequence[Annotation], prediction: PredictionLike, ids: Mapping[int, int]
) -> Pairs:
    """Find what could be matched of a prediction; ``ids`` names the truth's id for each of its."""
    own = [prediction.categories[int(label)].id for label in prediction.labels]
    return pair(
        truth,
        categories=[ids.get(category, UNKNOWN) for category in own],
        class_scores=prediction.class_scores,
        scores=prediction.scores,
        boxes=prediction.boxes,
        masks=prediction.masks,
    )


def join(pairs: Sequence[Pairs], image_ids: Sequence[int] | None = None) -> PairSet:
    """Make one of many images, in their order."""
    ids = range(len(pairs)) if image_ids is None else image_ids
    found = _starts([len(one.scores) for one in pairs])
    true = _starts([len(one.truth_ids) for one in pairs])
    counts = [len(one.rows) for one in pairs]
    columns = {
        field.name: np.concatenate([nothing, *(getattr(one, field.name) for one in pairs)])
        for field, nothing in zip(fields(Pairs), _NOTHING, strict=True)
    }
    columns["rows"] = (columns["rows"] + np.repeat(found[:-1], counts)).astype(np.int32)
    columns["columns"] = (columns["columns"] + np.repeat(true[:-1], counts)).astype(np.int32)
    return PairSet(
        **columns,
        image_ids=np.array(ids, np.int64).reshape(len(pairs)),
        found_starts=found,
        truth_starts=true,
    )


def overlap(pairs: PairSet, kind: Kind, found: int, truth: int) -> float:
    """Look up the IoU of an instance and an object; 0 below FLOOR, or where one is nobody (-1)."""
    if found < 0 or truth < 0:
        return 0.0
    start, end = np.searchsorted(pairs.rows, [found, found + 1]).tolist()
    here = pairs.overlaps(kind)[start:end][pairs.columns[start:end] == truth]
    return float(here.max(initial=0.0))


def cut(pairs: PairSet, image: int) -> Pairs:
    """Take one image out of many again."""
    found = slice(*pairs.found_starts[image : image + 2].tolist())
    true = slice(*pairs.truth_starts[image : image + 2].tolist())
    many = slice(*np.searchsorted(pairs.rows, [found.start, found.stop]).tolist())
    places = [found] * 5 + [true] * 4 + [many] * 4
    columns = {
        field.name: getattr(pairs, field.name)[place]
        for field, place in zip(fields(Pairs), places, strict=True)
    }
    columns["rows"] = columns["rows"] - np.int32(found.start)
    columns["columns"] = columns["columns"] - np.int32(true.start)
    return Pairs(**columns)


def match(
    pairs: Pairs,
    *,
    iou: float,
    min_score: float = 0.0,
    kind: Kind = "mask",
    limit: int | None = None,
    area: Area | None = None,
) -> Match:
    """Match as pycocotools does; only a class score above ``min_score`` takes part."""
    whole = pairs if isinstance(pairs, PairSet) else join([pairs])
    counted = _counted(whole, min_score, limit)
    ignored = whole.crowd | _outside(whole.truth_areas, area)
    order, overlaps = whole.order(kind), whole.overlaps(kind)
    enough = (overlaps >= min(iou, _NEARLY_ONE)) & whole.same & counted[whole.rows]
    order = order[enough[order]]
    last = 2 * whole.rows[order].astype(np.int64) + ignored[whole.columns[order]]
    order = order[np.argsort(last, kind="stable")]
    found_truth, truth_found, used = take(whole, order)
    found_iou = np.zeros(len(found_truth))
    found_iou[whole.rows[used]] = overlaps[used]
    return Match(
        found=_found_states(found_truth, counted, ignored, _outside(whole.found_areas, area)),
        found_truth=found_truth,
        found_iou=found_iou,
        counted=counted,
        truth=np.where(ignored, State.IGNORED, truth_found >= 0).astype(np.int8),
        truth_found=truth_found,
    )


def take(pairs: PairSet, order: Integers) -> tuple[Integers, Integers, list[int]]:
    """Give each instance the first free object of its choices, which come in order.

    Returns who took whom, (N,) and (M,), -1 for nobody, and the pairs in which.
    """
    found_truth = [-1] * len(pairs.scores)
    truth_found = [-1] * len(pairs.truth_ids)
    crowd = pairs.crowd.tolist()
    rows, columns = pairs.rows[order].tolist(), pairs.columns[order].tolist()
    used = []
    for place, row, column in zip(order.tolist(), rows, columns, strict=True):
        if found_truth[row] < 0 and (truth_found[column] < 0 or crowd[column]):
            found_truth[row] = column
            truth_found[column] = row
            used.append(place)
    return np.array(found_truth, np.int64), np.array(truth_found, np.int64), used


def group_ranks(pairs: PairSet, counted: Flags) -> Integers:
    """Rank what is counted within its image and category, from 0; else as many as there are."""
    ranks = np.full(len(counted), len(counted))
    rows = np.flatnonzero(counted)
    rows = rows[np.argsort(pairs.found_groups[rows], kind="stable")]
    groups = pairs.found_groups[rows]
    ranks[rows] = np.arange(len(rows)) - np.searchsorted(groups, groups, side="left")
    return ranks


def pack(pairs: Pairs) -> bytes:
    """Write one image's pairs as bytes, the same for the same values."""
    counts = np.array([len(pairs.scores), len(pairs.truth_ids), len(pairs.rows)], "<i8")
    columns = [
        np.ascontiguousarray(getattr(pairs, field.name), kind)
        for field, kind in zip(fields(Pairs), _TYPES, strict=True)
    ]
    return b"".join([_MAGIC, counts.tobytes(), *(column.tobytes() for column in columns)])


def unpack(data: bytes) -> Pairs:
    """Read what ``pack`` wrote; raises InputError for anything else."""
    start = len(_MAGIC) + 24
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise InputError("these are not the overlaps of an image")
    found, true, many = np.frombuffer(data, "<i8", 3, len(_MAGIC)).tolist()
    shapes = [*[(found,)] * 3, (found, 4), (found,), *[(true,)] * 4, *[(many,)] * 4]
    counts = [math.prod(shape) for shape in shapes]
    sizes = [np.dtype(kind).itemsize for kind in _TYPES]
    size = sum(count * one for count, one in zip(counts, sizes, strict=True))
    if min(found, true, many) < 0 or start + size != len(data):
        raise InputError("the overlaps of an image break off")
    columns = {}
    for field, kind, shape, count in zip(fields(Pairs), _TYPES, shapes, counts, strict=True):
        columns[field.name] = np.frombuffer(data, kind, count, start).reshape(shape)
        start += columns[field.name].nbytes
    pairs = Pairs(**columns)
    for index, count in ((pairs.rows, found), (pairs.columns, true)):
        if index.min(initial=0) < 0 or index.max(initial=-1) >= count:
            raise InputError("the overlaps of an image name an instance that is not there")
    return pairs


_TYPES = ("<i8", "<f4", "<f4", "<f4", "<f8", "<i8", "<i8", "?", "<f8", "<i4", "<i4", "<f8", "<f8")


_NOTHING = [np.zeros((0, 4) if place == 3 else 0, kind) for place, kind in enumerate(_TYPES)]


def _clipped(boxes: NDArray[np.float32] | Doubles, masks: Sequence[Rle]) -> Singles:
    """Cut boxes off at the image's edge: (N, 4) -> (N, 4), none of negative width or height."""
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)
    sizes = np.array([mask.size for mask in masks], np.float32).reshape(-1, 2)
    corners = corners.clip(0, sizes[:, [1, 0, 1, 0]])
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    return corners


def _starts(counts: Sequence[int]) -> Integers:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


def _counted(pairs: PairSet, min_score: float, limit: int | None) -> Flags:
    """Mark what takes part: over the score, of a known category, within the limit."""
    gated = pairs.class_scores > np.float32(min_score)
    counted: Flags = gated & (pairs.found_categories != UNKNOWN)
    if limit is None or pairs.largest_group <= limit:
        return counted
    counted &= group_ranks(pairs, counted) < limit
    return counted


def _outside(areas: Doubles, area: Area | None) -> Flags:
    if area is None:
        return np.zeros(len(areas), np.bool_)
    return (areas < area[0]) | (areas > area[1])


def _found_states(
    found_truth: Integers, counted: Flags, ignored: Flags, outside: Flags
) -> NDArray[np.int8]:
    states = np.full(len(found_truth), State.WRONG, np.int8)
    matched = found_truth >= 0
    states[matched] = State.RIGHT
    states[matched] = np.where(ignored[found_truth[matched]], State.IGNORED, State.RIGHT)
    states[~matched & outside] = State.IGNORED
    states[~counted] = State.IGNORED
    return states
