"""``comask inspect`` of one image: maps, pictures and numbers in a folder."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from comask import cli
from comask.analysis import ablate, contributions, difference, look, over_image, reduced
from comask.analysis.drawing import GAP, STRIP, place_of
from comask.analysis.effective_field import effective_fields
from comask.analysis.scales import colour_table
from comask.analysis.switches import Switches
from comask.annotation import coco
from comask.data import images
from comask.predict import Predictor
from tests.cli.saying import Say, assert_refused
from tests.factories import write_picture

LEVELS = ("P2", "P3", "P4", "P5")
BRANCHES = ("1x", "8x", "4x", "2x")
EVERYTHING = "film,field,ablation,contribution,activation"
SCALE = 64 / 30  # network pixels an image pixel, of 40 x 30 image pixels


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_picture(tmp_path_factory.mktemp("picture") / "a.png")


@pytest.fixture(scope="module")
def folder(checkpoint: Path, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ask for everything of one image, once; what was said is beside it."""
    output = tmp_path_factory.mktemp("inspected") / "maps"
    said = StringIO()
    with redirect_stdout(said):
        words = (
            "inspect", image, "--checkpoint", checkpoint, "--output", output, "--what", EVERYTHING,
            "--frame", "level", "--without", "p3:8X", "--without", "attention:P2",
        )  # fmt: skip
        assert cli.main([str(word) for word in words]) == 0
    (output.parent / "said.txt").write_text(said.getvalue(), encoding="utf-8")
    return output


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(checkpoint, device="cpu")


def read(path: Path) -> Any:
    content = json.loads(path.read_bytes())
    assert (content["schema"], content["file_name"]) == (1, "a.png")
    return content


def names(folder: Path, ending: str) -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*.{ending}"))


def named(*maps: str) -> list[str]:
    return [f"{level}-{one}" for level in LEVELS for one in maps]


@pytest.mark.slow
def test_every_map_is_an_array_and_a_picture(folder: Path) -> None:
    parts = [*BRANCHES, *(f"{one}-strength" for one in BRANCHES), "bias", "fused", "winner"]
    assert names(folder, "npy") == sorted(named(*parts))
    assert names(folder, "png") == sorted([*named(*parts), "contributions"])
    maps = named("lateral", *BRANCHES, "fused", "gated", "output")
    assert names(folder / "activation", "npy") == sorted(maps)
    assert names(folder / "activation", "png") == sorted([*maps, "all"])
    fields = named(*BRANCHES, "fused")
    assert names(folder / "field", "npy") == sorted(fields)
    assert names(folder / "field", "png") == sorted([*fields, "all"])
    assert names(folder, "json") == ["ablation", "activation", "contributions", "fields", "film"]
    assert not [path for path in folder.rglob("*") if path.is_file() and not path.stat().st_size]


@pytest.mark.slow
def test_contributions_are_the_library_s(folder: Path, predictor: Predictor, image: Path) -> None:
    parts = contributions(predictor, images.load(image).pixels)
    content = read(folder / "contributions.json")
    assert [one["level"] for one in content["levels"]] == list(LEVELS)
    for told, one in zip(content["levels"], parts, strict=True):
        level = told["level"]
        for row, name in enumerate(BRANCHES):
            assert_array_equal(np.load(folder / f"{level}-{name}.npy"), one.share[row])
            strength = np.load(folder / f"{level}-{name}-strength.npy")
            assert_array_equal(strength, one.strength[row])
        assert_array_equal(np.load(folder / f"{level}-winner.npy"), one.winner)
        assert_array_equal(np.load(folder / f"{level}-fused.npy"), one.fused)
        assert told["shares"] == pytest.approx(one.shares())
        assert sum(told["shares"].values()) == pytest.approx(1, abs=1e-3)
        assert sum(told["wins"].values()) == pytest.approx(1)
        assert told["unexplained"] == one.unexplained < 1e-4
        assert told["cells"] == list(one.fused.shape)
        assert told["scale"] == pytest.approx(SCALE)
    assert (folder.parent / "said.txt").read_text().count("unexplained") == 4


@pytest.mark.slow
def test_a_picture_s_colours_read_back_to_the_array(folder: Path) -> None:
    (told,) = [o for o in read(folder / "contributions.json")["levels"] if o["level"] == "P3"]
    low, high = told["limits"]
    assert low == -high
    shares = np.load(folder / "P3-8x.npy")
    assert low <= shares.min() <= shares.max() <= high
    laid = over_image(shares, told["stride"], told["scale"], (30, 40))
    height, width = place_of((30, 40)).picture
    picture = np.asarray(Image.open(folder / "P3-8x.png"))
    alone = picture[STRIP + 5 : STRIP + height : 10, width + GAP + 5 : 2 * width + GAP : 10]
    table = colour_table("signed").tolist()
    steps = [table.index(colour) for colour in alone.reshape(-1, 3).tolist()]
    values = low + np.array(steps).reshape(30, 40) / 255 * (high - low)
    assert np.abs(values - laid).max() <= (high - low) / 255


