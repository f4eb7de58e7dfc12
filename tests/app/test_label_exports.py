"""Files of labels over HTTP: out with a certificate, in as one batch; hostile files stay out."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.actions import label_exports
from app.services import Services
from comask import cli
from comask.annotation import coco, rle
from comask.annotation.labels import Gesture, Label
from tests.app.labelling import HEIGHT, WIDTH, box, content, gesture, labelled, put, upload
from tests.app.standins import blobs, serve

Client = tuple[TestClient, Services, str]

RING = rle.encode(rle.decode(box(1, 1, 6, 6)) - rle.decode(box(2, 2, 5, 5)))  # 25 - 9 px


@contextmanager
def serving(folder: Path) -> Iterator[Client]:
    services, dataset = labelled(folder)
    with serve(services) as opened:
        yield opened, services, dataset
    services.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with serving(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Give a client for what must change nothing; the end checks that."""
    with serving(tmp_path_factory.mktemp("quiet")) as one:
        yield one
        assert one[1].labels.sheets(one[1].kept_as(f"d{one[2]}-1")[0]) == {}


def export(client: Client, **more: Any) -> dict[str, Any]:
    answer = client[0].post("/api/labels/exports", json=asked(client, **more))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def asked(client: Client, **more: Any) -> dict[str, Any]:
    about = {"project": client[2], "format": "coco", "masks": "rle", "include": "kept"}
    return {**about, "min_score": 0, "scores": False, "provenance": False, **more}


def check(answer: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in answer["certificate"]["checks"] if one["name"] == name)


def draw(client: Client, row: int, *labels: dict[str, Any], key: str = "k1") -> None:
    place = f"/api/labels/d{client[2]}-{row}/ops"
    answer = client[0].post(place, json=gesture(key, 0, labels))
    assert answer.status_code == 200, answer.text


def test_labels_go_out_with_a_certificate(client: Client) -> None:
    draw(client, 1, put("drawn", RING, category=90))
    answer = export(client)
    assert answer["certificate"]["passed"]
    assert (answer["images"], answer["annotations"]) == (4, 6)
    assert answer["polygons"] is None
    got = client[0].get(answer["url"])
    assert got.headers["content-disposition"].startswith('attachment; filename="instances.json"')
    assert len(got.content) == answer["bytes"]
    found = coco.parse(got.content)
    assert [(i.id, i.file_name) for i in found.images] == [
        (0, "a.png"),
        (1, "b.png"),
        (2, "twice.png"),
        (4, "wrong.png"),
    ]
    assert {a.id for a in found.annotations} == {11, 12, 13, 21, 22, 23}
    assert [a.iscrowd for a in found.annotations] == [False, False, True, False, False, False]
    assert found.annotations[0].extra == {"note": "kept"}
    told = client[0].get(f"{answer['url']}/certificate.json").json()
    assert told["passed"] is True
    assert told["sha256"] == hashlib.sha256(got.content).hexdigest()
    assert answer["certificate"]["categories"][0] == {
        "id": 1,
        "name": "cell",
        "instances": 3,
        "crowds": 1,
        "evaluated": 3,
        "ap": 1.0,
    }


def test_what_is_left_out_is_named_by_its_page_key(quiet: Client) -> None:
    rows = check(export(quiet), "left_out")["rows"]
    assert [(row["key"], row["id"], row["annotation_id"]) for row in rows] == [
        (f"d{quiet[2]}-0", "t14", 14),
        (f"d{quiet[2]}-4", None, None),
    ]
    assert "9 x 9" in rows[1]["sentence"]


def test_the_command_line_gives_the_same_bytes(client: Client, tmp_path: Path) -> None:
    draw(client, 1, put("drawn", RING, category=90))
    page = client[0].get(export(client, provenance=True)["url"]).content
    home = tmp_path / "set"
    words = ["export", "--annotations", home / "instances.json", "--images", home / "images"]
    store = client[1].settings.workspace / "runs.sqlite"
    output = tmp_path / "out.json"
    code = cli.main([*map(str, [*words, "--store", store, "--output", output]), "--provenance"])
    assert code == 0
    assert output.read_bytes() == page


