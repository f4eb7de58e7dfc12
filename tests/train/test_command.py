"""``comask train`` as a person meets it: settings, refusals, and a small training."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from comask import cli
from comask.config import to_dict
from comask.data import images
from comask.predict import Predictor
from comask.train.recipe import Folders
from tests.train.small import small_model_config, small_recipe, write_folder


class Said(NamedTuple):
    code: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return write_folder(tmp_path, names=("disc", "ring"))


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], folders: Folders) -> Say:
    """Run ``comask train`` on the folder, with more words."""

    def train(*words: object) -> Said:
        given = (
            "train", "--annotations", folders.annotations, "--images", folders.images,
            "--output", folders.output, "--init", "none", "--device", "cpu", *words,
        )  # fmt: skip
        return Said(cli.main([str(word) for word in given]), *capsys.readouterr())

    return train


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Write settings for a model so small that a step takes a fraction of a second."""
    recipe = small_recipe(replace(small_model_config(), num_classes=2), steps=3, max_norm=7.0)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(to_dict(recipe)))
    return path


def refusal(said: Said) -> str:
    """Take the one sentence of a refusal."""
    assert said.code == 2
    assert said.out == ""
    (sentence,) = said.err.splitlines()
    return sentence.removeprefix("comask: ")


def test_a_small_training_gives_a_checkpoint_that_predicts(
    say: Say, folders: Folders, settings: Path
) -> None:
    said = say(
        "--settings", settings, "--set", "train.steps=2", "--set", "train.augment.flip=0",
        "--set", "train.schedule=cosine", "--val-annotations", folders.annotations,
        "--val-images", folders.images, "--workers", 0, "--judge-every", 2, "--save-every", 1,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert said.out == f"{folders.output / 'best.safetensors'}\n"
    assert "2/2" in said.err  # progress
    predictor = Predictor.from_checkpoint(folders.output / "best.safetensors", device="cpu")
    found = predictor.predict(images.load(folders.images / "1.png").pixels)
    assert found.size == (96, 96)
    assert [(c.id, c.name) for c in found.categories] == [(7, "disc"), (17, "ring")]
    record = predictor.info.training
    assert record["steps"] == 2
    assert record["settings"]["max_norm"] == 7.0  # of the file
    assert record["settings"]["steps"] == 2  # over the file
    assert record["settings"]["augment"]["flip"] == 0.0
    assert record["settings"]["schedule"] == "cosine"
    assert record["settings"]["optimizer"] == "adamw"
    assert record["metrics"]["segm"].keys() >= {"AP", "AP50", "AP75"}
    assert predictor.info.config.neck == small_model_config().neck
    again = say("--settings", settings)
    assert refusal(again).endswith("give --resume to go on with it, or choose another folder")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "train.stepz=3"], "--set: train: stepz is no setting; there are accumulate,"),
        (["--set", "nothing=3"], "--set: nothing is no setting; there are model, preprocessing"),
        (["--set", "train.steps=few"], "settings.train.steps must be int, got 'few'"),
        (["--set", "train.steps=true"], "settings.train.steps must be int, got True"),
        (["--set", "train.steps=0"], "train.steps must be in 1 .. 1000000000, got 0"),
        (["--set", "train=3"], "settings.train must be an object, got int"),
        (["--set", "train.losses.box=NaN"], "settings.train.losses.box must be float, got 'NaN'"),
        (["--set", "train.steps"], "--set takes NAME=VALUE, got 'train.steps'"),
        (["--set", "=3"], "--set takes NAME=VALUE, got '=3'"),
        (["--set", "model.num_classes=3"], "model.num_classes is what"),
        (["--workers", "-1"], "--workers must be 0 or more"),
        (["--save-every", "0"], "--save-every must be 1 or more"),
        (["--judge-every", "0"], "--judge-every must be 1 or more"),
        (["--val-images", "."], "--val-annotations and --val-images are given together or not"),
        (["--val-annotations", "x.json"], "--val-annotations and --val-images are given together"),
        (["--device", "abacus"], "device 'abacus' is not to be had on this machine; try cpu"),
        (["--resume"], "last.pt is missing: there is nothing to resume"),
        (["--images", "nowhere"], "--annotations and --images are given in pairs, got 1 and 2"),
        (["--annotations", "x.json"], "--annotations and --images are given in pairs, got 2 and 1"),
        (
            ["--annotations", "nowhere.json", "--images", "."],
            "nowhere.json can't be read: No such file or directory",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    say: Say, folders: Folders, words: list[str], sentence: str
) -> None:
    assert sentence in refusal(say(*words))
    assert not folders.output.exists()


