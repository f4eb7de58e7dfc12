"""What a project's labels are as a dataset."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comask.annotation import coco, label_export
from comask.annotation.label_export import ExportSettings, LabelExport, Note
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Label, Sheet, from_file
from comask.annotation.records import Category, Dataset, ImageRecord
from comask.annotation.store import Store
from comask.errors import InputError
from tests.annotation.labelling import SIZE, Hand, found, label, square

CLASSES = (Category(1, "cell"), Category(90, "grain"))
IMAGES = tuple(ImageRecord(10 * n, f"{n}.png", 30, 20, {"license": 3}) for n in (1, 2, 3))
ABOUT = Dataset(IMAGES, (), CLASSES, {"year": 2026})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield LabelStore(opened)


def truth(row: int) -> Sheet:
    """Give the first image two objects of the file, 7 and 3; the others none."""
    drawn = [coco.annotate(n, 10, 1, square(n)) for n in (7, 3)] if row == 0 else []
    return from_file(drawn, SIZE, row)


def gathered(store: LabelStore, about: Dataset = ABOUT, **settings: Any) -> LabelExport:
    return label_export.export(store, "p", about, truth, ExportSettings(**settings))


def test_untouched_images_are_what_the_file_says(store: LabelStore) -> None:
    made = gathered(store)
    assert [i.id for i in made.dataset.images] == [10, 20, 30]
    assert made.dataset.images[0].extra == {"license": 3}
    assert [(a.id, a.image_id) for a in made.dataset.annotations] == [(7, 10), (3, 10)]
    assert [(o.image, o.uid) for o in made.origins] == [("1.png", "t7"), ("1.png", "t3")]
    assert made.dataset.categories == CLASSES
    assert made.dataset.info["year"] == 2026
    assert "upright" in made.dataset.info["coordinates"]


def test_only_what_people_kept_goes_out(store: LabelStore) -> None:
    states = ("proposed", "accepted", "edited", "rejected", "new")
    labels = [found(state, square(n), state=state, z=n) for n, state in enumerate(states)]
    Hand(store).do("2.png", *labels)
    assert uids(gathered(store)) == ["t7", "t3", "accepted", "edited", "new"]
    assert uids(gathered(store, include="all")) == [
        "t7",
        "t3",
        "proposed",
        "accepted",
        "edited",
        "new",
    ]


def uids(made: LabelExport) -> list[str]:
    return [origin.uid for origin in made.origins]


def test_the_bar_is_for_proposals_alone(store: LabelStore) -> None:
    Hand(store).do(
        "2.png",
        found("low", square(0), class_score=0.5, z=1),
        found("high", square(5), class_score=0.50001, z=2),
        found("kept", square(9), class_score=0.1, state="accepted", z=3),
    )
    assert uids(gathered(store, include="all", min_score=0.5)) == ["t7", "t3", "high", "kept"]


def test_ids_last_whatever_is_exported_and_however_often(store: LabelStore) -> None:
    hand = Hand(store)
    hand.do("3.png", label("late"), found("maybe"))
    first = ids(gathered(store))
    assert first == {"t7": 7, "t3": 3, "late": 8}
    hand.do("2.png", label("later"))
    hand.do("1.png", label("drawn"), drop=["t7"], base=truth(0))
    again = ids(gathered(store, include="all"))
    assert {uid: again[uid] for uid in ("t3", "late")} == {"t3": 3, "late": 8}
    assert len(set(again.values())) == 5
    assert 7 not in again.values()
    assert ids(gathered(store, include="all")) == again


def ids(made: LabelExport) -> dict[str, int]:
    return {origin.uid: origin.annotation_id for origin in made.origins}


def test_no_label_has_the_id_0_which_evaluations_take_for_none(store: LabelStore) -> None:
    def base(row: int) -> Sheet:
        return from_file([coco.annotate(0, 10, 1, square())] if row == 0 else [], SIZE, row)

    made = label_export.export(store, "p", ABOUT, base, ExportSettings())
    assert [a.id for a in made.dataset.annotations] == [1]


def test_the_same_labels_give_the_same_bytes(store: LabelStore) -> None:
    Hand(store).do("2.png", label("b", z=2), label("a", square(8), z=1))
    one, two = (coco.dump(gathered(store, provenance=True).dataset) for _ in range(2))
    assert one == two


def test_scores_and_who_made_a_label_go_out_by_switch_alone(store: LabelStore) -> None:
    scores = {"score": 1.1, "class_score": 0.75, "mask_iou": 0.5, "instability": 0.25}
    Hand(store).do("2.png", found("m", state="accepted", **scores))
    *_, plain = gathered(store).dataset.annotations
    assert (plain.score, plain.class_score, plain.mask_iou, plain.extra) == (None, None, None, {})
    *_, told = gathered(store, scores=True, provenance=True).dataset.annotations
    assert (told.score, told.class_score, told.mask_iou) == (1.1, 0.75, 0.5)
    assert told.extra["comask"] == {
        "uid": "m",
        "state": "accepted",
        "origin": "model",
        "checkpoint": "abc",
        "instability": 0.25,
    }


def test_a_crowd_is_what_somebody_called_so(store: LabelStore) -> None:
    Hand(store).do("2.png", label("one", iscrowd=True), label("two", square(9), z=1))
    assert [a.iscrowd for a in gathered(store).dataset.annotations] == [False, False, True, False]


def test_foreign_keys_of_the_file_are_kept(store: LabelStore) -> None:
    def base(row: int) -> Sheet:
        drawn = replace(coco.annotate(5, 10, 1, square()), extra={"note": "kept"})
        return from_file([drawn] if row == 0 else [], SIZE, row)

    made = label_export.export(store, "p", ABOUT, base, ExportSettings())
    assert made.dataset.annotations[0].extra == {"note": "kept"}


def test_a_file_that_is_listed_twice_is_one_image(store: LabelStore) -> None:
    about = replace(ABOUT, images=(*IMAGES, ImageRecord(40, "1.png", 30, 20)))
    assert [i.id for i in gathered(store, about).dataset.images] == [10, 20, 30]


def test_an_image_of_unknown_size_is_left_out_and_named(store: LabelStore) -> None:
    made = label_export.export(
        store, "p", ABOUT, lambda row: None if row == 1 else truth(row), ExportSettings()
    )
    assert made.notes == (Note("2.png", "nobody knows its size, so it is left out"),)
    assert made.images == ("1.png", "3.png")


def test_sizes_are_those_of_the_sheets(store: LabelStore) -> None:
    def base(row: int) -> Sheet:
        return Sheet((30, 20), (), row=row)  # turned upright

    made = label_export.export(store, "p", ABOUT, base, ExportSettings())
    assert {(i.width, i.height) for i in made.dataset.images} == {(20, 30)}


def test_names_in_the_store_may_be_others(store: LabelStore) -> None:
    Hand(store, project="uploads").do("key2", label("a"))
    made = label_export.export(
        store, "uploads", ABOUT, truth, ExportSettings(), names=("key1", "key2", "key3")
    )
    assert [(o.image, o.uid) for o in made.origins][-1] == ("key2", "a")
    assert [i.file_name for i in made.dataset.images] == ["1.png", "2.png", "3.png"]


def test_people_name_the_classes(store: LabelStore) -> None:
    store.set_categories("p", (Category(1, "cell"), Category(2, "new one")))
    assert [c.name for c in gathered(store).dataset.categories] == ["cell", "new one"]


def test_a_label_of_no_class_is_refused_by_its_image(store: LabelStore) -> None:
    def base(row: int) -> Sheet:
        return Sheet(SIZE, (Label("a", 55, square(), "accepted", "file"),), row=row)

    with pytest.raises(InputError, match=r"a label of 1\.png has the class 55"):
        label_export.export(store, "p", ABOUT, base, ExportSettings())


def test_nothing_at_all_can_be_exported(store: LabelStore) -> None:
    made = gathered(store, Dataset())
    assert (made.dataset.images, made.origins) == ((), ())


@pytest.mark.parametrize("settings", [{"include": "some"}, {"min_score": 2}])
def test_senseless_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ExportSettings(**settings)
