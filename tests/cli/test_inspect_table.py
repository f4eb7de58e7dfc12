"""``comask inspect`` of several images or checkpoints: one table of field sizes."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comask.analysis.field_table import area_ratios
from comask.analysis.field_values import Question
from comask.checkpoint import native
from comask.data import images
from comask.model.comask import CoMask
from comask.predict import Predictor
from tests.cli.saying import Say, assert_refused
from tests.factories import write_picture


@pytest.fixture(scope="module")
def plain(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint with one branch, CoMask_1."""
    info = native.read_info(checkpoint)
    config = replace(info.config, neck=replace(info.config.neck, branches=1))
    path = tmp_path_factory.mktemp("plain") / "one.safetensors"
    native.save(path, CoMask(config), replace(info, config=config))
    return path


def rows(folder: str = "sizes") -> list[dict[str, Any]]:
    content = json.loads(Path(folder, "table.json").read_bytes())
    assert content["schema"] == 1
    found: list[dict[str, Any]] = content["rows"]
    return found


def test_branch_counts_and_sets_stand_in_one_table(
    comask_says: Say, checkpoint: Path, plain: Path, pictures: Path
) -> None:
    write_picture(Path("other/b.png"), 30, 40, seed=3)
    said = comask_says(
        "inspect", pictures / "a.png", pictures / "sub/a.png", "other", "--checkpoint", checkpoint,
        "--checkpoint", plain, "--output", "sizes", "--frame", "level", "--path", "own",
    )  # fmt: skip
    assert said.code == 0
    table = rows()
    assert len(table) == 2 * (4 * 5 + 4 * 2)  # two sets; branches and "fused" at four levels
    assert {(row["checkpoint"], row["branches"]) for row in table} == {("small", 4), ("one", 1)}
    assert {(row["set"], row["images"]) for row in table} == {("images", 2), ("other", 1)}
    # the level itself sees one cell, of 4 network pixels; 64 network pixels are 30 image pixels
    for row in table:
        if (row["branch"], row["level"]) == ("1x", "P2"):
            assert row["theoretical"] == pytest.approx(4 * 30 / 64)
            assert list(row["sides"].values()) == pytest.approx([4 * 30 / 64] * 3)
            assert list(row["ratios"].values()) == pytest.approx([1 / (16 * 22)] * 4, rel=0.05)
    assert said.out.count("\n") == 1 + len(table)
    lines = list(csv.DictReader(Path("sizes/table.csv").read_text("utf-8").splitlines()))
    assert len(lines) == len(table)
    for line, row in zip(lines, table, strict=True):
        assert float(line["side_90"]) == row["sides"]["90"]
        assert float(line["ratio_20"]) == row["ratios"]["20"]
        assert (line["level"], line["path"], line["norm"]) == (row["level"], "own", "frozen")


def test_rows_are_the_library_s(comask_says: Say, checkpoint: Path, pictures: Path) -> None:
    comask_says(
        "inspect", pictures, "--checkpoint", checkpoint, "--output", "sizes", "--norm", "live",
        "--frame", "level",
    )  # fmt: skip
    found = [images.load(path).pixels for path, _ in images.list_images([pictures])]
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    asked = Question("cascade", "live", "level")
    expected = area_ratios(predictor, found, checkpoint="small", question=asked)
    for row, one in zip(rows(), expected, strict=True):
        place = (f"P{one.level}", one.branch, one.count)
        assert (row["level"], row["branch"], row["count"]) == place
        assert list(row["sides"].values()) == pytest.approx(list(one.sides.values()))
        assert list(row["ratios"].values()) == pytest.approx(list(one.ratios.values()))


def test_checkpoints_are_compared_at_a_place(
    comask_says: Say, checkpoint: Path, plain: Path, pictures: Path
) -> None:
    said = comask_says(
        "inspect", pictures / "a.png", "--at", "0,0", "--checkpoint", checkpoint, "--checkpoint",
        plain, "--output", "sizes", "--frame", "level",
    )  # fmt: skip
    assert said.code == 0
    assert {row["images"] for row in rows()} == {1}
    own = next(row for row in rows() if row["branch"] == "1x")
    assert own["ratios"]["99"] == pytest.approx(1 / (16 * 22), rel=0.05)


def test_a_checkpoint_that_sees_nothing_says_so(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    """At P4 and P5 of an image so small, norms of single values let nothing through."""
    said = comask_says(
        "inspect", pictures, "--checkpoint", checkpoint, "--output", "sizes", "--frame", "level"
    )
    empty = [row for row in rows() if row["count"] == 0]
    assert empty
    assert all(row["ratios"]["99"] == row["sides"]["99"] == 0 for row in empty)
    dashes = [line for line in said.out.splitlines() if "      -" in line]
    assert len(dashes) == len(empty)


def test_alike_names_are_told_apart(comask_says: Say, checkpoint: Path, pictures: Path) -> None:
    Path("c").mkdir()
    Path("c/small.safetensors").symlink_to(checkpoint)
    comask_says(
        "inspect", pictures / "a.png", "--checkpoint", checkpoint, "--checkpoint",
        "c/small.safetensors", "--output", "sizes", "--frame", "level",
    )  # fmt: skip
    assert {row["checkpoint"] for row in rows()} == {str(checkpoint), "c/small.safetensors"}


def test_a_bad_image_is_reported_and_left_out(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    (pictures / "b.png").write_bytes(b"no picture")
    said = comask_says(
        "inspect", pictures, "--checkpoint", checkpoint, "--output", "sizes", "--frame", "level"
    )
    assert said.code == 1
    assert "comask: 1 of 4 images were skipped:" in said.err
    assert "b.png is text" in said.err
    assert {row["images"] for row in rows()} == {3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--what", "activation"), "there is a table of their fields (--what field)"),
        (("--instance", "1"), "--instance is for one image and one checkpoint"),
        (("--reduction", "max"), "--reduction is for one image"),
        (("--no-second-pass",), "--no-second-pass is for one image"),
        (("--at", "1,1"), "--at is a place of one image"),
    ],
)
def test_what_only_one_image_has_is_refused(
    comask_says: Say, checkpoint: Path, pictures: Path, words: tuple[str, ...], said: str
) -> None:
    given = ("inspect", pictures, "--checkpoint", checkpoint, "--output", "sizes", *words)
    assert_refused(comask_says(*given), said)
    assert not Path("sizes").exists()


def test_no_image_at_all_is_refused(comask_says: Say, checkpoint: Path) -> None:
    Path("a.png").write_bytes(b"no picture")
    Path("b.png").write_bytes(b"no picture")
    said = comask_says("inspect", "a.png", "b.png", "--checkpoint", checkpoint, "--output", "sizes")
    assert_refused(said, "no image can be read: ")
    assert not Path("sizes").exists()
