"""The routes of labels: hostile requests, two people at one image, and a server that is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from fastapi.testclient import TestClient

from app.actions import label_lists
from app.canvas import label_asked
from app.services import Services
from comask.annotation.layout import Layout
from tests.app.labelling import box, gesture, labelled, put, upload
from tests.app.standins import PATIENCE, serve, studio

ROOT = Path(__file__).resolve().parents[2]
SQUARE = box(0, 3, 2, 5)
ABSENT = object()

Client = tuple[TestClient, Services, str]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    services, dataset = labelled(tmp_path)
    with serve(services) as opened:
        yield opened, services, dataset
    services.close()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Give a client for requests that must change nothing; the fixture's end checks that."""
    services, dataset = labelled(tmp_path_factory.mktemp("quiet"))
    with serve(services) as opened:
        yield opened, services, dataset
        assert services.labels.sheets(services.kept_as(f"d{dataset}-0")[0]) == {}
    services.close()


def sentence(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    said = answer.json()["detail"]
    assert isinstance(said, str)
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 400
    return str(said)


def changed(value: dict[str, Any], name: str, other: Any) -> dict[str, Any]:
    rest = {key: one for key, one in value.items() if key != name}
    return rest if other is ABSENT else {**rest, name: other}


# -- strangers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", ABSENT),
        ("key", ""),
        ("key", "k" * 65),
        ("key", 7),
        ("key", "a\0b"),
        ("actor", None),
        ("actor", "a" * 65),
        ("actor", "a\nb"),
        ("kind", ["brush"]),
        ("kind", "b" * 10_000),
        ("revision", ABSENT),
        ("revision", True),
        ("revision", -1),
        ("revision", 0.0),
        ("revision", "0"),
        ("revision", 2**63),
        ("put", ABSENT),
        ("put", {}),
        ("put", [None]),
        ("put", [[]]),
        ("put", [{}] * 20_001),
        ("drop", None),
        ("drop", [7]),
        ("drop", ["t11", "t11"]),
        ("drop", ["n1"]),
        ("drop", ["../t11"]),
        ("drop", ["t" * 65]),
        ("drop", [""]),
        ("drop", ["t11"] * 20_001),
        ("state", True),
        ("state", "finished"),
        ("state", []),
        ("actions", True),
        ("actions", -1),
        ("actions", 1.5),
        ("actions", 10**9),
        ("seconds", False),
        ("seconds", -0.1),
        ("seconds", "2"),
        ("seconds", 1e9),
        ("seconds", None),
    ],
)
def test_a_hostile_gesture_is_one_sentence(quiet: Client, name: str, value: object) -> None:
    opened, _, dataset = quiet
    sent = changed(gesture("k1", 0, [put("n1", SQUARE)]), name, value)
    sentence(opened.post(f"/api/labels/d{dataset}-0/ops", json=sent), 422)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ABSENT),
        ("id", 3),
        ("id", "a b"),
        ("id", "ä"),
        ("id", "n" * 65),
        ("category_id", True),
        ("category_id", 1.0),
        ("category_id", "1"),
        ("category_id", 2),
        ("category_id", -1),
        ("category_id", 2**64),
        ("state", "done"),
        ("state", ABSENT),
        ("state", ["new"]),
        ("z", None),
        ("z", True),
        ("z", 2**31),
        ("z", 0.5),
        ("iscrowd", 0),
        ("iscrowd", "false"),
        ("iscrowd", ABSENT),
        ("rle", ABSENT),
        ("rle", "0"),
        ("rle", []),
        ("rle", {"size": [6, 8]}),
        ("rle", {"size": [6], "counts": "0"}),
        ("rle", {"size": [6, True], "counts": "0"}),
        ("rle", {"size": [6.0, 8.0], "counts": SQUARE.counts}),
        ("rle", {"size": [8, 6], "counts": SQUARE.counts}),  # it fills 48 pixels all the same
        ("rle", {"size": [10**9, 10**9], "counts": SQUARE.counts}),
        ("rle", {"size": [6, 8], "counts": ""}),
        ("rle", {"size": [6, 8], "counts": [48]}),
        ("rle", {"size": [6, 8], "counts": "`1"}),  # one run of 48: nothing is inside
        ("rle", {"size": [6, 8], "counts": "0`"}),  # breaks off
        ("rle", {"size": [6, 8], "counts": "\x7f\x7f"}),
        ("rle", {"size": [6, 8], "counts": "é"}),
        ("rle", {"size": [6, 8], "counts": "oooooooooo0"}),  # more than 32 bits
    ],
)
def test_a_hostile_label_is_one_sentence(quiet: Client, name: str, value: object) -> None:
    opened, _, dataset = quiet
    labels = [put("n0", SQUARE), changed(put("n1", SQUARE), name, value)]
    sent = gesture("k1", 0, labels, drop=["t11"])
    sentence(opened.post(f"/api/labels/d{dataset}-0/ops", json=sent), 422)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"key": "\\ud800"}',
        json.dumps(gesture("k1", 0)).replace("2.5", "NaN").encode(),
        json.dumps(gesture("k1", 0)).replace("2.5", "1" + "0" * 400).encode(),
        json.dumps(gesture("k1", 0)).replace("2.5", "1e400").encode(),
        json.dumps(gesture("k1", 0)).replace('"revision": 0', f'"revision": 1{"0" * 400}').encode(),
        b"[" * 100_000,
    ],
)
def test_what_is_no_gesture_is_one_sentence(quiet: Client, content: bytes) -> None:
    opened, _, dataset = quiet
    for room in (f"d{dataset}-0/ops", f"d{dataset}-0/effort", "undo", "redo", "categories"):
        sentence(opened.post(f"/api/labels/{room}", content=content), 422)


