"""Pre-labelling from the page: progress, stopping, trying again, and what people did stays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.services import Services
from comask.annotation.labels import Gesture, Label
from tests.app.prelabelling import (
    ALL,
    MAPPING,
    asked,
    ended,
    labels_of,
    opened,
    run,
    until,
)
from tests.app.standins import BlobDetector, blobs, fixtures, serve

Page = tuple[TestClient, Services, str]


def served(folder: Path) -> Iterator[Page]:
    services, project = opened(folder, truth=1)
    with serve(services) as client:
        yield client, services, project
    services.close()


page, same_page = fixtures(served)


def found(services: Services, key: str) -> int:
    file = services.checkpoints.find(None)
    assert file is not None
    prediction = services.prediction(file, key)
    assert prediction is not None
    return len(prediction)


def test_the_classes_are_matched_by_name(page: Page) -> None:
    client, _, project = page
    told = client.get(f"/api/prelabel/mapping?project={project}&checkpoint=first").json()
    assert told == {
        "classes": [{"name": "blob", "category_id": 1}, {"name": "speck", "category_id": 2}],
        "categories": [{"id": 1, "name": "blob"}, {"id": 2, "name": "Speck"}],
    }
    told = client.get("/api/prelabel/mapping?project=uploads&checkpoint=first").json()
    assert [one["id"] for one in told["categories"]] == [7, 90]  # the checkpoint's own


def test_all_images_are_labelled(page: Page) -> None:
    client, services, project = page
    state = run(client, project)
    keys = [f"d{project}-{row}" for row in range(4)]
    count = sum(found(services, key) for key in keys)
    assert state == {
        "task": "prelabel-1", "total": 4, "stage": "finished", "done": 4, "added": count,
        "images": 4, "left_out": 0, "seconds_left": None, "sentence": "", "failed": [],
        "failed_count": 0,
    }  # fmt: skip
    assert next(one.uid for one in labels_of(services, keys[0])) == "t10"
    assert sum(one.state == "proposed" for key in keys for one in labels_of(services, key)) == count
    assert client.get(f"/api/prelabel?project={project}").json() == {"task": "prelabel-1"}


def test_the_same_key_is_the_same_task_and_another_one_adds_nothing(page: Page) -> None:
    client, services, project = page
    run(client, project)
    before = services.labels.state_hash(services.sheets.project(project).kept_as)
    assert client.post("/api/prelabel", json=asked(project)).json() == {"task": "prelabel-1"}
    for number, policy in enumerate(("add", "replace"), start=2):
        state = run(client, project, f"run-{number}", policy=policy)
        assert (state["done"], state["added"], state["images"]) == (4, 0, 0)
    assert services.labels.state_hash(services.sheets.project(project).kept_as) == before


def test_unmapped_classes_are_counted(page: Page) -> None:
    client, services, project = page
    state = run(client, project, mapping=ALL)
    keys = [f"d{project}-{row}" for row in range(4)]
    total = sum(found(services, key) for key in keys)
    assert state["left_out"] > 0
    assert state["added"] == total - state["left_out"]


def test_only_images_without_any_label_or_those_chosen(page: Page) -> None:
    client, _, project = page
    assert run(client, project, "a", scope="selected", keys=[f"d{project}-2", "x"])["total"] == 1
    assert (
        run(client, project, "b", scope="unlabelled")["total"] == 2
    )  # truth in one, labels in one
    refused = client.post(
        "/api/prelabel", json=asked(project, "c", scope="selected", keys=["d0-1"])
    )
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "There is no image to pre-label.",
    )


@pytest.mark.parametrize("policy", ["add", "replace"])
def test_human_work_is_sacred(tmp_path: Path, policy: str) -> None:
    services, project = opened(tmp_path, pictures=16, truth=4)
    client = serve(services)
    run(client, project)
    keys = [f"d{project}-{row}" for row in range(16)]
    touched: dict[str, Label] = {}
    kept_as = services.sheets.project(project).kept_as
    states = ("accepted", "edited", "rejected", "accepted")
    for key in keys:
        sheet = services.sheets.sheet(services.images.find(key))
        model = [one for one in sheet.labels if one.origin == "model"][:4]
        put = [replace(one, state=state) for one, state in zip(model, states, strict=False)]
        put[1] = replace(put[1], mask=put[0].mask, category=3 - put[1].category)
        name = services.images.find(key).file_name
        gesture = Gesture(f"g{key}", "ann", "edit", sheet.revision, put=put)
        done = services.labels.apply(kept_as, name, gesture, lambda sheet=sheet: sheet)
        for one in done.sheet.labels:
            if one.state != "proposed":
                touched[f"{key} {one.uid}"] = one
    assert len(touched) >= 50
    run(client, project, "again", policy=policy, min_score=0.4, overlap=0.3)
    for place, label in touched.items():
        key, uid = place.split()
        assert label in labels_of(services, key), uid
    once = services.labels.state_hash(kept_as)
    run(client, project, "once more", policy=policy, min_score=0.4, overlap=0.3)
    assert services.labels.state_hash(kept_as) == once
    services.close()


def test_replacing_with_a_higher_score_takes_untouched_proposals_away(page: Page) -> None:
    client, services, project = page
    run(client, project)
    run(client, project, "again", policy="replace", min_score=0.5)
    for row in range(4):
        scores = [one.class_score for one in labels_of(services, f"d{project}-{row}")]
        assert all(score is None or score > 0.5 for score in scores)


def test_a_run_is_undone_as_one(page: Page) -> None:
    client, services, project = page
    run(client, project)
    undone = client.post(
        "/api/labels/undo", json={"project": project, "actor": "ann", "key": "u1"}
    ).json()
    assert (undone["kind"], undone["count"], undone["skipped"]) == ("prelabel", 4, 0)
    assert [len(labels_of(services, f"d{project}-{row}")) for row in range(4)] == [1, 0, 0, 0]


@pytest.mark.parametrize("bad", [b"", b"no image", blobs()[:100]], ids=["empty", "text", "cut"])
def test_bad_images_do_not_end_it_and_can_be_tried_again(tmp_path: Path, bad: bytes) -> None:
    services, project = opened(tmp_path, pictures=20)
    place = tmp_path / "set/images/7.png"
    good = place.read_bytes()
    place.write_bytes(bad)
    with serve(services) as client:
        state = run(client, project)
        assert (state["done"], state["failed_count"], state["stage"]) == (19, 1, "finished")
        (failed,) = state["failed"]
        assert (failed["key"], failed["file_name"]) == (f"d{project}-7", "7.png")
        assert "7.png" in failed["sentence"]
        place.write_bytes(good)
        assert client.post("/api/prelabel/prelabel-1/retry").status_code == 200
        state = ended(client, "prelabel-1")
        assert (state["done"], state["failed_count"], state["stage"]) == (20, 0, "finished")
        assert len(labels_of(services, f"d{project}-7")) == found(services, f"d{project}-7")
    services.close()


def test_a_missing_image_is_listed(tmp_path: Path) -> None:
    services, project = opened(tmp_path)
    (tmp_path / "set/images/1.png").unlink()
    with serve(services) as client:
        state = run(client, project)
        assert (state["done"], [one["file_name"] for one in state["failed"]]) == (3, ["1.png"])
    services.close()


def test_it_can_be_stopped_and_goes_on(tmp_path: Path) -> None:
    detector = BlobDetector(seconds=0.05)
    services, project = opened(tmp_path, pictures=12, detector=detector)
    with serve(services) as client:
        task = client.post("/api/prelabel", json=asked(project)).json()["task"]
        until(client, task, lambda state: state["done"] >= 2 and state["seconds_left"] is not None)
        stopped = client.post(f"/api/prelabel/{task}/stop").json()
        assert (stopped["stage"], stopped["seconds_left"]) == ("stopped", None)
        client.post(f"/api/prelabel/{task}/retry")
        state = ended(client, task)
        assert (state["stage"], state["done"], state["total"]) == ("finished", 12, 12)
        assert detector.seen == 12
        kept = services.labels.sheets(services.sheets.project(project).kept_as)
        assert sum(sum(one.counts.values()) for one in kept.values()) == state["added"]
    services.close()


def test_a_task_that_ended_with_the_server_is_begun_again(tmp_path: Path) -> None:
    services, project = opened(tmp_path, pictures=8, detector=BlobDetector(seconds=0.05))
    with serve(services) as client:
        task = client.post("/api/prelabel", json=asked(project)).json()["task"]
        until(client, task, lambda state: state["done"] >= 2)
        services.close()
    detector = BlobDetector()
    services, project = opened(tmp_path, pictures=8, detector=detector)
    other, project_2 = opened(tmp_path / "other", pictures=8)
    with serve(services) as client, serve(other) as whole:
        state = run(client, project)
        assert (state["done"], state["stage"]) == (8, "finished")
        assert detector.seen < 8
        run(whole, project_2)
        for row in range(8):
            mine, theirs = (
                labels_of(services, f"d{project}-{row}"),
                labels_of(other, f"d{project_2}-{row}"),
            )
            assert mine == theirs
        undone = client.post(
            "/api/labels/undo", json={"project": project, "actor": "ann", "key": "u1"}
        ).json()
        assert undone["count"] == 8  # both halves are one batch
    services.close()
    other.close()


def test_a_run_that_goes_on_is_shared(tmp_path: Path) -> None:
    detector = BlobDetector(seconds=0.02)
    services, project = opened(tmp_path, pictures=10, detector=detector)
    with serve(services) as client:
        client.post("/api/runs", json={"dataset": project, "checkpoint": "first"})
        assert run(client, project)["done"] == 10
        assert detector.seen == 10
    services.close()


def test_uploads_take_the_checkpoints_classes(page: Page) -> None:
    client, services, _ = page
    image = services.images.add(blobs(seed=5), "mine.png").image
    state = run(client, "uploads", mapping={"blob": 7, "speck": 90})
    assert (state["done"], state["total"]) == (1, 1)
    assert {one.category for one in labels_of(services, image.key)} <= {7, 90}
    assert [one.name for one in services.labels.categories("uploads") or ()] == ["blob", "speck"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mapping": {"blob": 5}}, "The project has no class 5"),
        ({"mapping": {"cat": 1}}, "The checkpoint has no class cat"),
        ({"mapping": {"blob": True}}, "mapping: 'blob' must go to a category"),
        ({"mapping": [1]}, "mapping must be an object"),
        ({"min_score": 1.5}, "min_score must be"),
        ({"min_score": "0.5"}, "min_score must be"),
        ({"overlap": None}, "overlap is missing"),
        ({"policy": "merge"}, "policy must be add or replace"),
        ({"scope": "some"}, "scope must be all, unlabelled or selected"),
        ({"scope": "selected", "keys": [1]}, "an image's key must be a text"),
        ({"scope": "selected", "keys": None}, "keys is missing"),
        ({"actor": ""}, "actor must be a text of 1 to 64"),
        ({"key": "k" * 65}, "key must be a text of 1 to 64"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    same_page: Page, wrong: dict[str, object], said: str
) -> None:
    client, _, project = same_page
    answer = client.post("/api/prelabel", json=asked(project) | wrong)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_unknown_projects_checkpoints_and_tasks_are_one_sentence(same_page: Page) -> None:
    client, _, project = same_page
    assert client.post("/api/prelabel", json=asked("0" * 12)).status_code == 404
    wrong = asked(project, checkpoint="none")
    assert client.post("/api/prelabel", json=wrong).status_code == 404
    assert client.get("/api/prelabel/none").status_code == 404
    assert client.post("/api/prelabel/none/stop").status_code == 404
    assert client.post("/api/prelabel/none/retry").status_code == 404
    other = {"origin": "https://elsewhere.example"}
    assert client.post("/api/prelabel", json=asked(project), headers=other).status_code == 403
    assert client.post("/api/prelabel/x/stop", headers=other).status_code == 403


def test_a_region_goes_through_the_model_by_itself(page: Page) -> None:
    client, services, project = page
    key = f"d{project}-1"
    sent = {
        "key": key, "box": [0.4, 0, 79.5, 59.2], "checkpoint": "first", "min_score": 0.05,
        "mapping": MAPPING, "overlap": 0.5, "actor": "ann", "gesture": "r1", "revision": 0,
    }  # fmt: skip
    answer = client.post("/api/prelabel/region", json=sent).json()
    whole = services.models.get(
        file := services.checkpoints.find("first"), services.checkpoints.identity(file)
    ).predict(services.images.pixels(services.images.find(key)))
    assert {one["rle"]["counts"] for one in answer["instances"]} == {
        mask.counts for mask in whole.masks
    }
    assert answer["revision"] == 1
    assert "on the same pyramid levels" in answer["levels_note"]
    assert (
        client.post("/api/prelabel/region", json=sent | {"gesture": "r2", "revision": 1}).json()[
            "instances"
        ]
        == []
    )  # nothing new there
    half = sent | {"gesture": "r3", "box": [10, 0, 80, 60], "revision": 0, "overlap": 1.0}
    clash = client.post("/api/prelabel/region", json=half)
    if clash.status_code != 200:
        assert clash.status_code == 409
        assert clash.json()["document"]["revision"] == 1
    small = client.post("/api/prelabel/region", json=sent | {"box": [1, 1, 5, 50]})
    assert (small.status_code, "smaller than 8 x 8" in small.text) == (422, True)


def test_a_stand_in_can_not_refit(page: Page) -> None:
    client, _, project = page
    sent = {"box": [0, 0, 20, 20], "checkpoint": "first", "category_id": None}
    answer = client.post(f"/api/labels/d{project}-0/refit", json=sent)
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "This model can't be looked into.",
    )
    wrong = client.post(f"/api/labels/d{project}-0/refit", json=sent | {"box": [0, 0, 1]})
    assert (wrong.status_code, "box must be four numbers" in wrong.text) == (422, True)
