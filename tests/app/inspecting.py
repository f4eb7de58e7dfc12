"""A Studio over a real network with random weights, asked as the page Inspect asks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.canvas.packet import unpack
from app.services import CheckpointFile, Services, StoredImage
from app.settings import Settings
from comask.annotation import coco
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.checkpoint import native
from comask.checkpoint.native import CheckpointInfo
from comask.config import DetectionConfig, NeckConfig, PreprocessingConfig
from comask.predict import Predictor
from tests.app.standins import PATIENCE, blobs, open_dataset, serve, wait_for_run
from tests.models import small_config, small_model

CATEGORIES = (Category(1, "cell"), Category(90, "nucleus"))  # of the checkpoint
SIZES = ((60, 80), (41, 50), (64, 64))  # (H, W) of the samples and of the dataset's images


class Desk:
    """A client of a Studio, and how often the network was lent out so far."""

    def __init__(self, services: Services) -> None:
        self.services, self.client = services, serve(services)
        self.lent: list[bool] = []  # with gradients, or without

    @property
    def file(self) -> CheckpointFile:
        """Find the one checkpoint."""
        found = self.services.checkpoints.find(None)
        assert found is not None
        return found

    @property
    def image(self) -> StoredImage:
        """Find the first sample."""
        return self.services.images.listed("samples")[0]

    @property
    def predictor(self) -> Predictor:
        """Open the model."""
        return self.services.inspections.predictor(self.file)

    @property
    def pixels(self) -> np.ndarray:
        """Decode the first sample."""
        return self.services.images.pixels(self.image)

    def get(self, address: str, **asked: Any) -> httpx.Response:
        """Ask until there is an answer; every word of progress must make sense."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer: httpx.Response = self.client.get(f"/api/{address}", params=asked)
            if answer.status_code != 202:
                return answer
            told = answer.json()
            assert told["task"].startswith("task-")
            assert 0 <= told["done"] <= max(told["total"], 0)
        raise AssertionError(f"no answer to {address}")

    def packet(self, address: str, **asked: Any) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Ask for a packet: its head and arrays."""
        answer = self.get(address, **asked)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return unpack(answer.content)

    def refusal(self, address: str, **asked: Any) -> tuple[int, str]:
        """Ask for what must be refused: the status and the one sentence."""
        answer = self.get(address, **asked)
        assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
        sentence = answer.json()["detail"]
        assert isinstance(sentence, str)
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert len(sentence) < 300
        return answer.status_code, sentence

    def run_over(self, dataset: str | None = None) -> None:
        """Let the model find instances in the samples, or in a dataset's images."""
        keys = [image.key for image in self.services.images.listed("samples")]
        if dataset is not None:
            found = self.services.datasets.get(dataset)
            assert found is not None
            rows = [row for row in range(len(found)) if not found.is_missing(row)]
            keys = [self.services.datasets.key(dataset, row) for row in rows]
        wait_for_run(self.services, self.services.runner.start("test", self.file, keys))

    def use_of_model(self) -> int:
        """Count how often the network was lent out since the last count."""
        count = len(self.lent)
        self.lent.clear()
        return count


def write_network(path: Path, seed: int = 0) -> None:
    """Write a small CoMask whose instances hardly overlap: it finds up to 6 in an image."""
    config = small_config(
        NeckConfig(channels=32),
        num_classes=len(CATEGORIES),
        detection=DetectionConfig(max_instances=6, nms_iou=0.1),
    )
    view = PreprocessingConfig(short_side=64, long_side=96)
    native.save(path, small_model(config, seed), CheckpointInfo(config, CATEGORIES, view))


@contextmanager
def desk(folder: Path, patch: Any = None) -> Iterator[Desk]:
    """Open a Studio with three samples and a small checkpoint; ``patch`` counts its model's use."""
    for name in ("checkpoints", "samples"):
        (folder / "assets" / name).mkdir(parents=True)
    write_network(folder / "assets/checkpoints/small.safetensors")
    for number, size in enumerate(SIZES):
        (folder / f"assets/samples/{number}.png").write_bytes(blobs(seed=number, size=size))
    services = Services(
        Settings(workspace=folder / "workspace", assets=folder / "assets", device="cpu")
    )
    made = Desk(services)
    if patch is not None:
        patch.setattr(Predictor, "opened", _counted(Predictor.opened, made.lent))
    yield made
    services.close()


def _counted(opened: Any, lent: list[bool]) -> Any:
    def counted(self: Predictor, *given: Any, **named: Any) -> Any:
        lent.append(bool(named.get("gradients")))
        return opened(self, *given, **named)

    return counted


def open_folder(
    services: Services, home: Path, annotations: tuple[Annotation, ...] | None, missing: int = 0
) -> str:
    """Open a dataset of pictures of the samples' sizes, image ids 7, 8, 9; returns its id.

    Without annotations it is a folder alone; the last ``missing`` files are not there.
    """
    (home / "images").mkdir(parents=True)
    for number, size in enumerate(SIZES[: len(SIZES) - missing]):
        (home / f"images/{number}.png").write_bytes(blobs(seed=10 + number, size=size))
    truth = None
    if annotations is not None:
        truth = home / "instances.json"
        records = tuple(
            ImageRecord(7 + number, f"{number}.png", width, height)
            for number, (height, width) in enumerate(SIZES)
        )
        coco.write(truth, Dataset(records, annotations, CATEGORIES))
    return open_dataset(services, home / "images", truth)
