"""Masks of every shape that files get wrong, on one small image, and labels made of them."""

from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from comask.annotation import coco, rle
from comask.annotation.labels import Label, Sheet, State
from comask.annotation.records import Category, Dataset, ImageRecord, Rle

SIZE = (60, 70)  # height, width
CATEGORIES = (Category(3, "ring"), Category(7, "two words"), Category(90, "grain", "thing"))

Mask = NDArray[np.bool_]


def masks() -> dict[str, Mask]:
    """Draw them by name: (60, 70) each."""
    found = {name: np.zeros(SIZE, bool) for name in NAMES}
    found["ring"][10:30, 10:30] = True  # 400 - 100 px
    found["ring"][15:25, 15:25] = False
    found["two parts"][2:5, 2:8] = found["two parts"][50:58, 60:68] = True  # 18 + 64 px
    found["one pixel"][33, 44] = True
    found["line"][40, 5:65] = True  # 60 px
    found["whole image"][:] = True
    found["at the border"][:12, 50:] = True  # 12 x 20 px
    found["nested"][16:24, 16:24] = True  # inside the ring's hole
    for part in range(500):  # every second pixel of every second row
        found["500 parts"][2 * (part // 35), 2 * (part % 35)] = True
    return found


NAMES = (
    "ring",
    "two parts",
    "one pixel",
    "line",
    "whole image",
    "at the border",
    "nested",
    "500 parts",
)


def encoded() -> dict[str, Rle]:
    """Compress them."""
    return {name: rle.encode(mask) for name, mask in masks().items()}


def sheet(state: State = "accepted", names: Sequence[str] = NAMES) -> Sheet:
    """Put them on one sheet, as somebody has drawn them; classes in turn."""
    drawn = encoded()
    labels = tuple(
        Label(
            uid=f"u{row}",
            category=CATEGORIES[row % 3].id,
            mask=drawn[name],
            state=state,
            origin="person",
            z=row,
        )
        for row, name in enumerate(names)
    )
    return Sheet(SIZE, labels)


def dataset(names: Sequence[str] = NAMES) -> Dataset:
    """Put them into a dataset, with an image that has none of them."""
    images = (
        ImageRecord(5, "a/zoo.png", SIZE[1], SIZE[0]),
        ImageRecord(8, "b/empty.png", 9, 4),
    )
    drawn, numbers = encoded(), count(11)
    rows = tuple(
        coco.annotate(next(numbers), 5, CATEGORIES[row % 3].id, drawn[name])
        for row, name in enumerate(names)
    )
    return Dataset(images, rows, CATEGORIES)
