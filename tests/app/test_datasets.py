import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services import Services
from app.settings import Settings
from comask.data import coco_samples
from tests.app.standins import PATIENCE, STAND_IN, BlobDetector, blobs, fixtures, serve, studio
from tests.factories import coco_content, write_json

Client = tuple[TestClient, Services, Path]

SQUARE = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]


def content() -> dict[str, Any]:
    """Three images of 80 x 60 with one square of 100 px in each of the first two."""
    files = ["a/x.png", "b/x.png", "gone.png"]
    return {
        "images": [
            {"id": 7 * row, "file_name": name, "width": 80, "height": 60}
            for row, name in enumerate(files)
        ],
        "categories": [{"id": 7, "name": "blob"}, {"id": 90, "name": "dot"}],
        "annotations": [
            {
                "id": 100 + row,
                "image_id": 7 * row,
                "category_id": category,
                "segmentation": [SQUARE],
                "area": 100,
                "bbox": [10, 10, 10, 10],
                "iscrowd": 0,
            }
            for row, category in ((0, 7), (1, 90))
        ],
    }


def make_folder(folder: Path, truth: Any = None) -> Path:
    for number, name in enumerate(("a/x.png", "b/x.png")):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_bytes(blobs(seed=number))
    write_json(folder / "instances.json", content() if truth is None else truth)
    return folder


def beside_a_set(folder: Path) -> Iterator[Client]:
    services = studio(folder)
    with serve(services) as opened:
        yield opened, services, make_folder(folder / "set")
    services.close()


client, same_client = fixtures(beside_a_set)


def ready(opened: TestClient, folder: Path, annotations: str | None = None) -> dict[str, Any]:
    asked = {"folder": str(folder), "annotations": annotations}
    answer = opened.post("/api/datasets", json=asked)
    assert answer.status_code == 202, answer.json()
    return settled(opened, answer.json()["id"])


def settled(opened: TestClient, dataset: str) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found: dict[str, Any] = opened.get(f"/api/datasets/{dataset}").json()
        if found["state"] != "indexing":
            return found
        time.sleep(0.01)
    raise AssertionError("the dataset was not read")


def test_a_folder_is_opened_and_described(client: Client) -> None:
    opened, _, folder = client
    found = ready(opened, folder)
    assert found["name"] == "set"
    assert found["state"] == "ready"
    assert (found["images"], found["annotations"], found["missing"]) == (3, 2, 1)
    assert found["truth"] is True
    assert found["categories"] == [
        {"id": 7, "name": "blob", "truth": 1},
        {"id": 90, "name": "dot", "truth": 1},
    ]
    assert "instances.json" in found["sentence"]
    assert "1 of 3 images are missing" in found["sentence"]


def test_a_file_may_be_named_from_the_folder_or_instead_of_it(client: Client) -> None:
    opened, _, folder = client
    first = ready(opened, folder)["id"]
    assert ready(opened, folder, "instances.json")["id"] == first
    assert ready(opened, folder / "instances.json")["id"] == first


def test_a_folder_of_images_has_no_truth(client: Client) -> None:
    opened, _, folder = client
    found = ready(opened, folder / "images")
    assert (found["images"], found["truth"], found["categories"]) == (2, False, [])
    document = opened.get(f"/api/documents/d{found['id']}-0").json()
    assert [layer["name"] for layer in document["layers"]] == ["prediction"]
    assert (document["image"]["width"], document["image"]["height"]) == (80, 60)


def test_opened_datasets_are_remembered_over_a_restart(tmp_path: Path) -> None:
    services = studio(tmp_path)
    folder = make_folder(tmp_path / "set")
    with serve(services) as opened:
        found = ready(opened, folder)
        ready(opened, folder / "images")
    services.close()
    services = studio(tmp_path)
    with serve(services) as opened:
        recent = opened.get("/api/datasets").json()["recent"]
        assert [(one["images"], one["objects"]) for one in recent] == [(2, 0), (3, 2)]
        assert [one["annotations"] for one in recent] == [None, str(folder / "instances.json")]
        assert recent[1]["id"] == found["id"]
        assert settled(opened, found["id"])["images"] == 3  # its address works at once
        assert opened.get(f"/api/images/d{found['id']}-1").status_code == 200
    services.close()


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"schema": 1, "recent": [{"id": "../x"}]}'])
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "workspace/datasets").mkdir(parents=True)
    (tmp_path / "workspace/datasets/recent.json").write_bytes(damage)
    services = studio(tmp_path)
    with serve(services) as opened:
        assert opened.get("/api/datasets").json()["recent"] == []
    services.close()


