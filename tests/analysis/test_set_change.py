"""What switching off does to a set: the truth is what the model finds, so before is perfect."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from comask.analysis.ablation import ablate
from comask.analysis.difference import difference
from comask.analysis.set_change import SetChange, set_change, set_changes
from comask.analysis.switches import Switches
from comask.annotation.records import Category, Dataset, ImageRecord
from comask.checkpoint.native import CheckpointInfo
from comask.config import DetectionConfig, NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.evaluate import coco_ap
from comask.predict import Predictor
from comask.run import to_annotations, to_results
from tests.models import small_config, small_model

CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
RENAMED = {1: 30, 2: 20, 3: 10}  # the truth's own ids
Image = tuple[int, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    detection = DetectionConfig(max_instances=6, nms_iou=0.1)
    config = small_config(NeckConfig(channels=32), detection=detection)
    info = CheckpointInfo(config, CATEGORIES, PreprocessingConfig(short_side=64, long_side=160))
    return Predictor(small_model(config), info, device="cpu")


@pytest.fixture(scope="module")
def images() -> list[Image]:
    random = np.random.default_rng(5)
    sizes = {7: (64, 96), 9: (50, 41), 4: (64, 64)}
    return [
        (number, random.integers(0, 256, (*size, 3), np.uint8)) for number, size in sizes.items()
    ]


@pytest.fixture(scope="module")
def truth(predictor: Predictor, images: list[Image]) -> Dataset:
    """Take for true what the model finds, under other category ids."""
    records = [ImageRecord(n, f"{n}.png", p.shape[1], p.shape[0]) for n, p in images]
    annotations = [
        replace(one, category_id=RENAMED[one.category_id])
        for number, pixels in images
        for one in to_annotations(predictor.predict(pixels), number, 100 * number)
    ]
    names = tuple(Category(RENAMED[one.id], one.name.upper()) for one in CATEGORIES)
    return Dataset(tuple(records), tuple(annotations), names)


def test_everything_on_changes_nothing(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    found = set_change(predictor, images, truth, Switches())
    assert found.images == 3
    assert found.before == found.after
    assert found.before["AP"] == found.before["AP50"] == found.before["AP75"] == 1.0
    assert set(found.change.values()) == {0.0}
    kept = sum(len(predictor.predict(pixels)) for _, pixels in images)
    assert found.counts == {"lost": 0, "gained": 0, "moved": 0, "kept": kept}


def test_each_way_is_judged_as_an_evaluation_of_its_results(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    ways = [Switches.without_branch(0), Switches.without_collaboration()]
    found = set_changes(predictor, images, truth, ways)
    assert [one.switches for one in found] == ways
    for way, change in zip(ways, found, strict=True):
        after = {number: ablate(predictor, pixels, way).prediction for number, pixels in images}
        results = [one for number, made in after.items() for one in to_results(made, number)]
        for one in results:
            one["category_id"] = RENAMED[one["category_id"]]
        assert change.after == coco_ap.evaluate(truth, results)["segm"]
        assert change.change["AP"] == change.after["AP"] - 1.0
        assert change.after["AP"] < 1
        parts = [
            difference(predictor.predict(pixels), after[number]).count()
            for number, pixels in images
        ]
        assert change.counts == {kind: sum(part[kind] for part in parts) for kind in parts[0]}
        assert change == set_change(predictor, images, truth, way)


def test_only_the_images_given_are_judged(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    found = set_change(predictor, images[1:2], truth, Switches())
    assert (found.images, found.before["AP"], found.before["AR100"]) == (1, 1.0, 1.0)


def test_limits_of_instances_an_image_are_those_asked_for(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    found = set_change(predictor, images, truth, Switches(), max_detections=(1, 2, 500))
    assert {"AR1", "AR2", "AR500"} < set(found.before)


def test_instances_under_the_threshold_are_not_counted(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    way = Switches.without_branch(0)
    found = set_change(predictor, images, truth, way, min_score=1.0)
    assert set(found.counts.values()) == {0}
    assert found.before["AP"] == 1.0


def test_what_is_not_measured_has_no_change() -> None:
    found = SetChange(Switches(), 1, {"AP": 0.5, "APl": -1.0}, {"AP": 0.25, "APl": -1.0}, {})
    assert found.change == {"AP": -0.25}


def test_progress_is_told_and_may_stop_it(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    told: list[tuple[int, int]] = []
    set_change(predictor, images, truth, Switches(), progress=lambda *at: told.append(at))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]

    taken: list[int] = []

    def endless() -> Iterator[Image]:
        for number, pixels in images:
            taken.append(number)
            yield number, pixels

    def stop(done: int, total: int) -> None:
        assert total == 0  # nobody knows
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        set_change(predictor, endless(), truth, Switches(), progress=stop)
    assert taken == [7]


def test_nothing_found_at_all_is_measured_too(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    config = replace(predictor.info.config, detection=DetectionConfig(min_score=1.0))
    info = replace(predictor.info, config=config)
    blind = Predictor(small_model(config), info, device="cpu")
    found = set_change(blind, images, truth, Switches.without_attention())
    assert found.before["AP"] == found.after["AP"] == found.change["AP"] == 0.0


def test_no_way_at_all_is_no_answer(
    predictor: Predictor, images: list[Image], truth: Dataset
) -> None:
    assert set_changes(predictor, images[:1], truth, []) == ()


# --- at the door -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "no images were given"),
        ([(8, np.zeros((64, 96, 3), np.uint8))], "image 8 is not in the truth"),
        ([(7, np.zeros((96, 64, 3), np.uint8))], "7.png is 64 x 96 pixels, and .* says 96 x 64"),
        ([(7, np.zeros((64, 96, 3), np.uint8))] * 2, "or was given before"),
    ],
    ids=["none", "unknown", "another size", "twice"],
)
def test_images_that_are_not_the_truth_s_are_refused(
    predictor: Predictor, truth: Dataset, wrong: list[Image], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        set_change(predictor, wrong, truth, Switches())


def test_a_foreign_truth_and_a_foreign_switch_are_refused_before_anything_runs(
    predictor: Predictor, truth: Dataset
) -> None:
    def none() -> Iterator[Image]:
        raise AssertionError
        yield

    other = replace(truth, categories=(Category(1, "d"),))
    with pytest.raises(InputError, match="the checkpoint finds a, b, c"):
        set_change(predictor, none(), other, Switches())
    with pytest.raises(InputError, match="a branch is one of"):
        set_change(predictor, none(), truth, Switches.without_branch(4))
