"""The records of a COCO file as frozen values, readable without torch.

A mask is an ``Rle`` of its whole image; a holed mask or one of several parts is one annotation.
Sizes are (height, width); ``bbox`` is (x, y, width, height) in image pixels, as COCO has it.
Every record carries the keys that it does not know in ``extra``, so that a file keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Size = tuple[int, int]  # (height, width)
Bbox = tuple[float, float, float, float]  # x, y, width, height

Extra = Mapping[str, Any]  # JSON values of keys that this library does not know


@dataclass(frozen=True)
class Category:
    """A class of objects under its dataset's own id, which may have gaps (COCO's 1 .. 90)."""

    id: int
    name: str
    supercategory: str = ""
    extra: Extra = field(default_factory=dict, hash=False, kw_only=True)


@dataclass(frozen=True)
class ImageRecord:
    """An image file; ``file_name`` is the whole path below the image folder, with slashes."""

    id: int
    file_name: str
    width: int
    height: int
    extra: Extra = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Upright:
    """The size of an image file when upright, and whether its EXIF orientation turns it."""

    size: Size
    turned: bool = False


@dataclass(frozen=True)
class Rle:
    """A mask in COCO's compressed run-length code, column by column, zeros first."""

    size: Size
    counts: str

    def to_coco(self) -> dict[str, Any]:
        """Write the two keys that COCO files hold."""
        return {"size": list(self.size), "counts": self.counts}


@dataclass(frozen=True)
class Annotation:
    """One instance.

    area         pixels; what the file says, where it was read from one
    bbox         tight around the mask, or what the file says
    score        what ranks; may pass 1
    class_score  0 .. 1
    mask_iou     predicted, about 0 .. 1 but not bounded
    polygons     what a file holds instead of the code, x1, y1, x2, y2, ... each; ``rle`` is then
                 what they draw. Reading makes masks of polygons and leaves this empty
    """

    id: int
    image_id: int
    category_id: int
    rle: Rle
    area: float
    bbox: Bbox
    iscrowd: bool = False
    score: float | None = None
    class_score: float | None = None
    mask_iou: float | None = None
    extra: Extra = field(default_factory=dict, hash=False)
    polygons: tuple[tuple[float, ...], ...] = field(default=(), compare=False, kw_only=True)


@dataclass(frozen=True)
class Dataset:
    """The content of a COCO file."""

    images: tuple[ImageRecord, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    categories: tuple[Category, ...] = ()
    info: Extra = field(default_factory=dict, hash=False)
    licenses: tuple[Any, ...] = field(default=(), hash=False)
    extra: Extra = field(default_factory=dict, hash=False)