def test_the_sample_set_can_be_opened(tmp_path: Path) -> None:
    own = Settings(workspace=tmp_path / "workspace")
    services = Services(own, lambda _path: BlobDetector())
    with serve(services) as opened:
        samples = opened.get("/api/datasets").json()["samples"]
        found = ready(opened, Path(samples))
        assert (found["images"], found["missing"], found["left_out"]) == (8, 0, 0)
        document = opened.get(f"/api/documents/d{found['id']}-0?wait=0").json()
    services.close()
    assert {one["layer"] for one in document["instances"]} == {"truth"}


# -- hostile requests ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"3",
        b"{}",
        b'{"folder": null}',
        b'{"folder": 3}',
        b'{"folder": ""}',
        b'{"folder": "a/b"}',
        b'{"folder": "/no/such/folder"}',
        b'{"folder": "/dev/null"}',
        b'{"folder": "/\\u0000"}',
        b'{"folder": "/\\ud800"}',
        b'{"folder": "~nobody-here/x"}',
        b'{"folder": "/' + b"a" * 5000 + b'"}',
        b'{"folder": "/' + b"a" * 300 + b'"}',
        b'{"folder": "/tmp", "annotations": 3}',
        b'{"folder": "/tmp", "annotations": "no-such.json"}',
        b'{"folder": "/tmp", "annotations": ["x"]}',
    ],
)
def test_what_is_no_folder_is_one_sentence(client: Client, body: bytes) -> None:
    answer = client[0].post("/api/datasets", content=body)
    assert (answer.status_code, type(answer.json()["detail"])) == (422, str)
    assert client[0].get("/api/datasets").json()["recent"] == []


def test_a_long_request_is_refused(client: Client) -> None:
    assert client[0].post("/api/datasets", content=b" " * 200_000).status_code == 413


def test_other_sites_can_not_open_folders(client: Client) -> None:
    opened, _, folder = client
    asked = {"folder": str(folder)}
    evil = {"origin": "https://evil.example"}
    assert opened.post("/api/datasets", json=asked, headers=evil).status_code == 403


@pytest.mark.parametrize("truth", [[], "x", {"images": 3}, {"images": []}])
def test_what_is_no_coco_file_fails_with_a_sentence(client: Client, truth: Any) -> None:
    opened, _, folder = client
    write_json(folder / "instances.json", truth)
    answer = opened.post("/api/datasets", json={"folder": str(folder)})
    if answer.status_code == 202:
        found = settled(opened, answer.json()["id"])
        assert found["state"] == "failed"
        assert "instances.json" in found["sentence"]
    else:
        assert "instances.json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "dataset", ["x", "0" * 12, "..%2f..", "%00", "d" * 5000, "é", "samples%20"]
)
def test_an_unknown_dataset_is_one_sentence(same_client: Client, dataset: str) -> None:
    answer = same_client[0].get(f"/api/datasets/{dataset}")
    assert (answer.status_code, type(answer.json()["detail"])) == (404, str)


@pytest.mark.parametrize("room", ["documents", "images", "thumbnails", "exports"])
@pytest.mark.parametrize(
    "key", ["d{}-3", "d{}-999999999", "d{}--1", "d{}-01", "d{}-", "d{}-1x", "d{}-\u0661", "x{}-1",
            "d000000000000-0", "d{}-1%2f..", "D{}-0"],
)  # fmt: skip
def test_an_unknown_row_is_one_sentence(same_client: Client, room: str, key: str) -> None:
    opened, _, folder = same_client
    key = key.format(ready(opened, folder)["id"])
    answer = opened.get(f"/api/{room}/{key}" + (".json" if room == "exports" else ""))
    assert (answer.status_code, type(answer.json()["detail"])) == (404, str)


def test_a_link_out_of_the_folder_is_not_followed(client: Client) -> None:
    opened, _, folder = client
    secret = folder.parent / "secret.png"
    secret.write_bytes(blobs(seed=9))
    (folder / "images/gone.png").symlink_to(secret)
    key = f"d{ready(opened, folder)['id']}-2"
    for room in ("documents", "images", "thumbnails"):
        answer = opened.get(f"/api/{room}/{key}")
        assert answer.status_code == 404
        assert "leads out of the image folder" in answer.json()["detail"]


