"""What became of each instance: rectangles on paper, and what must hold for any two predictions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from comask.analysis.difference import Change, Difference, difference
from comask.annotation import rle
from comask.annotation.records import Category
from comask.errors import InputError
from comask.predict import Prediction, PredictionTrace

Box = tuple[int, int, int, int]
SQUARE: Box = (0, 0, 10, 10)
CATEGORIES = (Category(1, "cell"), Category(90, "nucleus"))


def found(
    *boxes: Box,
    labels: Sequence[int] | None = None,
    scores: Sequence[float] | None = None,
    masks: Sequence[Box] | None = None,
    size: tuple[int, int] = (40, 60),
) -> Prediction:
    """Build a prediction whose masks fill their boxes; the score is the class score plus 0.25."""
    drawn = tuple(
        rle.encode_crop(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)
        for x1, y1, x2, y2 in (boxes if masks is None else masks)
    )
    none = np.zeros((len(boxes), 0), np.float32)
    class_scores = np.array(scores or [0.5] * len(boxes), np.float32)
    return Prediction(
        size=size,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels or [0] * len(boxes), np.int64),
        class_scores=class_scores,
        mask_ious=np.ones(len(boxes), np.float32),
        scores=class_scores + np.float32(0.25),
        masks=drawn,
        categories=CATEGORIES,
        trace=PredictionTrace(none, none, none, none, none, none, none),
    )


def kinds(changes: Difference) -> list[tuple[str, int | None, int | None]]:
    return [(one.kind, one.before, one.after) for one in changes.changes]


def exchanged(change: Change) -> Change:
    names = {"lost": "gained", "gained": "lost"}
    return replace(
        change,
        kind=names.get(change.kind, change.kind),  # type: ignore[arg-type]
        before=change.after,
        after=change.before,
        class_score=-change.class_score,
        score=-change.score,
    )


def random_prediction(seed: int, count: int) -> Prediction:
    """Put rectangles where many overlap; some are empty, some are equal."""
    random = np.random.default_rng(seed)
    corners = random.integers(0, 12, (count, 2))
    sides = random.integers(0, 9, (count, 2))
    boxes = [tuple(map(int, row)) for row in np.concatenate([corners, corners + sides], axis=1)]
    labels = random.integers(0, 2, count).tolist()
    scores = np.sort(random.uniform(0.1, 1, count))[::-1].tolist()
    return found(*boxes, labels=labels, scores=scores)


# --- on paper ----------------------------------------------------------------------------------


def test_a_shift_by_one_of_ten_pixels_is_a_move() -> None:
    before = found(SQUARE, scores=[0.5])
    after = found((1, 0, 11, 10), scores=[0.75])
    (change,) = difference(before, after).changes
    assert (change.kind, change.before, change.after) == ("moved", 0, 0)
    assert change.mask_iou == change.box_iou == pytest.approx(90 / 110)
    assert (change.travel, change.class_score, change.score) == (1.0, 0.25, 0.25)
    assert kinds(difference(before, after, moved_below=0.8)) == [("kept", 0, 0)]
    assert kinds(difference(before, after, same_from=0.82)) == [
        ("lost", 0, None),
        ("gained", None, 0),
    ]


def test_lost_and_gained_count_what_they_took_away_and_brought() -> None:
    before, after = found(SQUARE, scores=[0.5]), found((6, 0, 16, 10), scores=[0.25])
    lost, gained = difference(before, after).changes  # 40 of 160 pixels in common
    assert lost == Change("lost", 0, None, 0.0, 0.0, 0.0, -0.5, -0.75)
    assert gained == Change("gained", None, 0, 0.0, 0.0, 0.0, 0.25, 0.5)


def test_the_most_alike_are_one_and_each_is_taken_once() -> None:
    before = found((4, 0, 14, 10), SQUARE)
    after = found((1, 0, 11, 10))  # 70 / 130 with the first, 90 / 110 with the second
    assert kinds(difference(before, after)) == [("lost", 0, None), ("moved", 1, 0)]
    assert kinds(difference(after, before)) == [("gained", None, 0), ("moved", 0, 1)]


def test_only_one_label_is_compared() -> None:
    before, after = found(SQUARE, labels=[0]), found(SQUARE, labels=[1])
    assert kinds(difference(before, after)) == [("lost", 0, None), ("gained", None, 0)]


@pytest.mark.parametrize(
    ("boxes", "masks", "iou"),
    [((0, 0, 10, 12), SQUARE, 1.0), (SQUARE, (0, 0, 10, 9), 0.9)],
    ids=["the box alone", "the mask alone"],
)
def test_box_or_mask_is_enough_to_have_moved(boxes: Box, masks: Box, iou: float) -> None:
    (change,) = difference(found(SQUARE), found(boxes, masks=[masks])).changes
    assert change.kind == "moved"
    assert change.mask_iou == pytest.approx(iou)


def test_travel_is_that_of_the_edge_that_went_farthest() -> None:
    after = found((-1, 0, 10, 13), masks=[SQUARE])
    (change,) = difference(found(SQUARE), after).changes
    assert change.travel == 3.0
    assert change.box_iou == pytest.approx(100 / (11 * 13))


def test_only_class_scores_above_the_threshold_are_there() -> None:
    before, after = found(SQUARE, scores=[0.5]), found(SQUARE, scores=[0.25])
    assert kinds(difference(before, after, min_score=0.25)) == [("lost", 0, None)]
    assert kinds(difference(after, before, min_score=0.25)) == [("gained", None, 0)]
    assert difference(before, after, min_score=0.5).changes == ()


def test_rows_are_those_of_the_predictions() -> None:
    before = found((30, 0, 40, 10), SQUARE, scores=[0.9, 0.5])
    after = found((30, 30, 40, 40), SQUARE, (30, 0, 40, 10), scores=[0.1, 0.9, 0.9])
    assert kinds(difference(before, after, min_score=0.2)) == [("kept", 0, 2), ("kept", 1, 1)]


def test_counting() -> None:
    before = found(SQUARE, (20, 0, 30, 10), (40, 0, 50, 10))
    after = found((40, 0, 50, 10), (21, 0, 31, 10), (0, 20, 10, 30), (20, 20, 30, 30))
    changes = difference(before, after)
    assert changes.count() == {"lost": 1, "gained": 2, "moved": 1, "kept": 1}
    assert [one.after for one in changes.of("gained")] == [2, 3]
    assert kinds(changes) == [
        ("lost", 0, None),
        ("gained", None, 2),
        ("gained", None, 3),
        ("moved", 1, 1),
        ("kept", 2, 0),
    ]


def test_empty_masks_go_by_their_boxes() -> None:
    empty: Box = (0, 0, 0, 0)
    before = found(SQUARE, (20, 20, 20, 20), masks=[empty, empty])
    assert difference(before, before).count()["kept"] == 2
    moved = found((0, 0, 10, 9), masks=[empty])
    assert kinds(difference(found(SQUARE, masks=[empty]), moved)) == [("moved", 0, 0)]
    assert difference(found(SQUARE), moved).count() == {
        "lost": 1,
        "gained": 1,
        "moved": 0,
        "kept": 0,
    }


# --- for any two -------------------------------------------------------------------------------

COUNTS = [(0, 0), (0, 3), (3, 0), (1, 1), (12, 9), (40, 40)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("counts", COUNTS)
def test_exchanged_predictions_exchange_lost_and_gained(counts: tuple[int, int], seed: int) -> None:
    one, other = (random_prediction(2 * seed + side, count) for side, count in enumerate(counts))
    there, back = difference(one, other, min_score=0.3), difference(other, one, min_score=0.3)
    assert set(there.changes) == {exchanged(change) for change in back.changes}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("counts", COUNTS)
def test_every_instance_is_named_once_and_no_pair_is_left(
    counts: tuple[int, int], seed: int
) -> None:
    one, other = (random_prediction(2 * seed + side, count) for side, count in enumerate(counts))
    changes = difference(one, other)
    before = [change.before for change in changes.changes if change.before is not None]
    after = [change.after for change in changes.changes if change.after is not None]
    assert sorted(before) == list(range(counts[0]))
    assert sorted(after) == list(range(counts[1]))
    overlaps = rle.iou(one.masks, other.masks)
    for lost in changes.of("lost"):
        for gained in changes.of("gained"):
            alike = one.labels[lost.before] == other.labels[gained.after]
            assert not alike or overlaps[lost.before, gained.after] < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_prediction_is_what_it_is(seed: int) -> None:
    one = random_prediction(seed, 40)
    changes = difference(one, one).changes
    assert [change.kind for change in changes] == ["kept"] * 40
    assert all(change.travel == change.score == change.class_score == 0 for change in changes)


# --- at the door -------------------------------------------------------------------------------


def test_predictions_of_something_else_are_refused() -> None:
    other = replace(found(SQUARE), categories=CATEGORIES[::-1])
    for after in (other, found(SQUARE, size=(41, 60))):
        with pytest.raises(InputError, match="of one image by one checkpoint"):
            difference(found(SQUARE), after)


@pytest.mark.parametrize("wrong", [{"same_from": 0.0}, {"same_from": 1.1}, {"moved_below": -0.1}])
def test_bars_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="same_from is in"):
        difference(found(SQUARE), found(SQUARE), **wrong)
