"""Labels beside instances: who belongs to whom, and what is done to a pile."""

import itertools

import numpy as np
import pytest

from comask.annotation import rle
from comask.annotation.labels import Label
from comask.run.labelling import Model
from comask.run.piles import (
    PILES,
    Pair,
    Pile,
    act,
    check_bar,
    found_rows,
    made_of,
    match,
    pile_numbers,
    pile_of,
)
from tests.run.instances import SIZE, label, predicted, rectangle

MODEL = Model("abc", {})
BOTH = {"cell": 1, "nucleus": 90}
A, B, C = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (40.0, 0.0, 50.0, 10.0)
NEAR_A = (0.0, 0.0, 10.0, 8.0)  # IoU 0.8 with A
HALF_A = (0.0, 0.0, 10.0, 5.0)  # IoU 0.5 with A
TIP_A = (0.0, 0.0, 10.0, 0.9)  # one row: IoU 0.1 with A


def piles(labels: list[Label], boxes: list[tuple[float, ...]], bar: float) -> dict[Pile, list]:
    """Sort pairs: pile -> (label's place, row)."""
    masks = [rectangle(box) for box in boxes]
    found: dict[Pile, list] = {"agree": [], "low": [], "extra": [], "missed": []}
    for pair in match(labels, masks, range(len(masks))):
        pile = pile_of(pair, bar)
        if pile is not None:
            found[pile].append((pair.label, pair.found))
    return found


def test_three_piles_and_what_agrees() -> None:
    labels = [label("a", A), label("b", B)]
    found = piles(labels, [C, HALF_A], 0.6)
    assert found == {"agree": [], "low": [(0, 1)], "extra": [(None, 0)], "missed": [(1, None)]}
    assert piles(labels, [C, HALF_A], 0.5)["agree"] == [(0, 1)]  # the bar itself agrees


def test_below_a_tenth_nothing_is_a_pair() -> None:
    assert piles([label("a", A)], [TIP_A], 0.5)["low"] == [(0, 0)]  # exactly 0.1
    beside = (0.0, 9.0, 10.0, 19.0)  # IoU 10/190
    found = piles([label("a", A)], [beside], 0.1)
    assert (found["extra"], found["missed"]) == ([(None, 0)], [(0, None)])


def test_the_best_pair_is_taken_first_and_everybody_once() -> None:
    found = piles([label("a", A), label("near", NEAR_A)], [HALF_A, A, A], 0.5)
    # label a takes the first of the two equal ones; the second is nearer to "near" than the half
    assert found["agree"] == [(0, 1), (1, 2)]
    assert found["extra"] == [(None, 0)]


def test_nobody_there_and_nothing_found() -> None:
    assert match([], [], []) == []
    assert piles([], [A], 0.5)["extra"] == [(None, 0)]
    assert piles([label("a", A)], [], 0.5)["missed"] == [(0, None)]


def test_rejected_labels_were_seen() -> None:
    gone = label("a", A, state="rejected")
    assert all(not rows for rows in piles([gone], [], 0.5).values())
    assert all(not rows for rows in piles([gone], [NEAR_A], 0.8).values())
    both = piles([gone, label("new", HALF_A)], [A], 0.5)
    assert both["agree"] == [(1, 0)]  # what stands is matched before what is gone


def test_what_is_not_the_rejected_one_is_extra() -> None:
    pairs = match([label("a", A, state="rejected")], [rectangle(HALF_A)], [0])
    assert [pile_of(pair, bar) for pair in pairs for bar in (0.5, 0.51)] == [None, "extra"]


def test_a_crowd_is_nobodys_match() -> None:
    crowd = label("crowd", (0.0, 0.0, 30.0, 30.0), iscrowd=True)
    found = piles([crowd], [A, C], 0.5)
    assert (found["extra"], found["missed"]) == ([(None, 1)], [])


