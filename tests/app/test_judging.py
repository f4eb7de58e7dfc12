"""Metrics, instances, autopsies and comparisons over the routes, on planted runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services import Services
from comask.annotation.store import Store
from comask.errors import StoreError
from tests.app.planted import checkpoint, plant
from tests.app.standins import serve, studio

NAMES = {"checkpoint": "first", "a": "first", "b": "second"}


class Page:
    """Asks the routes about one planted dataset."""

    def __init__(self, services: Services, dataset: str) -> None:
        self.client = serve(services)
        self.dataset = dataset
        self.named = {name: checkpoint(services, given).name for name, given in NAMES.items()}

    def get(self, path: str, status: int = 200, **given: Any) -> Any:
        asked = {"dataset": self.dataset, "score": 0.5, "iou": 0.5, **self.named, **given}
        answer = self.client.get(f"/api/{path}", params=asked)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    services, dataset = plant(tmp_path)
    yield Page(services, dataset)
    services.close()


def test_numbers_by_hand(page: Page) -> None:
    found = page.get("metrics")
    assert found["images"] == 3
    assert found["counts"] == {"tp": 3, "fp": 2, "fn": 2}
    assert found["precision"] == pytest.approx(0.6)
    assert found["recall"] == pytest.approx(0.6)
    assert found["f1"] == pytest.approx(0.6)
    assert found["errors"] == {
        "class": 1,
        "localisation": 0,
        "both": 0,
        "duplicate": 0,
        "background": 1,
        "missed": 1,
    }
    assert [one["name"] for one in found["confusion"]["labels"]] == ["cell", "nucleus"]
    assert found["confusion"]["cells"] == [[3, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert found["by_size"]["medium"]["truth"] == 5
    assert found["by_size"]["small"] == {"precision": None, "recall": None, "truth": 0, "ap": None}
    assert [(one["truth"], one["found"]) for one in found["by_category"]] == [(4, 5), (1, 0)]


def test_the_score_slider_moves_the_numbers(page: Page) -> None:
    assert page.get("metrics", score=0.05)["counts"] == {"tp": 3, "fp": 3, "fn": 2}
    assert page.get("metrics", score=0.75)["counts"] == {"tp": 2, "fp": 0, "fn": 3}
    assert page.get("metrics", iou=0.9)["counts"] == {"tp": 1, "fp": 4, "fn": 4}


def test_every_cell_opens_its_instances(page: Page) -> None:
    matrix = page.get("metrics")["confusion"]
    names = [str(one["id"]) for one in matrix["labels"]] + ["none"]
    for row, truth in enumerate(names):
        for column, found in enumerate(names):
            listed = page.get("instances", cell=f"{truth},{found}")
            assert listed["total"] == matrix["cells"][row][column]
    (mistaken,) = page.get("instances", cell="90,1")["rows"]
    assert (mistaken["instance"], mistaken["truth"], mistaken["error"]) == ("p3", "t4", "class")
    assert mistaken["iou"] == 1.0
    assert mistaken["key"] == f"d{page.dataset}-0"


def test_errors_open_their_instances(page: Page) -> None:
    counts = page.get("metrics")["errors"]
    for kind, count in counts.items():
        assert page.get("instances", error=kind)["total"] == count
    (missed,) = page.get("instances", error="missed")["rows"]
    assert (missed["instance"], missed["truth"], missed["class_score"]) == (None, "t3", None)


def test_lists_come_in_pages(page: Page) -> None:
    whole = page.get("instances", cell="1,1")["rows"]
    assert len(whole) == 3
    assert page.get("instances", cell="1,1", offset=1, limit=1)["rows"] == whole[1:2]
    assert [one["class_score"] for one in whole] == sorted(
        (one["class_score"] for one in whole), reverse=True
    )


def test_curves_of_categories_with_truth(page: Page) -> None:
    drawn = page.get("curves")["categories"]
    assert [one["name"] for one in drawn] == ["cell", "nucleus"]
    assert len(drawn[0]["precision"]) == len(drawn[0]["recall"]) == 101
    # 3 of 4 cells: 0.9 and 0.8 right, 0.7 right, then wrong ones
    assert drawn[0]["ap"] == pytest.approx(76 / 101)
    assert drawn[1]["ap"] == 0.0


def test_a_missed_object_is_explained(page: Page) -> None:
    key = f"d{page.dataset}-0"
    told = page.get(f"autopsy/{key}/t3")
    assert told["cause"] == "class_score"
    assert told["score"] == pytest.approx(0.04)
    assert told["proposal"] == [210, 10, 250, 50]
    other = page.get(f"autopsy/{key}/t4")
    assert (other["cause"], other["score"]) == ("class_score", None)
    assert other["sentence"].endswith("it looks more like cell (0.60).")
    refused = page.get(f"autopsy/{key}/t1", status=409)
    assert refused["detail"].startswith("This object was found by p1")
    for wrong in ("t99", "p1", "t", "t1x"):
        page.get(f"autopsy/{key}/{wrong}", status=409 if wrong == "t99" else 404)


def test_two_checkpoints_compared(page: Page) -> None:
    found = page.get("compare")
    assert {name: found[name] for name in ("gained", "lost", "changed")} == {
        "gained": 1,
        "lost": 1,
        "changed": 1,
    }
    assert (found["false_gained"], found["false_lost"]) == (0, 0)
    rows = {row["kind"]: row for row in found["rows"]}
    assert (rows["gained"]["truth"], rows["gained"]["a"], rows["gained"]["b"]) == ("t3", None, "p2")
    assert (rows["lost"]["truth"], rows["lost"]["a"], rows["lost"]["b"]) == ("t2", "p2", None)
    assert rows["changed"]["truth"] == "t5"
    assert rows["changed"]["change"] == pytest.approx(36 / 44 - 32 / 48)
    for kind, count in (("gained", 1), ("lost", 1), ("false_gained", 0)):
        only = page.get("compare", only=kind)
        assert [row["kind"] for row in only["rows"]] == [kind] * count
        assert (only["total"], only["changed"]) == (count, 1)
    page.get("compare", only="better", status=422)
    assert page.get("compare", b=page.named["a"])["rows"] == []
    back = page.get("compare", a=page.named["b"], b=page.named["a"])
    assert sorted(row["change"] for row in back["rows"]) == sorted(
        -row["change"] for row in found["rows"]
    )
    assert page.get("compare", b=page.named["a"])["rows"] == []


def test_numbers_out_of_range_and_unknown_things_are_refused(page: Page) -> None:
    for wrong in ({"score": 2}, {"iou": 0.05}, {"kind": "pixel"}, {"score": "nan"}):
        page.get("metrics", status=422, **wrong)
    page.get("instances", status=422)
    page.get("instances", status=422, cell="1")
    page.get("instances", status=409, cell="5,1")
    page.get("metrics", status=404, dataset="0" * 12)
    page.get("metrics", status=404, checkpoint="third")


@pytest.mark.parametrize(
    "path",
    [
        "metrics",
        "curves",
        "compare",
        "grid",
        "runs",
        "reports/{set}.json",
        "fit/{set}",
        "exports/all.json",
    ],
)
def test_a_store_that_can_t_be_read_now_is_no_fault_of_what_was_asked(
    page: Page, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise StoreError("runs.sqlite can't be read: the database is locked")

    for name in ("find", "outcomes", "names", "payload"):
        monkeypatch.setattr(Store, name, busy)
    answer = page.get(path.format(set=page.dataset), 503)
    assert answer == {"detail": "runs.sqlite can't be read: the database is locked."}


def test_overlaps_are_computed_once(
    page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = page.get("metrics")

    def unpack(_: bytes) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("comask.run.unpack", unpack)
    again = studio(tmp_path, samples=0)
    try:
        after = Page(again, page.dataset).get("metrics")
    finally:
        again.close()
    assert {**after, "milliseconds": 0} == {**before, "milliseconds": 0}


def test_reports_are_downloads_that_agree_with_the_page(page: Page) -> None:
    asked = {"checkpoint": page.named["checkpoint"]}
    for form, kind in (("json", "application/json"), ("html", "text/html; charset=utf-8")):
        answer = page.client.get(f"/api/reports/{page.dataset}.{form}", params=asked)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == kind
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith('attachment; filename="report-')
        assert disposition.endswith(f'.{form}"')
    found = page.get(f"reports/{page.dataset}.json")
    numbers = page.get("metrics")
    assert {name: found["at"][name] for name in numbers["counts"]} == numbers["counts"]
    assert found["at"]["errors"] == numbers["errors"]
    assert found["at"]["confusion"] == numbers["confusion"]
    page.get(f"reports/{page.dataset}.json", status=422, iou="0")
    page.get(f"reports/{'0' * 12}.html", status=404)
