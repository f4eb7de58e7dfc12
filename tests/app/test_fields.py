"""Receptive fields as packets and files: the library's numbers, where they lie, odd questions."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.services import StoredImage
from comask.analysis.cells import cell_at, cells_of_mask
from comask.analysis.effective_field import EffectiveField, Question, effective_fields
from comask.analysis.field_average import averaged, set_fields
from comask.annotation import rle
from tests.app.inspecting import SIZES, Desk, desk, open_folder, write_network
from tests.app.standins import blobs, studio, wait_for_run

BRANCHES = ["1x", "8x", "4x", "2x", "fused"]
SCALE = 64 / 60  # of the first sample: 60 x 80 image pixels are 64 x 85 network pixels
CELLS = {2: (16, 22), 3: (8, 11), 4: (4, 6), 5: (2, 3)}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("fields")
    with pytest.MonkeyPatch.context() as patch, desk(folder, patch) as one:
        one.run_over()
        yield one


@pytest.fixture(scope="module")
def unseen(at: Desk) -> StoredImage:
    """Find an image that the checkpoint was not run over."""
    return at.services.images.add(blobs(seed=99, size=(40, 40)), "unseen.png").image


def address(at: Desk) -> str:
    return f"fields/{at.image.key}"


def found(at: Desk, level: int, cells: Any, *question: Any) -> tuple[EffectiveField, ...]:
    """Ask the library the same."""
    asked = Question(*question)
    return effective_fields(at.predictor, at.pixels, level=level, cells=cells, question=asked)


def pooled(values: np.ndarray) -> np.ndarray:
    """Add up squares of 4 x 4 numbers, one by one."""
    height, width = (-(-side // 4) for side in values.shape)
    summed = [
        [values[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].sum(dtype=np.float64) for x in range(width)]
        for y in range(height)
    ]
    return np.array(summed)


def check(panel: dict[str, Any], values: np.ndarray, field: EffectiveField) -> None:
    """Compare a panel with a field of one image."""
    in_image = field.question.frame == "image"
    expected = pooled(field.map) if in_image else field.map
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-5 * field.map.max())
    assert panel["mass"] == pytest.approx(field.mass, rel=1e-4)
    assert panel["outside"] == pytest.approx(field.outside, abs=1e-6)
    assert panel["ratios"] == pytest.approx([field.covered(s) for s in (0.2, 0.3, 0.5, 0.99)])
    assert panel["sides"] == pytest.approx([field.side(s) for s in (0.5, 0.9, 0.99)], rel=0.05)
    assert panel["step"] == pytest.approx(field.unit * (4 if in_image else 1))


# -- one image ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ({}, ("own", "frozen", "image")),
        ({"frame": "level", "path": "cascade"}, ("cascade", "frozen", "level")),
        ({"frame": "level", "norm": "live"}, ("own", "live", "level")),
    ],
)
def test_fields_of_the_middle_are_the_librarys(
    at: Desk, asked: dict[str, str], question: tuple[str, str, str]
) -> None:
    """The middle (40, 30) of the image is at network pixel 42.2, 31.5."""
    middles = {2: (8, 11), 3: (4, 5), 4: (2, 3), 5: (1, 1)}
    head, arrays = at.packet(address(at), **asked)
    assert (head["schema"], head["object"]) == (1, None)
    assert head["scale"] == pytest.approx(SCALE)
    assert head["thresholds"] == [0.2, 0.3, 0.5, 0.99]
    assert [(one["level"], one["stride"], one["count"]) for one in head["levels"]] == [
        (2, 4, 1),
        (3, 8, 1),
        (4, 16, 1),
        (5, 32, 1),
    ]
    for told in head["levels"]:
        assert [one["name"] for one in told["panels"]] == BRANCHES
        fields = found(at, told["level"], [middles[told["level"]]], *question)
        for panel, field in zip(told["panels"], fields, strict=True):
            check(panel, arrays[panel["values"]["array"]], field)


@pytest.mark.parametrize("frame", ["image", "level"])
def test_frozen_fields_keep_within_theory(at: Desk, frame: str) -> None:
    """The theoretical box and the map share a frame: what lies beside the box is exactly 0."""
    head, arrays = at.packet(address(at), frame=frame, point="70,10")
    for told in head["levels"]:
        for panel in told["panels"]:
            values = arrays[panel["values"]["array"]]
            x, y = panel["first"]
            x1, y1, x2, y2 = panel["theory"]
            rows, columns = (np.arange(count) * panel["step"] for count in values.shape)
            high = (y + rows + panel["step"] > y1 + 1e-6) & (y + rows < y2 - 1e-6)
            wide = (x + columns + panel["step"] > x1 + 1e-6) & (x + columns < x2 - 1e-6)
            assert not values[~high].any()
            assert not values[:, ~wide].any()
            assert panel["outside"] == 0
            assert panel["mass"] == pytest.approx(values.sum(dtype=np.float64), rel=1e-4)


@pytest.mark.parametrize("point", ["0,0", "12.5,47", "80,60", "33.3,21"])
def test_a_cells_own_field_lies_where_somebody_clicked(at: Desk, point: str) -> None:
    """The level itself sees its own cell: of the page's squares the bright one covers the point.

    Beyond the last cell of P5, at network pixel 64 of 85, half a cell is not enough.
    """
    head, arrays = at.packet(address(at), frame="level", point=point)
    x, y = (float(part) for part in point.split(","))
    for told in head["levels"]:
        own = told["panels"][0]
        values = arrays[own["values"]["array"]]
        assert values.shape == CELLS[told["level"]]
        ((row, column),) = np.argwhere(values)
        assert values[row, column] == 32  # a sum over channels has a gradient of 1 by each
        where = zip((column, row), (x, y), own["first"], values.shape[::-1], strict=True)
        for cell, place, first, count in where:
            start = first + cell * own["step"]
            assert start <= place <= start + own["step"] or cell == count - 1
            middle = (cell * told["stride"] + 0.5) / SCALE
            assert start + own["step"] / 2 == pytest.approx(middle)


def test_an_instance_is_all_cells_of_its_mask(at: Desk) -> None:
    prediction = at.services.prediction(at.file, at.image.key)
    assert prediction is not None
    row = len(prediction) - 1
    head, arrays = at.packet(address(at), frame="level", instance=f"p{row + 1}", point="1,1")
    side = rle.area(prediction.masks[row]) ** 0.5
    assert head["object"] == {
        "side": pytest.approx(side),
        "levels": prediction.trace.levels[row].tolist(),
    }
    for told in head["levels"]:
        level = told["level"]
        cells = cells_of_mask(prediction.masks[row], 2**level, SCALE, CELLS[level])
        fields = found(at, level, cells, "own", "frozen", "level")
        assert told["count"] == 1
        for panel, field in zip(told["panels"], fields, strict=True):
            check(panel, arrays[panel["values"]["array"]], field)


def test_its_class_is_the_mean_over_instances_laid_at_the_one_picked(at: Desk) -> None:
    prediction = at.services.prediction(at.file, at.image.key)
    assert prediction is not None
    picked = 1
    rows = np.flatnonzero(prediction.labels == prediction.labels[picked])
    assert len(rows) > 1
    head, arrays = at.packet(address(at), frame="level", instance="p2", alike=1)
    boxes = prediction.boxes.astype(np.float64)
    middles = np.stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)], axis=1)
    for told in head["levels"][:2]:
        level = told["level"]
        assert told["count"] == len(rows)
        each = [
            found(
                at,
                level,
                [cell_at(tuple(middles[row]), 2**level, SCALE, CELLS[level])],
                *("own", "frozen", "level"),
            )
            for row in rows
        ]
        for number, panel in enumerate(told["panels"]):
            mean = averaged([fields[number] for fields in each])
            values = arrays[panel["values"]["array"]]
            np.testing.assert_allclose(values, mean.map, rtol=1e-3, atol=1e-6)
            assert panel["mass"] == pytest.approx(1, abs=1e-4)
            assert panel["ratios"] == pytest.approx([mean.covered(s) for s in head["thresholds"]])
            for axis, origin in ((0, mean.origin[1]), (1, mean.origin[0])):
                middle = panel["first"][axis] + (origin + 0.5) * panel["step"]
                assert middle == pytest.approx(middles[picked][axis], abs=1e-4)


def test_contours_hold_their_shares(at: Desk) -> None:
    """Of the level's own field all contours go around the one cell, in image pixels."""
    head, _ = at.packet(address(at), frame="level", point="40,30")
    for told in head["levels"]:
        own = told["panels"][0]
        assert [one["share"] for one in own["contours"]] == [0.5, 0.9, 0.99]
        cell = cell_at((40, 30), told["stride"], SCALE, CELLS[told["level"]])
        for one in own["contours"]:
            points = np.concatenate([np.array(polygon) for polygon in one["polygons"]])
            middle = [(place * told["stride"] + 0.5) / SCALE for place in (cell[1], cell[0])]
            low, high = points.min(axis=0), points.max(axis=0)
            np.testing.assert_allclose((low + high) / 2, middle, atol=0.1)
            assert (high - low <= own["step"]).all()


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{"point": "20,20"}, {"frame": "level", "instance": "p1"}])
def test_files_hold_the_whole_field(at: Desk, asked: dict[str, str]) -> None:
    name = "P3-4x"
    array = np.load(io.BytesIO(at.get(f"{address(at)}/{name}.npy", **asked).content))
    frame = asked.get("frame", "image")
    cells: Any = [cell_at((20, 20), 8, SCALE, CELLS[3])]
    if "instance" in asked:
        prediction = at.services.prediction(at.file, at.image.key)
        assert prediction is not None
        cells = cells_of_mask(prediction.masks[0], 8, SCALE, CELLS[3])
    field = found(at, 3, cells, "own", "frozen", frame)[2]
    assert array.shape == field.map.shape == ((64, 85) if frame == "image" else CELLS[3])
    np.testing.assert_allclose(array, field.map, rtol=1e-3, atol=1e-6 * field.map.max())
    table = at.get(f"{address(at)}/{name}.csv", **asked)
    rows = np.loadtxt(io.StringIO(table.text), delimiter=",")
    np.testing.assert_allclose(rows, array, rtol=1e-5, atol=1e-6 * array.max())
    assert f"0.png-field-own-frozen-{frame}-{name}.csv" in table.headers["content-disposition"]