def test_an_endless_request_is_cut_off(quiet: Client) -> None:
    opened, _, dataset = quiet
    long = b" " * 1_000_000
    for room, times in ((f"d{dataset}-0/ops", 33), ("categories", 5), ("undo", 1)):
        answer = opened.post(f"/api/labels/{room}", content=(long for _ in range(times)))
        sentence(answer, 413)


@pytest.mark.parametrize("room", ["ops", "effort", "undo", "redo", "categories"])
def test_another_site_can_not_write(quiet: Client, room: str) -> None:
    opened, _, dataset = quiet
    place = f"d{dataset}-0/{room}" if room in ("ops", "effort") else room
    sent = {**gesture("k1", 0, [put("n1", SQUARE)]), "project": dataset, "categories": []}
    headers = {"origin": "https://evil.example"}
    sentence(opened.post(f"/api/labels/{place}", json=sent, headers=headers), 403)


@pytest.mark.parametrize("key", ["x", "0" * 32, "%00", "d0123456789ab-0", "é"])
def test_an_unknown_image_is_one_sentence(quiet: Client, key: str) -> None:
    opened = quiet[0]
    sentence(opened.get(f"/api/labels/{key}"), 404)
    sentence(opened.get(f"/api/labels/{key}/history"), 404)
    sentence(opened.post(f"/api/labels/{key}/ops", json=gesture("k1", 0)), 404)


@pytest.mark.parametrize("project", ["", "x", "0123456789ab", "../..", "d" * 64, "labels"])
def test_an_unknown_project_is_one_sentence(quiet: Client, project: str) -> None:
    opened = quiet[0]
    for room in ("queue", "images", "ledger"):
        sentence(opened.get(f"/api/labels/{room}", params={"project": project}), 404)
    if project:
        sent = {"project": project, "actor": "ann", "key": "k", "categories": []}
        for room in ("undo", "redo", "categories"):
            assert opened.post(f"/api/labels/{room}", json=sent).status_code in (404, 422)


@pytest.mark.parametrize(
    "asked",
    [
        "order=best",
        "states=done",
        "states=proposed,,",
        "states=",
        "offset=-1",
        "offset=x",
        "limit=0",
        "limit=501",
        "limit=1e9",
    ],
)
def test_a_strange_question_is_one_sentence(quiet: Client, asked: str) -> None:
    opened, _, dataset = quiet
    sentence(opened.get(f"/api/labels/queue?project={dataset}&{asked}"), 422)


@pytest.mark.parametrize("actor", ["", "a" * 65, "a%0ab"])
def test_a_strange_actor_is_one_sentence(quiet: Client, actor: str) -> None:
    opened, _, dataset = quiet
    sentence(opened.get(f"/api/labels/d{dataset}-0?actor={actor}"), 422)


@pytest.mark.parametrize(
    "categories",
    [
        None,
        [None],
        [{"id": True, "name": "cell"}],
        [{"id": -1, "name": "cell"}],
        [{"id": 2**63, "name": "cell"}],
        [{"id": None, "name": ""}],
        [{"id": None, "name": "n" * 201}],
        [{"id": None, "name": "a\nb"}],
        [{"id": None, "name": 5}],
        [{"id": None, "name": "cell", "supercategory": 5}],
        [{"id": None, "name": "cell"}, {"id": None, "name": "cell"}],
        [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}],
        [{"id": 2**63 - 1, "name": "last"}, {"id": None, "name": "one too many"}],
        [{"id": None, "name": "c"}] * 5_001,
    ],
)
def test_strange_classes_are_one_sentence(quiet: Client, categories: object) -> None:
    opened, services, _ = quiet
    sent = {"project": "uploads", "categories": categories}
    sentence(opened.post("/api/labels/categories", json=sent), 422)
    assert services.labels.categories("uploads") is None


