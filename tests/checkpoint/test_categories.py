"""Names of the outputs: COCO's own, bare lists, COCO files, and everything that is none."""

import json
from pathlib import Path

import pytest

from comask.annotation.records import Category
from comask.checkpoint import categories
from comask.errors import CheckpointError


def test_coco_is_the_one_of_the_data_set(shared_data: Path) -> None:
    content = json.loads((shared_data / "coco-mini/instances_val2017.json").read_text())
    wanted = [(c["id"], c["name"], c["supercategory"]) for c in content["categories"]]
    assert [(c.id, c.name, c.supercategory) for c in categories.COCO] == wanted
    assert len(wanted) == 80


def test_the_authors_underscores_are_coco_too() -> None:
    names = [category.name.replace(" ", "_") for category in categories.COCO]
    assert categories.named(names) == categories.COCO
    assert categories.named(names[:2]) == (Category(1, "person"), Category(2, "bicycle"))


def test_names_are_counted_from_one() -> None:
    assert categories.named(["flaky", "not_round"]) == (
        Category(1, "flaky"),
        Category(2, "not_round"),
    )


@pytest.mark.parametrize(
    "content",
    [
        [{"id": 3, "name": "b", "supercategory": "s"}, {"id": 1, "name": "a"}],
        {"categories": [{"id": 3, "name": "b", "supercategory": "s"}, {"id": 1, "name": "a"}]},
    ],
)
def test_coco_categories_keep_their_order(tmp_path: Path, content: object) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps(content))
    assert categories.read(path) == (Category(3, "b", "s"), Category(1, "a"))


def test_a_list_of_names(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text('["a", "ä b"]', encoding="utf-8")
    assert categories.read(path) == (Category(1, "a"), Category(2, "ä b"))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "holds no list"),
        ("[]", "holds no list"),
        ('"person"', "holds no list"),
        ('{"categories": {}}', "holds no list"),
        ('["a", 1]', "entry 0 is neither"),
        ('["a", " "]', "entry 0 is neither"),
        ('[{"id": 1, "name": "a"}, {"id": "2", "name": "b"}]', "entry 1 is neither"),
        ('[{"id": true, "name": "a"}]', "entry 0 is neither"),
        ('["a", "a"]', "two classes the same name"),
        ('[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]', "two classes the same id"),
    ],
)
def test_files_that_hold_no_names(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "names.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=match) as caught:
        categories.read(path)
    assert str(path) in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="can't be read: No such file"):
        categories.read(tmp_path / "none.json")
    with pytest.raises(CheckpointError, match="can't be read: Is a directory"):
        categories.read(tmp_path)
    (tmp_path / "latin").write_bytes(b'["\xe9"]')
    with pytest.raises(CheckpointError, match="is not JSON"):
        categories.read(tmp_path / "latin")
