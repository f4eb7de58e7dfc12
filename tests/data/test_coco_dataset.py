"""A COCO folder as training data: what is drawn, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from comask.config import AugmentConfig, PreprocessingConfig
from comask.data.coco_dataset import CocoDataset, Draw, Example
from comask.errors import ImageError, InputError
from comask.structures import Size
from comask.train.recipe import Folders
from tests.factories import write_picture
from tests.train.small import write_folder

VIEW = PreprocessingConfig(short_side=64, long_side=128)
VARIED = AugmentConfig(turns=True, scale_low=0.7, scale_high=1.4, crop=48, colour=0.2)
SIZES: tuple[Size, ...] = ((40, 64), (64, 40), (64, 64))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return write_folder(tmp_path, SIZES, names=("disc", "ring"))


def opened(folders: Folders, augment: AugmentConfig = VARIED) -> CocoDataset:
    return CocoDataset(folders.sources, VIEW, augment)


def change(folders: Folders, edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(folders.annotations.read_text())
    edit(content)
    folders.annotations.write_text(json.dumps(content))


def same(left: Example, right: Example) -> bool:
    if left.image.shape != right.image.shape or left.seed != right.seed:
        return False
    pairs = zip(vars(left.target).values(), vars(right.target).values(), strict=True)
    return torch.equal(left.image, right.image) and all(
        a is b or torch.equal(a, b) for a, b in pairs
    )


def test_the_same_draw_gives_the_same_example(folders: Folders) -> None:
    first, second = opened(folders), opened(folders)
    assert same(first[Draw(0, 5)], second[Draw(0, 5)])
    assert not same(first[Draw(0, 5)], first[Draw(0, 6)])
    assert not same(first[Draw(0, 5)], first[Draw(2, 5)])


def test_an_example_shows_the_image_with_its_truth(folders: Folders) -> None:
    example = opened(folders, AugmentConfig(flip=0.0))[Draw(1, 9)]
    assert example.image.shape == (3, 102, 64)  # 64 x 40 at 1.6: 102.4
    assert example.image.dtype == torch.float32
    assert example.seed == 9
    target = example.target
    assert target.labels.tolist() == [0, 1]  # of the categories 7 and 17
    assert target.masks.shape == (2, 102, 64)
    bright, ground = example.image.mean(dim=0), target.masks.sum(dim=0) == 0
    for mask, (x1, y1, x2, y2) in zip(target.masks.bool(), target.boxes.tolist(), strict=True):
        assert bright[mask].mean() > bright[ground].mean() + 1.0
        inside = mask[int(y1) : math.ceil(y2), int(x1) : math.ceil(x2)]
        assert inside.sum() == mask.sum()


def test_sizes_are_height_and_width(folders: Folders) -> None:
    dataset = opened(folders)
    assert len(dataset) == 3
    assert dataset.sizes == [(40, 64), (64, 40), (64, 64)]
    assert [category.id for category in dataset.categories] == [7, 17]


def test_images_that_teach_nothing_are_left_out(folders: Folders) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["images"] += [
            {"id": 8, "file_name": "empty.png", "width": 64, "height": 64},
            {"id": 9, "file_name": "low.png", "width": 64, "height": 31},
        ]
        content["annotations"].append(
            content["annotations"][0]
            | {"id": 1, "image_id": 9, "segmentation": [[0, 0, 9, 0, 9, 9]]}
        )
        for annotation in content["annotations"]:
            annotation["iscrowd"] = int(annotation["image_id"] == 2)

    change(folders, edit)
    assert [lesson.record.id for lesson in opened(folders).lessons] == [1, 3]


def test_crowds_come_along_with_the_objects(folders: Folders) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["annotations"][1]["iscrowd"] = 1

    change(folders, edit)
    target = opened(folders, AugmentConfig(flip=0.0))[Draw(0, 0)].target
    assert target.crowd.tolist() == [False, True]


def test_missing_images_are_refused_at_once(folders: Folders) -> None:
    (folders.images / "2.png").unlink()
    (folders.images / "3.png").unlink()
    with pytest.raises(InputError, match=r"^2 of 3 images are not below .*, for example 2\.png$"):
        opened(folders)


def test_an_image_that_vanishes_later_is_named(folders: Folders) -> None:
    dataset = opened(folders)
    (folders.images / "2.png").unlink()
    with pytest.raises(ImageError, match=r"2\.png") as refusal:
        dataset[Draw(1, 0)]
    assert "\n" not in str(refusal.value)


def test_an_image_of_another_size_is_refused(folders: Folders) -> None:
    dataset = opened(folders)
    write_picture(folders.images / "1.png", width=40, height=64)
    with pytest.raises(InputError) as refusal:
        dataset[Draw(0, 0)]
    assert str(refusal.value) == (
        "1.png is 40 x 64 pixels when upright, and the annotation file says 64 x 40"
    )
