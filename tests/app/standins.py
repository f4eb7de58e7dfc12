"""A model, a workspace and images for tests of the Studio, without training anything."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from app import api
from app.services import Services
from app.settings import Limits, Settings
from comask.annotation import rle
from comask.annotation.records import Category
from comask.errors import CheckpointError
from comask.predict import Candidates, Prediction, PredictionTrace
from comask.structures import Fate

PATIENCE = 60.0  # seconds that work which takes a fraction of one is waited for
STAND_IN = b"stand-in "  # how the files begin that ``open_detector`` takes for checkpoints
CATEGORIES = (Category(7, "blob", "thing"), Category(90, "speck", "thing"))


class BlobDetector:
    """Find bright blobs: each is one instance, the brighter the surer; small ones are specks."""

    device = "cpu"
    categories = CATEGORIES

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.seen = 0
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, image: NDArray[np.uint8], /, *, candidates: bool = False) -> Prediction:
        self.gate.wait(30)
        time.sleep(self.seconds)
        self.seen += 1
        grey = image.max(axis=2)
        if (grey == 13).all():
            raise RuntimeError("out of memory")
        count, regions, stats, _ = cv2.connectedComponentsWithStats((grey > 30).astype(np.uint8))
        masks = [regions == region for region in range(1, count)]
        scores = np.array([grey[mask].mean() / 255 for mask in masks], np.float32)
        ious = np.array(
            [stats[label, 4] / (stats[label, 2] * stats[label, 3]) for label in range(1, count)],
            np.float32,
        )
        order = np.argsort(-(scores + 0.3 * ious), kind="stable")
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:]], np.float32)
        labels = (stats[1:, 4] < 30).astype(np.int64)
        found = len(masks)
        rows = np.arange(found, dtype=np.int32)
        seen = Candidates(
            proposals=boxes.reshape(-1, 4),
            rows=rows,
            labels=labels.astype(np.int32),
            scores=scores,
            fates=np.full(found, Fate.KEPT, np.int8),
            by=np.argsort(order).astype(np.int32),
            suppressor_iou=np.zeros(found, np.float32),
        )
        return Prediction(
            size=(grey.shape[0], grey.shape[1]),
            boxes=boxes.reshape(-1, 4)[order],
            labels=labels[order],
            class_scores=scores[order],
            mask_ious=ious[order],
            scores=(scores + np.float32(0.3) * ious)[order],
            masks=tuple(rle.encode(masks[row]) for row in order),
            categories=CATEGORIES,
            trace=PredictionTrace(
                proposals=boxes.reshape(-1, 4)[order],
                proposal_rows=order.astype(np.int64),
                levels=np.full((found, 2), 2, np.int64),
                first_masks=np.zeros((found, 28, 28), np.float32),
                votes=np.zeros((found, 7, 7, 4), np.float32),
                weights=np.zeros((found, 7, 7), np.float32),
                second_masks=np.zeros((found, 28, 28), np.float32),
            ),
            candidates=seen if candidates else None,
        )


def blobs(*, seed: int = 0, size: tuple[int, int] = (60, 80), count: int = 6) -> bytes:
    """Draw a PNG of bright discs on black; the seed makes it another picture."""
    random = np.random.default_rng(seed)
    picture = np.zeros((*size, 3), np.uint8)
    for number in range(count):
        y, x = random.integers(8, size[0] - 8), random.integers(8, size[1] - 8)
        level = 40 + 35 * number % 215
        cv2.circle(picture, (int(x), int(y)), int(random.integers(2, 7)), (level, level, level), -1)
    return encode(picture)


def encode(picture: NDArray[np.uint8]) -> bytes:
    """Write a picture as PNG."""
    done, content = cv2.imencode(".png", picture)
    assert done
    return content.tobytes()


def studio(
    folder: Path,
    detector: BlobDetector | None = None,
    *,
    samples: int = 3,
    checkpoint: bool = True,
    limits: Limits | None = None,
    store: str | None = None,
) -> Services:
    """Build services over a folder with some samples and one checkpoint that is a stand-in."""
    assets = folder / "assets"
    (assets / "samples").mkdir(parents=True, exist_ok=True)
    (assets / "checkpoints").mkdir(exist_ok=True)
    for number in range(samples):
        (assets / "samples" / f"sample-{number}.png").write_bytes(blobs(seed=number))
    if checkpoint:
        (assets / "checkpoints" / "first.safetensors").write_bytes(STAND_IN + b"first")
    model = detector or BlobDetector()

    def open_detector(path: Path) -> BlobDetector:
        if not path.read_bytes().startswith(STAND_IN):
            raise CheckpointError(f"{path} is no checkpoint, or one cut short")
        return model

    settings = Settings(
        workspace=folder / "workspace", assets=assets, store=store, limits=limits or Limits()
    )
    return Services(settings, open_detector)


def serve(services: Services) -> TestClient:
    """Serve our own routes over some services, without the page."""
    app = FastAPI()
    api.add_to(app, services)
    return TestClient(app)


def fixtures(make: Callable[[Path], Iterator[Any]]) -> tuple[Any, Any]:
    """Give two fixtures of what is made in a folder: a test's own, and one for all of a module.

    The second is for tests that change nothing.
    """

    @pytest.fixture
    def own(tmp_path: Path) -> Iterator[Any]:
        yield from make(tmp_path)

    @pytest.fixture(scope="module")
    def same(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        yield from make(tmp_path_factory.mktemp("same"))

    return own, same


def open_dataset(services: Services, folder: Path, annotations: Path | None = None) -> str:
    """Open a dataset and wait until it is read; returns its id."""
    state = services.datasets.open(folder, annotations)
    until = time.monotonic() + PATIENCE
    while state.state == "indexing" and time.monotonic() < until:
        time.sleep(0.01)
        state = services.datasets.state(state.id) or state
    assert state.state == "ready", state.sentence
    return state.id


def wait_for_run(services: Services, run: str | None, seconds: float = PATIENCE) -> None:
    """Wait until a run has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        state = services.runner.state(run)
        if state is None or state.stage != "running":
            return
        time.sleep(0.01)
    raise AssertionError("the run did not end")
