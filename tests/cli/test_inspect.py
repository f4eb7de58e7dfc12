"""``comask inspect``: maps and numbers in a folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.saying import Say, assert_refused

NAMES = [f"P{level}-{branch}" for level in (2, 3, 4, 5) for branch in ("1x", "8x", "4x", "2x")]


def test_it_writes_a_map_a_level_and_branch(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    image = pictures / "a.png"
    said = comask_says("inspect", image, "--checkpoint", checkpoint, "--output", "maps")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("unexplained") == 4
    content = json.loads(Path("maps/contributions.json").read_bytes())
    assert [one["level"] for one in content["levels"]] == ["P2", "P3", "P4", "P5"]
    for one in content["levels"]:
        assert sum(one["shares"].values()) == pytest.approx(1, abs=1e-3)
        assert one["unexplained"] < 1e-4
    written = sorted(path.stem for path in Path("maps").glob("*.npy"))
    assert written == sorted(path.stem for path in Path("maps").glob("*.png")) == sorted(NAMES)
    shares = np.load("maps/P2-8x.npy")
    assert list(shares.shape) == content["levels"][0]["cells"]
    low, high = content["levels"][0]["limits"]
    assert low <= shares.min() <= shares.max() <= high
    assert Image.open("maps/P2-8x.png").size == (40 + 94, 30)  # the image and its scale


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.png", "--output", "maps"), "none.png"),
        (("a.txt", "--output", "maps"), "a.txt is text"),
        (("pictures/a.png", "--output", "a.txt"), "a.txt is a file"),
        (("pictures/a.png",), "required: --output"),
    ],
)
def test_refusals_are_one_sentence(
    comask_says: Say, checkpoint: Path, pictures: Path, words: tuple[str, ...], said: str
) -> None:
    Path("a.txt").write_text("no picture\n")
    assert_refused(comask_says("inspect", *words, "--checkpoint", checkpoint), said)
    assert not Path("maps").exists()