def test_a_class_has_a_file_as_well(at: Desk) -> None:
    asked = {"frame": "level", "instance": "p2", "alike": "1"}
    head, arrays = at.packet(address(at), **asked)
    panel = head["levels"][0]["panels"][1]
    array = np.load(io.BytesIO(at.get(f"{address(at)}/P2-8x.npy", **asked).content))
    np.testing.assert_allclose(array, arrays[panel["values"]["array"]], rtol=1e-4, atol=1e-7)


# -- once ---------------------------------------------------------------------------------------


def test_the_network_runs_once_a_question(at: Desk) -> None:
    """In the image each level runs it with gradients; in the level a kept look is enough."""
    at.packet(f"maps/{at.image.key}")
    at.use_of_model()
    first = at.get(address(at), point="7,7")
    assert at.lent == [True] * 4
    at.use_of_model()
    assert at.get(address(at), point="7,7").content == first.content
    assert at.get(address(at), point="7.0,07").content == first.content
    at.packet(address(at), point="7,7", frame="level")
    at.packet(address(at), point="9,7", frame="level")
    assert at.use_of_model() == 0


# -- a dataset ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(at: Desk, tmp_path_factory: pytest.TempPathFactory) -> str:
    return open_folder(at.services, tmp_path_factory.mktemp("set"), None)


