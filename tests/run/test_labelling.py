"""What a prediction adds to the labels of an image, worked out by hand."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comask.annotation.index import DatasetIndex
from comask.annotation.records import Category
from comask.errors import InputError
from comask.run.labelling import Model, Rules, begin_sheet, default_mapping, plan, to_labels
from tests.factories import coco_content, write_json
from tests.run.instances import label, predicted, sheet

MODEL = Model("abc", {"min_score": 0.05})
BOTH = {"cell": 1, "nucleus": 90}
A, B, C = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (40.0, 0.0, 50.0, 10.0)
NEAR_A = (0.0, 0.0, 10.0, 8.0)  # IoU 0.8 with A
TOUCHING_A = (0.0, 5.0, 10.0, 15.0)  # IoU 1/3 with A


def uid(row: int) -> str:
    return MODEL.uid("x.png", row)


def test_an_instance_is_named_after_model_settings_image_and_row() -> None:
    named = hashlib.sha256(b'abc|{"min_score": 0.05}|x.png|3').hexdigest()
    assert uid(3) == f"m{named[:20]}"


def test_everything_found_becomes_a_proposal_the_best_on_top() -> None:
    found = predicted([A, B], scores=[0.9, 0.4], labels=[1, 0])
    made = plan(found, sheet(), "x.png", MODEL, Rules(mapping=BOTH))
    assert [one.uid for one in made.put] == [uid(0), uid(1)]
    assert [one.z for one in made.put] == [2, 1]
    assert [one.category for one in made.put] == [90, 1]
    assert {(one.state, one.origin, one.checkpoint) for one in made.put} == {
        ("proposed", "model", "abc")
    }
    assert made.put[0].class_score == float(np.float32(0.9))
    assert (made.put[0].instability, made.put[0].disagreement) == (0, None)
    assert (made.drop, made.left_out, made.hidden) == ((), {}, 0)


def test_nothing_found_adds_nothing() -> None:
    made = plan(predicted([]), sheet(label("a", A)), "x.png", MODEL, Rules(mapping=BOTH))
    assert (made.put, made.drop, made.named) == ((), (), frozenset())


def test_new_labels_lie_over_what_is_there() -> None:
    made = plan(predicted([B]), sheet(label("a", A, z=7)), "x.png", MODEL, Rules(mapping=BOTH))
    assert [one.z for one in made.put] == [8]


@pytest.mark.parametrize("state", ["accepted", "edited", "rejected", "new", "proposed"])
def test_what_overlaps_with_any_label_is_hidden(state: str) -> None:
    there = sheet(label("a", A, state=state), label("c", TOUCHING_A))
    made = plan(predicted([NEAR_A, B]), there, "x.png", MODEL, Rules(mapping=BOTH, overlap=0.8))
    assert [one.uid for one in made.put] == [uid(1)]
    assert (made.hidden, made.drop) == (1, ())
    later = plan(predicted([NEAR_A, B]), there, "x.png", MODEL, Rules(mapping=BOTH, overlap=0.81))
    assert [one.disagreement for one in later.put] == [pytest.approx(0.2), None]


def test_of_two_that_converged_the_better_one_comes() -> None:
    found = predicted([A, NEAR_A, TOUCHING_A], scores=[0.9, 0.8, 0.7], labels=[0, 1, 0])
    made = plan(found, sheet(), "x.png", MODEL, Rules(mapping=BOTH, overlap=0.5))
    assert [one.uid for one in made.put] == [uid(0), uid(2)]
    assert made.hidden == 1


def test_running_twice_is_running_once() -> None:
    found, rules = predicted([A, B]), Rules(mapping=BOTH)
    once = plan(found, sheet(), "x.png", MODEL, rules).put
    for policy in ("add", "replace"):
        again = plan(found, sheet(*once), "x.png", MODEL, replace(rules, policy=policy))
        assert (again.put, again.drop, again.hidden) == ((), (), 0)
        assert again.named == {uid(0), uid(1)}


def test_an_instance_that_somebody_moved_away_does_not_come_back() -> None:
    first = plan(predicted([A]), sheet(), "x.png", MODEL, Rules(mapping=BOTH)).put[0]
    edited = replace(first, mask=label("", C).mask, state="edited", proposed=first.mask)
    again = plan(predicted([A]), sheet(edited), "x.png", MODEL, Rules(mapping=BOTH))
    assert (again.put, again.drop) == ((), ())


def test_replacing_takes_only_what_nobody_touched() -> None:
    old = {"origin": "model", "checkpoint": "old"}
    there = sheet(
        label("untouched", A, state="proposed", **old),
        label("touched", B, state="proposed", proposed=label("", A).mask, **old),
        label("accepted", C, **old),
        label("rejected", C, state="rejected", **old),
        label("drawn", C, state="proposed"),  # somebody drew it and wants another look
    )
    rules = Rules(mapping=BOTH, policy="replace")
    made = plan(predicted([NEAR_A, B, C]), there, "x.png", MODEL, rules)
    assert made.drop == ("untouched",)
    assert [one.uid for one in made.put] == [uid(0)]
    assert made.put[0].disagreement is None  # the other opinion went
    assert made.hidden == 2


def test_replacing_takes_what_is_not_sure_enough_any_more() -> None:
    found = predicted([A, B], scores=[0.9, 0.4])
    there = sheet(*plan(found, sheet(), "x.png", MODEL, Rules(mapping=BOTH)).put)
    rules = Rules(mapping=BOTH, policy="replace", min_score=0.5)
    made = plan(found, there, "x.png", MODEL, rules)
    assert (made.put, made.drop) == ((), (uid(1),))


def test_a_class_without_a_category_is_counted_and_never_shifted() -> None:
    found = predicted([A, B, C], labels=[0, 1, 1], scores=[0.9, 0.8, 0.01])
    for mapping in ({"cell": 1, "nucleus": None}, {"cell": 1}):
        made = plan(found, sheet(), "x.png", MODEL, Rules(mapping=mapping))
        assert [one.category for one in made.put] == [1]
        assert made.left_out == {"nucleus": 1}


def test_the_threshold_compares_as_the_model_does() -> None:
    found = predicted([A, B], scores=[0.3, np.nextafter(np.float32(0.3), np.float32(1))])
    made = plan(found, sheet(), "x.png", MODEL, Rules(mapping=BOTH, min_score=0.3))
    assert [one.uid for one in made.put] == [uid(1)]


def test_an_empty_mask_is_no_label() -> None:
    assert plan(predicted([(3, 3, 3, 9)]), sheet(), "x.png", MODEL, Rules(mapping=BOTH)).put == ()


def test_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"x\.png is 60 x 40 pixels, and its labels were"):
        plan(predicted([A]), sheet(size=(60, 40)), "x.png", MODEL, Rules(mapping=BOTH))


def test_labels_keep_the_order_they_are_asked_in() -> None:
    made = to_labels(predicted([A, B, C], labels=[0, 1, 0]), [2, 1, 0], "x.png", MODEL, {"cell": 4})
    assert [(one.uid, one.category) for one in made] == [(uid(2), 4), (uid(0), 4)]


def test_classes_find_their_categories_by_plain_names() -> None:
    found = (Category(1, "Hot_dog"), Category(2, "cell"), Category(3, "x"))
    known = (Category(58, "hot dog"), Category(7, "CELL "), Category(9, "cell"))
    assert default_mapping(found, known) == {"Hot_dog": 58, "cell": 7, "x": None}


@pytest.mark.parametrize(
    "wrong", [{"policy": "merge"}, {"min_score": -0.1}, {"overlap": 1.5}, {"overlap": float("nan")}]
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Rules(mapping={}, **wrong)  # type: ignore[arg-type]


def test_a_sheet_begins_with_the_truth_of_the_right_size(tmp_path: Path) -> None:
    content = coco_content()
    content["images"].append({"id": 10, "file_name": "a/x.png", "width": 9, "height": 8})
    index = DatasetIndex.open(write_json(tmp_path / "t.json", content), tmp_path, tmp_path / "c")
    begun = begin_sheet(index, "a/x.png", (8, 10))
    assert [(one.uid, one.state, one.origin, one.number) for one in begun.labels] == [
        ("t11", "accepted", "file", 11)
    ]
    assert begin_sheet(index, "b/x.png", (5, 5)).row == 1
    assert begin_sheet(index, "b/x.png", (5, 6)).labels == ()
    with pytest.raises(InputError, match=r"no image c\.png"):
        begin_sheet(index, "c.png", (5, 5))
    index.close()