def test_polygons_tell_their_iou(client: Client) -> None:
    draw(client, 1, put("ring", RING, category=90))
    answer = export(client, masks="polygon", bar=0.6)
    assert answer["polygons"]["drawn"] == 5  # the crowd stays RLE
    assert answer["polygons"]["fallen_back"] == 0
    assert answer["polygons"]["worst_iou"] == 16 / 25
    worst = answer["polygons"]["rows"][0]
    assert (worst["key"], worst["id"]) == (f"d{client[2]}-1", "ring")
    assert (worst["iou"], worst["points"]) == (16 / 25, 4)
    assert worst["file_name"].endswith(".png")
    answer = export(client, masks="polygon", bar=0.65)
    assert answer["polygons"]["fallen_back"] == 1
    assert answer["certificate"]["passed"]


def test_a_hole_that_yolo_fills_leads_to_its_instance(client: Client) -> None:
    draw(client, 1, put("ring", RING, category=90))
    answer = export(client, format="yolo")
    assert not answer["certificate"]["passed"]
    (row,) = check(answer, "masks")["rows"]
    assert (row["key"], row["id"]) == (f"d{client[2]}-1", "ring")
    assert export(client, format="yolo", keyholes=True)["certificate"]["passed"]


@pytest.mark.parametrize("kind", ["labelme", "yolo"])
def test_zips_hold_a_file_for_each_image(quiet: Client, kind: str) -> None:
    answer = export(quiet, format=kind)
    assert answer["file_name"] == f"{kind}.zip"
    got = quiet[0].get(answer["url"])
    assert got.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
        names = [Path(name).stem for name in archive.namelist()[1:]]
    assert names == ["a", "b", "twice", "wrong"]


def test_uploads_of_one_name_go_out_under_two(client: Client) -> None:
    services = client[1]
    first, second = (services.images.add(blobs(seed=n), "same.png").image for n in (1, 2))
    services.labels.set_categories("uploads", coco.parse(json.dumps(content()).encode()).categories)
    for image in (first, second):
        size = services.images.size(image)
        label = put("a", box(0, 0, 3, 3, size))
        answer = client[0].post(f"/api/labels/{image.key}/ops", json=gesture(image.key, 0, [label]))
        assert answer.status_code == 200
    answer = export(client, project="uploads")
    assert answer["certificate"]["passed"]
    found = coco.parse(client[0].get(answer["url"]).content)
    assert [i.file_name for i in found.images] == ["same.png", "same (2).png"]
    assert [(i.width, i.height) for i in found.images] == [(80, 60), (80, 60)]


def test_old_exports_are_removed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_exports, "KEPT", 2)
    urls = [export(client)["url"] for _ in range(3)]
    assert client[0].get(urls[2]).status_code == 200
    assert sum(client[0].get(url).status_code == 200 for url in urls) == 2


@pytest.mark.parametrize("name", ["x", "..", "%2e%2e", "0" * 32, "0" * 31 + "/"])
def test_what_is_no_export_is_not_found(quiet: Client, name: str) -> None:
    assert quiet[0].get(f"/api/labels/exports/{name}").status_code == 404


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"format": "voc"}, 422, "format must be one of"),
        ({"format": None}, 422, "format must be one of"),
        ({"format": ["coco"]}, 422, "format must be one of"),
        ({"masks": "bitmap"}, 422, "masks must be rle or polygon"),
        ({"bar": 2}, 422, "bar must be a number in 0 .. 1"),
        ({"bar": True}, 422, "bar must be a number in 0 .. 1"),
        ({"include": {}}, 422, "include must be kept or all"),
        ({"include": ["all"]}, 422, "include must be kept or all"),
        ({"min_score": "0"}, 422, "min_score must be a number"),
        ({"scores": 1}, 422, "scores must be true or false"),
        ({"project": "nothing"}, 404, "no such dataset"),
        ({"project": 7}, 422, "project must be a text"),
    ],
)
def test_senseless_exports_are_refused(
    quiet: Client, changed: dict[str, Any], status: int, words: str
) -> None:
    answer = quiet[0].post("/api/labels/exports", json=asked(quiet, **changed))
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_other_sites_can_neither_export_nor_import(quiet: Client) -> None:
    headers = {"origin": "https://elsewhere.example"}
    for place in ("exports", "import"):
        answer = quiet[0].post(f"/api/labels/{place}", json=asked(quiet), headers=headers)
        assert answer.status_code == 403


