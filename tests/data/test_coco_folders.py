"""Folders put together: their common classes, and what each image is annotated for."""

import json
from pathlib import Path
from typing import Any

import pytest

from comask.config import AugmentConfig, PreprocessingConfig
from comask.data.coco_dataset import CocoDataset, Draw
from comask.data.coco_folders import CocoFolder, common_categories, gather
from comask.errors import InputError
from tests.train.small import write_folder

BOTH = ("disc", "ring")  # written under the ids 7 and 17


def folder(root: Path, names: tuple[str, ...]) -> CocoFolder:
    written = write_folder(root, names=names)
    return CocoFolder(written.annotations, written.images)


def change(source: CocoFolder, key: str, row: int, **values: Any) -> None:
    content = json.loads(source.annotations.read_text())
    content[key][row] |= values
    source.annotations.write_text(json.dumps(content))


def test_classes_are_common_by_name(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a", BOTH), folder(tmp_path / "b", ("disc", "ring"))
    change(second, "categories", 1, name="star", id=27)
    change_ids(second, 17, 27)
    assert [c.name for c in common_categories([first, second])] == ["disc", "ring", "star"]
    categories, lessons = gather([first, second])
    assert [c.id for c in categories] == [7, 17, 27]
    assert [lesson.labels for lesson in lessons] == [(0, 1)] * 3 + [(0, 2)] * 3
    assert [lesson.annotated for lesson in lessons] == [{0, 1}] * 3 + [{0, 2}] * 3


def change_ids(source: CocoFolder, old: int, new: int) -> None:
    content = json.loads(source.annotations.read_text())
    for annotation in content["annotations"]:
        if annotation["category_id"] == old:
            annotation["category_id"] = new
    source.annotations.write_text(json.dumps(content))


def test_a_file_of_all_classes_is_annotated_for_all(tmp_path: Path) -> None:
    _, lessons = gather([folder(tmp_path / "a", BOTH), folder(tmp_path / "b", ("disc",))])
    assert [lesson.annotated for lesson in lessons] == [None] * 3 + [{0}] * 3


def test_one_class_under_another_id_is_the_same_class(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a", BOTH), folder(tmp_path / "b", ("disc",))
    change(second, "categories", 0, id=1007)
    change_ids(second, 7, 1007)
    categories, lessons = gather([first, second])
    assert [c.id for c in categories] == [7, 17]
    assert lessons[-1].labels == (0, 0)


def test_two_classes_of_one_name_in_a_file_stay_two(tmp_path: Path) -> None:
    source = folder(tmp_path, BOTH)
    change(source, "categories", 1, name="disc")
    categories, lessons = gather([source])
    assert [c.id for c in categories] == [7, 17]
    assert [(lesson.labels, lesson.annotated) for lesson in lessons] == [((0, 1), None)] * 3


def test_one_id_of_two_classes_is_refused(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a", BOTH), folder(tmp_path / "b", ("star",))
    with pytest.raises(InputError, match="category 7 is 'star' here and 'disc' in another file"):
        gather([first, second])


@pytest.mark.parametrize(
    ("extra", "annotated"),
    [
        ({"neg_category_ids": []}, {0, 1}),  # both are there
        ({"neg_category_ids": [27]}, None),
        ({"neg_category_ids": [27], "not_exhaustive_category_ids": [17]}, {0, 2}),
        ({"not_exhaustive_category_ids": [7]}, {1}),
    ],
)
def test_an_image_says_as_in_lvis_what_it_is_annotated_for(
    tmp_path: Path, extra: dict[str, Any], annotated: set[int] | None
) -> None:
    source = folder(tmp_path, ("disc", "ring", "star"))
    change(source, "images", 0, **extra)
    _, lessons = gather([source])
    assert [lesson.annotated for lesson in lessons] == [annotated, None, None]


@pytest.mark.parametrize("value", [[3], ["7"], 7, [7.0], [True]])
def test_ids_that_are_none_of_the_file_are_refused(tmp_path: Path, value: object) -> None:
    source = folder(tmp_path, BOTH)
    change(source, "images", 1, neg_category_ids=value)
    with pytest.raises(InputError, match=r"instances\.json: neg_category_ids of image 2 must be"):
        gather([source])


def test_a_view_says_what_it_is_annotated_for(tmp_path: Path) -> None:
    both = [folder(tmp_path / "a", BOTH), folder(tmp_path / "b", ("disc",))]
    dataset = CocoDataset(both, PreprocessingConfig(), AugmentConfig())
    assert dataset[Draw(0, 1)].target.annotated is None
    annotated = dataset[Draw(3, 1)].target.annotated
    assert annotated is not None
    assert annotated.tolist() == [True, False]
