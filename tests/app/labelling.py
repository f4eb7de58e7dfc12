"""A small COCO folder to be labelled, and what a page sends; every mask is a rectangle by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.services import Services, StoredImage
from comask.annotation import rle
from comask.annotation.records import Rle
from tests.app.standins import blobs, encode, open_dataset, studio
from tests.factories import write_json

HEIGHT, WIDTH = 6, 8  # of every picture


def box(x1: int, y1: int, x2: int, y2: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Rle:
    """Draw a rectangle, half-open: it has (x2 - x1) * (y2 - y1) pixels."""
    mask = np.zeros(size, np.uint8)
    mask[y1:y2, x1:x2] = 1
    return rle.encode(mask)


def content() -> dict[str, Any]:
    """Build the COCO file: its rows are a.png, b.png without objects, twice.png twice, wrong.png.

    a.png has a cell of 4 pixels, a nucleus of 6, a crowd of 2 and a cell without a pixel;
    twice.png has one cell by each of its rows; wrong.png is said to be 9 x 9 pixels.
    """
    images = ["a.png", "b.png", "twice.png", "twice.png", "wrong.png"]
    return {
        "images": [
            {"id": row, "file_name": name, "width": WIDTH, "height": HEIGHT}
            if name != "wrong.png"
            else {"id": row, "file_name": name, "width": 9, "height": 9}
            for row, name in enumerate(images)
        ],
        "categories": [
            {"id": 1, "name": "cell", "supercategory": "thing", "colour": "red"},
            {"id": 90, "name": "nucleus"},
        ],
        "annotations": [
            _object(11, 0, 1, box(0, 0, 2, 2), note="kept"),
            _object(12, 0, 90, box(3, 1, 6, 3)),
            _object(13, 0, 1, box(7, 0, 8, 2), iscrowd=1),
            _object(14, 0, 1, box(0, 0, 0, 0)),
            _object(21, 2, 1, box(0, 0, 1, 1)),
            _object(22, 3, 1, box(4, 4, 6, 6)),
            _object(31, 4, 1, box(0, 0, 9, 9, (9, 9))),
        ],
    }


def labelled(folder: Path, store: str | None = None) -> tuple[Services, str]:
    """Open the folder in a Studio; returns its id too. What is there already stays."""
    home = folder / "set"
    if not home.is_dir():
        (home / "images").mkdir(parents=True)
        for level, name in enumerate(("a.png", "b.png", "twice.png", "wrong.png")):
            picture = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
            (home / "images" / name).write_bytes(encode(picture))
        write_json(home / "instances.json", content())
    services = studio(folder, samples=1, store=store)
    return services, open_dataset(services, home / "images", home / "instances.json")


def image(services: Services, key: str) -> StoredImage:
    """Find an image that is there."""
    found = services.images.find(key)
    assert found is not None
    return found


def upload(services: Services, seed: int = 0) -> StoredImage:
    """Upload a picture of blobs, 80 x 60."""
    return services.images.add(blobs(seed=seed), f"upload-{seed}.png").image


def put(uid: str, mask: Rle, state: str = "new", category: int = 1, **more: Any) -> dict[str, Any]:
    """Write a label as the page does."""
    return {
        "id": uid,
        "category_id": category,
        "rle": mask.to_coco(),
        "state": state,
        "z": 0,
        "iscrowd": False,
        **more,
    }


def gesture(
    key: str,
    revision: int,
    labels: Sequence[dict[str, Any]] = (),
    drop: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Write a gesture as the page does."""
    return {
        "key": key,
        "actor": "ann",
        "kind": "brush",
        "revision": revision,
        "put": list(labels),
        "drop": list(drop),
        "state": None,
        "actions": 1,
        "seconds": 2.5,
        **more,
    }


def _object(
    number: int, image: int, category: int, mask: Rle, iscrowd: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": mask.to_coco(),
        "iscrowd": iscrowd,
        **more,
    }
