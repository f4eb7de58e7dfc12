"""What a training writes, what it keeps, and what it refuses before its first step."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from comask.checkpoint import native
from comask.config import to_dict
from comask.errors import ConfigError, ImageError, InputError
from comask.train import desk as desks
from comask.train.desk import Desk, check_output
from comask.train.loop import Training
from comask.train.recipe import Folders
from comask.train.run import train
from tests.train.small import (
    CPU,
    judged,
    opened,
    small_model_config,
    small_pace,
    small_recipe,
    small_start,
    write_folder,
)

RECIPE = small_recipe()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return judged(write_folder(tmp_path))


@pytest.fixture
def training() -> Training:
    return Training(small_start(RECIPE.model), RECIPE.train, CPU)


def desk_of(folders: Folders) -> Desk:
    return Desk(RECIPE, folders, opened(folders, RECIPE).categories)


def judge(
    folders: Folders, training: Training, patch: pytest.MonkeyPatch, found: dict[int, float]
) -> None:
    """Judge a training at some steps, with the mask APs that it shall have there."""
    values = iter(found.values())
    patch.setattr(desks, "evaluate_model", lambda *_: {"segm": {"AP": next(values)}})
    with desk_of(folders).opened(training.step) as desk:
        for training.step in found:
            desk.judge(training)


def steps_of(folders: Folders, name: str) -> int:
    steps: int = native.read_info(folders.output / name).training["steps"]
    return steps


def test_the_best_is_kept_and_the_last_too(
    folders: Folders, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(folders, training, monkeypatch, {2: 0.2, 4: 0.5, 6: 0.5})
    assert steps_of(folders, "best.safetensors") == 4
    assert steps_of(folders, "last.safetensors") == 6


def test_a_resumed_training_keeps_the_earlier_best(
    folders: Folders, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(folders, training, monkeypatch, {2: 0.5})
    judge(folders, training, monkeypatch, {4: 0.4})
    assert steps_of(folders, "best.safetensors") == 2
    judge(folders, training, monkeypatch, {6: 0.6})
    assert steps_of(folders, "best.safetensors") == 6


def test_a_step_is_judged_once(
    folders: Folders, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(folders, training, monkeypatch, {2: 0.5})
    judge(folders, training, monkeypatch, {2: 0.9})  # as a resumed training would
    lines = [json.loads(line) for line in (folders.output / "log.jsonl").open()]
    assert [line["metrics"]["segm"]["AP"] for line in lines] == [0.5]


def test_without_anything_to_find_the_first_is_the_best(
    folders: Folders, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(folders, training, monkeypatch, {2: -1.0, 4: -1.0})
    assert steps_of(folders, "best.safetensors") == 2


def test_without_a_judge_the_newest_is_the_best(folders: Folders, training: Training) -> None:
    with desk_of(replace(folders, val_annotations=None, val_images=None)).opened(0) as desk:
        for training.step in (2, 4):
            desk.judge(training)
    assert steps_of(folders, "best.safetensors") == 4


def test_judging_leaves_the_model_as_it_was(folders: Folders, training: Training) -> None:
    training.average = [w.detach() + 1e-3 for w in training.weights]
    before = [w.detach().clone() for w in training.weights]
    training.step = 7
    with desk_of(folders).opened(7) as desk:
        desk.judge(training)
    assert training.model.training
    assert all(torch.equal(a, b) for a, b in zip(before, training.weights, strict=True))
    kept, info = native.load(folders.output / "best.safetensors")
    name, weight = next(iter(training.model.class_head.score.named_parameters()))
    stored = dict(kept.class_head.score.named_parameters())[name]
    torch.testing.assert_close(stored, weight.detach() + 1e-3, rtol=1e-3, atol=1e-4)
    assert info.training["steps"] == 7
    assert info.training["settings"] == json.loads(json.dumps(to_dict(RECIPE.train)))
    assert info.training["metrics"].keys() == {"segm", "bbox"}
    assert len(info.training["metrics"]["segm"]) == 12
    assert [category.id for category in info.categories] == [7]
    assert info.preprocessing == RECIPE.preprocessing


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["last.pt", "best.safetensors", "last.safetensors", "log.jsonl", "tensorboard"]
)
def test_an_earlier_training_is_not_written_over(folders: Folders, name: str) -> None:
    folders.output.mkdir()
    (folders.output / name).write_text("earlier")
    with pytest.raises(InputError) as refusal:
        train(RECIPE, folders, small_pace(), never)
    offer = "give --resume to go on with it, or " if name == "last.pt" else ""
    assert str(refusal.value) == (
        f"{folders.output} holds {name} of an earlier training: {offer}choose another folder"
    )


def test_other_files_in_the_folder_are_no_matter(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "last.partial").write_text("half")
    check_output(tmp_path)
    check_output(tmp_path / "new")
    with pytest.raises(InputError, match="is not a folder"):
        check_output(tmp_path / "notes.txt")


def never(model: object) -> None:
    raise AssertionError("refused before a model is filled")


def edit(folders: Folders, change: Callable[[dict[str, Any]], None], name: str) -> Folders:
    """Write the COCO file anew, changed, beside the old one."""
    content = json.loads(folders.annotations.read_text())
    change(content)
    path = folders.annotations.with_name(name)
    path.write_text(json.dumps(content))
    return replace(folders, val_annotations=path)


def test_a_judge_of_other_categories_is_refused_at_once(folders: Folders) -> None:
    changed = edit(folders, lambda c: c["categories"][0].update(name="moon"), "val.json")
    with pytest.raises(InputError, match=r"val\.json can't judge this training: .*disc.*moon"):
        train(RECIPE, changed, small_pace(), never)


def test_a_judges_missing_image_is_refused_at_once(folders: Folders) -> None:
    changed = edit(folders, lambda c: c["images"][1].update(file_name="9.png"), "val.json")
    with pytest.raises(InputError, match=r"1 of 3 images are not below .*, for example 9\.png"):
        train(RECIPE, changed, small_pace(), never)


def test_a_file_without_objects_is_refused(folders: Folders) -> None:
    changed = edit(folders, lambda c: c["annotations"].clear(), "empty.json")
    assert changed.val_annotations
    bare = replace(changed, annotations=changed.val_annotations)
    with pytest.raises(InputError, match=r"empty\.json has no image with an object to learn from"):
        train(RECIPE, bare, small_pace(), never)


def test_another_number_of_classes_is_refused_at_once(folders: Folders) -> None:
    recipe = replace(RECIPE, model=small_model_config(num_classes=2))
    with pytest.raises(ConfigError, match="2 classes"):
        train(recipe, folders, small_pace(), never)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_image_lost_on_the_way_ends_the_training(folders: Folders, workers: int) -> None:
    def lose(model: object) -> None:
        (folders.images / "2.png").unlink()

    with pytest.raises(ImageError, match=r"2\.png") as refusal:
        train(RECIPE, folders, small_pace(workers=workers), lose)
    assert "\n" not in str(refusal.value)
