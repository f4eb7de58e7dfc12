"""The grid's columns, filters and orders on planted runs, worked out by hand.

At a score of 0.5 the first checkpoint has, of image 0: two right, one cell on a nucleus (wrong,
and the nucleus missed), one cell missed; of image 1: one right with the lowest IoU, one in a crowd
that does not count, one on nothing; of image 2: nothing, as its one instance is below.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services import Services
from tests.app.planted import checkpoint, plant, worlds
from tests.app.standins import fixtures, open_dataset, serve


class Page:
    """Asks for the grid of one planted dataset."""

    def __init__(self, services: Services, dataset: str) -> None:
        self.services, self.dataset, self.client = services, dataset, serve(services)

    def ask(self, **given: Any) -> Any:
        asked = {"dataset": self.dataset, "checkpoint": "first", "score": 0.5, **given}
        return self.client.get("/api/grid", params=asked)

    def rows(self, **given: Any) -> list[dict[str, Any]]:
        answer = self.ask(**given)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == len(answer.json()["rows"])
        found: list[dict[str, Any]] = answer.json()["rows"]
        return found

    def order(self, **given: Any) -> list[int]:
        return [int(row["key"].rpartition("-")[2]) for row in self.rows(**given)]


def planted(folder: Path) -> Iterator[Page]:
    services, dataset = plant(folder)
    yield Page(services, dataset)
    services.close()


page, same_page = fixtures(planted)


def test_every_image_says_what_is_right_and_wrong(page: Page) -> None:
    names = ("state", "truth", "found", "tp", "fp", "fn", "duplicates")
    assert [tuple(row[name] for name in names) for row in page.rows()] == [
        ("done", 4, 3, 2, 1, 2, 0),
        ("done", 1, 3, 1, 1, 0, 0),
        ("done", 0, 0, 0, 0, 0, 0),
    ]
    lowest = [row["lowest_iou"] for row in page.rows()]
    assert lowest[2] is None
    assert lowest[1] < lowest[0] < 1


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("file", [0, 1, 2]),
        ("errors", [0, 1, 2]),
        ("fp", [0, 1, 2]),
        ("fn", [0, 1, 2]),
        ("lowest_iou", [1, 0, 2]),
        ("duplicates", [0, 1, 2]),
        ("score", [1, 0, 2]),
    ],
)
def test_the_worst_comes_first(same_page: Page, sort: str, order: list[int]) -> None:
    assert same_page.order(sort=sort) == order


def test_orders_follow_the_sliders(page: Page) -> None:
    assert page.order(sort="fp", score=0.2) == [0, 1, 2]
    assert [row["fp"] for row in page.rows(sort="fp", score=0.2)] == [1, 1, 1]
    assert page.order(sort="fp", iou=0.95) == [0, 1, 2]
    assert page.order(sort="errors", score=0.99) == [0, 1, 2]
    assert page.order(sort="fn", name="2.png") == [1]


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"error": "class"}, [0]),
        ({"error": "background"}, [1]),
        ({"error": "missed"}, [0]),
        ({"error": "duplicate"}, []),
        ({"error": "background", "score": 0.2}, [1, 2]),
        ({"error": "background", "score": 0.2, "sort": "score"}, [2, 1]),
        ({"cell": "1,1"}, [0, 1]),
        ({"cell": "none,1"}, [1]),
        ({"cell": "90,1"}, [0]),
        ({"cell": "90,1", "category": 1}, [0]),
        ({"cell": "1,1", "name": "1.png"}, [0]),
        ({"size": "large"}, [1]),
    ],
)
def test_error_kinds_and_cells_choose_images(
    same_page: Page, asked: dict[str, Any], rows: list[int]
) -> None:
    assert same_page.order(**asked) == rows


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"scores": "0.85,1"}, [0]),
        ({"scores": "0.55,0.6"}, [0, 1]),  # both ends belong to it
        ({"scores": "0.3,0.3"}, [2]),  # the slider at 0.5 does not hide it from the filter
        ({"scores": "0.1,0.29"}, []),
        ({"scores": "0.3,0.7", "category": 90}, []),  # the only nucleus was called a cell
        ({"scores": "0.3,0.7", "category": 1}, [0, 1]),
        ({"scores": "0.3,0.7", "error": "background"}, [1]),
        ({"scores": "0,1", "sort": "score"}, [1, 0, 2]),
    ],
)
def test_scores_choose_images(same_page: Page, asked: dict[str, Any], rows: list[int]) -> None:
    assert same_page.order(**asked) == rows


@pytest.mark.parametrize("scores", ["0.5", "0.7,0.5", "0,2", "nan,1", "a,b", "0,0.5,1"])
def test_what_is_no_range_of_scores_is_one_sentence(same_page: Page, scores: str) -> None:
    answer = same_page.ask(scores=scores)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("scores must be two numbers from 0 to 1")


@pytest.mark.parametrize(
    ("find", "asked", "at"),
    [
        (0, {}, 0),
        (2, {}, 2),
        (0, {"sort": "score"}, 1),
        (2, {"sort": "score", "limit": 1}, 2),
        (1, {"name": "1.png"}, None),
    ],
)
def test_an_image_says_where_it_is_in_the_list(
    same_page: Page, find: int, asked: dict[str, Any], at: int | None
) -> None:
    assert same_page.ask(find=f"d{same_page.dataset}-{find}", **asked).json()["at"] == at


@pytest.mark.parametrize("find", ["d000000000000-0", "x" * 64, "d-", "%00"])
def test_a_strange_image_is_nowhere_in_the_list(same_page: Page, find: str) -> None:
    assert same_page.ask(find=find).json()["at"] is None


def test_a_category_that_no_instance_has_is_one_sentence(page: Page) -> None:
    answer = page.ask(cell="5,1")
    assert (answer.status_code, type(answer.json()["detail"])) == (422, str)


def test_images_that_were_not_judged_come_last_and_say_nothing(page: Page) -> None:
    page.services.predictions.remove(f"d{page.dataset}-0")
    rows = page.rows(sort="errors")
    assert [row["key"][-1] for row in rows] == ["1", "2", "0"]
    assert (rows[2]["state"], rows[2]["fp"], rows[2]["truth"]) == ("waiting", None, 4)


def test_without_truth_nothing_is_judged(page: Page, tmp_path: Path) -> None:
    dataset = open_dataset(page.services, tmp_path / "set/images/")
    assert dataset != page.dataset
    page.dataset = dataset
    assert [row["fp"] for row in page.rows(sort="errors")] == [None, None, None]
    assert page.order(error="missed") == []


def test_without_truth_there_are_still_scores(page: Page, tmp_path: Path) -> None:
    page.dataset = open_dataset(page.services, tmp_path / "set/images/")
    identity = page.services.checkpoints.identity(checkpoint(page.services, "first"))
    for row, world in enumerate(worlds("first")):
        page.services.predictions.put(identity, f"d{page.dataset}-{row}", world.prediction())
    assert [row["found"] for row in page.rows()] == [3, 3, 0]
    assert [row["found"] for row in page.rows(score=0.6)] == [2, 2, 0]
    assert page.order(sort="score", score=0.2) == [2, 1, 0]
    assert page.order(sort="errors") == [0, 1, 2]
    assert page.order(scores="0.2,0.58") == [1, 2]


def test_a_corrected_truth_is_judged_at_once(page: Page, tmp_path: Path) -> None:
    assert page.rows()[0]["fn"] == 2
    file = tmp_path / "set/instances.json"
    content = json.loads(file.read_text())
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != 1]
    file.write_text(json.dumps(content))
    open_dataset(page.services, tmp_path / "set/images", file)
    assert (page.rows()[0]["fn"], page.rows()[0]["fp"]) == (0, 3)