def test_only_named_folders_are_opened_where_others_can_ask(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    (assets / "checkpoints").mkdir(parents=True)
    (assets / "checkpoints/first.safetensors").write_bytes(STAND_IN)
    allowed, other = make_folder(tmp_path / "in/set"), make_folder(tmp_path / "out/set")
    (tmp_path / "in/link").symlink_to(other)
    settings = Settings(
        workspace=tmp_path / "workspace", assets=assets, host="0.0.0.0", data=(tmp_path / "in",)
    )
    services = Services(settings, lambda _path: BlobDetector())
    with serve(services) as opened:
        assert ready(opened, allowed)["images"] == 3
        for folder, file in (
            (other, None),
            (tmp_path / "in/link", None),
            (allowed, str(other / "instances.json")),
            (allowed, "../../out/set/instances.json"),
            (tmp_path / "in/../out/set", None),
        ):
            answer = opened.post("/api/datasets", json={"folder": str(folder), "annotations": file})
            assert answer.status_code == 422, folder
            assert "--data" in answer.json()["detail"]
    services.close()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False),
     ("::", False), ("my-machine", False), ("192.168.0.2", False)],
)  # fmt: skip
def test_what_is_local(host: str, local: bool) -> None:
    assert Settings(host=host).is_local is local


# -- images -------------------------------------------------------------------------------------


def test_a_document_holds_truth_and_prediction(client: Client) -> None:
    opened, _, folder = client
    key = f"d{ready(opened, folder)['id']}-0"
    document = opened.get(f"/api/documents/{key}").json()
    assert document["image"] == {
        "key": key, "file_name": "a/x.png", "width": 80, "height": 60, "url": f"/api/images/{key}"
    }  # fmt: skip
    layers = [one["layer"] for one in document["instances"]]
    assert layers.count("truth") == 1
    assert layers.count("prediction") > 2
    (truth,) = [one for one in document["instances"] if one["layer"] == "truth"]
    assert (truth["id"], truth["area"], truth["category_id"]) == ("t100", 100, 7)


def test_a_missing_image_is_said_in_its_document(client: Client) -> None:
    opened, _, folder = client
    key = f"d{ready(opened, folder)['id']}-2"
    document = opened.get(f"/api/documents/{key}").json()
    assert document["note"] == "gone.png is missing: there is no such file."
    assert "pending" not in document
    assert (document["image"]["width"], document["image"]["height"]) == (80, 60)
    assert opened.get(f"/api/images/{key}").status_code == 404
    assert opened.get(f"/api/exports/{key}.json").status_code == 409


def test_truth_of_another_size_is_not_laid_over_the_picture(client: Client) -> None:
    opened, _, folder = client
    (folder / "images/a/x.png").write_bytes(blobs(size=(40, 30)))
    key = f"d{ready(opened, folder)['id']}-0"
    document = opened.get(f"/api/documents/{key}").json()
    assert "30 x 40 pixels when upright, and the annotation file says 80 x 60" in document["note"]
    assert {one["layer"] for one in document["instances"]} == {"prediction"}


def test_a_changed_file_is_said_and_opened_again(client: Client) -> None:
    opened, _, folder = client
    dataset = ready(opened, folder)["id"]
    changed = content()
    changed["annotations"] = []
    write_json(folder / "instances.json", changed)
    document = opened.get(f"/api/documents/d{dataset}-0").json()
    assert "has changed since it was opened" in document["note"]
    assert ready(opened, folder)["annotations"] == 0
    document = opened.get(f"/api/documents/d{dataset}-0").json()
    assert "note" not in document


def test_a_picture_that_changes_is_sent_again_and_else_not(client: Client) -> None:
    opened, _, folder = client
    key = f"d{ready(opened, folder)['id']}-0"
    first = opened.get(f"/api/thumbnails/{key}")
    assert first.headers["cache-control"] == "private, no-cache"
    tag = {"if-none-match": first.headers["etag"]}
    assert opened.get(f"/api/thumbnails/{key}", headers=tag).status_code == 304
    (folder / "images/a/x.png").write_bytes(blobs(seed=5, count=9))
    again = opened.get(f"/api/thumbnails/{key}", headers=tag)
    assert again.status_code == 200
    assert again.content != first.content


def test_an_export_keeps_the_id_of_the_image(client: Client) -> None:
    opened, _, folder = client
    dataset = ready(opened, folder)["id"]
    exported = opened.get(f"/api/exports/d{dataset}-1.json").json()
    assert [(one["id"], one["file_name"]) for one in exported["images"]] == [(7, "b/x.png")]
    assert {one["image_id"] for one in exported["annotations"]} == {7}