@pytest.mark.parametrize("words", [["--preset", "huge"], ["--workers", "one"], ["--save"]])
def test_usage_errors_point_to_the_help(say: Say, words: list[str]) -> None:
    assert "--help` lists what there is" in refusal(say(*words))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "settings.json is not JSON"),
        ("[" * 100_000, "settings.json is not JSON"),
        ('{"train": {"learning_rate": Infinity}}', "settings.json is not JSON: Infinity is no"),
        ("[]", "settings.json must hold a JSON object of settings"),
        ('{"train": {"speed": 3}}', "settings: train: speed is no setting"),
        ('{"model": {"neck": []}}', "settings.model.neck must be an object, got list"),
    ],
)
def test_a_file_of_settings_is_checked(
    say: Say, tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    assert sentence in refusal(say("--settings", path))


def test_a_missing_file_of_settings_is_named(say: Say) -> None:
    assert "no.json: No such file or directory" in refusal(say("--settings", "no.json"))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("w.pth", None, "w.pth is not there; --init takes imagenet, none or a file"),
        ("w.pth", b"no weights", "w.pth is no file of weights that can be read safely"),
        ("w.safetensors", b"no weights", "w.safetensors is no checkpoint"),
        ("w.safetensors", None, "w.safetensors can't be read: No such file or directory"),
    ],
)
def test_a_wrong_start_is_refused(
    say: Say, tmp_path: Path, settings: Path, name: str, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert sentence in refusal(say("--settings", settings, "--init", path))


def test_weights_of_another_network_are_refused(say: Say, tmp_path: Path, settings: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "w.pth")
    said = say("--settings", settings, "--init", tmp_path / "w.pth")
    assert "w.pth holds no mobilenet_v2: " in refusal(said)


def test_an_image_of_another_size_ends_the_training(
    say: Say, folders: Folders, settings: Path
) -> None:
    content: dict[str, Any] = json.loads(folders.annotations.read_text())
    content["images"][1].update(width=97)
    for annotation in content["annotations"]:
        if annotation["image_id"] == 2:
            annotation["segmentation"] = [[5, 5, 25, 5, 25, 25, 5, 25]]
    folders.annotations.write_text(json.dumps(content))
    said = say("--settings", settings, "--workers", 1)
    assert said.code == 2
    assert said.err.splitlines()[-1] == (
        "comask: 2.png is 96 x 96 pixels when upright, and the annotation file says 97 x 96"
    )


def test_images_that_are_missing_are_counted(say: Say, folders: Folders) -> None:
    folders.images.rename(folders.images.with_name("elsewhere"))
    assert "3 of 3 images are not below" in refusal(say())


def test_folders_are_learnt_from_together(
    say: Say, folders: Folders, settings: Path, tmp_path: Path
) -> None:
    more = write_folder(tmp_path / "more", names=("disc",))
    said = say(
        "--annotations", more.annotations, "--images", more.images, "--settings", settings,
        "--set", "train.images=6", "--workers", 0, "--about", "discs and rings",
    )  # fmt: skip
    assert said.code == 0
    info = Predictor.from_checkpoint(folders.output / "best.safetensors", device="cpu").info
    assert [category.name for category in info.categories] == ["disc", "ring"]
    assert info.training["about"] == "discs and rings"
    assert info.training["data"] == f"{tmp_path.name} + more"
