"""What travels between Python and the drawing surface, typed; image pixels everywhere.

The document is one image's instances: the predictions in rank order, then the truth. The order is
also what gives an instance its colour. Boxes are half-open [x1, y1, x2, y2]; ``bbox`` is tight
around the mask, [x, y, width, height]. What a browser sends is read here or refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Annotation, Category, Rle
from comask.errors import InputError
from comask.evaluate.categories import plain

SCHEMA = 1
LONGEST_KEY = 512  # characters


class TraceLike(Protocol):
    """Where instances came from: proposals (N, 4) in image pixels, levels (N, 2)."""

    @property
    def proposals(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def levels(self) -> NDArray[np.int64]: ...  # noqa: D102


class PredictionLike(Protocol):
    """What a document needs of a ``comask.predict.Prediction``, which this room can't import.

    boxes (N, 4), labels (N,), class_scores, mask_ious, scores (N,), masks N x Rle.
    """

    @property
    def boxes(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def labels(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def class_scores(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def mask_ious(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def scores(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def masks(self) -> tuple[Rle, ...]: ...  # noqa: D102
    @property
    def categories(self) -> tuple[Category, ...]: ...  # noqa: D102
    @property
    def trace(self) -> TraceLike | None: ...  # noqa: D102


class GreyValues(TypedDict):
    """What a grey picture of more than 8 bits holds.

    low, high  its smallest and its largest value
    shown      what is black and white in the picture as it comes without a window
    """

    bits: int
    low: float
    high: float
    shown: tuple[float, float]


class DocumentImage(TypedDict):
    """The picture: ``url`` is where its upright 8-bit form is.

    grey  only of a picture of more than 8 bits: ``url`` then takes a window, ``?low=&high=``
    """

    key: str
    file_name: str
    width: int
    height: int
    url: str
    grey: NotRequired[GreyValues]


class DocumentCategory(TypedDict):
    """A class under the id that the document's instances use.

    truth  False where the truth has no such class: its instances count neither as right nor wrong
    """

    id: int
    name: str
    truth: NotRequired[bool]


class Layer(TypedDict):
    """A group of instances that is shown or hidden as one."""

    name: Literal["prediction", "truth"]
    editable: bool


class CocoRle(TypedDict):
    """A mask as COCO files hold it."""

    size: list[int]
    counts: str


class Instance(TypedDict):
    """One object; scores and the model's own box are None where a person drew it.

    levels    of the pyramid, in the first and the second pass; predictions only
    proposal  the box that it began with, [x1, y1, x2, y2]; predictions only
    iscrowd   whether it is a region of many objects; truth only
    """

    id: str
    layer: Literal["prediction", "truth"]
    category_id: int
    class_score: float | None
    mask_iou: float | None
    score: float | None
    box: list[float] | None
    bbox: list[float]
    area: int
    rle: CocoRle
    levels: NotRequired[list[int]]
    proposal: NotRequired[list[float]]
    iscrowd: NotRequired[bool]


class Pending(TypedDict):
    """What is still to come: the surface shows ``text`` and fetches ``url``, which may wait."""

    text: str
    url: str


class Suits(TypedDict):
    """A checkpoint that finds what is annotated here, while the chosen one does not, and why."""

    checkpoint: str
    text: str


class Document(TypedDict):
    """All that the surface draws of one image; ``note`` says why something never will be.

    pairs  [found, truth, mask IoU, box IoU] of all that could match, for matching in the browser;
           the indices count within the predictions and within the truth of this document
    limit  instances of a class that count
    """

    schema: int
    revision: int
    image: DocumentImage
    categories: list[DocumentCategory]
    layers: list[Layer]
    instances: list[Instance]
    pending: NotRequired[Pending]
    note: NotRequired[str]
    suits: NotRequired[Suits]
    pairs: NotRequired[list[tuple[int, int, float, float]]]
    limit: NotRequired[int]


@dataclass(frozen=True)
class Compared:
    """The overlaps of prediction and truth.

    pairs  (found, truth, mask IoU, box IoU), each index within its own layer
    limit  instances of a class that count, None for all
    """

    pairs: Sequence[tuple[int, int, float, float]]
    limit: int | None = None


class StripImage(TypedDict):
    """A row of the list of images; ``note`` says why one without ``url`` can't be opened yet."""

    key: str
    file_name: str
    url: str | None
    thumb: NotRequired[str]
    note: NotRequired[str]
    export: NotRequired[str]


class Busy(TypedDict):
    """What is going on; without ``total`` nobody knows how long."""

    text: str
    done: NotRequired[int]
    total: NotRequired[int]


class CanvasProgress(TypedDict, total=False):
    """The property ``progress``: what changes while work goes on, sent without the value.

    status, busy  as in the value
    notes         key of an image -> what went wrong with it, for the list
    """

    status: list[str]
    busy: Busy | None
    notes: dict[str, str]


class CanvasValue(TypedDict, total=False):
    """The component's value: small, since Gradio sends all of it with every event.

    url       the document to show; None or missing shows the first step
    revision  another number fetches the same address again
    images    the list of images
    status    sentences of the status line: checkpoint, device, run
    busy      what is going on, over the canvas
    export    address of the open image's COCO file; the surface adds min_score
    empty     the sentence that an empty surface shows
    source    which list is open; with "dataset" the browser opens things itself
    checkpoint, checkpoints   the chosen one and all there are, by name
    """

    url: str | None
    revision: int
    images: list[StripImage]
    status: list[str]
    busy: Busy | None
    export: str
    empty: str
    source: str
    checkpoint: str | None
    checkpoints: list[str]


