"""A COCO folder as training data: one draw in, one view of an image with its truth out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category, ImageRecord
from comask.config import AugmentConfig, PreprocessingConfig
from comask.data import images, transforms
from comask.data.transforms import Truth
from comask.errors import InputError
from comask.structures import Size, Target

MIN_IMAGE_SIDE = 32  # image pixels; smaller images are not trained on (spec section 1)


@dataclass(frozen=True)
class Draw:
    """Which image is shown, and the seed of everything random about it."""

    row: int
    seed: int


@dataclass(frozen=True)
class Example:
    """One training view: (3, h, w) float32, its truth, and the seed for the samplers."""

    image: Tensor
    target: Target
    seed: int


class CocoDataset:
    """The images of a COCO file that can be learnt from, decoded when they are drawn.

    Raises InputError where one of them is not in the folder, before an hour has gone by.
    """

    def __init__(
        self, annotations: Path, folder: Path, view: PreprocessingConfig, augment: AugmentConfig
    ) -> None:
        content = coco.read(annotations)
        self.categories: tuple[Category, ...] = content.categories
        self._folder, self._view, self._augment = folder, view, augment
        self._labels = {category.id: label for label, category in enumerate(content.categories)}
        self._truth: dict[int, list[Annotation]] = defaultdict(list)
        for annotation in content.annotations:
            if annotation.area > 0 and min(annotation.bbox[2:]) >= 1:
                self._truth[annotation.image_id].append(annotation)
        self.images: list[ImageRecord] = [
            record
            for record in content.images
            if min(record.width, record.height) >= MIN_IMAGE_SIDE
            and any(not one.iscrowd for one in self._truth[record.id])
        ]
        require_images(folder, [record.file_name for record in self.images])

    def __len__(self) -> int:
        """Count the images that can be drawn."""
        return len(self.images)

    @property
    def sizes(self) -> list[Size]:
        """List the images' sizes, image pixels."""
        return [(record.height, record.width) for record in self.images]

    def __getitem__(self, draw: Draw) -> Example:
        """Show one image: the same draw always gives the same view."""
        record = self.images[draw.row]
        rng = np.random.default_rng(draw.seed)
        pixels = images.load(self._folder / record.file_name).pixels
        height, width = pixels.shape[:2]
        if (height, width) != (record.height, record.width):
            raise InputError(
                f"{record.file_name} is {width} x {height} pixels when upright, and the "
                f"annotation file says {record.width} x {record.height}"
            )
        window = transforms.choose_window(pixels.shape[:2], self._view, self._augment, rng)
        truth = self._read_truth(record)
        shown, target = transforms.view(pixels, truth, window, self._augment, rng)
        return Example(transforms.normalise(shown, self._view), target, draw.seed)

    def _read_truth(self, record: ImageRecord) -> Truth:
        found = self._truth[record.id]
        x, y, width, height = np.array([a.bbox for a in found], dtype=np.float32).T
        return Truth(
            boxes=np.stack([x, y, x + width, y + height], axis=1),
            labels=np.array([self._labels[a.category_id] for a in found], dtype=np.int64),
            masks=np.stack([rle.decode(a.rle) for a in found]),
            crowd=np.array([a.iscrowd for a in found], dtype=np.bool_),
        )


def require_images(folder: Path, names: Sequence[str]) -> None:
    """Raise InputError where images are missing: how many, and one of them."""
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} images are not below {folder}, for example "
            f"{missing[0]}"
        )
