"""A quick look at an annotation: all but its mask, which is drawn when somebody asks for it."""

from comask.annotation.fields import MAX_ID, Fields, is_number, shown
from comask.errors import AnnotationError


def is_plain(value: object) -> bool:
    """Tell quickly that nothing is odd about an annotation: nearly all are like this."""
    if type(value) is not dict:
        return False
    number, image, category = value.get("id"), value.get("image_id"), value.get("category_id")
    area, box = value.get("area"), value.get("bbox")
    return (
        type(number) is int
        and type(image) is int
        and type(category) is int
        and min(number, image, category) >= 0
        and max(number, image, category) <= MAX_ID
        and is_number(area)
        and area >= 0  # type: ignore[operator]
        and type(box) is list
        and len(box) == 4
        and all(map(is_number, box))
        and min(box[2], box[3]) >= 0
        and value.get("iscrowd") in (0, 1)
        and type(value.get("iscrowd")) is int
        and "score" not in value
        and "class_score" not in value
        and "mask_iou" not in value
        and _is_segmentation(value.get("segmentation"))
    )


def _is_segmentation(value: object) -> bool:
    if type(value) is list:
        return bool(value) and all(
            type(p) is list and len(p) >= 6 and not len(p) % 2 for p in value
        )
    return type(value) is dict and type(value.get("counts")) in (str, list) and "size" in value


def refuse_odd(value: object) -> None:
    """Look at an annotation field by field, mask apart; raises AnnotationError."""
    fields = Fields(value)
    for key in ("id", "image_id", "category_id"):
        fields.whole(key, 0, MAX_ID)
    if fields.has("area"):
        fields.number("area", 0)
    if fields.has("bbox"):
        fields.bbox("bbox")
    fields.whole("iscrowd", 0, 1, default=0)
    for key in ("score", "class_score", "mask_iou"):
        fields.optional(key)
    segmentation = fields.get("segmentation")
    if not _is_segmentation(segmentation):
        _refuse_segmentation(segmentation)


def _refuse_segmentation(value: object) -> None:
    if isinstance(value, list) and value and all(isinstance(part, list) for part in value):
        short = next(len(part) for part in value if len(part) < 6 or len(part) % 2)
        raise AnnotationError(
            f"a polygon needs 3 or more x, y pairs, and this one has {short} numbers"
        )
    raise AnnotationError(f"segmentation must be polygons or a run-length code, not {shown(value)}")