# -- in -----------------------------------------------------------------------------------------


def send(client: Client, data: bytes, name: str = "a.json", **more: str) -> Any:
    fields = {"project": client[2], "actor": "ann", "key": "import-1", "policy": "add", **more}
    return client[0].post("/api/labels/import", files={"file": (name, data)}, data=fields)


def strangers(*annotations: dict[str, Any]) -> bytes:
    file = {
        "images": [{"id": 77, "file_name": "b.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 5, "name": "Nucleus"}, {"id": 6, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": 77, "category_id": 5, **one}
            for n, one in enumerate(annotations, start=1)
        ],
    }
    return json.dumps(file).encode()


def labels_of(client: Client, row: int) -> list[dict[str, Any]]:
    return list(client[0].get(f"/api/labels/d{client[2]}-{row}").json()["instances"])


def test_a_coco_file_comes_in_by_names_and_can_be_undone(client: Client) -> None:
    one = {"segmentation": RING.to_coco()}
    two = {"segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]], "category_id": 6}
    answer = send(client, strangers(one, two))
    assert answer.json() == {
        "images": 1,
        "labels": 1,
        "skipped": 1,
        "sentence": "1 label on 1 image; 1 are left out: there is no class 'dog' here, so its "
        "labels are left out.",
    }
    (label,) = labels_of(client, 1)
    assert (label["state"], label["origin"], label["category_id"]) == ("accepted", "file", 90)
    assert label["rle"] == RING.to_coco()
    undone = client[0].post(
        "/api/labels/undo", json={"project": client[2], "actor": "ann", "key": "u"}
    )
    assert (undone.json()["kind"], undone.json()["count"]) == ("import", 1)
    assert labels_of(client, 1) == []


def test_the_same_file_twice_brings_nothing_new(client: Client) -> None:
    data = strangers({"segmentation": RING.to_coco()}, {"segmentation": RING.to_coco()})
    assert send(client, data).json()["labels"] == 2
    answer = send(client, data, key="import-2").json()
    assert (answer["labels"], answer["images"]) == (0, 0)
    assert "2 were there already" in answer["sentence"]
    assert len(labels_of(client, 1)) == 2


def test_labels_that_the_file_had_already_are_not_doubled(quiet: Client) -> None:
    data = json.dumps(content() | {"images": content()["images"][:2]})
    whole = json.loads(data)
    whole["annotations"] = [a for a in whole["annotations"] if a["image_id"] < 2]
    answer = send(quiet, json.dumps(whole).encode()).json()
    assert answer["labels"] == 0


def test_results_come_in_as_proposals(client: Client) -> None:
    rows = [{"image_id": 1, "category_id": 90, "segmentation": RING.to_coco(), "score": 1.2}]
    assert send(client, json.dumps(rows).encode()).json()["labels"] == 1
    (label,) = labels_of(client, 1)
    assert (label["state"], label["origin"], label["class_score"]) == ("proposed", "model", 1.0)
    assert label["score"] == 1.2


def test_replacing_takes_untouched_proposals_alone_away(client: Client) -> None:
    services, dataset = client[1], client[2]
    project = services.kept_as(f"d{dataset}-1")[0]
    there = [
        Label(state, 1, box(n, 0, n + 1, 1), state, "model", checkpoint="c")
        for n, state in enumerate(("proposed", "accepted", "edited", "rejected"))
    ]
    base = services.sheets.begun(image_of(services, f"d{dataset}-1")).sheet
    one = Gesture("k", "ann", "prelabel", 0, there)
    services.labels.apply(project, "b.png", one, lambda: base)
    send(client, strangers({"segmentation": RING.to_coco()}), policy="replace")
    sheet = services.labels.sheet(project, "b.png")
    assert sheet is not None
    assert sorted(label.state for label in sheet.labels) == [
        "accepted",
        "accepted",
        "edited",
        "rejected",
    ]


def image_of(services: Services, key: str) -> Any:
    found = services.images.find(key)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["coco", "labelme", "yolo", "results"])
