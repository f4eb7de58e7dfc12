"""What checkpoints are for: read from real files, and offered where another one fits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.actions import checkpoints
from app.actions.documents import document
from app.services import CheckpointFile, Services
from app.services.purposes import Purpose, some
from app.settings import Settings
from comask.annotation import coco, rle
from comask.annotation.records import Category, Dataset, ImageRecord
from comask.checkpoint import native
from comask.checkpoint.native import CheckpointInfo
from comask.config import PreprocessingConfig
from tests.app.standins import blobs
from tests.models import small_config, small_model

ANIMALS = (Category(17, "cat"), Category(18, "dog"), Category(90, "Wild Horse"))
CELLS = (Category(1, "nucleus"), Category(2, "cell"), Category(3, "vessel"))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Open a Studio with a checkpoint of animals and one of cells, and a sample of each."""
    folder = tmp_path_factory.mktemp("purposes")
    for name in ("checkpoints", "samples"):
        (folder / "assets" / name).mkdir(parents=True)
    for name, categories, training in (
        ("animals", ANIMALS, {"about": "everyday photographs"}),
        ("cells", CELLS, {}),
    ):
        info = CheckpointInfo(small_config(), categories, PreprocessingConfig(), training)
        native.save(folder / f"assets/checkpoints/{name}.safetensors", small_model(), info)
    for name in ("cell", "dog", "unknown"):
        (folder / f"assets/samples/{name}.png").write_bytes(blobs(seed=len(name)))
    known = (Category(5, "Nucleus"), Category(6, "dog"), Category(7, "coin"))
    mask = np.zeros((60, 80), np.uint8)
    mask[10:20, 30:50] = 1
    rows = [(1, "cell.png", 5), (2, "dog.png", 6), (3, "unknown.png", 7)]
    truth = Dataset(
        images=tuple(ImageRecord(number, name, 80, 60) for number, name, _ in rows),
        annotations=tuple(
            coco.annotate(number, number, category, rle.encode(mask))
            for number, _, category in rows
        ),
        categories=known,
    )
    coco.write(folder / "assets/samples/instances.json", truth)
    built = Services(
        Settings(workspace=folder / "workspace", assets=folder / "assets", device="cpu")
    )
    yield built
    built.close()


def file_of(services: Services, name: str) -> CheckpointFile:
    file = services.checkpoints.find(name)
    assert file is not None
    return file


def test_a_list_says_what_each_checkpoint_is_for(services: Services) -> None:
    assert checkpoints.choices(services) == [
        ("animals: everyday photographs", "animals"),
        ("cells: nucleus, cell, vessel", "cells"),
    ]


def test_a_sentence_names_three_classes() -> None:
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert some([]) == ""


@pytest.mark.parametrize(
    ("sample", "with_animals", "with_cells"),
    [("cell.png", "cells", None), ("dog.png", None, "animals"), ("unknown.png", None, None)],
)
def test_another_checkpoint_is_named_where_it_alone_finds_what_is_annotated(
    services: Services, sample: str, with_animals: str | None, with_cells: str | None
) -> None:
    (image,) = (i for i in services.images.listed("samples") if i.file_name == sample)
    for name, wanted in (("animals", with_animals), ("cells", with_cells)):
        said = document(services, file_of(services, name), image).get("suits")
        assert (said and said["checkpoint"]) == wanted


def test_the_reason_is_said(services: Services) -> None:
    (image,) = (i for i in services.images.listed("samples") if i.file_name == "cell.png")
    said = document(services, file_of(services, "animals"), image)["suits"]
    assert said["text"] == "animals finds cat, dog, Wild Horse. Annotated here: Nucleus."


def test_a_checkpoint_that_finds_one_of_them_is_left_alone(services: Services) -> None:
    assert services.purposes.better(file_of(services, "animals"), ["nucleus", "wild horse"]) is None
    assert services.purposes.better(file_of(services, "animals"), []) is None


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_broken_file_is_for_nothing(services: Services, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    broken = CheckpointFile("broken", path, "workspace")
    assert services.purposes.of(broken) == Purpose()
    assert services.purposes.better(broken, ["nucleus"]) is None
    path.unlink()
    assert services.purposes.of(broken) == Purpose()


def test_a_file_that_changed_is_read_again(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "moving.safetensors"
    file = CheckpointFile("moving", path, "workspace")
    for categories in (ANIMALS, CELLS):
        info = CheckpointInfo(small_config(), categories, PreprocessingConfig())
        native.save(path, small_model(), info)
        assert services.purposes.of(file).classes == tuple(c.name for c in categories)
