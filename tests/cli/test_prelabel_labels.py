"""``comask prelabel --labels`` as a person meets it: what is found waits in the store."""

from dataclasses import replace
from pathlib import Path

import pytest

from comask.annotation import coco
from comask.annotation.index import DatasetIndex
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Gesture, Sheet
from comask.annotation.store import Store
from tests.cli.saying import Say, assert_refused
from tests.factories import write_checkpoint, write_json


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one whose masks fill their boxes: it finds cells and nuclei in every picture."""
    from torch.nn import init

    from comask.checkpoint import native

    path = write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "small.safetensors", seed=8)
    model, info = native.load(path)
    init.constant_(model.mask_head.mask.bias, 1.0)
    init.constant_(model.mask_head.distance.bias, 0.3)
    native.save(path, model, info)
    return path


def truth_file(pictures: Path) -> Path:
    """Write a COCO file of two pictures, a cell drawn on the first, and other ids."""
    content = {
        "images": [
            {"id": 5, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 6, "file_name": "sub/a.png", "width": 40, "height": 30},
        ],
        "categories": [{"id": 8, "name": "Cell"}, {"id": 9, "name": "other"}],
        "annotations": [
            {
                "id": 3,
                "image_id": 5,
                "category_id": 9,
                "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]],
                "iscrowd": 0,
            }
        ],
    }
    return write_json(pictures / "truth.json", content)


def words(pictures: Path, checkpoint: Path, *more: object) -> tuple[object, ...]:
    return (
        "prelabel", "--annotations", truth_file(pictures), "--images", pictures, "--checkpoint",
        checkpoint, "--device", "cpu", "--output", "o.json", "--labels", *more,
    )  # fmt: skip


def sheets(pictures: Path, store: str = "o.sqlite") -> tuple[str, dict[str, Sheet | None]]:
    """Read the sheets of both pictures, and the name of their state."""
    index = DatasetIndex.open(pictures / "truth.json", pictures, Path("cache").absolute())
    with Store.open(store) as opened:
        labels = LabelStore(opened)
        found = {name: labels.sheet(index.fingerprint, name) for name in ("a.png", "sub/a.png")}
        state = labels.state_hash(index.fingerprint)
    index.close()
    return state, found


def test_what_is_found_waits_in_the_store(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    said = comask_says(*words(pictures, checkpoint, "--overlap", "1"))
    assert said.code == 0
    found = coco.read("o.json")
    cells = [one for one in found.annotations if one.category_id == 1]
    nuclei = len(found.annotations) - len(cells)
    assert min(len(cells), nuclei) > 0
    assert f"{len(cells)} of these are labels in o.sqlite, on 2 images" in said.out
    assert f"{nuclei} have no class in the dataset ({nuclei} x nucleus)" in said.out
    _, kept = sheets(pictures)
    first = kept["a.png"]
    assert first is not None
    assert first.labels[0].uid == "t3"  # what was drawn is there too
    for name, image in (("a.png", 5), ("sub/a.png", 6)):
        sheet = kept[name]
        assert sheet is not None
        proposed = {one.mask for one in sheet.labels if one.state == "proposed"}
        assert proposed == {one.rle for one in cells if one.image_id == image}
        assert {one.category for one in sheet.labels if one.state == "proposed"} <= {8}


@pytest.mark.slow
def test_the_same_command_adds_nothing_and_another_batch_neither(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    comask_says(*words(pictures, checkpoint))
    state, kept = sheets(pictures)
    for more in ((), ("--batch", "second"), ("--policy", "replace")):
        said = comask_says(*words(pictures, checkpoint, *more))
        assert said.code == 0
        assert sheets(pictures) == (state, kept)


@pytest.mark.slow
def test_what_was_undone_comes_back_under_another_name_only(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    comask_says(*words(pictures, checkpoint, "--actor", "ann"))
    state, _ = sheets(pictures)
    index = DatasetIndex.open(pictures / "truth.json", pictures, Path("cache").absolute())
    with Store.open("o.sqlite") as store:
        undone = LabelStore(store).undo(index.fingerprint, "ann", "u1")
    index.close()
    assert undone is not None
    assert undone.kind == "prelabel"
    comask_says(*words(pictures, checkpoint, "--actor", "ann"))
    assert sheets(pictures)[0] != state
    comask_says(*words(pictures, checkpoint, "--actor", "ann", "--batch", "again"))
    assert sheets(pictures)[0] == state


def test_what_people_did_stays(comask_says: Say, checkpoint: Path, pictures: Path) -> None:
    comask_says(*words(pictures, checkpoint))
    _, kept = sheets(pictures)
    sheet = kept["a.png"]
    assert sheet is not None
    mine = [replace(one, state="rejected") for one in sheet.labels if one.state == "proposed"]
    index = DatasetIndex.open(pictures / "truth.json", pictures, Path("cache").absolute())
    with Store.open("o.sqlite") as store:
        gesture = Gesture("g", "ann", "reject", sheet.revision, put=mine)
        done = LabelStore(store).apply(index.fingerprint, "a.png", gesture, lambda: sheet)
    index.close()
    for more in (("--batch", "b"), ("--policy", "replace", "--min-score", "0.3")):
        comask_says(*words(pictures, checkpoint, *more))
        assert sheets(pictures)[1]["a.png"] == done.sheet


def test_classes_are_mapped_by_name_or_left_out(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    comask_says(*words(pictures, checkpoint, "--map", "nucleus=OTHER", "--map", "cell="))
    _, kept = sheets(pictures)
    found = {one.rle: one.category_id for one in coco.read("o.json").annotations}
    labels = [one for sheet in kept.values() for one in (sheet.labels if sheet else ())]
    proposed = [(one.category, found[one.mask]) for one in labels if one.state == "proposed"]
    assert set(proposed) == {(9, 90)}


def test_a_folder_without_a_file_takes_the_checkpoints_classes(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    given = (pictures, "--checkpoint", checkpoint, "--device", "cpu", "--output", "o.json")
    assert comask_says("prelabel", *given, "--labels").code == 0
    index = DatasetIndex.open(None, pictures, Path("cache").absolute())
    with Store.open("o.sqlite") as store:
        labels = LabelStore(store)
        assert [one.name for one in labels.categories(index.fingerprint) or ()] == [
            "cell",
            "nucleus",
        ]
        kept = labels.sheets(index.fingerprint)
    assert sorted(kept) == sorted(one.file_name for one in index.images(range(len(index))))
    assert sorted(one.row for one in kept.values()) == [0, 1, 2]
    index.close()


def test_a_bad_image_is_named_and_the_others_are_labelled(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    (pictures / "sub/a.png").write_bytes(b"no picture")
    said = comask_says(*words(pictures, checkpoint))
    assert said.code == 1
    assert said.err.count("sub/a.png") == 1
    assert sheets(pictures)[1]["a.png"] is not None
    assert sheets(pictures)[1]["sub/a.png"] is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--map", "cat=Cell"), "with a class of the checkpoint, which finds cell, nucleus"),
        (("--map", "cell"), "--map takes CLASS=CATEGORY"),
        (("--map", "cell=cat"), "the dataset has no class 'cat', it has Cell, other"),
        (("--overlap", "2"), "a number in 0 .. 1"),
        (("--policy", "merge"), "invalid choice: 'merge'"),
        (("--actor", ""), "--actor must be a text of 1 to 64 characters"),
        (("--batch", "b" * 65), "--batch must be a text of 1 to 64 characters"),
    ],
)
def test_refusals_are_one_sentence(
    comask_says: Say, checkpoint: Path, pictures: Path, more: tuple[str, ...], said: str
) -> None:
    assert_refused(comask_says(*words(pictures, checkpoint, *more)), said)
    assert not Path("o.json").exists()


def test_what_is_about_labels_needs_labels(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    given = ("prelabel", pictures, "--checkpoint", checkpoint, "--output", "o.json")
    assert_refused(comask_says(*given, "--map", "a=b"), "--map is about labels; give --labels")
    files = ("prelabel", pictures / "a.png", *given[2:], "--labels")
    assert_refused(comask_says(*files), "labels belong to a dataset: give one folder")
