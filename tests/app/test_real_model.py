"""The Studio over the library's own model, its weights drawn at random."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.actions import browse, checkpoints
from app.services import Services
from app.session import Session
from app.settings import Settings
from comask.annotation.records import Category
from comask.checkpoint import native
from comask.checkpoint.native import CheckpointInfo
from comask.cli import main as comask
from comask.config import DetectionConfig, PreprocessingConfig
from comask.predict import Predictor
from tests.app.standins import blobs, open_dataset, serve, wait_for_run
from tests.models import small_config, small_model

SCORES = ("score", "class_score", "mask_iou")
CATEGORIES = (Category(3, "cell"), Category(17, "cat"), Category(90, "coin"))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("real")
    for name in ("checkpoints", "samples"):
        (folder / "assets" / name).mkdir(parents=True)
    preprocessing = PreprocessingConfig(short_side=96, long_side=128)
    info = CheckpointInfo(small_config(), CATEGORIES, preprocessing)
    native.save(folder / "assets/checkpoints/small.safetensors", small_model(), info)
    (folder / "assets/samples/a.png").write_bytes(blobs(seed=3))
    built = Services(
        Settings(workspace=folder / "workspace", assets=folder / "assets", device="cpu")
    )
    yield built
    built.close()


@pytest.fixture(scope="module")
def client(services: Services) -> Iterator[TestClient]:
    with serve(services) as opened:
        yield opened


@pytest.mark.parametrize("score", ["0.05", "0.3", "0.5", "0.9"])
def test_a_download_equals_what_the_command_line_writes(
    services: Services, client: TestClient, tmp_path: Path, score: str
) -> None:
    (image,) = services.images.listed("samples")
    file = services.checkpoints.find(None)
    assert file is not None
    downloaded = client.get(f"/api/exports/{image.key}.json?min_score={score}").json()
    words = ["predict", str(image.path), "--checkpoint", str(file.path), "--device", "cpu"]
    output = tmp_path / "out.json"
    assert comask([*words, "--output", str(output), "--min-score", score]) == 0
    written = json.loads(output.read_text())
    for one in (*downloaded["annotations"], *written["annotations"]):
        # the last bit of a float hangs on how many instances the mask head sees at once
        one |= {name: pytest.approx(one[name], abs=1e-6) for name in SCORES}
    assert downloaded == written


def test_a_dataset_s_download_is_the_command_s_file_byte_for_byte(
    services: Services, client: TestClient, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = ("b.png", "a.png", "bad.png", "none.png")
    for seed, name in enumerate(names[:2]):
        (folder / name).write_bytes(blobs(seed=seed))
    (folder / "bad.png").write_bytes(b"no picture")
    listed = [
        {"id": 90 - row, "file_name": name, "width": 80, "height": 60, "license": 2}
        for row, name in enumerate(names)
    ]
    truth = folder / "truth.json"
    truth.write_text(json.dumps({"images": listed, "categories": [], "annotations": []}))
    file = services.checkpoints.find(None)
    assert file is not None
    dataset = open_dataset(services, folder, truth)
    address = f"/api/exports/all.json?dataset={dataset}&min_score=0.3"
    waiting = client.get(address)
    assert waiting.status_code == 409
    assert "3 of 3 images have no result yet" in waiting.text
    keys = [services.datasets.key(dataset, row) for row in range(3)]
    wait_for_run(services, services.runner.start("test", file, keys))
    downloaded = client.get(address)
    words = ["prelabel", "--annotations", str(truth), "--images", str(folder), "--device", "cpu"]
    words += ["--checkpoint", str(file.path), "--min-score", "0.3"]
    assert comask([*words, "--output", str(tmp_path / "out.json")]) == 1
    assert downloaded.content == (tmp_path / "out.json").read_bytes()
    content = downloaded.json()
    assert [image["id"] for image in content["images"]] == [90, 89]
    assert len(content["annotations"]) > 0
    assert client.get("/api/exports/all.json?dataset=0123456789ab").status_code == 404


def test_a_checkpoint_of_high_standards_is_run_lower(services: Services, tmp_path: Path) -> None:
    config = small_config(detection=DetectionConfig(max_instances=10, min_score=0.9))
    upload = tmp_path / "strict.safetensors"
    native.save(upload, small_model(config), CheckpointInfo(config, CATEGORIES))
    detector = services.models.get(services.checkpoints.add(upload, upload.name), "strict")
    assert isinstance(detector, Predictor)
    assert detector.detection.min_score == 0.05


def test_the_model_found_something_to_compare(services: Services, client: TestClient) -> None:
    (image,) = services.images.listed("samples")
    counts = [
        len(client.get(f"/api/exports/{image.key}.json?min_score={score}").json()["annotations"])
        for score in (0.05, 0.5)
    ]
    assert counts[0] > counts[1] > 0


def test_the_document_names_the_checkpoints_classes(services: Services, client: TestClient) -> None:
    (image,) = services.images.listed("samples")
    document = client.get(f"/api/documents/{image.key}").json()
    assert document["categories"] == [{"id": c.id, "name": c.name} for c in CATEGORIES]
    assert {one["category_id"] for one in document["instances"]} <= {3, 17, 90}


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_checkpoint_cut_short_is_one_sentence(
    services: Services, tmp_path: Path, share: float
) -> None:
    file = services.checkpoints.find(None)
    assert file is not None
    whole = file.path.read_bytes()
    upload = tmp_path / "cut.safetensors"
    upload.write_bytes(whole[: int(len(whole) * share)])
    session = browse.opened(Session(), services)
    after = checkpoints.uploaded(session, services, upload)
    assert after.checkpoint == "small"
    assert after.complaint.startswith("cut.safetensors ")
    assert str(services.settings.workspace) not in after.complaint


def test_another_files_pickle_is_refused(services: Services, tmp_path: Path) -> None:
    import torch

    upload = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(2)}, upload)
    after = checkpoints.uploaded(browse.opened(Session(), services), services, upload)
    assert "is a PyTorch file" in after.complaint
