"""Sheets of labels by image keys: what is there before anybody comes, and what people make of it.

The COCO file is written out in ``tests.app.labelling``.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.actions import label_lists, labels
from app.canvas import label_asked
from app.services import Services
from app.services.sheets import Project
from comask.annotation.labels import Gesture, Label
from comask.annotation.records import Rle
from comask.errors import ConflictError, InputError
from tests.annotation import postgresql
from tests.app.labelling import HEIGHT, WIDTH, box, content, gesture, image, labelled, put, upload
from tests.app.standins import encode
from tests.factories import write_json

Desk = tuple[Services, str]
OpenDesk = Callable[[], Desk]


@pytest.fixture(scope="module")
def server(postgresql_programs: Path) -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        postgresql.served(postgresql_programs, Path(folder)) as url,
    ):
        yield url


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[OpenDesk]:
    """Give what opens the folder's Studio, on SQLite, as often as it is asked."""
    with ExitStack() as stack:
        yield lambda: _opened(stack, tmp_path, None)


@pytest.fixture(params=["sqlite", "postgresql"])
def open_on_both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenDesk]:
    """Give what opens the folder's Studio on each of the databases."""
    url = request.getfixturevalue("server") if request.param == "postgresql" else None
    with ExitStack() as stack:
        yield lambda: _opened(stack, tmp_path, url)


def _opened(stack: ExitStack, folder: Path, store: str | None) -> Desk:
    services, dataset = labelled(folder, store)
    stack.callback(services.close)
    return services, dataset


def shown(services: Services, key: str, actor: str | None = "ann") -> dict[str, Any]:
    return {**labels.document(services, image(services, key), actor)}


def states(services: Services, key: str) -> dict[str, str]:
    return {one["id"]: one["state"] for one in shown(services, key)["instances"]}


def do(services: Services, key: str, sent: dict[str, Any]) -> dict[str, Any]:
    return labels.applied(services, image(services, key), label_asked.gesture_asked(sent))


def turn(
    services: Services, project: str, key: str, *, redo: bool = False, actor: str = "ann"
) -> dict[str, Any]:
    asked = label_asked.revert_asked({"project": project, "actor": actor, "key": key})
    return labels.reverted(services, project_of(services, project), asked, redo=redo)


def project_of(services: Services, name: str) -> Project:
    found = services.sheets.project(name)
    assert found is not None
    return found


def propose(services: Services, key: str, *proposals: Label) -> None:
    """Put proposals as a run does."""
    one = image(services, key)
    sheet = services.sheets.sheet(one)
    made = Gesture(f"run {key}", "bob", "prelabel", sheet.revision, put=proposals)
    services.labels.apply(*services.kept_as(key), made, lambda: sheet)


def proposal(uid: str, mask: Rle, class_score: float, **more: Any) -> Label:
    return Label(
        uid, 1, mask, "proposed", "model", checkpoint="abc", class_score=class_score, **more
    )


# -- before anybody comes -----------------------------------------------------------------------