# -- what routes answer -------------------------------------------------------------------------


def test_a_page_s_first_minute(client: Client) -> None:
    opened, _, dataset = client
    place = f"/api/labels/d{dataset}-0"
    document = opened.get(f"{place}?actor=ann").json()
    assert [one["id"] for one in document["instances"]] == ["t11", "t12", "t13"]
    sent = gesture("k1", document["revision"], [put("n1", SQUARE)], ["t13"])
    done = opened.post(f"{place}/ops", json=sent)
    assert done.status_code == 200
    assert done.headers["cache-control"] == "no-store"
    assert (done.json()["revision"], done.json()["undo"]) == (1, "brush")
    undone = opened.post(
        "/api/labels/undo", json={"project": dataset, "actor": "ann", "key": "u1"}
    ).json()
    assert (undone["kind"], undone["images"], undone["redo"]) == (
        "brush",
        [f"d{dataset}-0"],
        "brush",
    )
    after = opened.get(f"{place}?actor=ann").json()
    assert after["instances"] == document["instances"]
    assert after["label"]["redo"] == "brush"
    rows = opened.get(f"{place}/history?limit=1").json()["rows"]
    assert len(rows) == 1
    listed = opened.get(f"/api/labels/images?project={dataset}&limit=1").json()
    assert [row["key"] for row in listed["rows"]] == [f"d{dataset}-0"]
    found = opened.get(f"/api/labels/queue?project={dataset}&states=accepted").json()
    assert (found["total"], len(found["rows"])) == (3, 3)
    told = opened.post(
        f"{place}/effort", json={"key": "e1", "actor": "ann", "actions": 2, "seconds": 1}
    )
    assert told.json() == {"key": "e1"}
    assert opened.get(f"/api/labels/ledger?project={dataset}").status_code == 200


def test_undoing_twice_with_one_key_undoes_once(client: Client) -> None:
    opened, _, dataset = client
    place = f"/api/labels/d{dataset}-1"
    opened.post(f"{place}/ops", json=gesture("k1", 0, [put("n1", SQUARE)]))
    opened.post(f"{place}/ops", json=gesture("k2", 1, [put("n2", SQUARE)]))
    asked = {"project": dataset, "actor": "ann", "key": "u1"}
    answers = [opened.post("/api/labels/undo", json=asked).json() for _ in range(2)]
    assert [one["images"] for one in answers] == [[f"d{dataset}-1"]] * 2
    assert [one["id"] for one in opened.get(place).json()["instances"]] == ["n1"]


def test_two_people_at_one_image(client: Client) -> None:
    opened, services, dataset = client
    place = f"/api/labels/d{dataset}-0"
    with serve(services) as other:
        mine = opened.get(f"{place}?actor=ann").json()
        theirs = other.get(f"{place}?actor=bob").json()
        first = gesture("b1", theirs["revision"], drop=["t12"], actor="bob")
        assert other.post(f"{place}/ops", json=first).status_code == 200
    sent = gesture("a1", mine["revision"], [put("n1", SQUARE)], ["t12"])
    answer = opened.post(f"{place}/ops", json=sent)
    sentence(answer, 409)
    told = answer.json()
    assert (told["clashes"], told["by"]) == (["t12"], ["bob"])
    assert [one["id"] for one in told["document"]["instances"]] == ["t11", "t13"]
    assert told["document"] == opened.get(f"{place}?actor=ann").json()

    again = {**sent, "revision": told["document"]["revision"], "drop": []}
    for repeated in (False, True):
        done = opened.post(f"{place}/ops", json=again).json()
        assert (done["repeated"], done["revision"]) == (repeated, 2)
    assert sorted(one["id"] for one in opened.get(place).json()["instances"]) == [
        "n1",
        "t11",
        "t13",
    ]


def _wait(event: threading.Event) -> None:
    event.wait(20)


def test_while_a_dataset_is_opened_the_page_comes_back(client: Client, tmp_path: Path) -> None:
    _, services, dataset = client
    found = services.datasets.get(dataset)
    assert found is not None
    layout = Layout(found.annotations_file, found.folder, "")
    again, read = studio(tmp_path), threading.Event()
    state = again.datasets.prepare("set", layout, lambda _: _wait(read), "Fetching")
    assert (state.id, state.state) == (dataset, "indexing")
    place, sent = f"/api/labels/d{dataset}-1", gesture("k1", 0, [put("n1", SQUARE)])
    with serve(again) as opened:
        undo = {"project": dataset, "actor": "ann", "key": "u1"}
        for answer in (
            opened.get(place),
            opened.post(f"{place}/ops", json=sent),
            opened.post("/api/labels/undo", json=undo),
            opened.get(f"/api/labels/images?project={dataset}"),
        ):
            assert "Fetching" in sentence(answer, 503)
        read.set()
        until = time.monotonic() + PATIENCE
        while opened.get(place).status_code == 503 and time.monotonic() < until:
            time.sleep(0.02)
        assert opened.post(f"{place}/ops", json=sent).status_code == 200
    again.close()