def test_what_went_out_comes_in_again_elsewhere(client: Client, tmp_path: Path, kind: str) -> None:
    draw(client, 1, put("square", box(1, 1, 6, 4), category=90))
    exported = client[0].get(export(client, format=kind)["url"]).content
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as other:
        answer = send(other, exported, "a.zip")
        assert answer.status_code == 200, answer.text
        assert answer.json()["labels"] == 1  # all others are in the other folder's COCO file
        (label,) = labels_of(other, 1)
        assert label["rle"] == box(1, 1, 6, 4).to_coco()
        assert label["category_id"] == 90


def test_classes_come_with_the_file_where_there_are_none(client: Client) -> None:
    image = upload(client[1])
    height, width = client[1].images.size(image)
    line = "0 0 0 0.5 0 0.5 0.5 0 0.5\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.yaml", "names:\n  0: cell\n")
        archive.writestr("labels/upload-0.txt", line)
    answer = send(client, file.getvalue(), "a.zip", project="uploads")
    assert answer.json()["labels"] == 1, answer.text
    document = client[0].get(f"/api/labels/{image.key}").json()
    assert document["categories"][0]["name"] == "cell"
    assert document["instances"][0]["area"] == height * width / 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not JSON"),
        (b"\x89PNG\r\n\x1a\n", "is not JSON: it is no text in UTF-8"),
        (b"PK\x03\x04 no zip", "damaged zip"),
        (b"[1]", "must be an object"),
        (b'{"images": []}', "categories is missing"),
        (b"[" * 200_000, "is not JSON"),
    ],
)
def test_strangers_files_are_refused_in_one_sentence(
    quiet: Client, data: bytes, words: str
) -> None:
    answer = send(quiet, data)
    assert answer.status_code == 422
    said = answer.json()["detail"]
    assert words in said
    assert "\n" not in said
    assert said.endswith(".")
    assert len(said) < 400
    assert labels_of(quiet, 1) == []


def test_a_files_name_leads_nowhere(client: Client) -> None:
    for name in ("../../x.json", "C:\\x.json", "...", "\x00", "a" * 5000):
        answer = send(client, strangers({"segmentation": RING.to_coco()}), name)
        assert answer.status_code in (200, 422), answer.text


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"policy": "overwrite"}, 422),
        ({"actor": ""}, 422),
        ({"key": "x" * 65}, 422),
        ({"project": "0" * 12}, 404),
    ],
)
def test_senseless_imports_are_refused(quiet: Client, changed: dict[str, str], status: int) -> None:
    answer = send(quiet, strangers({"segmentation": RING.to_coco()}), **changed)
    assert answer.status_code == status


def test_an_import_must_hold_a_file(quiet: Client) -> None:
    answer = quiet[0].post("/api/labels/import", data={"project": quiet[2]})
    assert answer.status_code == 422
    assert "must hold a file" in answer.json()["detail"]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(quiet: Client) -> None:
    most = quiet[1].settings.limits.request_bytes
    headers = {"content-length": str(most + 1)}
    answer = quiet[0].post("/api/labels/import", content=b"", headers=headers)
    assert answer.status_code == 413