@pytest.mark.slow
def test_activations_are_the_library_s(folder: Path, predictor: Predictor, image: Path) -> None:
    seen = look(predictor, images.load(image).pixels)
    content = read(folder / "activation.json")
    assert (content["reduction"], content["channel"]) == ("norm", None)
    for told, one in zip(content["levels"], seen.levels, strict=True):
        ends = []
        for name in one.names:
            values = np.load(folder / "activation" / f"{told['level']}-{name}.npy")
            assert_array_equal(values, reduced(one.map(name), "norm"))
            about = told["maps"][name]
            assert [about["smallest"], about["largest"]] == [values.min(), values.max()]
            ends += [float(values.min()), float(values.max())]
        shared = {tuple(about["limits"]) for about in told["maps"].values()}
        assert shared == {(min(ends), max(ends))}  # one scale a level
        gate = told["gate"]
        assert gate["values"] == pytest.approx(one.gate.tolist())
        assert gate["lowest"] <= gate["median"] <= gate["highest"]
        assert len(gate["values"]) == told["channels"] == 32


@pytest.mark.slow
def test_fields_are_the_library_s_and_have_sizes(
    folder: Path, predictor: Predictor, image: Path
) -> None:
    content = read(folder / "fields.json")
    assert content["question"] == {"path": "own", "norm": "frozen", "frame": "level"}
    assert (content["at"], content["object"]) == ([20, 15], None)
    for told in content["levels"]:
        level, unit = int(told["level"][1]), told["stride"] / SCALE
        own, *_ = told["fields"]
        # the level itself sees its own cell and no more
        assert own["branch"] == "1x"
        assert own["sides"] == pytest.approx(dict.fromkeys(("50", "90", "99"), unit))
        x1, y1, x2, y2 = own["theoretical_box"]
        assert (x2 - x1, y2 - y1) == pytest.approx((unit, unit))
        cells = [tuple(cell) for cell in told["cells"]]
        pixels = images.load(image).pixels
        for field, one in zip(
            told["fields"],
            effective_fields(predictor, pixels, level=level, cells=cells),
            strict=True,
        ):
            kept = np.load(folder / "field" / f"P{level}-{one.branch}.npy")
            np.testing.assert_allclose(kept, one.map, rtol=1e-4, atol=1e-6)
            assert field["outside"] == 0
            assert list(field["ratios"]) == ["20", "30", "50", "99"]
            assert field["ratios"]["50"] == pytest.approx(one.covered(0.5))
    sizes = {(o["level"], o["branch"]): o for o in content["theoretical_sizes"]}
    assert len(sizes) == 20
    assert [sizes["P2", name]["own_cells"] for name in BRANCHES] == [1, 23, 11, 5]


@pytest.mark.slow
def test_an_ablation_says_what_became_of_whom(
    folder: Path, predictor: Predictor, image: Path
) -> None:
    switches = Switches(branches_off=frozenset({(3, 1)}), attention_off=frozenset({2}))
    made = ablate(predictor, images.load(image).pixels, switches)
    told = difference(made.base.prediction, made.prediction)
    content = read(folder / "ablation.json")
    assert content["switches"] == switches.to_plain()
    assert content["redone"][:2] == ["P2", "P3"]
    assert content["counts"] == told.count()
    assert [one["kind"] for one in content["changes"]] == [one.kind for one in told.changes]
    for name, found in (("before", made.base.prediction), ("after", made.prediction)):
        kept = coco.read(folder / "ablation" / f"{name}.json")
        assert {one.score for one in kept.annotations} <= {float(s) for s in found.scores}
    assert "without 8x at P3, attention at P2: " in (folder.parent / "said.txt").read_text()


@pytest.mark.slow
def test_a_film_has_an_animation_a_strip_and_numbers(folder: Path) -> None:
    made = read(folder / "film.json")["instances"]
    assert made
    for one in made:
        assert one["mean_of_votes"] == pytest.approx(one["box"], abs=1e-3)
    with (
        Image.open(folder / "film" / "all.gif") as film,
        Image.open(folder / "film" / "all.png") as strip,
    ):
        assert film.n_frames > 6  # type: ignore[attr-defined]
        assert strip.width > 5 * film.width


