"""What travels to the drawing surface, and what comes back."""

import json

import numpy as np
import pytest

from app.canvas import payload
from comask.annotation.records import Category
from comask.errors import InputError
from tests.canvas import documents

SIZE = (6, 8)
SQUARE = documents.rectangle(SIZE, 2, 1, 3, 2)  # columns 2 .. 4, rows 1 .. 2


def test_a_prediction_becomes_instances_in_its_own_order() -> None:
    found = documents.found([SQUARE, ~SQUARE], [0.75, 0.5], [1, 0])
    made = payload.document(documents.image("a", SIZE), prediction=found)
    first = made["instances"][0]
    assert [one["id"] for one in made["instances"]] == ["p1", "p2"]
    assert (first["layer"], first["category_id"], first["class_score"]) == ("prediction", 2, 0.75)
    assert (first["box"], first["bbox"], first["area"]) == ([2, 1, 5, 3], [2, 1, 3, 2], 6)
    assert made["layers"] == [{"name": "prediction", "editable": False}]
    assert made["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}]


def test_scores_keep_every_digit_of_the_models_float() -> None:
    made = payload.document(documents.image("a", SIZE), prediction=documents.found([SQUARE], [0.3]))
    back = json.loads(json.dumps(made))
    assert np.float32(back["instances"][0]["class_score"]) == np.float32(0.3)


def test_truth_has_no_scores() -> None:
    truth = documents.drawn([SQUARE])
    made = payload.document(
        documents.image("a", SIZE), truth=truth, truth_categories=[Category(1, "cell")]
    )
    (one,) = made["instances"]
    assert one["id"] == "t1"
    assert [one["class_score"], one["mask_iou"], one["score"], one["box"]] == [None] * 4


def test_nothing_found_is_a_layer_without_instances() -> None:
    made = payload.document(documents.image("a", SIZE), prediction=documents.found([], []))
    assert made["instances"] == []
    assert len(made["layers"]) == 1


def test_no_layers_is_a_bare_photograph() -> None:
    made = payload.document(documents.image("a", SIZE))
    assert (made["layers"], made["instances"], made["categories"]) == ([], [], [])


def test_classes_of_the_truth_are_the_models_where_their_names_are() -> None:
    made = payload.document(
        documents.image("a", SIZE),
        prediction=documents.found([SQUARE], [0.9]),  # 1 cell, 2 nucleus
        truth=documents.drawn([SQUARE], category_id=1),
        truth_categories=[Category(1, "nucleus")],
    )
    assert made["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}]
    assert made["instances"][1]["category_id"] == 2


def test_a_class_of_the_truth_whose_id_is_taken_gets_a_new_one() -> None:
    made = payload.document(
        documents.image("a", SIZE),
        prediction=documents.found([SQUARE], [0.9]),
        truth=documents.drawn([SQUARE], category_id=2),
        truth_categories=[Category(2, "vessel"), Category(7, "nerve")],
    )
    names = {category["id"]: category["name"] for category in made["categories"]}
    assert names == {1: "cell", 2: "nucleus", 8: "vessel", 7: "nerve"}
    assert made["instances"][1]["category_id"] == 8


def test_events_are_read() -> None:
    assert payload.opened_image({"key": "a"}) == "a"
    assert payload.selected_instance({"key": "a", "id": "p1"}) == ("a", "p1")
    assert payload.selected_instance({"key": "a", "id": None}) == ("a", None)


@pytest.mark.parametrize(
    "data", [None, [], "a", {}, {"key": 1}, {"key": True}, {"key": ""}, {"key": "x" * 513}]
)
def test_what_is_no_event_is_refused(data: object) -> None:
    with pytest.raises(InputError):
        payload.opened_image(data)


@pytest.mark.parametrize("data", [{"key": "a"}, {"key": "a", "id": 3}, {"id": "p1"}])
def test_what_names_no_instance_is_refused(data: object) -> None:
    with pytest.raises(InputError):
        payload.selected_instance(data)
