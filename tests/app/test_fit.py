"""Objects beside fields over a dataset: packet, table and grid tell one story, and only once."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.actions import fit
from app.actions.fit import Measured
from comask.analysis.field_fit import Fit, fits
from comask.annotation import coco, rle
from comask.annotation.records import Annotation
from comask.run import to_annotations
from tests.app.inspecting import SIZES, Desk, desk, open_folder
from tests.app.planted import checkpoint, plant
from tests.app.standins import blobs, studio, wait_for_run
from tests.app.test_grid import Page

NOT_YET = "the objects were not measured yet; open Field fit on the page Inspect."
PLANTED = ((2, 3, 9, 16), (30, 20, 20, 20), (1, 40, 60, 22))  # x, y, width, height in each image
SIDES = (12.0, 20.0, (60 * 22) ** 0.5)


def pictures() -> list[bytes]:
    """Draw what ``open_folder`` writes."""
    return [blobs(seed=10 + number, size=size) for number, size in enumerate(SIZES)]


def truth_of(at: Desk) -> tuple[Annotation, ...]:
    """Annotate what the model finds, one object an image that it does not, and a crowd.

    Those of image i have the ids 100 i + 1 and so on; the planted ones 1000 + i, crowds 2000 + i.
    """
    made: list[Annotation] = []
    for number, (content, size) in enumerate(zip(pictures(), SIZES, strict=True)):
        image = at.services.images.add(content, f"{number}.png").image
        found = at.predictor.predict(at.services.images.pixels(image))
        made += to_annotations(found, 7 + number, 100 * number + 1)
        x, y, width, height = PLANTED[number]
        mask = np.zeros(size, np.uint8)
        mask[y : y + height, x : x + width] = 1
        made.append(coco.annotate(1000 + number, 7 + number, 1, rle.encode(mask)))
        crowd = coco.annotate(2000 + number, 7 + number, 90, rle.encode(1 - mask))
        made.append(replace(crowd, iscrowd=True))
    return tuple(made)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as patch, desk(tmp_path_factory.mktemp("fit"), patch) as one:
        yield one


@pytest.fixture(scope="module")
def truth(at: Desk) -> tuple[Annotation, ...]:
    return truth_of(at)


@pytest.fixture(scope="module")
def dataset(
    at: Desk, truth: tuple[Annotation, ...], tmp_path_factory: pytest.TempPathFactory
) -> str:
    opened = open_folder(at.services, tmp_path_factory.mktemp("set"), truth)
    at.run_over(opened)
    return opened


def points(at: Desk, dataset: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask for the packet: one dictionary an object."""
    head, arrays = at.packet(f"fit/{dataset}", **asked)
    columns = {
        name: arrays[head[name]["array"]].tolist()
        for name in ("speaker", "size", "field", "found", "share")
    }
    return [
        {
            "row": row,
            "id": number,
            "speaker": head["speakers"][int(columns["speaker"][at_row])],
            **{name: columns[name][at_row] for name in ("size", "field", "found", "share")},
        }
        for at_row, (row, number) in enumerate(zip(head["rows"], head["ids"], strict=True))
    ]


# -- the packet ---------------------------------------------------------------------------------


def test_every_object_is_measured_as_the_library_does(
    at: Desk, dataset: str, truth: tuple[Annotation, ...]
) -> None:
    expected: list[tuple[int, Fit]] = []
    for row in range(3):
        image = at.services.images.find(at.services.datasets.key(dataset, row))
        assert image is not None
        mine = [one for one in truth if one.image_id == 7 + row and not one.iscrowd]
        objects = [(one.id, one.rle) for one in mine]
        expected += [
            (row, one) for one in fits(at.predictor, at.services.images.pixels(image), objects)
        ]
    told = points(at, dataset)
    assert len(told) == len(expected) > 6
    for one, (row, wanted) in zip(told, expected, strict=True):
        assert (one["row"], one["id"]) == (row, wanted.id)
        assert one["speaker"] == f"P{wanted.level} {wanted.branch}"
        assert one["size"] == pytest.approx(wanted.size)
        assert one["field"] == pytest.approx(wanted.field, rel=1e-4)
        assert one["share"] == pytest.approx(wanted.share, rel=1e-3)


def test_sizes_by_hand_and_crowds_are_no_objects(at: Desk, dataset: str) -> None:
    told = {one["id"]: one for one in points(at, dataset)}
    assert not any(number >= 2000 for number in told)
    for number, side in enumerate(SIDES):
        assert told[1000 + number]["size"] == pytest.approx(side)
        assert told[1000 + number]["row"] == number


