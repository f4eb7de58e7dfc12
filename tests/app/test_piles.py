"""Labels beside the model from the page: exact at any bar, and what is done is undone as one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services import Services
from comask.annotation import rle
from comask.annotation.labels import Gesture
from tests.app.prelabelling import labels_of, opened, run
from tests.app.standins import fixtures, serve

Page = tuple[TestClient, Services, str]


def planted(folder: Path) -> Iterator[Page]:
    """Plant, by image: 0 an extra and a miss; 1 as found; 2 one label halved, one rejected."""
    services, project = opened(folder, truth=1)
    with serve(services) as client:
        run(client, project)
        keys = [f"d{project}-{row}" for row in range(4)]
        change(services, keys[0], drop=[of_model(services, keys[0])[0].uid])
        first, second, *_ = of_model(services, keys[2])
        half = rle.decode(first.mask)
        rows = half.any(axis=1).nonzero()[0]
        half[rows[len(rows) // 2] :] = 0
        change(
            services,
            keys[2],
            put=[
                replace(first, mask=rle.encode(half), state="edited"),
                replace(second, state="rejected"),
            ],
        )
        yield client, services, project
    services.close()


page, same_page = fixtures(planted)


def of_model(services: Services, key: str) -> list[Any]:
    return [one for one in labels_of(services, key) if one.origin == "model"]


def change(services: Services, key: str, **what: Any) -> None:
    image = services.images.find(key)
    sheet = services.sheets.sheet(image)
    gesture = Gesture(f"change {key}", "bob", "edit", sheet.revision, **what)
    services.labels.apply(
        services.sheets.project_of(image).kept_as, image.file_name, gesture, lambda: sheet
    )


def asked(client: TestClient, project: str, **more: Any) -> dict[str, Any]:
    given = {"project": project, "checkpoint": "first", "bar": 0.75, "min_score": 0.05} | more
    answer = client.get("/api/piles", params=given)
    assert answer.status_code == 200, answer.text
    return answer.json()


def act(
    client: TestClient, project: str, pile: str, action: str, more: dict[str, Any] | None = None
) -> Any:
    sent: dict[str, Any] = {
        "project": project, "checkpoint": "first", "bar": 0.75, "min_score": 0.05, "pile": pile,
        "action": action, "rows": None, "actor": "ann", "key": f"{pile} {action}",
    }  # fmt: skip
    return client.post("/api/piles", json=sent | (more or {}))


def state_hash(services: Services, project: str) -> str:
    return services.labels.state_hash(services.sheets.project(project).kept_as)


def undo(client: TestClient, project: str) -> dict[str, Any]:
    sent = {"project": project, "actor": "ann", "key": "undo"}
    return client.post("/api/labels/undo", json=sent).json()


def test_planted_piles_are_found_and_counted(page: Page) -> None:
    client, services, project = page
    told = asked(client, project)
    total = sum(len(of_model(services, f"d{project}-{row}")) for row in range(4))
    assert (told["images"], told["waiting"]) == (4, 0)
    assert (told["extra"], told["missed"], told["low"]) == (1, 1, 1)
    assert told["agree"] == total - 2  # neither the halved one nor the one that is rejected
    rows = {row["pile"]: row for row in told["rows"]}
    assert rows.keys() == {"extra", "missed", "low"}
    assert (rows["extra"]["key"], rows["extra"]["label"]) == (f"d{project}-0", None)
    assert rows["missed"] == {
        "pile": "missed", "key": f"d{project}-0", "file_name": "0.png", "label": "t10",
        "found": None, "iou": 0, "category_id": 1, "class_score": None, "bbox": None,
    }  # fmt: skip
    file = services.checkpoints.find("first")
    assert file is not None
    found = services.predictions.get(services.checkpoints.identity(file), f"d{project}-0")
    assert found is not None
    mask = found.masks[int(rows["extra"]["found"][1:]) - 1]
    assert rows["extra"]["bbox"] == list(rle.bbox(mask))
    halved = next(one for one in of_model(services, f"d{project}-2") if one.state == "edited")
    assert (rows["low"]["label"], rows["low"]["key"]) == (halved.uid, f"d{project}-2")
    assert rows["low"]["iou"] == pytest.approx(halved.kept)
    for bar, low in ((halved.kept, 0), (halved.kept + 1e-9, 1)):
        assert asked(client, project, bar=repr(bar))["low"] == low


def test_a_pile_is_listed_by_parts(page: Page) -> None:
    client, _, project = page
    rows = asked(client, project)["rows"]
    for place in range(3):
        assert asked(client, project, offset=place, limit=1)["rows"] == [rows[place]]
    assert [row["pile"] for row in asked(client, project, pile="low")["rows"]] == ["low"]


def test_a_higher_score_takes_instances_out(page: Page) -> None:
    client, _, project = page
    told = asked(client, project, min_score=1)
    assert (told["extra"], told["low"], told["agree"]) == (0, 0, 0)


def test_images_without_a_result_wait(tmp_path: Path) -> None:
    services, project = opened(tmp_path, truth=1)
    with serve(services) as client:
        told = asked(client, project)
        assert (told["images"], told["waiting"], told["rows"]) == (0, 4, [])
        run(client, project, scope="selected", keys=[f"d{project}-1"])
        assert (asked(client, project)["images"], asked(client, project)["waiting"]) == (1, 3)
    services.close()


@pytest.mark.parametrize(
    ("pile", "action", "state"),
    [
        ("extra", "add", "proposed"),
        ("extra", "dismiss", "rejected"),
        ("missed", "review", "proposed"),
        ("missed", "reject", "rejected"),
        ("low", "take", "edited"),
        ("low", "review", "proposed"),
    ],
)
def test_an_action_empties_its_pile_and_is_undone(
    page: Page, pile: str, action: str, state: str
) -> None:
    client, services, project = page
    before = state_hash(services, project)
    (row,) = asked(client, project, pile=pile)["rows"]
    told = act(client, project, pile, action).json()
    assert told == {"count": 1, "images": 1}
    assert act(client, project, pile, action).status_code == 200  # the same key does nothing more
    after = labels_of(services, row["key"])
    if row["label"] is None:
        (one,) = [one for one in after if one.z == max(label.z for label in after)]
    else:
        one = next(one for one in after if one.uid == row["label"])
    assert one.state == state
    gone = {"extra add", "extra dismiss", "missed reject", "low take"}
    assert asked(client, project)[pile] == (0 if f"{pile} {action}" in gone else 1)
    undone = undo(client, project)
    assert (undone["kind"], undone["count"]) == (f"{pile} {action}", 1)
    assert state_hash(services, project) == before


def test_a_bulk_action_over_many_images_is_one_batch(page: Page) -> None:
    client, services, project = page
    undo(client, project)  # the pre-labelling goes, what bob did stays
    before = state_hash(services, project)
    extra = asked(client, project)["extra"]
    assert extra > 10
    told = act(client, project, "extra", "add").json()
    assert told == {"count": extra, "images": 4}
    assert asked(client, project)["extra"] == 0
    sent = {"project": project, "actor": "ann", "key": "again"}
    assert client.post("/api/labels/undo", json=sent).json()["count"] == 4
    assert state_hash(services, project) == before


def test_only_chosen_rows_are_touched(page: Page) -> None:
    client, _, project = page
    undo(client, project)
    rows = asked(client, project, pile="extra")["rows"]
    chosen = [{name: row[name] for name in ("key", "label", "found")} for row in rows[1:4]]
    told = act(client, project, "extra", "dismiss", {"rows": chosen}).json()
    assert told["count"] == 3
    left = asked(client, project, pile="extra")["rows"]
    assert left == [row for place, row in enumerate(rows) if place not in (1, 2, 3)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pile": "agree"}, "pile must be one of extra, missed, low"),
        ({"action": "reject"}, "what can be done to extra is add or dismiss"),
        ({"bar": 0.05}, "bar must be"),
        ({"min_score": 2}, "min_score must be"),
        ({"rows": [{"key": 1}]}, "an image's key must be a text"),
        ({"rows": 1}, "rows must be a list"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    same_page: Page, wrong: dict[str, Any], said: str
) -> None:
    client, _, project = same_page
    answer = act(client, project, "extra", "add", wrong)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    given = {"project": project, "checkpoint": "first", "bar": "0.05"}
    assert client.get("/api/piles", params=given).status_code == 422