def test_many_hands_lose_nothing(client: Client) -> None:
    """Three people draw four labels each on one image at once, and go on after every conflict."""
    _, services, dataset = client
    place = f"/api/labels/d{dataset}-1"

    def draw(own: TestClient, name: str) -> None:
        for number in range(4):
            revision, uid = 0, f"{name}{number}"
            while True:
                sent = gesture(uid, revision, [put(uid, SQUARE)], actor=name)
                answer = own.post(f"{place}/ops", json=sent)
                if answer.status_code == 200:
                    break
                assert answer.status_code == 409, answer.text
                revision = answer.json()["document"]["revision"]

    people = {name: serve(services) for name in "abc"}
    for own in people.values():  # FastAPI builds its routes at the first request
        own.get(place)
    hands = [threading.Thread(target=draw, args=(own, name)) for name, own in people.items()]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(30)
    document = serve(services).get(place).json()
    assert {one["id"] for one in document["instances"]} == {
        f"{name}{number}" for name in "abc" for number in range(4)
    }
    assert document["revision"] == 12


# -- a server that is killed --------------------------------------------------------------------


class Server:
    """A Studio in a process of its own, over one workspace."""

    def __init__(self, workspace: Path) -> None:
        words = ["--port", "0", "--workspace", str(workspace)]
        self.process = subprocess.Popen(
            [sys.executable, "launch.py", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[4]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, place: str, sent: object = None) -> dict[str, Any]:
        content = None if sent is None else json.dumps(sent).encode()
        headers = {"content-type": "application/json"}
        request = Request(f"{self.address}{place}", content, headers)
        with urlopen(request, timeout=60) as answer:
            return dict(json.loads(answer.read()))


@dataclass
class Annotator:
    """Draw one square after the other, and send what was not acknowledged again.

    waiting  the gesture that no answer has come to yet
    there    uids that were acknowledged
    """

    place: str
    size: tuple[int, int]
    count: int = 0
    revision: int = 0
    waiting: dict[str, Any] | None = None
    there: list[str] = field(default_factory=list)

    def draw(self, server: Server) -> dict[str, Any]:
        if self.waiting is None:
            self.count += 1
            x = self.count * 7 % (self.size[1] - 3)
            y = self.count * 5 % (self.size[0] - 3)
            label = put(f"n{self.count}", box(x, y, x + 3, y + 3, self.size))
            self.waiting = gesture(f"k{self.count}", self.revision, [label])
        done = server.ask(f"{self.place}/ops", self.waiting)
        self.there.append(f"n{self.count}")
        self.revision, self.waiting = done["revision"], None
        return done

    def draw_until_it_dies(self, server: Server) -> None:
        try:
            while True:
                self.draw(server)
        except HTTPError as error:
            pytest.fail(f"the server refused: {error.read()!r}")
        except (OSError, HTTPException, ValueError):  # it is gone, perhaps in the middle of a word
            return


@pytest.mark.slow
def test_killing_the_server_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Whatever was acknowledged is there; what was not is sent again, and is there once."""
    services, _ = labelled(tmp_path)
    ann = Annotator(f"/api/labels/{upload(services).key}", (60, 80))
    asked = [label_asked.CategoryAsked(None, "cell", "")]
    project = services.sheets.project("uploads")
    assert project is not None
    label_lists.set_categories(services, project, asked)
    services.close()

    server = Server(tmp_path / "workspace")
    for life in range(3):
        ann.draw(server)  # the first answer waits for what is imported only then
        killer = threading.Timer(0.3 + 0.17 * life, server.kill)
        killer.start()
        ann.draw_until_it_dies(server)
        killer.join()
        server = Server(tmp_path / "workspace")
        kept = [one["id"] for one in server.ask(ann.place)["instances"]]
        unsure = [] if ann.waiting is None else [f"n{ann.count}"]
        assert sorted(kept) in (sorted(ann.there), sorted([*ann.there, *unsure]))
        if ann.waiting is not None:
            assert ann.draw(server)["repeated"] == (unsure[0] in kept)
    try:
        document = server.ask(ann.place)
        assert sorted(one["id"] for one in document["instances"]) == sorted(ann.there)
        assert document["revision"] == len(ann.there) == ann.count > 3
        for number in range(ann.count):
            undo = {"project": "uploads", "actor": "ann", "key": f"u{number}"}
            assert server.ask("/api/labels/undo", undo)["kind"] == "brush"
        assert server.ask(ann.place)["instances"] == []
    finally:
        server.kill()
