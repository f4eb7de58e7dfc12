"""Labels from a real model with random weights: the page and the command line make the same."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from numpy.testing import assert_allclose

from app.services import Services
from app.settings import Settings
from comask import cli
from comask.annotation.label_store import LabelStore
from comask.annotation.store import Store
from comask.predict import Predictor
from tests.app.prelabelling import run
from tests.app.standins import open_dataset, serve
from tests.factories import write_checkpoint, write_json, write_picture

Page = tuple[TestClient, Services, str]
MAPPING = {"cell": 8, "nucleus": 9}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Open a folder of three pictures, a cell drawn on the first, with a model that finds much."""
    from torch.nn import init

    from comask.checkpoint import native

    others = set(threading.enumerate())  # of tests before
    home = tmp_path_factory.mktemp("studio")
    (home / "assets/checkpoints").mkdir(parents=True)
    (home / "assets/samples").mkdir()
    path = write_checkpoint(home / "assets/checkpoints/first.safetensors", seed=8)
    model, info = native.load(path)
    init.constant_(model.mask_head.mask.bias, 1.0)  # masks fill their boxes
    init.constant_(model.mask_head.distance.bias, 0.3)
    native.save(path, model, info)
    names = ["a.png", "sub/a.png", "b.png"]
    for seed, name in enumerate(names):
        write_picture(home / "set/images" / name, seed=seed)
    write_json(
        home / "set/instances.json",
        {
            "images": [
                {"id": 40 - row, "file_name": name, "width": 40, "height": 30}
                for row, name in enumerate(names)
            ],
            "categories": [{"id": 8, "name": "Cell"}, {"id": 9, "name": "nucleus"}],
            "annotations": [
                {
                    "id": 3,
                    "image_id": 40,
                    "category_id": 8,
                    "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]],
                    "iscrowd": 0,
                }
            ],
        },
    )
    settings = Settings(workspace=home / "workspace", assets=home / "assets", device="cpu")
    services = Services(settings)
    dataset = open_dataset(services, home / "set/images", home / "set/instances.json")
    with serve(services) as client:
        yield client, services, dataset
    services.close()
    own = set(threading.enumerate()) - others
    assert all(thread.name != "runner" for thread in own)


def test_page_and_command_line_make_the_same_labels(page: Page, tmp_path: Path) -> None:
    client, services, project = page
    state = run(client, project, mapping=MAPPING, min_score=0.06, overlap=0.6)
    assert (state["done"], state["failed_count"]) == (3, 0)
    assert state["added"] > 3
    home = services.settings.workspace.parent
    words = [
        "prelabel", "--annotations", home / "set/instances.json", "--images", home / "set/images",
        "--checkpoint", home / "assets/checkpoints/first.safetensors", "--device", "cpu",
        "--output", tmp_path / "o.json", "--min-score", "0.06", "--overlap", "0.6", "--labels",
    ]  # fmt: skip
    assert cli.main([str(word) for word in words]) == 0
    kept_as = services.sheets.project(project).kept_as
    with Store.open(tmp_path / "o.sqlite") as store:
        other = LabelStore(store)
        assert other.state_hash(kept_as) == services.labels.state_hash(kept_as)
        for name in ("a.png", "sub/a.png", "b.png"):
            mine = services.labels.sheet(kept_as, name)
            assert mine is not None
            assert mine == other.sheet(kept_as, name)


def test_the_studio_shows_what_the_command_line_has_put_into_its_store(page: Page) -> None:
    client, services, _ = page
    home = services.settings.workspace.parent
    write_picture(home / "other/x.png", seed=7)
    words = [
        "prelabel", home / "other", "--checkpoint", home / "assets/checkpoints/first.safetensors",
        "--device", "cpu", "--output", home / "o.json", "--store",
        services.settings.workspace / "runs.sqlite", "--labels",
    ]  # fmt: skip
    assert cli.main([str(word) for word in words]) == 0
    opened = open_dataset(services, home / "other")
    shown = client.get(f"/api/labels/d{opened}-0").json()
    assert [one["name"] for one in shown["categories"]] == ["cell", "nucleus"]
    assert {one["state"] for one in shown["instances"]} == {"proposed"}
    again = run(client, opened, mapping={"cell": 1, "nucleus": 90})
    assert (again["added"], again["done"]) == (0, 1)


def test_a_box_by_hand_is_drawn_as_a_proposal_would_be(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, services, project = page
    key = f"d{project}-1"
    file = services.checkpoints.find("first")
    assert file is not None
    predictor = services.inspections.predictor(file)
    image = services.images.find(key)
    assert image is not None
    found = predictor.predict(services.images.pixels(image))
    looks = []
    see = Predictor.see
    monkeypatch.setattr(Predictor, "see", lambda *given: looks.append(1) or see(*given))
    for row in range(2):
        category = MAPPING[found.categories[int(found.labels[row])].name]
        sent = {
            "box": found.trace.proposals[row].tolist(),
            "checkpoint": "first",
            "category_id": category,
        }
        made = client.post(f"/api/labels/{key}/refit", json=sent).json()
        assert made["rle"] == found.masks[row].to_coco()
        assert made["category_id"] == category
        assert_allclose(made["box"], found.boxes[row], atol=2e-3)
        assert_allclose(made["class_score"], found.class_scores[row], atol=1e-4)
        assert made["levels"] == found.trace.levels[row].tolist()
    assert len(looks) == 1  # one look serves many boxes
    likeliest = client.post(f"/api/labels/{key}/refit", json=sent | {"category_id": None}).json()
    assert likeliest["category_id"] in (8, 9)
    assert likeliest["class_score"] >= made["class_score"]
    beside = client.post(f"/api/labels/{key}/refit", json=sent | {"box": [50, 50, 60, 60]})
    assert (beside.status_code, "beside the image" in beside.text) == (422, True)


def test_a_region_says_that_its_levels_change(page: Page) -> None:
    client, _, project = page
    key = f"d{project}-2"
    revision = client.get(f"/api/labels/{key}").json()["revision"]
    sent = {
        "key": key, "box": [0, 0, 20, 15], "checkpoint": "first", "min_score": 0.05,
        "mapping": MAPPING, "overlap": 1, "actor": "ann", "gesture": "r1", "revision": revision,
    }  # fmt: skip
    answer = client.post("/api/prelabel/region", json=sent).json()
    assert answer["instances"]
    for one in answer["instances"]:
        x, y, width, height = one["bbox"]
        assert x + width <= 20
        assert y + height <= 15
        assert one["rle"]["size"] == [30, 40]
    assert "another pyramid level than in the whole image" in answer["levels_note"]
    stale = client.post(
        "/api/prelabel/region", json=sent | {"gesture": "r2", "box": [10, 5, 40, 30]}
    )
    assert stale.status_code == 409
    assert stale.json()["document"]["revision"] == answer["revision"]