def images_of(at: Desk, dataset: str) -> list[np.ndarray]:
    keys = [at.services.datasets.key(dataset, row) for row in range(len(SIZES))]
    found = [at.services.images.find(key) for key in keys]
    return [at.services.images.pixels(one) for one in found if one is not None]


def test_means_over_a_dataset_are_the_librarys(at: Desk, dataset: str) -> None:
    asked = {"frame": "level", "path": "cascade", "images": 2}
    head, arrays = at.packet(f"fields-set/{dataset}", **asked)
    means = set_fields(
        at.predictor,
        images_of(at, dataset)[:2],
        question=Question("cascade", "frozen", "level"),
    )
    panels = [panel for told in head["levels"] for panel in told["panels"]]
    assert [told["count"] for told in head["levels"]] == [2, 2, 2, 2]
    assert (head["object"], head["scale"], len(panels)) == (None, 1.0, len(means))
    for panel, row, mean in zip(panels, head["rows"], means, strict=True):
        values = arrays[panel["values"]["array"]]
        np.testing.assert_allclose(values, mean.map, rtol=1e-3, atol=1e-6)
        assert (row["checkpoint"], row["level"], row["name"]) == ("small", mean.level, mean.branch)
        assert row["sides"] == panel["sides"]
        assert row["ratios"] == pytest.approx([mean.covered(s) for s in head["thresholds"]])
        # it lies around nothing: its origin's middle is at 0, 0
        middles = [panel["first"][a] + (mean.origin[1 - a] + 0.5) * panel["step"] for a in (0, 1)]
        assert middles == pytest.approx([0, 0], abs=1e-6)