def test_the_head_says_how_much_was_looked_at(
    at: Desk, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, _ = at.packet(f"fit/{dataset}")
    assert (head["schema"], head["images"], head["of"]) == (1, 3, 3)
    assert head["speakers"] == sorted(set(head["speakers"]))
    monkeypatch.setattr("app.actions.fit.MOST_IMAGES", 2)
    head, _ = at.packet(f"fit/{dataset}")
    assert (head["images"], head["of"], set(head["rows"])) == (2, 3, {0, 1})


def test_found_follows_the_sliders_and_nothing_is_measured_again(at: Desk, dataset: str) -> None:
    """What the model found is true, so all of it is found, and nothing that was planted is."""
    low = points(at, dataset)
    assert [one["found"] for one in low] == [float(one["id"] < 1000) for one in low]
    at.use_of_model()
    image = at.services.images.find(at.services.datasets.key(dataset, 0))
    assert image is not None
    prediction = at.services.prediction(at.file, image.key)
    assert prediction is not None
    middle = float(np.median(prediction.class_scores))
    some = points(at, dataset, score=middle)
    scores = prediction.class_scores > np.float32(middle)
    assert 0 < scores.sum() < len(scores)
    found = [one["found"] for one in some if one["row"] == 0 and one["id"] < 1000]
    assert sum(found) == scores.sum()
    none = points(at, dataset, score=0.999)
    assert [one["found"] for one in none] == [0.0] * len(low)
    strict = points(at, dataset, iou=1.0, kind="mask")
    assert [one["found"] for one in strict] == [one["found"] for one in low]
    assert at.use_of_model() == 0
    for told in (some, none):
        assert [one["field"] for one in told] == [one["field"] for one in low]


def test_only_images_that_the_run_has_seen_have_points(
    at: Desk, truth: tuple[Annotation, ...], tmp_path: Path
) -> None:
    opened = open_folder(at.services, tmp_path, truth)
    status, said = at.refusal(f"fit/{opened}")
    assert status == 422
    assert said.startswith("the checkpoint has seen none of this dataset's images")
    key = at.services.datasets.key(opened, 1)
    wait_for_run(at.services, at.services.runner.start("test", at.file, [key]))
    assert {one["row"] for one in points(at, opened)} == {1}
    assert listed(at, opened, "0,100000,0,100000") == [1]


def test_missing_and_broken_images_are_left_out(
    at: Desk, truth: tuple[Annotation, ...], tmp_path: Path
) -> None:
    opened = open_folder(at.services, tmp_path, truth, missing=1)
    at.run_over(opened)
    (tmp_path / "images/1.png").write_bytes(b"no picture")
    assert {one["row"] for one in points(at, opened)} == {0}


def test_what_was_drawn_on_a_picture_of_another_size_is_left_out(
    at: Desk, truth: tuple[Annotation, ...], tmp_path: Path
) -> None:
    opened = open_folder(at.services, tmp_path, truth)
    (tmp_path / "images/1.png").write_bytes(blobs(seed=5, size=(90, 70)))
    at.run_over(opened)
    assert {one["row"] for one in points(at, opened)} == {0, 2}


def test_a_truth_without_objects_is_an_empty_packet(at: Desk, tmp_path: Path) -> None:
    opened = open_folder(at.services, tmp_path, ())
    at.run_over(opened)
    assert points(at, opened) == []
    assert listed(at, opened, "0,100000,0,100000") == []
    assert len(table(at, opened)) == 0


def test_a_dataset_without_annotations_says_so(at: Desk, tmp_path: Path) -> None:
    opened = open_folder(at.services, tmp_path, None)
    at.run_over(opened)
    told = "The dataset has no annotations, so nothing can be judged."
    assert at.refusal(f"fit/{opened}") == (422, told)
    assert at.refusal(f"fit/{opened}.csv") == (404, told)


def test_a_truth_that_was_taken_away_is_one_sentence(
    at: Desk, truth: tuple[Annotation, ...], tmp_path: Path
) -> None:
    opened = open_folder(at.services, tmp_path, truth)
    image = at.services.images.find(at.services.datasets.key(opened, 0))
    assert image is not None
    prediction = at.predictor.predict(at.services.images.pixels(image))
    (tmp_path / "instances.json").unlink()
    identity = at.services.checkpoints.identity(at.file)
    at.services.predictions.put(identity, image.key, prediction)
    status, said = at.refusal(f"fit/{opened}")
    assert status == 409
    assert "can't be read" in said


def test_progress_is_told_image_by_image(
    at: Desk, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comask.analysis.field_fit._field", lambda *_: 1.0)
    told: list[tuple[int, int]] = []
    found = at.services.datasets.get(dataset)
    assert found is not None
    measured = fit._measure(
        at.services, at.file, (dataset, found), 3, lambda *now: told.append(now)
    )
    assert sorted(set(told)) == [(0, 3), (1, 3), (2, 3)]
    assert told == sorted(told)
    assert len(told) > 3  # between two fields, so that a stop is heeded
    assert measured.images == 3


# -- the table ----------------------------------------------------------------------------------


def table(at: Desk, dataset: str, **asked: Any) -> list[dict[str, str]]:
    answer = at.get(f"fit/{dataset}.csv", **asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"{dataset}-field-fit.csv" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_the_table_says_what_the_packet_says(at: Desk, dataset: str) -> None:
    for asked in ({}, {"score": 0.999}):
        told = points(at, dataset, **asked)
        rows = table(at, dataset, **asked)
        assert len(rows) == len(told)
        for row, one in zip(rows, told, strict=True):
            assert (row["image"], row["object"]) == (f"{one['row']}.png", str(one["id"]))
            assert f"{row['level']} {row['branch']}" == one["speaker"]
            assert float(row["object_px"]) == pytest.approx(one["size"], rel=1e-5)
            assert float(row["field_px"]) == pytest.approx(one["field"], rel=1e-5)
            assert float(row["share"]) == pytest.approx(one["share"], rel=1e-5)
            assert float(row["ratio"]) == pytest.approx(one["size"] / one["field"], rel=1e-5)
            assert row["found"] == str(int(one["found"]))


def test_before_anything_was_measured_there_is_no_table(
    at: Desk, truth: tuple[Annotation, ...], tmp_path: Path
) -> None:
    opened = open_folder(at.services, tmp_path, truth)
    at.run_over(opened)
    at.use_of_model()
    assert at.refusal(f"fit/{opened}.csv") == (404, NOT_YET)
    asked = {"dataset": opened, "fit": "0,10,0,10"}
    assert at.refusal("grid", **asked) == (422, NOT_YET)
    assert at.use_of_model() == 0


# -- the grid -----------------------------------------------------------------------------------


def listed(at: Desk, dataset: str, box: str) -> list[int]:
    answer = at.get("grid", dataset=dataset, fit=box)
    assert answer.status_code == 200, answer.text
    return [int(row["key"].rpartition("-")[2]) for row in answer.json()["rows"]]


def test_the_grid_lists_the_images_with_an_object_in_the_box(at: Desk, dataset: str) -> None:
    """For boxes around every single object, and around all, none, the small and the large."""
    told = points(at, dataset)
    boxes = [(one["size"] - 1e-3, one["size"] + 1e-3, 0.0, 1e5) for one in told]
    boxes += [(0.0, 1e5, one["field"] - 1e-3, one["field"] + 1e-3) for one in told]
    middle = float(np.median([one["size"] for one in told])) + 1e-3
    wide = float(np.median([one["field"] for one in told])) + 1e-3
    boxes += [(0, 1e5, 0, 1e5), (0, 0.5, 0, 1e5), (0, middle, 0, wide), (middle, 1e5, wide, 1e5)]
    for low, high, narrow, broad in boxes:
        rows = sorted(
            {
                one["row"]
                for one in told
                if low <= one["size"] <= high and narrow <= one["field"] <= broad
            }
        )
        box = f"{low:.4f},{high:.4f},{narrow:.4f},{broad:.4f}"
        assert listed(at, dataset, box) == rows


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Plant fits of a dataset whose third image has no truth at all."""
    services, dataset = plant(tmp_path)
    found = services.datasets.get(dataset)
    assert found is not None
    made = (
        Fit(1, 2, "8x", 0.5, 40.0, 100.0),
        Fit(2, 2, "2x", 0.5, 20.0, 50.0),
        Fit(5, 3, "1x", 0.5, 40.0, 0.0),
    )
    key = fit.key_of(services, found, checkpoint(services, "first"), 3)
    services.inspections.keep(key, Measured((0, 0, 1), made, 3), 1)
    yield Page(services, dataset)
    services.close()


@pytest.mark.parametrize(
    ("box", "rows"),
    [
        ("0,100,0,200", [0, 1]),
        ("40,40,0,200", [0, 1]),  # both ends belong to it
        ("40,40,1,200", [0]),
        ("20,20,50,50", [0]),
        ("0,30,60,200", []),  # one object is small and another's field is wide: none is both
        ("40.01,100,0,200", []),
        ("0,100000,0,0", [1]),
    ],
)
def test_boxes_by_hand(page: Page, box: str, rows: list[int]) -> None:
    assert page.order(fit=box) == rows


def test_the_box_goes_with_other_filters_and_orders(page: Page) -> None:
    assert page.order(fit="0,100,0,200", sort="score") == [1, 0]
    assert page.order(fit="0,100,0,200", name="1.png") == [0]
    assert page.order(fit="0,100,0,200", size="large") == [1]
    assert page.ask(fit="40,40,1,200", find=f"d{page.dataset}-0").json()["at"] == 0
    assert page.ask(fit="40,40,1,200", find=f"d{page.dataset}-1").json()["at"] is None
    assert page.ask(fit="0,100,0,200", limit=1).json()["total"] == 2


def test_an_image_that_the_run_has_not_seen_is_not_listed(page: Page) -> None:
    page.services.predictions.remove(f"d{page.dataset}-0")
    assert page.order(fit="0,100,0,200") == [1]


def test_each_checkpoint_has_its_own_fits(page: Page) -> None:
    answer = page.ask(fit="0,100,0,200", checkpoint="second")
    assert (answer.status_code, answer.json()["detail"]) == (422, NOT_YET)


def test_what_lies_in_a_box() -> None:
    one = Fit(1, 2, "8x", 0.5, 40.0, 100.0)
    assert fit.lies_in(one, (40, 40, 100, 100))
    for box in ((41, 50, 0, 200), (0, 39.9, 0, 200), (0, 50, 101, 200), (0, 50, 0, 99.9)):
        assert not fit.lies_in(one, box)


# -- odd questions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "box",
    [
        "1",
        "1,2,3",
        "1,2,3,4,5",
        "a,b,c,d",
        ",,,",
        "1,2,3,nan",
        "1,2,3,inf",
        "-1,2,3,4",
        "1,2,3,1e6",
        "1,2,3," + "9" * 400,
        "true,2,3,4",
        "2,1,3,4",
        "1,2,4,3",
        "1;2;3;4",
    ],
)
def test_what_is_no_box_is_refused(at: Desk, dataset: str, box: str) -> None:
    status, said = at.refusal("grid", dataset=dataset, fit=box)
    assert status == 422
    assert said.startswith("fit must")


def test_an_empty_box_is_no_filter(at: Desk, dataset: str) -> None:
    assert listed(at, dataset, "") == [0, 1, 2]


@pytest.mark.parametrize("name", ["nothing", "000000000000", "../x", "", ".csv", "%00"])
def test_unknown_datasets_are_refused(at: Desk, name: str) -> None:
    assert at.refusal(f"fit/{name}")[0] == 404


@pytest.mark.parametrize("kind", ["npy", "CSV", "", "csv.csv", "json"])
def test_other_tables_are_refused(at: Desk, dataset: str, kind: str) -> None:
    assert at.refusal(f"fit/{dataset}.{kind}")[0] == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"score": "nan"},
        {"score": "2"},
        {"score": "true"},
        {"score": "9" * 400},
        {"iou": "0"},
        {"iou": "-1"},
        {"kind": "both"},
        {"checkpoint": "nobody"},
    ],
)
def test_odd_sliders_and_checkpoints_are_refused(
    at: Desk, dataset: str, asked: dict[str, str]
) -> None:
    for address in (f"fit/{dataset}", f"fit/{dataset}.csv"):
        assert at.refusal(address, **asked)[0] in (404, 422)


def test_a_model_that_is_no_network_says_so(tmp_path: Path) -> None:
    services, dataset = plant(tmp_path)
    try:
        at = Desk(services)
        told = (422, "This model can't be looked into.")
        assert at.refusal(f"fit/{dataset}", checkpoint="first") == told
    finally:
        services.close()


def test_without_a_checkpoint_there_is_nothing_to_measure(tmp_path: Path) -> None:
    services = studio(tmp_path, checkpoint=False)
    try:
        at = Desk(services)
        opened = open_folder(services, tmp_path / "set", ())
        told = (409, "There is no checkpoint to look into; add one first.")
        assert at.refusal(f"fit/{opened}") == told
        assert listed(at, opened, "0,10,0,10") == []
    finally:
        services.close()