@pytest.mark.slow
def test_an_instance_has_its_own_field_and_film(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    said = comask_says(
        "inspect", pictures / "a.png", "--checkpoint", checkpoint, "--output", "maps",
        "--what", "field,film", "--instance", "2", "--frame", "level", "--path", "cascade",
    )  # fmt: skip
    assert said.code == 0
    comask_says("predict", pictures / "a.png", "--checkpoint", checkpoint, "--output", "found.json")
    second = coco.read("found.json").annotations[1]
    content = read(Path("maps/fields.json"))
    x1, y1, x2, y2 = content["object"]["box"]
    assert content["object"]["side"] == pytest.approx(((x2 - x1) * (y2 - y1)) ** 0.5)
    (one,) = read(Path("maps/film.json"))["instances"]
    assert one["row"] == content["object"]["row"]
    assert np.shape(one["votes"]) == (49, 4)
    assert names(Path("maps/film"), "gif") == ["instance-2"]
    assert one["predicted_mask_iou"] == pytest.approx(second.mask_iou)
    assert f"side {content['object']['side']:.0f} px" in said.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("--reduction", "channel", "--channel", "5"), ("channel", 5)),
        (("--reduction", "pca"), ("pca", None)),
        (("--reduction", "mean", "--scale", "all"), ("mean", None)),
    ],
)
def test_channels_become_what_is_asked(
    comask_says: Say, checkpoint: Path, pictures: Path, words: tuple[str, ...], key: tuple[str, Any]
) -> None:
    said = comask_says(
        "inspect", pictures / "a.png", "--checkpoint", checkpoint, "--output", "maps",
        "--what", "activation", *words,
    )  # fmt: skip
    assert said.code == 0
    content = read(Path("maps/activation.json"))
    assert (content["reduction"], content["channel"]) == key
    limits = [one["maps"][name]["limits"] for one in content["levels"] for name in one["maps"]]
    assert (limits[0] is None) == (key[0] == "pca")
    assert (len({str(ends) for ends in limits}) == 1) == (key[0] in ("pca", "mean"))
    shape = np.load("maps/activation/P2-8x.npy").shape
    assert shape == (16, 22, 3) if key[0] == "pca" else (16, 22)
    assert names(Path("maps"), "npy") == []


def test_what_is_usual_follows_the_switches(
    comask_says: Say, checkpoint: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comask.cli import inspect_image

    asked = []
    monkeypatch.setattr(inspect_image, "run", lambda *words: asked.append(words[-1]) or 0)
    given = ("inspect", pictures / "a.png", "--checkpoint", checkpoint, "--output", "maps")
    comask_says(*given)
    comask_says(*given, "--no-second-pass")
    usual = ("activation", "contribution", "field")
    assert asked == [usual, (*usual, "ablation")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.png", "--output", "maps"), "none.png"),
        (("a.txt", "--output", "maps"), "a.txt is text"),
        (("empty", "--output", "maps"), "there are no images at empty"),
        (("pictures/a.png", "--output", "a.txt"), "a.txt is a file"),
        (("pictures/a.png",), "required: --output"),
        (("a", "--output", "m", "--what", "colour"), "of activation, contribution, field"),
        (("a", "--output", "m", "--what", ""), "not ''"),
        (("a", "--output", "m", "--without", "P6:2x"), "such as P3:8x, 2x or attention:P2"),
        (("a", "--output", "m", "--at", "3"), "two numbers, X,Y, not '3'"),
        (("a", "--output", "m", "--at", "nan,3"), "two numbers"),
        (("a", "--output", "m", "--instance", "0"), "a whole number in 1 .. "),
        (("a", "--output", "m", "--at", "1,1", "--instance", "1"), "not allowed with"),
        (("a", "--output", "m", "--votes", "loud"), "invalid choice: 'loud'"),
        (("pictures/a.png", "--output", "m", "--what", "ablation"), "something to switch off"),
        (
            ("pictures/a.png", "--output", "m", "--what", "field", "--reduction", "max"),
            "--reduction needs --what activation",
        ),
        (
            ("pictures/a.png", "--output", "m", "--what", "field", "--no-second-pass"),
            "--no-second-pass needs --what ablation",
        ),
        (("pictures/a.png", "--output", "m", "--channel", "1"), "needs --reduction channel"),
        (("pictures/a.png", "--output", "m", "--reach", "cascade"), "--reach needs"),
        (("pictures/a.png", "--output", "m", "--without", "16x"), "no branch 16x, only 1x, 8x"),
        (
            ("pictures/a.png", "--output", "m", "--what", "field", "--at", "41,3"),
            "--at 41,3 is outside of a.png, which is 40 x 30 pixels",
        ),
        (
            ("pictures/a.png", "--output", "m", "--what", "film", "--instance", "7"),
            "instances and no number 7",
        ),
        (
            ("pictures/a.png", "--output", "m", "--reduction", "channel", "--channel", "32"),
            "--channel is one of 0 .. 31, not 32",
        ),
    ],
)
def test_refusals_are_one_sentence(
    comask_says: Say, checkpoint: Path, pictures: Path, words: tuple[str, ...], said: str
) -> None:
    Path("a.txt").write_text("no picture\n")
    Path("empty").mkdir()
    assert_refused(comask_says("inspect", *words, "--checkpoint", checkpoint), said)
    assert not [path for path in (Path("maps"), Path("m")) if path.exists()]