def test_two_checkpoints_stand_side_by_side(at: Desk, dataset: str) -> None:
    other = at.file.path.with_name("zweiter.safetensors")
    write_network(other, seed=1)
    try:
        asked = {"frame": "level", "images": 1}
        both, arrays = at.packet(f"fields-set/{dataset}", other="zweiter", **asked)
        alone, only = at.packet(f"fields-set/{dataset}", **asked)
        second, _ = at.packet(f"fields-set/{dataset}", checkpoint="zweiter", **asked)
        itself, _ = at.packet(f"fields-set/{dataset}", other="small", **asked)
    finally:
        other.unlink()
    assert len(both["rows"]) == 40
    assert both["rows"] == alone["rows"] + second["rows"]
    assert itself["rows"] == alone["rows"]
    assert both["levels"] == alone["levels"]
    for left, right in zip(arrays, only, strict=True):
        np.testing.assert_array_equal(left, right)


def test_images_that_cannot_be_read_are_left_out(at: Desk, tmp_path: Path) -> None:
    dataset = open_folder(at.services, tmp_path, (), missing=1)
    (tmp_path / "images/1.png").write_bytes(b"no picture")
    head, _ = at.packet(f"fields-set/{dataset}", frame="level")
    assert [told["count"] for told in head["levels"]] == [1, 1, 1, 1]
    (tmp_path / "images/0.png").unlink()
    status, said = at.refusal(f"fields-set/{dataset}", frame="level", path="cascade")
    assert status == 422
    assert said.startswith("there is no field to average")


# -- odd questions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        "1",
        "1,2,3",
        "1;2",
        "nan,1",
        "inf,1",
        "-1,1",
        "1,1e9",
        "9" * 400 + ",1",
        "a,b",
        ",",
        "true,1",
    ],
)
def test_what_is_no_point_is_refused(at: Desk, point: str) -> None:
    for asked in (address(at), f"{address(at)}/P2-1x.npy"):
        status, said = at.refusal(asked, point=point)
        assert status == 422
        assert said.startswith("point must be")


