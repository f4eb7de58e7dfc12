"""An image's labels as the drawing surface takes them, typed; image pixels everywhere.

It is a document like that of ``payload``, with one layer, which is editable. Its revision is that
of the image's sheet; its instances are ordered as they lie, the lowest first.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, TypedDict

from app.canvas.payload import SCHEMA, CocoRle, DocumentCategory, DocumentImage
from comask.annotation import rle
from comask.annotation.labels import ImageState, Label, Origin, Sheet, State
from comask.annotation.records import Category, Rle


class LabelLayer(TypedDict):
    """The one layer; it is not editable where the image can't be drawn on."""

    name: Literal["label"]
    editable: bool


class LabelInstance(TypedDict):
    """One label.

    box           always None: what a model thought is in the scores and ``proposed_rle``
    kept          IoU of the mask with ``proposed_rle``, None while that is None
    proposed_rle  the model's own mask, and ``proposed_category_id`` its class, once somebody
                  changed one of them
    """

    id: str
    layer: Literal["label"]
    category_id: int
    class_score: float | None
    mask_iou: float | None
    score: float | None
    box: None
    bbox: list[float]
    area: int
    rle: CocoRle
    iscrowd: bool
    state: State
    origin: Origin
    z: int
    checkpoint: str
    instability: float | None
    disagreement: float | None
    kept: float | None
    proposed_rle: CocoRle | None
    proposed_category_id: int | None


class Standing(TypedDict):
    """What a document says of the image as a whole.

    project     a dataset's id, "uploads" or "samples"
    undo, redo  kinds of the gestures that the one who asks would undo and redo
    note        what is wrong with the image or its truth, one sentence, or ""
    """

    project: str
    state: ImageState
    undo: str | None
    redo: str | None
    note: str


class LabelDocument(TypedDict):
    """All that the surface needs to show and correct one image's labels."""

    schema: int
    revision: int
    image: DocumentImage
    categories: list[DocumentCategory]
    layers: list[LabelLayer]
    instances: list[LabelInstance]
    label: Standing


def label_document(
    image: DocumentImage,
    sheet: Sheet,
    categories: Sequence[Category],
    standing: Standing,
    *,
    editable: bool = True,
) -> LabelDocument:
    """Build the document of an image's labels."""
    return {
        "schema": SCHEMA,
        "revision": sheet.revision,
        "image": image,
        "categories": [{"id": one.id, "name": one.name} for one in categories],
        "layers": [{"name": "label", "editable": editable}],
        "instances": label_instances(sheet.labels),
        "label": standing,
    }


def label_instances(labels: Iterable[Label]) -> list[LabelInstance]:
    """Write labels, the lowest first; those on one height by their uids."""
    return [_instance(one) for one in sorted(labels, key=lambda one: (one.z, one.uid))]


def _instance(label: Label) -> LabelInstance:
    return {
        "id": label.uid,
        "layer": "label",
        "category_id": label.category,
        "class_score": label.class_score,
        "mask_iou": label.mask_iou,
        "score": label.score,
        "box": None,
        "bbox": list(rle.bbox(label.mask)),
        "area": rle.area(label.mask),
        "rle": _coco(label.mask),
        "iscrowd": label.iscrowd,
        "state": label.state,
        "origin": label.origin,
        "z": label.z,
        "checkpoint": label.checkpoint,
        "instability": label.instability,
        "disagreement": label.disagreement,
        "kept": label.kept,
        "proposed_rle": None if label.proposed is None else _coco(label.proposed),
        "proposed_category_id": label.proposed_category,
    }


def _coco(mask: Rle) -> CocoRle:
    return {"size": list(mask.size), "counts": mask.counts}
