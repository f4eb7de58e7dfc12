"""Two planted runs over one set: the lists are exact, and turn round with the runs."""

from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from comask.errors import InputError
from comask.evaluate import compare, matching, metrics
from comask.evaluate.compare import Comparison, Difference
from comask.evaluate.matching import Kind
from comask.evaluate.metrics import Judgement
from tests.evaluate.scenes import Scene, scenes, thing, true

TRUTH = (true(1, (0, 0, 10, 10)), true(2, (20, 0, 10, 10)), true(3, (0, 20, 10, 10)))


def judged(*kept: Scene, kind: Kind = "mask", iou: float = 0.5) -> Judgement:
    pairs = matching.join([scene.pairs() for scene in kept])
    return metrics.judge(pairs, iou=iou, min_score=0.2, kind=kind)


def compared(
    first: list[Scene], second: list[Scene], *, kind: Kind = "mask", iou: float = 0.5
) -> Comparison:
    return compare.compare(judged(*first, kind=kind, iou=iou), judged(*second, kind=kind, iou=iou))


def turned(row: Difference) -> Difference:
    names = {"gained": "lost", "lost": "gained", "changed": "changed"}
    return replace(
        row,
        kind=names[row.kind],
        a=row.b,
        b=row.a,
        iou_a=row.iou_b,
        iou_b=row.iou_a,
        score_a=row.score_b,
        score_b=row.score_a,
        change=-row.change,
    )


def test_gained_lost_and_changed_by_hand() -> None:
    first = Scene(TRUTH, (thing((0, 0, 10, 10), 0.9), thing((20, 0, 10, 8), 0.75)))
    second = Scene(
        TRUTH,
        (thing((20, 0, 10, 10), 0.75), thing((0, 20, 10, 6), 0.5), thing((0, 0, 10, 4), 0.25)),
    )
    rows = compared([first], [second]).rows
    assert [(row.kind, row.truth, row.a, row.b) for row in rows if row.truth is not None] == [
        ("lost", 0, 0, 2),
        ("gained", 2, None, 1),
        ("changed", 1, 1, 0),
    ]
    assert [row.change for row in rows if row.truth is not None] == pytest.approx([-0.6, 0.6, 0.2])
    assert (rows[0].iou_a, rows[0].iou_b) == (1.0, 0.4)  # what came nearest is named too
    assert (rows[0].score_a, rows[0].score_b) == pytest.approx((0.9, 0.25))
    assert rows[1].score_a is None


def test_false_positives_by_hand() -> None:
    first = Scene((), (thing((0, 0, 10, 10), 0.75), thing((20, 20, 10, 10), 0.5)))
    second = Scene(
        (),
        (
            thing((0, 0, 10, 9), 0.9),  # the first of the other run
            thing((20, 20, 10, 10), 0.625, category=2),  # of another category
            thing((0, 0, 10, 8), 0.25),  # its like is taken
        ),
    )
    found = compared([Scene(), first], [Scene(), second])
    assert [(row.kind, row.image, row.a, row.b, row.change) for row in found.rows] == [
        ("gained", 1, None, 1, -0.625),
        ("lost", 1, 1, None, 0.5),
        ("gained", 1, None, 2, -0.25),
    ]
    assert found.count() == {
        "gained": 0,
        "lost": 0,
        "changed": 0,
        "false_gained": 2,
        "false_lost": 1,
    }


def test_a_changed_score_alone_is_a_change() -> None:
    first = Scene(TRUTH[:1], (thing((0, 0, 10, 10), 0.9),))
    second = Scene(TRUTH[:1], (thing((0, 0, 10, 10), 0.5),))
    (row,) = compared([first], [second]).rows
    assert (row.kind, row.change, row.score_b) == ("changed", 0.0, 0.5)


@pytest.mark.parametrize("kind", ["mask", "box"])
@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(st.data())
def test_the_other_way_round_is_the_negative(kind: Kind, data: st.DataObject) -> None:
    first = [data.draw(scenes()) for _ in range(2)]
    second = [replace(data.draw(scenes()), truth=scene.truth) for scene in first]
    iou = data.draw(st.sampled_from([0.3, 0.5, 0.8]))
    there = compared(first, second, kind=kind, iou=iou)
    back = compared(second, first, kind=kind, iou=iou)
    assert {turned(row) for row in back.rows} == set(there.rows)
    assert len(back.rows) == len(there.rows)
    changes = [abs(row.change) for row in there.rows]
    assert changes == sorted(changes, reverse=True)
    assert compared(first, first, kind=kind, iou=iou).rows == ()


def test_counts_follow_from_the_lists() -> None:
    first = Scene(TRUTH, (thing((0, 0, 10, 10), 0.9), thing((30, 30, 5, 5), 0.5)))
    second = Scene(TRUTH, (thing((20, 0, 10, 10), 0.9), thing((0, 20, 10, 10), 0.8)))
    a, b = judged(first), judged(second)
    counts = compared([first], [second]).count()
    assert metrics.total(b).tp - metrics.total(a).tp == counts["gained"] - counts["lost"]
    assert metrics.total(b).fp - metrics.total(a).fp == (
        counts["false_gained"] - counts["false_lost"]
    )


def test_other_objects_or_settings_are_refused() -> None:
    with pytest.raises(InputError, match="same objects"):
        compare.compare(judged(Scene(TRUTH)), judged(Scene(TRUTH[:1])))
    with pytest.raises(InputError, match="same settings"):
        compare.compare(judged(Scene(TRUTH)), judged(Scene(TRUTH), iou=0.6))
