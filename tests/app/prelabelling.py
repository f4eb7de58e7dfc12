"""A COCO folder of blobs for the stand-in model, and what a page sends to have it labelled."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.services import Services
from comask.annotation import rle
from comask.annotation.labels import Label
from tests.app.standins import PATIENCE, BlobDetector, blobs, open_dataset, studio
from tests.factories import write_json

MAPPING = {"blob": 1, "speck": 2}
ALL = {"blob": 1, "speck": None}


def opened(
    folder: Path, pictures: int = 4, detector: BlobDetector | None = None, truth: int = 0
) -> tuple[Services, str]:
    """Open a folder of pictures, 80 x 60; the first ``truth`` of them have one drawn blob each."""
    home = folder / "set"
    (home / "images").mkdir(parents=True, exist_ok=True)
    names = [f"{number}.png" for number in range(pictures)]
    for number, name in enumerate(names):
        (home / "images" / name).write_bytes(blobs(seed=number))
    square = rle.from_polygons([[0, 0, 4, 0, 4, 4, 0, 4]], 60, 80)
    write_json(
        home / "instances.json",
        {
            "images": [
                {"id": row, "file_name": name, "width": 80, "height": 60}
                for row, name in enumerate(names)
            ],
            "categories": [{"id": 1, "name": "blob"}, {"id": 2, "name": "Speck"}],
            "annotations": [
                {
                    "id": row + 10,
                    "image_id": row,
                    "category_id": 1,
                    "segmentation": square.to_coco(),
                    "iscrowd": 0,
                }
                for row in range(truth)
            ],
        },
    )
    services = studio(folder, detector, samples=2)
    return services, open_dataset(services, home / "images", home / "instances.json")


def asked(project: str, key: str = "run-1", **more: Any) -> dict[str, Any]:
    return {
        "project": project,
        "checkpoint": "first",
        "scope": "all",
        "keys": [],
        "min_score": 0.05,
        "mapping": MAPPING,
        "policy": "add",
        "overlap": 0.5,
        "actor": "ann",
        "key": key,
        **more,
    }


def ended(page: TestClient, task: str, seconds: float = PATIENCE) -> dict[str, Any]:
    """Wait until a task has ended."""
    return until(page, task, lambda state: state["stage"] != "running", seconds)


def until(
    page: TestClient, task: str, there: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE
) -> dict[str, Any]:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        state: dict[str, Any] = page.get(f"/api/prelabel/{task}").json()
        if there(state):
            return state
        time.sleep(0.01)
    raise AssertionError("the task did not come so far")


def run(page: TestClient, project: str, key: str = "run-1", **more: Any) -> dict[str, Any]:
    """Pre-label, and wait for the end."""
    answer = page.post("/api/prelabel", json=asked(project, key, **more))
    assert answer.status_code == 200, answer.text
    return ended(page, answer.json()["task"])


def labels_of(services: Services, key: str) -> tuple[Label, ...]:
    image = services.images.find(key)
    assert image is not None
    return services.sheets.sheet(image).labels