def test_a_bad_record_is_said_and_the_rest_is_there(client: Client) -> None:
    opened, _, folder = client
    broken = content()
    broken["annotations"][0]["category_id"] = 8
    write_json(folder / "instances.json", broken)
    found = ready(opened, folder)
    assert (found["annotations"], found["left_out"]) == (1, 1)
    assert found["faults"] == [
        "annotations[0] (id 100): category_id 8 is no category of the annotation file"
    ]


def test_a_foreign_set_opens_too(client: Client) -> None:
    opened, _, folder = client
    (folder / "instances.json").unlink()
    write_json(folder / "_annotations.coco.json", coco_content())
    found = ready(opened, folder)
    assert (found["images"], found["annotations"]) == (2, 3)


# -- the grid -----------------------------------------------------------------------------------


def grid(opened: TestClient, dataset: str, **asked: object) -> dict[str, Any]:
    answer = opened.get("/api/grid", params={"dataset": dataset, **asked})
    assert answer.status_code == 200, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def test_the_grid_tells_of_every_image(client: Client) -> None:
    opened, _, folder = client
    dataset = ready(opened, folder)["id"]
    opened.get(f"/api/documents/d{dataset}-1")
    found = grid(opened, dataset)
    assert (found["total"], found["offset"]) == (3, 0)
    assert [
        (one["key"], one["file_name"], one["state"], one["truth"]) for one in found["rows"]
    ] == [
        (f"d{dataset}-0", "a/x.png", "waiting", 1),
        (f"d{dataset}-1", "b/x.png", "done", 1),
        (f"d{dataset}-2", "gone.png", "missing", 0),
    ]
    assert {(one["width"], one["height"]) for one in found["rows"]} == {(80, 60)}


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"name": "X.PNG"}, [0, 1]),
        ({"name": "gone", "category": ""}, [2]),
        ({"category": 90}, [1]),
        ({"category": 5}, []),
        ({"size": "small"}, [0, 1]),
        ({"size": "large"}, []),
        ({"offset": 1, "limit": 1}, [1]),
        ({"offset": 99}, []),
        ({"sort": "file", "checkpoint": "first"}, [0, 1, 2]),
    ],
)
def test_the_grid_is_filtered_and_cut(
    same_client: Client, asked: dict[str, object], rows: list[int]
) -> None:
    opened, _, folder = same_client
    dataset = ready(opened, folder)["id"]
    found = grid(opened, dataset, **asked)
    assert [one["key"] for one in found["rows"]] == [f"d{dataset}-{row}" for row in rows]


@pytest.mark.parametrize(
    "asked",
    [
        {"score": "x"}, {"score": "1.1"}, {"score": "nan"}, {"iou": "0.05"}, {"iou": "inf"},
        {"kind": "both"}, {"category": "-1"}, {"category": "\u0661"}, {"category": "9" * 30},
        {"size": "huge"}, {"error": "x"}, {"cell": "1"}, {"cell": "1,2,3"}, {"cell": "a,b"},
        {"sort": "DROP TABLE"}, {"offset": "-1"}, {"offset": "1e3"}, {"limit": "0"},
        {"limit": "501"}, {"name": "a" * 400},
    ],
)  # fmt: skip
def test_nonsense_in_the_address_of_the_grid_is_one_sentence(
    same_client: Client, asked: dict[str, str]
) -> None:
    opened, _, folder = same_client
    dataset = ready(opened, folder)["id"]
    answer = opened.get("/api/grid", params={"dataset": dataset, **asked})
    assert (answer.status_code, type(answer.json()["detail"])) == (422, str)


@pytest.mark.parametrize("asked", [{}, {"dataset": "x"}, {"dataset": "0" * 12}])
def test_a_grid_without_a_dataset_is_one_sentence(
    same_client: Client, asked: dict[str, str]
) -> None:
    answer = same_client[0].get("/api/grid", params=asked)
    assert (answer.status_code, type(answer.json()["detail"])) == (404, str)


# -- runs ---------------------------------------------------------------------------------------


def run_to_end(opened: TestClient, run: str) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found: dict[str, Any] = opened.get(f"/api/runs/{run}").json()
        if found["stage"] != "running":
            return found
        time.sleep(0.01)
    raise AssertionError("the run did not end")


def test_a_run_goes_over_all_images_that_are_there(client: Client) -> None:
    opened, _, folder = client
    dataset = ready(opened, folder)["id"]
    run = opened.post("/api/runs", json={"dataset": dataset, "checkpoint": "first"}).json()["run"]
    found = run_to_end(opened, run)
    assert (found["stage"], found["done"], found["total"], found["failed"]) == (
        "finished",
        2,
        2,
        [],
    )
    assert [one["state"] for one in grid(opened, dataset)["rows"]] == ["done", "done", "missing"]
    again = opened.post("/api/runs", json={"dataset": dataset}).json()["run"]
    assert run_to_end(opened, again)["done"] == 2
    assert opened.get("/api/runs", params={"dataset": dataset}).json() == {
        "run": None,
        "done": 2,
        "total": 2,  # the third image's file is missing
    }


