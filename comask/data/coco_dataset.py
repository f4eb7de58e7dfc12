"""COCO folders as training data: one draw in, one view of an image with its truth out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from comask.annotation import rle
from comask.annotation.records import Category
from comask.config import AugmentConfig, PreprocessingConfig
from comask.data import images, pasting, repeats, transforms
from comask.data.coco_folders import CocoFolder, Lesson, gather
from comask.data.transforms import Truth
from comask.errors import InputError
from comask.structures import Size, Target

Pixels = transforms.Pixels


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
    """The images of COCO files that can be learnt from, decoded when they are drawn.

    Raises InputError where one of them is not in its folder, before an hour has gone by.
    """

    def __init__(
        self, folders: Sequence[CocoFolder], view: PreprocessingConfig, augment: AugmentConfig
    ) -> None:
        self.categories: tuple[Category, ...]
        self.categories, self.lessons = gather(folders)
        self._view, self._augment = view, augment

    def __len__(self) -> int:
        """Count the images that can be drawn."""
        return len(self.lessons)

    @property
    def sizes(self) -> list[Size]:
        """List the images' sizes, image pixels."""
        return [(lesson.record.height, lesson.record.width) for lesson in self.lessons]

    def repeats(self, rare: float) -> list[float]:
        """Tell how often each image is shown an epoch so that rare classes are seen, 1 or more."""
        return repeats.factors(
            [frozenset(lesson.labels) for lesson in self.lessons],
            [lesson.annotated for lesson in self.lessons],
            rare,
        )

    def __getitem__(self, draw: Draw) -> Example:
        """Show one image: the same draw always gives the same view."""
        rng = np.random.default_rng(draw.seed)
        shown, target = self._show(self.lessons[draw.row], rng)
        if self._augment.paste and rng.random() < self._augment.paste:
            donor = self.lessons[int(rng.integers(len(self)))]
            shown, target = pasting.paste((shown, target), self._show(donor, rng), rng)
        return Example(transforms.normalise(shown, self._view), target, draw.seed)

    def read(self, lesson: Lesson) -> tuple[Pixels, Truth]:
        """Decode an image and its truth: (H, W, 3) uint8 RGB, and masks of its size."""
        record, found = lesson.record, lesson.truth
        pixels = images.load(lesson.path).pixels
        height, width = pixels.shape[:2]
        if (height, width) != (record.height, record.width):
            raise InputError(
                f"{record.file_name} is {width} x {height} pixels when upright, and the "
                f"annotation file says {record.width} x {record.height}"
            )
        x, y, wide, high = np.array([a.bbox for a in found], dtype=np.float32).T
        return pixels, Truth(
            boxes=np.stack([x, y, x + wide, y + high], axis=1),
            labels=np.array(lesson.labels, dtype=np.int64),
            masks=np.stack([rle.decode(a.rle) for a in found]),
            crowd=np.array([a.iscrowd for a in found], dtype=np.bool_),
        )

    def _show(self, lesson: Lesson, rng: np.random.Generator) -> tuple[Pixels, Target]:
        pixels, truth = self.read(lesson)
        window = transforms.choose_window(pixels.shape[:2], self._view, self._augment, rng)
        shown, target = transforms.view(pixels, truth, window, self._augment, rng)
        if lesson.annotated is not None:
            annotated = torch.zeros(len(self.categories), dtype=torch.bool)
            annotated[sorted(lesson.annotated)] = True
            target = replace(target, annotated=annotated)
        return shown, target