@pytest.mark.parametrize("seed", range(4))
def test_piles_of_planted_scenes_are_exact_at_any_bar(seed: int) -> None:
    """Compare with a plain search for the best pair, again and again."""
    random = np.random.default_rng(seed)
    boxes = [(x, y, x + w, y + h) for x, y, w, h in random.integers(1, 20, (24, 4)).tolist()]
    labels = [
        label(f"l{place}", box, state=random.choice(["accepted", "proposed", "new"]))
        for place, box in enumerate(boxes[:12])
    ]
    masks = [rectangle(box) for box in boxes[12:]]
    pixels = (
        [rle.decode(one.mask).astype(bool) for one in labels],
        [rle.decode(mask).astype(bool) for mask in masks],
    )
    overlaps = {
        (a, b): (pixels[0][a] & pixels[1][b]).sum() / (pixels[0][a] | pixels[1][b]).sum()
        for a, b in itertools.product(range(12), range(12))
    }
    left, wanted = dict(overlaps), {}
    while left and max(left.values()) >= 0.1:
        best = max(left, key=lambda pair: (left[pair], -pair[0], -pair[1]))
        wanted[best] = left[best]
        left = {
            pair: iou
            for pair, iou in left.items()
            if not set(enumerate(pair)) & set(enumerate(best))
        }
    pairs = match(labels, masks, range(12))
    for bar in (0.1, 0.25, 0.5, 0.75, 0.95, *wanted.values()):
        sorted_out = {(p.label, p.found): pile_of(p, bar) for p in pairs}
        assert {pair for pair, pile in sorted_out.items() if pile == "agree"} == {
            pair for pair, iou in wanted.items() if iou >= bar
        }
        assert {pair for pair, pile in sorted_out.items() if pile == "low"} == {
            pair for pair, iou in wanted.items() if iou < bar
        }
        assert {p[1] for p, pile in sorted_out.items() if pile == "extra"} == set(range(12)) - {
            b for _, b in wanted
        }
        assert {p[0] for p, pile in sorted_out.items() if pile == "missed"} == set(range(12)) - {
            a for a, _ in wanted
        }


@pytest.mark.parametrize("bar", [0.09, 1.01, float("nan")])
def test_a_bar_below_a_tenth_is_refused(bar: float) -> None:
    with pytest.raises(ValueError, match=r"the bar must be an IoU in 0\.1 \.\. 1"):
        check_bar(bar)


def test_instances_take_part_that_are_sure_and_known() -> None:
    found = predicted([A, B, C, (3, 3, 3, 9)], scores=[0.9, 0.5, 0.9, 0.9], labels=[0, 0, 1, 0])
    assert found_rows(found, {"cell": 1}, 0.5) == [0]
    assert found_rows(predicted([]), BOTH, 0.05) == []


def test_extras_come_on_top_as_proposals_or_as_rejected() -> None:
    found = predicted([A, B])
    pairs = [Pair(None, 1), Pair(None, 0)]
    made = made_of(found, pairs, "x.png", MODEL, BOTH)
    there = [label("c", C, z=4), label(MODEL.uid("x.png", 0), C)]
    for action, state in (("add", "proposed"), ("dismiss", "rejected")):
        put = act(action, pairs, there, made)  # type: ignore[arg-type]
        assert [(one.uid, one.state, one.z) for one in put] == [
            (MODEL.uid("x.png", 1), state, 5),
            (f"{MODEL.uid('x.png', 0)}-2", state, 6),  # somebody made another thing of that name
        ]
    # what was dismissed is in no pile any more
    assert piles(put, [A, B], 0.95)["extra"] == []


def test_the_models_mask_is_taken_and_the_class_stays() -> None:
    there = [label("a", A, category=90), label("b", B, state="proposed", origin="model")]
    found = predicted([NEAR_A, B])
    pairs = [Pair(0, 0, 0.8), Pair(1, 1, 1.0)]
    put = act("take", pairs, there, made_of(found, pairs, "x.png", MODEL, BOTH))
    assert [(one.uid, one.state, one.category) for one in put] == [
        ("a", "edited", 90),
        ("b", "proposed", 1),
    ]
    assert put[0].mask == rectangle(NEAR_A, SIZE)


def test_labels_are_looked_at_again_or_rejected() -> None:
    there = [label("a", A), label("b", B)]
    for action, state in (("review", "proposed"), ("reject", "rejected")):
        put = act(action, [Pair(1, None)], there, {})  # type: ignore[arg-type]
        assert [(one.uid, one.state) for one in put] == [("b", state)]


def test_many_pairs_at_once_lie_on_the_piles_of_each() -> None:
    every = [
        Pair(place, row, iou, seen)
        for place in (None, 0)
        for row in (None, 0)
        for iou in (0.0, 0.4, 0.5, 1.0)
        for seen in (False, True)
    ]
    labels = np.array([-1 if one.label is None else one.label for one in every], np.int32)
    found = np.array([-1 if one.found is None else one.found for one in every], np.int32)
    iou, seen = np.array([one.iou for one in every]), np.array([one.seen for one in every])
    numbers = pile_numbers(labels, found, iou, seen, 0.5).tolist()
    names = [None if number < 0 else PILES[number] for number in numbers]
    assert names == [pile_of(one, 0.5) for one in every]
    none = np.zeros(0, np.int32)
    assert pile_numbers(none, none, np.zeros(0), np.zeros(0, np.bool_), 0.5).shape == (0,)
