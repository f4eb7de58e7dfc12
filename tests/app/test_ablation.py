"""Switches as the page asks for them: the library's answers, the run's own where nothing is off."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comask.analysis import Switches, ablate, base_run, difference, set_change
from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.predict import Prediction
from comask.run import to_annotations
from tests.app.inspecting import CATEGORIES, SIZES, Desk, desk, open_folder
from tests.app.standins import blobs, open_dataset, studio
from tests.factories import write_checkpoint

NO_ATTENTION = {"attention_off": [2, 3, 4, 5]}
SHOWN = ["AP", "AP50", "AP75", "APs", "APm", "APl"]
WAYS: list[dict[str, Any]] = [
    {"branches_off": [[2, 0]]},
    {"branches_off": [[2, 1], [3, 1], [4, 1], [5, 1]], "reach": "cascade"},
    {"attention_off": [2]},
    {"second_pass": False},
    {"votes": "plain", "second_pass": False},
    {"votes": "gated"},
]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch, desk(folder, patch) as one:
        one.run_over()
        yield one


def asked(at: Desk, way: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Ask for the first sample: the head of the answer."""
    if way is not None:
        more["switches"] = json.dumps(way)
    head, arrays = at.packet(f"ablation/{at.image.key}", **more)
    assert arrays == []
    return head


def own(at: Desk) -> Prediction:
    """Find what the run found."""
    found = at.services.prediction(at.file, at.image.key)
    assert found is not None
    return found


# -- one image ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [None, "", "{}", '{"branches_off": []}', '{"votes": "sigmoid", "second_pass": true}', " {} "],
)
def test_with_everything_on_the_run_is_what_there_is(at: Desk, switches: str | None) -> None:
    """The document's instances are those that Browse shows, to the last digit."""
    head = asked(at, **({} if switches is None else {"switches": switches}))
    assert head["counts"] == {"lost": 0, "gained": 0, "moved": 0, "kept": len(own(at))}
    assert (head["schema"], head["changes"], head["redone"]) == (1, [], [])
    shown = at.get(f"documents/{at.image.key}").json()
    assert len(head["document"]["instances"]) == len(own(at)) > 3
    assert head["document"]["instances"] == shown["instances"]
    assert head["document"]["categories"] == shown["categories"]
    assert head["document"]["image"] == shown["image"]


def test_instances_without_a_pixel_are_neither_shown_nor_counted(tmp_path: Path) -> None:
    """Browse shows none of these, and what cannot be seen does not come or go."""
    with desk(tmp_path) as at:
        write_checkpoint(at.file.path, seed=5)
        at.run_over()
        head = asked(at)
        solid = [f"p{row + 1}" for row, mask in enumerate(own(at).masks) if rle.area(mask)]
        assert 0 < len(solid) < len(own(at))
        assert [one["id"] for one in head["document"]["instances"]] == solid
        assert head["counts"] == {"lost": 0, "gained": 0, "moved": 0, "kept": len(solid)}
        for way in WAYS:
            head = asked(at, way)
            shown = {one["id"] for one in head["document"]["instances"]}
            assert {one["after"] for one in head["changes"]} <= {None, *shown}
            assert {one["before"] for one in head["changes"]} <= {None, *solid}
            counts = head["counts"]
            assert counts["kept"] + counts["moved"] + counts["lost"] == len(solid)
            assert counts["kept"] + counts["moved"] + counts["gained"] == len(shown)


