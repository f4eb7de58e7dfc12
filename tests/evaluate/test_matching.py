"""Matching against pycocotools' own, and by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comask.annotation import coco
from comask.errors import InputError
from comask.evaluate import matching
from comask.evaluate.matching import Kind, State
from tests.evaluate.scenes import Scene, cocoeval, jittered, scenes, thing, true

THRESHOLDS = np.linspace(0.5, 0.95, 10)
KINDS: dict[Kind, str] = {"mask": "segm", "box": "bbox"}


def assert_equal_to_pycocotools(
    kept: Sequence[Scene], kind: Kind, limit: int, min_score: float, known: int
) -> int:
    """Compare every image, category, size range and threshold; returns the matches compared."""
    judge = cocoeval(kept, KINDS[kind], limit, min_score, known)
    pairs = matching.join([scene.pairs() for scene in kept], [s.image_id for s in kept])
    compared = 0
    for row, threshold in enumerate(judge.params.iouThrs):
        for area in judge.params.areaRng:
            found = matching.match(
                pairs, iou=threshold, min_score=min_score, kind=kind, limit=limit, area=tuple(area)
            )
            ours = {}
            for image in filter(None, (e for e in judge.evalImgs if e and e["aRng"] == area)):
                compared += _assert_image(found, image, row)
                ours |= dict.fromkeys(image["dtIds"])
            left = np.flatnonzero(found.counted) + 1
            assert set(left.tolist()) == set(ours)  # what counts is what pycocotools looked at
    return compared


def _assert_image(found: matching.Match, image: dict[str, Any], row: int) -> int:
    ids = np.array(image["dtIds"], int) - 1
    np.testing.assert_array_equal(found.found_truth[ids] + 1, image["dtMatches"][row])
    np.testing.assert_array_equal(found.found[ids] == State.IGNORED, image["dtIgnore"][row] != 0)
    right = (image["dtMatches"][row] > 0) & (image["dtIgnore"][row] == 0)
    np.testing.assert_array_equal(found.found[ids] == State.RIGHT, right)
    ids = np.array(image["gtIds"], int) - 1
    np.testing.assert_array_equal(found.truth_found[ids] + 1, image["gtMatches"][row])
    np.testing.assert_array_equal(found.truth[ids] == State.IGNORED, image["gtIgnore"] != 0)
    return int(right.sum())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equal_to_pycocotools_whatever_is_drawn(kind: Kind, data: st.DataObject) -> None:
    kept = [data.draw(scenes(image_id=number)) for number in (3, 8)]
    limit = data.draw(st.sampled_from([1, 2, 3, 100]))
    min_score = data.draw(st.sampled_from([0.0, 0.3, 0.6]))
    assert_equal_to_pycocotools(kept, kind, limit, min_score, known=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["nuclei/instances_val.json", "coco-mini/instances_val2017.json"])
def test_equal_to_pycocotools_on_real_truth(shared_data: Path, name: str, kind: Kind) -> None:
    dataset = coco.read(shared_data / name)
    known = max(category.id for category in dataset.categories)
    kept = jittered(dataset, seed=4)
    compared = assert_equal_to_pycocotools(kept, kind, limit=40, min_score=0.2, known=known)
    assert compared > 1000  # matches, over thresholds and sizes


def test_the_better_ranked_instance_takes_the_object() -> None:
    scene = Scene(
        (true(7, (0, 0, 10, 10)),),
        (thing((0, 0, 10, 9), 0.4, rank=1.1), thing((0, 0, 10, 10), 0.9, rank=1.0)),
    )
    found = matching.match(scene.pairs(), iou=0.5)
    assert found.found.tolist() == [State.RIGHT, State.WRONG]
    assert found.found_truth.tolist() == [0, -1]
    assert found.found_iou.tolist() == [0.9, 0.0]
    assert found.truth_found.tolist() == [0]


def test_of_two_equal_objects_the_later_is_taken() -> None:
    scene = Scene((true(1, (0, 0, 10, 10)), true(2, (0, 0, 10, 10))), (thing((0, 0, 10, 10), 0.9),))
    found = matching.match(scene.pairs(), iou=0.5)
    assert found.found_truth.tolist() == [1]
    assert found.truth.tolist() == [State.WRONG, State.RIGHT]


def test_a_crowd_takes_any_number_and_counts_for_nothing() -> None:
    inside = [thing((x, 0, 5, 5), 0.9 - x / 100) for x in (0, 5, 10)]
    scene = Scene((true(1, (0, 0, 20, 20), crowd=True),), tuple(inside))
    found = matching.match(scene.pairs(), iou=0.95)
    assert found.found.tolist() == [State.IGNORED] * 3
    assert found.truth.tolist() == [State.IGNORED]


def test_an_object_is_preferred_to_a_crowd_that_fits_better() -> None:
    scene = Scene(
        (true(1, (0, 0, 20, 20), crowd=True), true(2, (0, 0, 10, 8))), (thing((0, 0, 10, 10), 0.9),)
    )
    found = matching.match(scene.pairs(), iou=0.5)
    assert found.found_truth.tolist() == [1]
    assert found.found.tolist() == [State.RIGHT]


def test_masks_and_boxes_are_judged_apart() -> None:
    one = thing((0, 0, 10, 4), 0.9)
    grown = type(one)(one.category, 0.9, 0.9, (0.0, 0.0, 10.0, 10.0), one.mask)
    pairs = Scene((true(1, (0, 0, 10, 10)),), (grown,)).pairs()
    assert matching.match(pairs, iou=0.5, kind="mask").truth.tolist() == [State.WRONG]
    assert matching.match(pairs, iou=0.5, kind="box").truth.tolist() == [State.RIGHT]


def test_the_score_gates_before_the_limit_counts() -> None:
    scene = Scene(
        (true(1, (0, 0, 10, 10)), true(2, (20, 20, 10, 10))),
        (thing((0, 0, 10, 10), 0.2, rank=1.2), thing((20, 20, 10, 10), 0.5, rank=0.8)),
    )
    one = matching.match(scene.pairs(), iou=0.5, min_score=0.1, limit=1)
    assert one.found.tolist() == [State.RIGHT, State.IGNORED]
    assert one.counted.tolist() == [True, False]
    other = matching.match(scene.pairs(), iou=0.5, min_score=0.2, limit=1)
    assert other.found.tolist() == [State.IGNORED, State.RIGHT]


def test_a_score_at_the_threshold_does_not_pass_in_single_precision() -> None:
    pairs = Scene((), (thing((0, 0, 5, 5), float(np.float32(0.3))),)).pairs()
    assert not matching.match(pairs, iou=0.5, min_score=0.3).counted.any()
    assert matching.match(pairs, iou=0.5, min_score=0.29).counted.all()


def test_what_the_truth_does_not_know_is_ignored() -> None:
    scene = Scene((true(1, (0, 0, 10, 10)),), (thing((0, 0, 10, 10), 0.9, category=-1),))
    found = matching.match(scene.pairs(), iou=0.5)
    assert found.found.tolist() == [State.IGNORED]
    assert found.truth.tolist() == [State.WRONG]


@pytest.mark.parametrize(
    "scene", [Scene(), Scene((true(1, (0, 0, 4, 4)),)), Scene((), (thing((0, 0, 4, 4), 0.5),))]
)
def test_nothing_found_and_nothing_true_are_ordinary(scene: Scene) -> None:
    pairs = matching.unpack(matching.pack(scene.pairs()))
    found = matching.match(pairs, iou=0.5)
    assert len(found.found) == len(scene.found)
    assert len(found.truth) == len(scene.truth)
    assert (found.found == State.WRONG).all()
    assert (found.truth == State.WRONG).all()
    assert len(matching.join([])) == 0
    assert len(matching.match(matching.join([]), iou=0.5).found) == 0


def test_rising_scores_are_refused() -> None:
    scene = Scene((), (thing((0, 0, 4, 4), 0.5), thing((0, 0, 4, 4), 0.6)))
    with pytest.raises(InputError, match="best first"):
        scene.pairs()


@settings(max_examples=50, deadline=None)
@given(scenes())
def test_packed_pairs_come_back_whole_and_the_same_bytes(scene: Scene) -> None:
    pairs = scene.pairs()
    data = matching.pack(pairs)
    again = matching.unpack(data)
    for name, column in vars(pairs).items():
        np.testing.assert_array_equal(getattr(again, name), column, strict=True)
    assert matching.pack(again) == data


def test_damaged_bytes_are_refused() -> None:
    scene = Scene((true(1, (0, 0, 10, 10)),), (thing((0, 0, 10, 10), 0.9),))
    data = matching.pack(scene.pairs())
    column = data.rindex(np.int32(0).tobytes() + np.float64(1).tobytes())
    for broken in (
        b"",
        data[:20],
        data[:-1],
        data + b"x",
        b"X" + data[1:],
        data[:8] + b"\xff" * 8 + data[16:],
        data[:column] + np.int32(1).tobytes() + data[column + 4 :],
    ):
        with pytest.raises(InputError):
            matching.unpack(broken)
