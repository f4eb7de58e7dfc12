"""`comask agree` and what it lets in, as a person meets them."""

from pathlib import Path

from tests.cli.saying import Say, assert_refused
from tests.factories import coco_content, write_json, write_picture


def test_bfloat16_is_refused_before_it_was_judged(
    comask_says: Say, checkpoint: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "a.png")
    said = comask_says(
        "predict", "a.png", "--checkpoint", checkpoint, "--output", "o.json",
        "--precision", "bfloat16",
    )  # fmt: skip
    assert_refused(said, "never judged in bfloat16; `comask agree` measures it")


def test_too_few_images_are_refused(comask_says: Say, checkpoint: Path, tmp_path: Path) -> None:
    truth = write_json(tmp_path / "val.json", coco_content())
    said = comask_says("agree", checkpoint, "--annotations", truth, "--images", tmp_path)
    assert_refused(said, "at least 20 are needed")
    assert not list(checkpoint.parent.glob("*.agreement.json"))


def test_a_folder_that_is_not_there_is_refused(comask_says: Say, checkpoint: Path) -> None:
    said = comask_says("agree", checkpoint, "--annotations", "val.json", "--images", "none")
    assert_refused(said, "there is no folder none")