def document(
    image: DocumentImage,
    *,
    prediction: PredictionLike | None = None,
    truth: Sequence[Annotation] | None = None,
    truth_categories: Sequence[Category] = (),
    revision: int = 0,
    compared: Compared | None = None,
) -> Document:
    """Build an image's document; None is a layer that is not there, empty one without instances.

    Classes of the two layers are the same where their names are. A class of the truth whose id is
    taken by another name gets a new id within the document. An object without a single pixel
    stays: ``compared`` counts all of them.
    """
    predicted = prediction.categories if prediction is not None else ()
    categories, ids = _merge(predicted, truth_categories)
    layers: list[Layer] = []
    instances: list[Instance] = []
    if prediction is not None:
        layers.append({"name": "prediction", "editable": False})
        instances.extend(_predictions(prediction))
    if truth is not None:
        layers.append({"name": "truth", "editable": False})
        instances.extend(_truths(truth, ids))
    made: Document = {
        "schema": SCHEMA,
        "revision": revision,
        "image": image,
        "categories": categories,
        "layers": layers,
        "instances": instances,
    }
    if compared is not None:
        made["pairs"] = [*compared.pairs]
        if compared.limit is not None:
            made["limit"] = compared.limit
        drawn = {plain(category.name) for category in truth_categories}
        for category in categories:
            if plain(category["name"]) not in drawn:
                category["truth"] = False
    return made


def opened_image(data: object) -> str:
    """Read an ``open_image`` event: the key of the image that was picked from the list."""
    return _key(_field(data, "key"))


def selected_instance(data: object) -> tuple[str, str | None]:
    """Read a ``select_instance`` event: the image's key and the instance's id, None for none."""
    chosen = _field(data, "id")
    return _key(_field(data, "key")), None if chosen is None else _key(chosen)


@dataclass(frozen=True)
class CurvesAsked:
    """Which precision-recall curves the page shows; ``category`` None asks for all classes."""

    dataset: str
    checkpoint: str
    iou: float
    kind: Literal["mask", "box"]
    category: int | None


def curves_asked(data: object) -> CurvesAsked | None:
    """Read a ``show_curves`` event; an empty one asks for none."""
    if not isinstance(data, Mapping) or not data:
        return None
    iou, kind = _field(data, "iou"), _field(data, "kind")
    if isinstance(iou, bool) or not isinstance(iou, (int, float)) or not 0.1 <= iou <= 1:
        raise InputError("the canvas asked for curves at no IoU of 0.1 to 1")
    if kind not in ("mask", "box"):
        raise InputError("the canvas asked for curves of neither masks nor boxes")
    category = str(data.get("category") or "")
    return CurvesAsked(
        dataset=_key(_field(data, "dataset")),
        checkpoint=_key(_field(data, "checkpoint")),
        iou=float(iou),
        kind="mask" if kind == "mask" else "box",
        category=int(category) if category.isascii() and category.isdigit() else None,
    )


def _predictions(found: PredictionLike) -> Iterable[Instance]:
    trace = found.trace
    for index, mask in enumerate(found.masks):
        made: Instance = {
            "id": f"p{index + 1}",
            "layer": "prediction",
            "category_id": found.categories[int(found.labels[index])].id,
            "class_score": float(found.class_scores[index]),
            "mask_iou": float(found.mask_ious[index]),
            "score": float(found.scores[index]),
            "box": [round(float(value), 3) for value in found.boxes[index]],
            "bbox": list(rle.bbox(mask)),
            "area": rle.area(mask),
            "rle": _coco(mask),
        }
        if trace is not None:
            made["levels"] = [int(level) for level in trace.levels[index]]
            made["proposal"] = [round(float(value), 3) for value in trace.proposals[index]]
        yield made


def _truths(truth: Sequence[Annotation], ids: Mapping[int, int]) -> Iterable[Instance]:
    for one in truth:
        yield {
            "id": f"t{one.id}",
            "layer": "truth",
            "category_id": ids.get(one.category_id, one.category_id),
            "class_score": None,
            "mask_iou": None,
            "score": None,
            "box": None,
            "bbox": list(rle.bbox(one.rle)),
            "area": rle.area(one.rle),
            "rle": _coco(one.rle),
            "iscrowd": bool(one.iscrowd),
        }


def _coco(mask: Rle) -> CocoRle:
    return {"size": list(mask.size), "counts": mask.counts}


def _merge(
    predicted: Sequence[Category], drawn: Sequence[Category]
) -> tuple[list[DocumentCategory], dict[int, int]]:
    """Bring two sets of classes together; also says which id each class of the truth now has."""
    names = {category.id: category.name for category in predicted}
    known = {plain(category.name): category.id for category in predicted}
    free = 1 + max([*names, *(category.id for category in drawn)], default=0)
    ids: dict[int, int] = {}
    for category in drawn:
        own = known.get(plain(category.name))
        if own is None and category.id not in names:
            own = category.id
        elif own is None:
            own, free = free, free + 1
        ids[category.id] = own
        names[own] = category.name
        known.setdefault(plain(category.name), own)
    return [{"id": key, "name": name} for key, name in names.items()], ids


def _field(data: object, name: str) -> object:
    if not isinstance(data, Mapping) or name not in data:
        raise InputError(f"the canvas sent an event without {name}")
    return data[name]


def _key(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_KEY:
        raise InputError(f"the canvas sent no key of 1 to {LONGEST_KEY} characters")
    return value