def test_what_the_model_has_to_switch_is_told(at: Desk) -> None:
    told = {"branches": ["1x", "8x", "4x", "2x"], "votes": "sigmoid", "second_pass": True}
    assert asked(at)["model"] == asked(at, WAYS[0])["model"] == told


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("score", [0.0, 0.4])
def test_changes_are_the_librarys(at: Desk, way: dict[str, Any], score: float) -> None:
    made = ablate(at.predictor, at.pixels, Switches.parse(way))
    expected = difference(own(at), made.prediction, min_score=score)
    head = asked(at, way, score=score)
    assert head["switches"] == made.switches.to_plain()
    assert head["redone"] == list(made.redone)
    assert head["counts"] == expected.count()
    assert sum(head["counts"].values()) > 0
    changes = [one for one in expected.changes if one.kind != "kept"]
    assert len(head["changes"]) == len(changes)
    for told, one in zip(head["changes"], changes, strict=True):
        names = [None if row is None else f"p{row + 1}" for row in (one.before, one.after)]
        assert [told["kind"], told["before"], told["after"]] == [one.kind, *names]
        assert told["mask_iou"] == pytest.approx(one.mask_iou, abs=1e-6)
        assert told["travel"] == pytest.approx(one.travel, abs=1e-4)
        assert told["class_score"] == pytest.approx(one.class_score, abs=1e-6)
    instances = head["document"]["instances"]
    assert [one["id"] for one in instances] == [f"p{row + 1}" for row in range(len(instances))]
    scores = [one["class_score"] for one in instances]
    assert scores == pytest.approx(made.prediction.class_scores.tolist(), abs=1e-6)


def test_some_switch_changes_something(at: Desk) -> None:
    """What is compared above would be empty otherwise."""
    assert any(asked(at, way)["changes"] for way in WAYS)


def test_all_branches_off_is_an_answer_too(at: Desk) -> None:
    everything = [[level, branch] for level in (2, 3, 4, 5) for branch in range(4)]
    head = asked(at, {"branches_off": everything, **NO_ATTENTION})
    assert head["switches"]["branches_off"] == everything
    assert sum(head["counts"].values()) >= len(own(at))


def test_one_run_serves_all_switches_and_a_question_is_answered_once(at: Desk) -> None:
    """The base is run once, each other way lends the network once, repeating it not at all."""
    image = at.services.images.add(blobs(seed=77, size=(50, 50)), "new.png").image
    at.use_of_model()
    first = at.get(f"ablation/{image.key}", switches=json.dumps(WAYS[0]))
    assert at.use_of_model() == 2
    at.get(f"ablation/{image.key}", switches=json.dumps(WAYS[3]))
    assert at.use_of_model() == 1
    again = json.dumps({"reach": "fusion", **WAYS[0]}, indent=2)
    assert at.get(f"ablation/{image.key}", switches=again).content == first.content
    assert at.use_of_model() == 0


# -- a dataset ----------------------------------------------------------------------------------


def truth_of(at: Desk) -> tuple[Annotation, ...]:
    """Take for true what the model finds in the dataset's images."""
    found: list[Annotation] = []
    for number, pixels in images_of(at):
        found += to_annotations(at.predictor.predict(pixels), number, 100 * number)
    return tuple(found)


def images_of(at: Desk) -> list[tuple[int, Any]]:
    """Decode the images that ``open_folder`` writes: their ids and pixels."""
    added = [
        at.services.images.add(blobs(seed=10 + number, size=size), f"{number}.png").image
        for number, size in enumerate(SIZES)
    ]
    return [(7 + row, at.services.images.pixels(image)) for row, image in enumerate(added)]


@pytest.fixture(scope="module")
def dataset(at: Desk, tmp_path_factory: pytest.TempPathFactory) -> str:
    return open_folder(at.services, tmp_path_factory.mktemp("set"), truth_of(at))


def test_a_sets_change_is_the_librarys(at: Desk, dataset: str) -> None:
    records = tuple(
        ImageRecord(7 + number, f"{number}.png", width, height)
        for number, (height, width) in enumerate(SIZES)
    )
    truth = Dataset(records, truth_of(at), CATEGORIES)
    for way in ({"branches_off": [[2, 0], [3, 0]]}, {"second_pass": False}):
        switches = Switches.parse(way)
        expected = set_change(
            at.predictor, images_of(at), truth, switches, max_detections=(1, 10, 1000)
        )
        head, arrays = at.packet(f"ablation-set/{dataset}", switches=json.dumps(way))
        assert (head["schema"], head["images"], arrays) == (1, 3, [])
        assert head["switches"] == expected.switches.to_plain()
        assert list(head["before"]) == list(head["after"]) == SHOWN
        assert head["before"]["AP"] == 1
        assert head["before"] == pytest.approx({name: expected.before[name] for name in SHOWN})
        assert head["after"] == pytest.approx({name: expected.after[name] for name in SHOWN})
        assert head["after"]["AP"] < 1
        assert head["counts"] == dict(expected.counts)