def test_an_untouched_image_has_the_objects_of_its_file(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    document = shown(services, f"d{dataset}-0")
    assert (document["schema"], document["revision"]) == (1, 0)
    assert document["image"] == {
        "key": f"d{dataset}-0",
        "file_name": "a.png",
        "width": WIDTH,
        "height": HEIGHT,
        "url": f"/api/images/d{dataset}-0",
    }
    assert document["categories"] == [{"id": 1, "name": "cell"}, {"id": 90, "name": "nucleus"}]
    assert document["layers"] == [{"name": "label", "editable": True}]
    assert document["label"] == {
        "project": dataset,
        "state": "open",
        "undo": None,
        "redo": None,
        "note": "",
    }
    seen = [(one["id"], one["area"], one["bbox"]) for one in document["instances"]]
    assert seen == [  # 14 has no pixel, so it is no label
        ("t11", 4, [0, 0, 2, 2]),
        ("t12", 6, [3, 1, 3, 2]),
        ("t13", 2, [7, 0, 1, 2]),
    ]
    assert document["instances"][1] == {
        "id": "t12",
        "layer": "label",
        "category_id": 90,
        "class_score": None,
        "mask_iou": None,
        "score": None,
        "box": None,
        "bbox": [3, 1, 3, 2],
        "area": 6,
        "rle": box(3, 1, 6, 3).to_coco(),
        "iscrowd": False,
        "state": "accepted",
        "origin": "file",
        "z": 2,
        "checkpoint": "",
        "instability": None,
        "disagreement": None,
        "kept": None,
        "proposed_rle": None,
        "proposed_category_id": None,
    }
    assert [one["iscrowd"] for one in document["instances"]] == [False, False, True]


def test_an_image_without_objects_begins_empty(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    assert states(services, f"d{dataset}-1") == {}
    first = upload(services)
    document = shown(services, first.key)
    assert (document["instances"], document["categories"]) == ([], [])
    assert document["label"]["project"] == "uploads"


def test_looking_makes_nothing(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    shown(services, f"d{dataset}-0")
    assert services.labels.sheets(project_of(services, dataset).kept_as) == {}


def test_truth_of_another_size_is_not_taken_and_that_is_said(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-4"
    document = shown(services, key)
    assert document["instances"] == []
    assert document["label"]["note"] == (
        "wrong.png is 8 x 6 pixels when upright, and the annotation file says 9 x 9, so its truth "
        "is not taken."
    )
    do(services, key, gesture("k1", 0, [put("mine", box(0, 0, 1, 1))]))
    assert states(services, key) == {"mine": "new"}


def test_rows_of_one_file_share_a_sheet(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    keys = [f"d{dataset}-2", f"d{dataset}-3"]
    assert [states(services, key) for key in keys] == [{"t21": "accepted", "t22": "accepted"}] * 2
    do(services, keys[1], gesture("k1", 0, drop=["t21"]))
    assert [states(services, key) for key in keys] == [{"t22": "accepted"}] * 2
    listed = label_lists.images(services, project_of(services, dataset), (0, 10))
    assert (listed["images"], listed["touched"]) == (5, 2)
    assert [row["counts"]["accepted"] for row in listed["rows"]] == [3, 0, 1, 1, 1]
    # t11, t12 and 14 of a.png, which nobody touched, t22 of a sheet, and 31 of wrong.png
    assert listed["counts"]["accepted"] == 3 + 1 + 1


# -- what people do -----------------------------------------------------------------------------


def test_a_gesture_puts_and_drops_at_once(open_on_both: OpenDesk) -> None:
    services, dataset = open_on_both()
    key = f"d{dataset}-0"
    sent = [put("n1", box(0, 3, 4, 5), "accepted", 90), put("t12", box(3, 1, 6, 4), "edited")]
    done = do(services, key, gesture("k1", 0, sent, ["t13"], state="done"))
    assert (done["revision"], done["repeated"], done["drop"]) == (1, False, ["t13"])
    assert (done["state"], done["undo"], done["redo"]) == ("done", "brush", None)
    made = {one["id"]: one for one in done["instances"]}
    assert set(made) == {"n1", "t12"}
    assert (made["n1"]["origin"], made["n1"]["state"], made["n1"]["area"]) == ("person", "new", 8)
    assert (made["t12"]["origin"], made["t12"]["state"], made["t12"]["area"]) == (
        "file",
        "edited",
        9,
    )
    document = shown(services, key)
    assert document["revision"] == 1
    assert {one["id"] for one in document["instances"]} == {"t11", "t12", "n1"}
    kept = services.sheets.sheet(image(services, key))
    assert {one.uid: one.number for one in kept.labels} == {"t11": 11, "t12": 12, "n1": None}
    assert next(one for one in kept.labels if one.uid == "t11").extra == {"note": "kept"}


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        ("new", "accepted", "new"),
        ("new", "proposed", "new"),
        ("new", "rejected", "rejected"),
        ("rejected", "new", "new"),
        ("rejected", "edited", "new"),
        ("proposed", "accepted", "accepted"),  # somebody had sent it back to be reviewed
    ],
)
def test_what_a_person_drew_is_new_or_rejected(
    open_desk: OpenDesk, before: str, sent: str, after: str
) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-1"
    mine = Label("mine", 1, box(0, 0, 1, 1), before, "person")  # type: ignore[arg-type]
    propose(services, key, mine)
    do(services, key, gesture("k1", 1, [put("mine", box(0, 0, 1, 1), sent)]))
    assert states(services, key) == {"mine": after}


@pytest.mark.parametrize("state", ["proposed", "accepted", "edited", "rejected"])
def test_what_a_model_found_is_judged(open_desk: OpenDesk, state: str) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-1"
    propose(services, key, proposal("m1", box(0, 0, 2, 2), 0.75))
    done = do(services, key, gesture("k1", 1, [put("m1", box(0, 0, 2, 2), state)]))
    (one,) = done["instances"]
    assert (one["state"], one["origin"], one["checkpoint"]) == (state, "model", "abc")
    assert (one["class_score"], one["proposed_rle"], one["kept"]) == (0.75, None, None)


def test_the_model_s_mask_is_kept_beside_a_changed_one(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-1"
    propose(services, key, proposal("m1", box(0, 0, 2, 2), 0.75))
    done = do(services, key, gesture("k1", 1, [put("m1", box(0, 0, 4, 2), "edited")]))
    (one,) = done["instances"]
    assert one["proposed_rle"] == box(0, 0, 2, 2).to_coco()
    assert one["kept"] == 0.5  # 4 of 8 pixels


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (put("t11", box(0, 0, 1, 1), "new"), "no label that a person drew"),
        (put("n2", box(0, 0, 1, 1), category=2), "class 2"),
        (put("n2", box(0, 0, 1, 1, (8, 6))), "the mask of n2 is 6 x 8 pixels, the image 8 x 6"),
    ],
)
def test_of_a_refused_gesture_nothing_is_done(
    open_desk: OpenDesk, wrong: dict[str, Any], sentence: str
) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-0"
    before = shown(services, key)
    with pytest.raises(InputError, match=sentence):
        do(services, key, gesture("k1", 0, [put("n1", box(0, 0, 1, 1)), wrong], ["t13"]))
    assert shown(services, key) == before


def test_a_gesture_that_drops_what_is_not_there_is_refused(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    before = shown(services, f"d{dataset}-0")
    with pytest.raises(InputError, match="n7"):
        do(
            services,
            f"d{dataset}-0",
            gesture("k1", 0, [put("n1", box(0, 0, 1, 1))], ["n7"]),
        )
    assert shown(services, f"d{dataset}-0") == before


def test_the_same_gesture_is_done_once(open_on_both: OpenDesk) -> None:
    services, dataset = open_on_both()
    key = f"d{dataset}-1"
    sent = gesture("k1", 0, [put("n1", box(0, 0, 1, 1), "accepted")])
    first = do(services, key, sent)
    do(services, key, gesture("k2", 1, [put("n2", box(1, 0, 2, 1))]))
    again = do(services, key, sent)
    assert (first["repeated"], again["repeated"], again["revision"]) == (False, True, 2)
    assert again["instances"] == first["instances"]
    assert states(services, key) == {"n1": "new", "n2": "new"}


def test_who_comes_second_is_told_and_may_go_on(open_on_both: OpenDesk) -> None:
    services, dataset = open_on_both()
    key = f"d{dataset}-0"
    do(services, key, gesture("b1", 0, [put("t12", box(3, 1, 6, 4), "edited", 90)], actor="bob"))
    do(services, key, gesture("b2", 1, drop=["t13"], actor="bob"))
    mine = gesture("a1", 0, [put("t12", box(0, 5, 8, 6), "edited"), put("n1", box(0, 3, 2, 4))])
    with pytest.raises(ConflictError) as refused:
        do(services, key, mine)
    asked = label_asked.gesture_asked(mine)
    told = labels.conflict(services, image(services, key), asked, refused.value)
    assert (told["clashes"], told["by"]) == (["t12"], ["bob"])
    assert told["document"] == shown(services, key)
    assert told["detail"].endswith(".")
    done = do(services, key, {**mine, "revision": told["document"]["revision"]})
    assert (done["revision"], done["repeated"]) == (3, False)
    assert states(services, key) == {"t11": "accepted", "t12": "edited", "n1": "new"}


# -- undo ---------------------------------------------------------------------------------------


def test_undo_goes_back_over_two_images_and_a_restart(open_on_both: OpenDesk) -> None:
    services, dataset = open_on_both()
    first, second = f"d{dataset}-0", f"d{dataset}-1"
    do(services, first, gesture("k1", 0, [put("t11", box(0, 0, 3, 2), "edited")], kind="erase"))
    do(services, second, gesture("k2", 0, [put("n1", box(1, 1, 3, 3))], kind="polygon"))
    services.close()

    services, _ = open_on_both()
    assert shown(services, first)["label"]["undo"] == "polygon"
    undone = turn(services, dataset, "u1")
    assert undone == {
        "kind": "polygon",
        "images": [second],
        "count": 1,
        "skipped": 0,
        "undo": "erase",
        "redo": "polygon",
    }
    assert states(services, second) == {}
    undone = turn(services, dataset, "u2")
    assert (undone["kind"], undone["images"], undone["undo"]) == ("erase", [first], None)
    assert states(services, first) == dict.fromkeys(("t11", "t12", "t13"), "accepted")
    nothing = turn(services, dataset, "u3")
    assert (nothing["kind"], nothing["images"], nothing["count"]) == (None, [], 0)
    services.close()

    services, _ = open_on_both()
    redone = turn(services, dataset, "r1", redo=True)
    assert (redone["kind"], redone["images"], redone["redo"]) == ("erase", [first], "polygon")
    assert turn(services, dataset, "r2", redo=True)["images"] == [second]
    assert turn(services, dataset, "r3", redo=True)["kind"] is None
    assert states(services, first)["t11"] == "edited"
    assert states(services, second) == {"n1": "new"}


def test_undo_is_the_own_one(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-1"
    do(services, key, gesture("k1", 0, [put("n1", box(0, 0, 1, 1))]))
    do(services, key, gesture("k2", 1, [put("n2", box(1, 0, 2, 1))], actor="bob"))
    assert shown(services, key, "carl")["label"]["undo"] is None
    assert shown(services, key, None)["label"]["undo"] is None
    turn(services, dataset, "u1")
    assert states(services, key) == {"n2": "new"}


def test_what_another_changed_since_is_not_undone(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-1"
    do(services, key, gesture("k1", 0, [put("n1", box(0, 0, 1, 1))]))
    do(services, key, gesture("k2", 1, [put("n1", box(0, 0, 2, 1))], actor="bob"))
    before = shown(services, key)["instances"]
    with pytest.raises(ConflictError):
        turn(services, dataset, "u1")
    assert shown(services, key)["instances"] == before


# -- files come and go --------------------------------------------------------------------------


def test_labels_outlive_a_changed_annotation_file(open_desk: OpenDesk, tmp_path: Path) -> None:
    services, dataset = open_desk()
    do(services, f"d{dataset}-0", gesture("k1", 0, [put("t11", box(0, 0, 3, 2), "edited")]))
    changed = content()
    changed["images"] = changed["images"][1:] + changed["images"][:1]  # a.png is the last row now
    changed["annotations"] = changed["annotations"][4:]  # without the objects of a.png
    write_json(tmp_path / "set" / "instances.json", changed)

    # until it is opened again: what is kept can be changed, and nothing begins without its truth
    do(services, f"d{dataset}-0", gesture("k2", 1, [put("n1", box(0, 5, 1, 6))]))
    with pytest.raises(InputError, match="has changed since it was opened"):
        do(services, f"d{dataset}-2", gesture("k3", 0, [put("n1", box(0, 5, 1, 6))]))
    assert "has changed since it was opened" in shown(services, f"d{dataset}-2")["label"]["note"]
    assert shown(services, f"d{dataset}-2")["layers"] == [{"name": "label", "editable": False}]
    services.close()

    services, again = open_desk()
    assert again == dataset
    assert states(services, f"d{dataset}-4") == {
        "t11": "edited",
        "t12": "accepted",
        "t13": "accepted",
        "n1": "new",
    }
    undone = turn(services, dataset, "u1")
    assert undone["images"] == [f"d{dataset}-4"]


def test_an_image_that_left_the_annotation_file_is_not_listed(
    open_desk: OpenDesk, tmp_path: Path
) -> None:
    services, dataset = open_desk()
    for key in (f"d{dataset}-0", f"d{dataset}-2"):
        do(services, key, gesture(key, 0, [put("n1", box(0, 5, 1, 6))], state="done"))
    before = services.labels.state_hash(project_of(services, dataset).kept_as)
    services.close()
    changed = content()
    changed["images"] = changed["images"][1:]
    changed["annotations"] = changed["annotations"][4:]
    write_json(tmp_path / "set" / "instances.json", changed)

    services, _ = open_desk()
    project = project_of(services, dataset)
    listed = label_lists.images(services, project, (0, 10))
    assert [row["file_name"] for row in listed["rows"]] == [
        "b.png",
        "twice.png",
        "twice.png",
        "wrong.png",
    ]
    # of the sheet: both rows of twice.png, with t21, t22 and n1; beside it 31 of wrong.png
    assert (listed["images"], listed["touched"], listed["done"]) == (4, 2, 2)
    assert (listed["counts"]["new"], listed["counts"]["accepted"]) == (1, 2 + 1)
    found = label_lists.queue(services, project, "file", ("new",), (0, 10))
    # it was begun at row 2, where the second row of twice.png is now
    assert (found["total"], [row["key"] for row in found["rows"]]) == (1, [f"d{dataset}-2"])
    assert services.labels.state_hash(project.kept_as) == before


def test_labels_outlive_their_picture(open_desk: OpenDesk, tmp_path: Path) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-0"
    do(services, key, gesture("k1", 0, [put("n1", box(0, 5, 1, 6))]))
    (tmp_path / "set" / "images" / "a.png").unlink()
    document = shown(services, key)
    assert len(document["instances"]) == 4
    assert (document["image"]["width"], document["image"]["height"]) == (WIDTH, HEIGHT)
    assert "a.png is missing" in document["label"]["note"]
    assert do(services, key, gesture("k2", 1, drop=["n1"]))["revision"] == 2


def test_labels_of_another_size_wait_for_their_picture(open_desk: OpenDesk, tmp_path: Path) -> None:
    services, dataset = open_desk()
    key, picture = f"d{dataset}-0", tmp_path / "set" / "images" / "a.png"
    do(services, key, gesture("k1", 0, [put("n1", box(0, 5, 1, 6))]))
    before, former = shown(services, key), picture.read_bytes()
    picture.write_bytes(encode(np.zeros((HEIGHT + 4, WIDTH, 3), np.uint8)))
    document = shown(services, key)
    assert (document["instances"], document["layers"][0]["editable"]) == ([], False)
    assert "its labels were made on 8 x 6" in document["label"]["note"]
    with pytest.raises(InputError, match="8 x 10 pixels now"):
        do(services, key, gesture("k2", 1, drop=["n1"]))
    picture.write_bytes(former)
    assert shown(services, key) == before


def test_work_on_a_removed_upload_stays_and_is_not_listed(open_desk: OpenDesk) -> None:
    services, _ = open_desk()
    uploads = project_of(services, "uploads")
    label_lists.set_categories(services, uploads, [label_asked.CategoryAsked(None, "cell", "")])
    one, other = upload(services, 1), upload(services, 2)
    for number, file in enumerate((one, other)):
        mask = box(0, 0, 2, 2, (60, 80))
        do(services, file.key, gesture(f"k{number}", 0, [put("n1", mask)]))
    services.remove_image(other)
    listed = label_lists.images(services, uploads, (0, 10))
    assert [row["key"] for row in listed["rows"]] == [one.key]
    assert (listed["images"], listed["touched"], listed["counts"]["new"]) == (1, 1, 1)
    found = label_lists.queue(services, uploads, "file", ("new",), (0, 10))
    assert (found["total"], [row["key"] for row in found["rows"]]) == (1, [one.key])
    back = upload(services, 2)
    assert states(services, back.key) == {"n1": "new"}


# -- lists --------------------------------------------------------------------------------------


def test_the_queue_names_images_by_their_keys(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    propose(services, f"d{dataset}-1", proposal("m1", box(0, 0, 1, 1), 0.5))
    propose(
        services,
        f"d{dataset}-0",
        proposal("m2", box(0, 0, 1, 1), 0.75, instability=0.25),
        proposal("m3", box(1, 0, 2, 1), 0.25, instability=0.5),
    )
    project = project_of(services, dataset)

    def order(name: Any, offset: int = 0) -> list[tuple[str, str]]:
        found = label_lists.queue(services, project, name, ("proposed",), (offset, 2))
        assert found["total"] == 3
        return [(row["key"], row["id"]) for row in found["rows"]]

    first, second = f"d{dataset}-0", f"d{dataset}-1"
    assert order("file") == [(first, "m2"), (first, "m3")]
    assert order("file", 2) == [(second, "m1")]
    assert order("score") == [(first, "m3"), (second, "m1")]
    assert order("instability") == [(first, "m3"), (first, "m2")]
    row = label_lists.queue(services, project, "file", ("proposed",), (0, 1))["rows"][0]
    assert row == {
        "key": first,
        "id": "m2",
        "category_id": 1,
        "state": "proposed",
        "class_score": 0.75,
        "instability": 0.25,
        "disagreement": None,
    }


def test_images_are_listed_with_what_they_hold(open_on_both: OpenDesk) -> None:
    services, dataset = open_on_both()
    propose(services, f"d{dataset}-1", proposal("m1", box(0, 0, 1, 1), 0.5))
    do(services, f"d{dataset}-1", gesture("k1", 1, state="done"))
    listed = label_lists.images(services, project_of(services, dataset), (1, 2))
    nothing = dict.fromkeys(("proposed", "accepted", "edited", "rejected", "new"), 0)
    assert listed["rows"] == [
        {
            "key": f"d{dataset}-1",
            "file_name": "b.png",
            "state": "done",
            "revision": 2,
            "counts": {**nothing, "proposed": 1},
        },
        {
            "key": f"d{dataset}-2",
            "file_name": "twice.png",
            "state": "open",
            "revision": 0,
            "counts": {**nothing, "accepted": 2},
        },
    ]
    assert (listed["images"], listed["touched"], listed["done"]) == (5, 1, 1)
    # three objects of a.png (no crowd), two of twice.png, one of wrong.png
    assert listed["counts"] == {**nothing, "proposed": 1, "accepted": 6}
    assert listed["categories"][0] == {"id": 1, "name": "cell", "supercategory": "thing"}


def test_history_says_who_did_what(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-0"
    do(services, key, gesture("k1", 0, [put("n1", box(0, 5, 1, 6))], ["t13"]))
    do(services, key, gesture("k2", 1, drop=["t12"], kind="delete", actor="bob", actions=2))
    last, first = label_lists.history(services, image(services, key), 10)["rows"]
    assert (first["actor"], first["kind"], first["put"], first["drop"]) == (
        "ann",
        "brush",
        ["n1"],
        ["t13"],
    )
    assert (first["actions"], first["seconds"]) == (1, 2.5)
    assert (last["actor"], last["kind"], last["put"], last["drop"]) == (
        "bob",
        "delete",
        [],
        ["t12"],
    )
    assert last["when"] >= first["when"] > 0
    assert label_lists.history(services, image(services, key), 1)["rows"] == [last]


def test_work_that_changed_nothing_is_counted_once(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    key = f"d{dataset}-0"
    do(services, key, gesture("k1", 0, [put("n1", box(0, 5, 1, 6))]))
    before = shown(services, key)
    asked = label_asked.EffortAsked("e1", "ann", 3, 1.5)
    for _ in range(2):
        labels.worked(services, image(services, key), asked)
    assert shown(services, key) == before
    told = label_lists.ledger(services, project_of(services, dataset))
    assert told["actions"] == pytest.approx(1 + 3)
    assert told["seconds"] == pytest.approx(2.5 + 1.5)


def test_the_ledger_names_checkpoints_and_classes(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    file = services.checkpoints.find(None)
    assert file is not None
    identity = services.checkpoints.identity(file)
    one = proposal("m1", box(0, 0, 2, 2), 0.5)
    propose(services, f"d{dataset}-1", Label(**{**vars(one), "checkpoint": identity}))
    do(services, f"d{dataset}-1", gesture("k1", 1, [put("m1", box(0, 0, 2, 2), "accepted")]))
    rows = label_lists.ledger(services, project_of(services, dataset))["rows"]
    (row,) = [row for row in rows if row["checkpoint"] == identity]
    assert (row["checkpoint_name"], row["category_id"], row["category"]) == ("first", 1, "cell")
    assert (row["accepted"], row["nudged"], row["redrawn"], row["waiting"]) == (1, 0, 0, 0)


# -- classes ------------------------------------------------------------------------------------


def test_new_classes_get_the_next_free_ids(open_desk: OpenDesk) -> None:
    services, dataset = open_desk()
    project = project_of(services, dataset)
    asked = label_asked.categories_asked(
        {
            "project": dataset,
            "categories": [
                {"id": None, "name": "mitosis", "supercategory": "event"},
                {"id": 90, "name": "kernel", "supercategory": ""},
                {"id": 1, "name": "cell", "supercategory": "thing"},
                {"id": None, "name": "debris"},
            ],
        }
    )
    told = label_lists.set_categories(services, project, asked.categories)
    assert [(one["id"], one["name"]) for one in told["categories"]] == [
        (91, "mitosis"),
        (90, "kernel"),
        (1, "cell"),
        (92, "debris"),
    ]
    kept = {one.id: one for one in services.sheets.categories(project)}
    assert kept[1].extra == {"colour": "red"}
    assert shown(services, f"d{dataset}-0")["categories"] == [
        {"id": one["id"], "name": one["name"]} for one in told["categories"]
    ]
    do(services, f"d{dataset}-1", gesture("k1", 0, [put("n1", box(0, 0, 1, 1), category=92)]))


@pytest.mark.parametrize("left", [{90}, {1}])
def test_a_class_of_the_annotation_file_stays(open_desk: OpenDesk, left: set[int]) -> None:
    services, dataset = open_desk()
    asked = [label_asked.CategoryAsked(number, f"class {number}", "") for number in left]
    with pytest.raises(InputError, match="annotation file"):
        label_lists.set_categories(services, project_of(services, dataset), asked)


def test_a_class_that_a_label_has_stays(open_desk: OpenDesk) -> None:
    services, _ = open_desk()
    uploads = project_of(services, "uploads")
    cell, other = (label_asked.CategoryAsked(None, name, "") for name in ("cell", "other"))
    label_lists.set_categories(services, uploads, [cell, other])
    mask = box(0, 0, 2, 2, (60, 80))
    do(services, upload(services).key, gesture("k1", 0, [put("n1", mask, category=1)]))
    with pytest.raises(InputError):
        label_lists.set_categories(services, uploads, [label_asked.CategoryAsked(2, "other", "")])
    label_lists.set_categories(services, uploads, [label_asked.CategoryAsked(1, "cell", "")])
    assert [one.name for one in services.sheets.categories(uploads)] == ["cell"]