def test_a_bad_image_is_named_and_can_be_tried_again(client: Client) -> None:
    opened, _, folder = client
    (folder / "images/b/x.png").write_bytes(b"no image")
    dataset = ready(opened, folder)["id"]
    run = opened.post("/api/runs", json={"dataset": dataset}).json()["run"]
    (failed,) = run_to_end(opened, run)["failed"]
    assert failed["key"] == f"d{dataset}-1"
    assert failed["file_name"] == "b/x.png"
    assert "b/x.png" in failed["sentence"]
    row = grid(opened, dataset)["rows"][1]
    assert (row["state"], row["note"]) == ("failed", failed["sentence"])
    (folder / "images/b/x.png").write_bytes(blobs(seed=1))
    again = opened.post(f"/api/runs/{run}/retry").json()["run"]
    found = run_to_end(opened, again)
    assert (found["done"], found["total"], found["failed"]) == (2, 2, [])


def test_a_run_can_be_joined_and_stopped(tmp_path: Path) -> None:
    detector = BlobDetector()
    detector.gate.clear()
    services = studio(tmp_path, detector)
    folder = make_folder(tmp_path / "set")
    with serve(services) as opened:
        dataset = ready(opened, folder)["id"]
        run = opened.post("/api/runs", json={"dataset": dataset}).json()["run"]
        assert opened.post("/api/runs", json={"dataset": dataset}).json()["run"] == run
        joined = opened.get("/api/runs", params={"dataset": dataset}).json()
        assert joined == {"run": run, "done": 0, "total": 2}
        stopped = opened.post(f"/api/runs/{run}/stop").json()
        assert stopped["stage"] == "stopped"
        detector.gate.set()
    services.close()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"dataset": 3}', b'{"dataset": "x", "checkpoint": 3}']
)
def test_nonsense_does_not_start_a_run(same_client: Client, body: bytes) -> None:
    answer = same_client[0].post("/api/runs", content=body)
    assert (answer.status_code, type(answer.json()["detail"])) == (422, str)


def test_unknown_runs_and_other_sites_are_refused(client: Client) -> None:
    opened, _, folder = client
    dataset = ready(opened, folder)["id"]
    for address in ("/api/runs/run-99/stop", "/api/runs/run-99/retry"):
        assert opened.post(address).status_code == 404
        evil = {"origin": "https://evil.example"}
        assert opened.post(address, headers=evil).status_code == 403
    assert opened.get("/api/runs/..%2fx").status_code == 404
    asked = {"dataset": dataset, "checkpoint": "../first"}
    assert opened.post("/api/runs", json=asked).status_code == 404
    assert opened.post("/api/runs", json={"dataset": "0" * 12}).status_code == 404


# -- COCO's photographs -------------------------------------------------------------------------


def test_photographs_of_coco_are_fetched_on_request(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, _, folder = client
    made: list[Path] = []

    def fetch(target: Path, progress: Any) -> None:
        made.append(target)
        file, images = coco_samples.places(target)
        progress(0, 2)
        file.parent.mkdir(parents=True)
        shutil.copytree(folder / "images", images)
        shutil.copy(folder / "instances.json", file)
        progress(2, 2)

    monkeypatch.setattr(coco_samples, "fetch", fetch)
    answer = opened.post("/api/datasets/samples")
    assert answer.status_code == 202
    found = settled(opened, answer.json()["id"])
    assert (found["name"], found["state"]) == ("COCO val2017 samples", "ready")
    assert (found["images"], len(made)) == (3, 1)


def test_without_a_network_the_request_says_so_and_may_be_repeated(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, _, _ = client
    monkeypatch.setattr(coco_samples, "SOURCE", "http://no-such-host.invalid")
    for _ in range(2):
        found = settled(opened, opened.post("/api/datasets/samples").json()["id"])
        assert found["state"] == "failed"
        assert found["sentence"].startswith("no-such-host.invalid can't be reached")
        assert found["sentence"].count(".") <= 4
    assert opened.get("/api/datasets").json()["recent"] == []


def test_other_sites_can_not_make_it_fetch(client: Client) -> None:
    evil = {"origin": "https://evil.example"}
    assert client[0].post("/api/datasets/samples", headers=evil).status_code == 403