def test_everything_on_changes_no_number(at: Desk, dataset: str) -> None:
    head, _ = at.packet(f"ablation-set/{dataset}")
    assert head["before"] == head["after"]
    kept = sum(len(at.predictor.predict(pixels)) for _, pixels in images_of(at))
    assert head["counts"] == {"lost": 0, "gained": 0, "moved": 0, "kept": kept}


def test_the_first_images_are_as_many_as_asked_for(at: Desk, dataset: str) -> None:
    """All of 3 are the same question as the first 500, and are measured once."""
    head, _ = at.packet(f"ablation-set/{dataset}", images=2, switches=json.dumps(NO_ATTENTION))
    assert head["images"] == 2
    first = at.get(f"ablation-set/{dataset}", switches=json.dumps(NO_ATTENTION))
    at.use_of_model()
    for images in (3, 500):
        more = {"images": images, "switches": json.dumps(NO_ATTENTION)}
        assert at.get(f"ablation-set/{dataset}", **more).content == first.content
    assert at.use_of_model() == 0


def test_no_more_than_the_limit_is_measured(
    at: Desk, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.actions.ablation.MOST_IMAGES", 1)
    head, _ = at.packet(f"ablation-set/{dataset}", switches='{"second_pass": false}')
    assert head["images"] == 1
    told = (422, "images must be a whole number from 1 to 1.")
    assert at.refusal(f"ablation-set/{dataset}", images=2) == told


def test_one_annotation_file_over_two_folders_is_two_sets(
    at: Desk, dataset: str, tmp_path: Path
) -> None:
    """The files say the same; the pictures in the second folder are others."""
    other = open_folder(at.services, tmp_path, truth_of(at))
    for number, size in enumerate(SIZES):
        (tmp_path / f"images/{number}.png").write_bytes(blobs(seed=40 + number, size=size))
    first = at.services.datasets.get(dataset)
    second = at.services.datasets.get(other)
    assert first is not None
    assert second is not None
    assert first.content == second.content
    assert at.packet(f"ablation-set/{dataset}")[0]["before"]["AP"] == 1
    assert at.packet(f"ablation-set/{other}")[0]["before"]["AP"] < 1


def test_missing_and_broken_images_are_left_out(at: Desk, tmp_path: Path) -> None:
    dataset = open_folder(at.services, tmp_path, truth_of(at), missing=1)
    (tmp_path / "images/1.png").write_bytes(b"no picture")
    head, _ = at.packet(f"ablation-set/{dataset}")
    assert (head["images"], head["before"]["AP"]) == (1, 1)


def test_pictures_of_another_size_than_the_truth_says_are_left_out(
    at: Desk, tmp_path: Path
) -> None:
    dataset = open_folder(at.services, tmp_path, truth_of(at))
    (tmp_path / "images/1.png").write_bytes(blobs(seed=5, size=(90, 70)))
    head, _ = at.packet(f"ablation-set/{dataset}")
    assert (head["images"], head["before"]["AP"]) == (2, 1)


def test_without_truth_there_is_nothing_to_measure(at: Desk, tmp_path: Path) -> None:
    told = (422, "the dataset has no images with truth to measure with.")
    for name, annotations in (("none", None), ("empty", ())):
        dataset = open_folder(at.services, tmp_path / name, annotations)
        assert at.refusal(f"ablation-set/{dataset}") == told


def test_a_truth_of_other_classes_is_told(at: Desk, tmp_path: Path) -> None:
    foreign = tuple(replace(one, category_id=5) for one in truth_of(at))
    records = tuple(
        ImageRecord(7 + number, f"{number}.png", width, height)
        for number, (height, width) in enumerate(SIZES)
    )
    (tmp_path / "images").mkdir()
    for number, size in enumerate(SIZES):
        (tmp_path / f"images/{number}.png").write_bytes(blobs(seed=10 + number, size=size))
    coco.write(tmp_path / "instances.json", Dataset(records, foreign, (Category(5, "tree"),)))
    dataset = open_dataset(at.services, tmp_path / "images", tmp_path / "instances.json")
    status, said = at.refusal(f"ablation-set/{dataset}")
    assert status == 422
    assert "cell" in said


# -- odd questions ------------------------------------------------------------------------------

DEEP = '{"a":' * 2000 + "1" + "}" * 2000


@pytest.mark.parametrize(
    "switches",
    [
        "x",
        "{",
        "[]",
        "null",
        "true",
        "3",
        '"branches_off"',
        "NaN",
        '{"branches_off": NaN}',
        '{"unknown": 1}',
        '{"branches_off": true}',
        '{"branches_off": 3}',
        '{"branches_off": "23"}',
        '{"branches_off": {"2": 1}}',
        '{"branches_off": [2, 1]}',
        '{"branches_off": [[2]]}',
        '{"branches_off": [[2, 1, 1]]}',
        '{"branches_off": [[true, true]]}',
        '{"branches_off": [[2, true]]}',
        '{"branches_off": [[2, 1.0]]}',
        '{"branches_off": [["2", "1"]]}',
        '{"branches_off": [[2, -1]]}',
        '{"branches_off": [[2, 4]]}',  # of a model with five branches
        '{"branches_off": [[6, 1]]}',
        '{"branches_off": [[2, 1e400]]}',
        '{"branches_off": [[2, ' + "9" * 400 + "]]}",
        '{"branches_off": [' + "[2, 1]," * 3000 + "[2, 1]]}",
        '{"reach": null}',
        '{"reach": "both"}',
        '{"reach": 1}',
        '{"reach": ["fusion"]}',
        '{"attention_off": [true]}',
        '{"attention_off": [1]}',
        '{"attention_off": [[2]]}',
        '{"attention_off": 2}',
        '{"second_pass": 1}',
        '{"second_pass": "false"}',
        '{"second_pass": []}',
        '{"votes": "hard"}',
        '{"votes": true}',
        '{"votes": ""}',
        DEEP,
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "\x00",
    ],
)
def test_odd_switches_are_refused(at: Desk, dataset: str, switches: str) -> None:
    for address in (f"ablation/{at.image.key}", f"ablation-set/{dataset}"):
        status, _ = at.refusal(address, switches=switches)
        assert status == 422


@pytest.mark.parametrize("score", ["nan", "-0.1", "1.1", "inf", "true", "1e400", "9" * 400, "٣"])
def test_odd_scores_are_refused(at: Desk, score: str) -> None:
    told = (422, "score must be a number from 0 to 1.")
    assert at.refusal(f"ablation/{at.image.key}", score=score) == told


@pytest.mark.parametrize("images", ["0", "-1", "501", "nan", "1.5", "true", "9" * 400])
def test_odd_numbers_of_images_are_refused(at: Desk, dataset: str, images: str) -> None:
    told = (422, "images must be a whole number from 1 to 500.")
    assert at.refusal(f"ablation-set/{dataset}", images=images) == told


def test_unknown_images_datasets_and_checkpoints_are_refused(at: Desk, dataset: str) -> None:
    for address in ("ablation/nothing", "ablation-set/nothing", "ablation-set/000000000000"):
        assert at.refusal(address)[0] == 404
    for address in (f"ablation/{at.image.key}", f"ablation-set/{dataset}"):
        assert at.refusal(address, checkpoint="nobody")[0] == 404


def test_a_model_that_is_no_network_says_so(tmp_path: Path) -> None:
    services = studio(tmp_path)
    try:
        at = Desk(services)
        told = (422, "This model can't be looked into.")
        assert at.refusal(f"ablation/{at.image.key}") == told
        home = tmp_path / "set"
        with desk(tmp_path / "real") as real:
            truth = truth_of(real)
        dataset = open_folder(services, home, truth)
        assert at.refusal(f"ablation-set/{dataset}") == told
    finally:
        services.close()


def test_a_base_of_another_moment_is_the_same(at: Desk) -> None:
    """What the Studio keeps is what the library computes."""
    kept = at.services.inspections.base(at.file, at.image)
    fresh = base_run(at.predictor, at.pixels)
    assert kept.prediction.masks == fresh.prediction.masks
    assert kept.prediction.boxes.tobytes() == fresh.prediction.boxes.tobytes()
    assert kept is at.services.inspections.base(at.file, at.image)
