"""Numbers of whole sets against pycocotools, against plain loops, and by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comask.annotation import coco
from comask.evaluate import coco_ap, matching, metrics
from comask.evaluate.error_kinds import ErrorKind
from comask.evaluate.matching import Kind, PairSet, State
from tests.evaluate.scenes import Scene, cocoeval, jittered, scenes, thing, true, write

KINDS: dict[Kind, str] = {"mask": "segm", "box": "bbox"}
TRUTHS = ["nuclei/instances_val.json", "coco-mini/instances_val2017.json"]


def joined(*kept: Scene) -> PairSet:
    return matching.join([scene.pairs() for scene in kept], [scene.image_id for scene in kept])


def three_things() -> PairSet:
    """Two objects of category 1, one of 2; one right, one of the wrong category, one nowhere."""
    scene = Scene(
        (
            true(1, (0, 0, 10, 10)),
            true(2, (20, 0, 10, 10)),
            true(3, (0, 20, 10, 10), category=2),
        ),
        (
            thing((0, 0, 10, 10), 0.9),
            thing((0, 20, 10, 10), 0.8),  # on the object of category 2
            thing((28, 28, 5, 5), 0.7, category=2),
        ),
    )
    return joined(scene)


def test_counts_and_rates_by_hand() -> None:
    judgement = metrics.judge(three_things(), iou=0.5, min_score=0.1)
    score = metrics.total(judgement)
    assert (score.tp, score.fp, score.fn) == (1, 2, 2)
    assert score.precision == pytest.approx(1 / 3)
    assert score.recall == pytest.approx(1 / 3)
    assert score.f1 == pytest.approx(1 / 3)
    kept = metrics.by_category(judgement, (1, 2))
    assert [(s.tp, s.fp, s.fn) for s in kept.values()] == [(1, 1, 1), (0, 1, 1)]


def test_a_rate_of_nothing_is_none() -> None:
    score = metrics.total(metrics.judge(joined(Scene()), iou=0.5, min_score=0.5))
    assert (score.precision, score.recall, score.f1) == (None, None, None)


def test_confusion_by_hand_and_its_cells_list_their_instances() -> None:
    judgement = metrics.judge(three_things(), iou=0.5, min_score=0.1)
    table = metrics.confusion(judgement, (1, 2))
    assert table.tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
    found, truth = metrics.cell(judgement, (1, 2), 1, 0)
    assert (found.tolist(), truth.tolist()) == ([1], [2])
    found, truth = metrics.cell(judgement, (1, 2), 0, 2)
    assert (found.tolist(), truth.tolist()) == ([-1], [1])
    found, truth = metrics.cell(judgement, (1, 2), 2, 1)
    assert (found.tolist(), truth.tolist()) == ([2], [-1])
    assert len(metrics.cell(judgement, (1, 2), 2, 2)[0]) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(scenes(), min_size=1, max_size=3), st.sampled_from([0.3, 0.5, 0.75]))
def test_confusion_sums_up_and_every_cell_is_listed(kept: list[Scene], iou: float) -> None:
    judgement = metrics.judge(joined(*kept), iou=iou, min_score=0.2)
    table = metrics.confusion(judgement, (1, 2))
    score = metrics.total(judgement)
    assert table.trace() == score.tp
    assert table[:, :2].sum() == score.tp + score.fp
    assert table[:2].sum() == score.tp + score.fn
    for row in range(3):
        for column in range(3):
            assert len(metrics.cell(judgement, (1, 2), row, column)[0]) == table[row, column]


def errors_of(
    truth: list[object], found: list[object], iou: float = 0.5
) -> tuple[list[int], list[int]]:
    scene = Scene(tuple(truth), tuple(found))  # type: ignore[arg-type]
    errors = metrics.judge(joined(scene), iou=iou, min_score=0.1).errors
    return errors.found.tolist(), errors.truth.tolist()


def test_each_kind_of_error_by_hand() -> None:
    one = true(1, (0, 0, 10, 10))
    full, half, apart = (0, 0, 10, 10), (0, 0, 10, 4), (20, 20, 8, 8)
    none, missed = ErrorKind.NONE, ErrorKind.MISSED
    assert errors_of([one], [thing(full, 0.9)]) == ([none], [none])
    assert errors_of([one], [thing(half, 0.9)]) == ([ErrorKind.LOCALISATION], [none])
    assert errors_of([one], [thing(full, 0.9, category=2)]) == ([ErrorKind.CLASS], [none])
    assert errors_of([one], [thing(half, 0.9, category=2)]) == ([ErrorKind.BOTH], [missed])
    assert errors_of([one], [thing(full, 0.9), thing((0, 0, 10, 9), 0.8)]) == (
        [none, ErrorKind.DUPLICATE],
        [none],
    )
    assert errors_of([one], [thing(apart, 0.9)]) == ([ErrorKind.BACKGROUND], [missed])
    assert errors_of([one], []) == ([], [missed])
    assert errors_of([one], [thing(full, 0.05)]) == ([none], [missed])


def test_instances_in_a_crowd_are_no_error_and_crowds_are_not_missed() -> None:
    crowd = true(1, (0, 0, 20, 20), crowd=True)
    assert errors_of([crowd], [thing((2, 2, 4, 4), 0.9)]) == ([ErrorKind.NONE], [ErrorKind.NONE])
    assert errors_of([crowd], [thing((2, 2, 4, 4), 0.9, category=2)])[0] == [ErrorKind.BACKGROUND]


@settings(max_examples=60, deadline=None)
@given(st.lists(scenes(), min_size=1, max_size=2), st.sampled_from([0.3, 0.5, 0.8]))
def test_every_wrong_instance_has_one_kind_as_a_plain_loop_says(
    kept: list[Scene], iou: float
) -> None:
    judgement = metrics.judge(joined(*kept), iou=iou, min_score=0.2)
    match, errors, pairs = judgement.match, judgement.errors, judgement.pairs
    covered = set()
    for row, state in enumerate(match.found):
        if state != State.WRONG:
            assert errors.found[row] == ErrorKind.NONE
            continue
        own, other, used = 0.0, 0.0, 0.0
        for place in np.flatnonzero(pairs.rows == row):
            column, overlap = pairs.columns[place], pairs.mask_iou[place]
            if pairs.crowd[column]:
                continue
            if pairs.found_categories[row] == pairs.truth_categories[column]:
                own = max(own, overlap)
                if match.truth[column] == State.RIGHT:
                    used = max(used, overlap)
            else:
                other = max(other, overlap)
        expected = (
            ErrorKind.LOCALISATION
            if 0.1 <= own < iou
            else ErrorKind.CLASS
            if other >= iou
            else ErrorKind.DUPLICATE
            if used >= iou
            else ErrorKind.BACKGROUND
            if max(own, other) < 0.1
            else ErrorKind.BOTH
        )
        assert errors.found[row] == expected
        if expected in (ErrorKind.LOCALISATION, ErrorKind.CLASS):
            covered.add(int(errors.partner[row]))
    missed = set(np.flatnonzero(match.truth == State.WRONG).tolist()) - covered
    assert set(np.flatnonzero(errors.truth == ErrorKind.MISSED).tolist()) == missed
    counts = errors.count()
    assert sum(counts.values()) - counts["missed"] == metrics.total(judgement).fp
    for kind in ErrorKind:
        if kind >= 0:
            assert len(metrics.of_error(judgement, kind)[0]) == counts[kind.name.lower()]


def test_columns_of_images_by_hand() -> None:
    first = Scene(
        (true(1, (0, 0, 10, 10)), true(2, (20, 0, 10, 10)), true(3, (20, 20, 9, 9), crowd=True)),
        (thing((0, 0, 10, 8), 0.9), thing((0, 0, 10, 10), 0.6), thing((22, 22, 4, 4), 0.5)),
    )
    columns = metrics.images(metrics.judge(joined(first, Scene()), iou=0.5, min_score=0.1))
    assert columns.truth.tolist() == [2, 0]
    assert columns.found.tolist() == [3, 0]
    assert columns.tp.tolist() == [1, 0]
    assert columns.fp.tolist() == [1, 0]
    assert columns.fn.tolist() == [1, 0]
    assert columns.duplicates.tolist() == [1, 0]
    assert columns.lowest_iou[0] == pytest.approx(0.8)
    assert columns.gap[0] == pytest.approx(0.1)  # 0.9 - 0.8; the other fits by 1, so -0.4
    assert math.isnan(columns.lowest_iou[1])
    assert math.isnan(columns.gap[1])


def test_sizes_are_counted_apart() -> None:
    truth = (true(1, (0, 0, 10, 10)), true(2, (2, 2, 36, 36)))
    pairs = joined(Scene(truth, (thing((0, 0, 10, 10), 0.9),)))
    sizes = metrics.by_size(pairs, iou=0.5, min_score=0.1, kind="mask")
    assert [(s.tp, s.fp, s.fn) for s in sizes.values()] == [(1, 0, 0), (0, 0, 1), (0, 0, 0)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_curves_equal_pycocotools(kind: Kind, data: st.DataObject) -> None:
    kept = [data.draw(scenes(image_id=number)) for number in (3, 8)]
    judge = cocoeval(kept, KINDS[kind], 100)
    judge.accumulate()
    for row, iou in enumerate(judge.params.iouThrs):
        drawn = metrics.curves(joined(*kept), (1, 2), iou=iou, kind=kind)
        np.testing.assert_array_equal(drawn.precision.T, judge.eval["precision"][row, :, :, 0, -1])
        np.testing.assert_array_equal(drawn.recall, judge.eval["recall"][row, :, 0, -1])


@pytest.mark.parametrize("name", TRUTHS)
def test_the_twelve_numbers_equal_pycocotools(shared_data: Path, tmp_path: Path, name: str) -> None:
    dataset = coco.read(shared_data / name)
    kept = jittered(dataset, seed=5)
    verdicts = coco_ap.judge(dataset, write(kept, tmp_path / "results.json"))
    categories = [category.id for category in dataset.categories]
    for kind, theirs in (("mask", verdicts["segm"]), ("box", verdicts["bbox"])):
        ours = metrics.twelve(joined(*reversed(kept)), categories, kind)  # ids rank, not order
        assert ours == theirs