@pytest.mark.parametrize("point", ["80.1,1", "1,60.1", "99999,99999", "1e4,1", "12000,1"])
def test_points_beside_the_image_are_refused(at: Desk, point: str) -> None:
    told = "this image is 80 x 60 pixels, so the point is beside it."
    assert at.refusal(address(at), point=point) == (422, told)
    assert at.refusal(f"{address(at)}/P2-1x.npy", point=point) == (404, told)


@pytest.mark.parametrize("instance", ["p0", "1", "t1", "p-1", "p1.0", "p" + "9" * 400, "P1", "p٣"])
def test_what_is_no_instance_is_refused(at: Desk, instance: str) -> None:
    told = (422, "instance must be one that the model found, like p3.")
    assert at.refusal(address(at), instance=instance) == told


@pytest.mark.parametrize("instance", ["p7", "p999999999"])
@pytest.mark.parametrize("alike", ["0", "1"])
def test_an_instance_that_was_not_found_is_refused(at: Desk, instance: str, alike: str) -> None:
    told = (422, "there is no such instance in this image.")
    assert at.refusal(address(at), instance=instance, alike=alike) == told


def test_an_image_that_was_not_run_over_has_no_instances(at: Desk, unseen: StoredImage) -> None:
    told = "the checkpoint has not seen this image yet."
    for asked in ({"instance": "p1"}, {"alike": "1"}, {"instance": "p1", "alike": "1"}):
        assert at.refusal(f"fields/{unseen.key}", **asked) == (422, told)
        assert at.refusal(f"fields/{unseen.key}/P2-1x.npy", **asked) == (404, told)
    assert at.packet(f"fields/{unseen.key}", frame="level")[0]["levels"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"path": "both"}, "path must be one of own, cascade."),
        ({"norm": "1"}, "norm must be one of frozen, live."),
        ({"frame": "IMAGE"}, "frame must be one of image, level."),
        ({"alike": "true"}, "alike must be one of 0, 1."),
        ({"alike": "2"}, "alike must be one of 0, 1."),
    ],
)
def test_unknown_words_are_refused(
    at: Desk, dataset: str, asked: dict[str, str], said: str
) -> None:
    for place in (address(at), f"{address(at)}/P2-1x.npy", f"fields-set/{dataset}"):
        assert at.refusal(place, **asked) == (422, said)


@pytest.mark.parametrize("images", ["0", "-1", "65", "nan", "1.5", "true", "1e1", "9" * 400])
def test_numbers_of_images_are_refused(at: Desk, dataset: str, images: str) -> None:
    told = (422, "images must be a whole number from 1 to 64.")
    assert at.refusal(f"fields-set/{dataset}", images=images) == told


def test_unknown_branches_images_datasets_and_checkpoints_are_refused(
    at: Desk, dataset: str
) -> None:
    assert at.refusal(f"{address(at)}/P2-16x.npy", frame="level") == (
        404,
        "P2 has no branch of this name.",
    )
    for place in ("fields/nothing", "fields-set/nothing", "fields-set/000000000000"):
        assert at.refusal(place)[0] == 404
    for asked in ({"checkpoint": "nobody"}, {"other": "nobody"}, {"other": "../small"}):
        status, said = at.refusal(f"fields-set/{dataset}", **asked)
        assert status == 404
        assert said.startswith("There is no checkpoint of this name")


def test_a_model_that_is_no_network_says_so(tmp_path: Path) -> None:
    services = studio(tmp_path)
    try:
        at = Desk(services)
        wait_for_run(services, services.runner.start("test", at.file, [at.image.key]))
        for asked in ({}, {"frame": "level"}, {"instance": "p1"}, {"alike": "1"}):
            assert at.refusal(address(at), **asked) == (422, "This model can't be looked into.")
        dataset = open_folder(services, tmp_path / "set", None)
        assert at.refusal(f"fields-set/{dataset}") == (422, "This model can't be looked into.")
    finally:
        services.close()
