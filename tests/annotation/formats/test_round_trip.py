"""Datasets written in each format and read back: nothing changes but what the format can't say."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comask.annotation import coco, formats, rle
from comask.annotation.formats import FORMATS, Format, Known, Masks, WriteSettings
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.errors import AnnotationError, InputError
from tests.annotation import zoo

HOLED = 11  # the ring's id
EXACT: tuple[tuple[Format, Masks], ...] = (
    ("coco", "rle"),
    ("results", "rle"),
    ("labelme", "rle"),
    ("labelme", "polygon"),
    ("coco", "polygon"),
)


def sent(path: Path, dataset: Dataset, **settings: object) -> formats.Written:
    return formats.write(path, dataset, WriteSettings(**settings))  # type: ignore[arg-type]


def back(path: Path, dataset: Dataset) -> formats.Arrived:
    return formats.read(path, Known(dataset.images, dataset.categories))


@pytest.mark.parametrize(("kind", "masks"), EXACT)
def test_the_zoo_comes_back_to_the_pixel(tmp_path: Path, kind: Format, masks: Masks) -> None:
    dataset = zoo.dataset()
    sent(tmp_path / "out", dataset, format=kind, masks=masks)
    found = back(tmp_path / "out", dataset).dataset
    assert [a.rle for a in found.annotations] == [a.rle for a in dataset.annotations]
    assert [a.category_id for a in found.annotations] == [
        a.category_id for a in dataset.annotations
    ]
    assert not any(a.iscrowd for a in found.annotations)


def test_yolo_fills_the_hole_and_says_so(tmp_path: Path) -> None:
    dataset = zoo.dataset()
    written = sent(tmp_path / "out", dataset, format="yolo")
    (said,) = [row for row in written.polygons if row.sentence]
    assert (said.annotation_id, said.iou) == (HOLED, 300 / 400)
    assert said.sentence.startswith("its polygons fill 1 hole, so that they have an IoU of 0.750")
    found = back(tmp_path / "out", dataset).dataset.annotations
    assert [rle.area(a.rle) for a in found] == [400, *(a.area for a in dataset.annotations[1:])]
    assert [a.rle for a in found[1:]] == [a.rle for a in dataset.annotations[1:]]


def test_keyholes_keep_the_hole_in_yolo(tmp_path: Path) -> None:
    dataset = zoo.dataset()
    sent(tmp_path / "out", dataset, format="yolo", keyholes=True)
    found = back(tmp_path / "out", dataset).dataset.annotations
    assert [a.rle for a in found] == [a.rle for a in dataset.annotations]


@pytest.mark.parametrize("kind", ["coco", "labelme", "yolo"])
def test_images_without_labels_are_kept(tmp_path: Path, kind: Format) -> None:
    dataset = zoo.dataset()
    sent(tmp_path / "out", dataset, format=kind)
    assert [i.id for i in back(tmp_path / "out", dataset).dataset.images] == [5, 8]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_nothing_at_all_can_be_written(tmp_path: Path, kind: Format, masks: Masks) -> None:
    images = (ImageRecord(1, "a.png", 4, 3),)
    written = sent(tmp_path / "out", Dataset(images, (), zoo.CATEGORIES), format=kind, masks=masks)
    assert (written.polygons, written.left_out) == ((), ())


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path, kind: Format) -> None:
    for name in ("one", "two"):
        sent(tmp_path / name, zoo.dataset(), format=kind, masks="polygon")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_polygons_below_the_bar_give_way_to_the_mask(tmp_path: Path) -> None:
    for bar, holed in ((0.74, False), (0.76, True)):
        written = sent(tmp_path / "out", zoo.dataset(), masks="polygon", bar=bar)
        assert written.fallen_back == ({HOLED} if holed else set())
        rows = json.loads((tmp_path / "out").read_bytes())["annotations"]
        assert isinstance(rows[0]["segmentation"], dict if holed else list)
        assert all(isinstance(row["segmentation"], list) for row in rows[1:])
        assert rows[0]["area"] == (300 if holed else 400)


def test_parts_are_one_annotation_and_several_shapes_of_one_group(tmp_path: Path) -> None:
    dataset = zoo.dataset(("two parts", "500 parts"))
    sent(tmp_path / "out.json", dataset, masks="polygon")
    rows = json.loads((tmp_path / "out.json").read_bytes())["annotations"]
    assert [len(row["segmentation"]) for row in rows] == [2, 500]
    assert [row["iscrowd"] for row in rows] == [0, 0]
    sent(tmp_path / "out.zip", dataset, format="labelme", masks="polygon")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        content = json.loads(archive.read("a/zoo.json"))
    groups = [shape["group_id"] for shape in content["shapes"]]
    assert groups == [11] * 2 + [12] * 500
    assert (content["imagePath"], content["imageHeight"], content["imageWidth"]) == (
        "zoo.png",
        60,
        70,
    )
    assert "upright" in content["coordinates"]


def crowded() -> Dataset:
    dataset = zoo.dataset(("ring", "line"))
    first, second = dataset.annotations
    return replace(dataset, annotations=(replace(first, iscrowd=True), second))


@pytest.mark.parametrize(("kind", "masks"), EXACT)
def test_a_crowd_stays_a_crowd_or_is_said_to_be_missing(
    tmp_path: Path, kind: Format, masks: Masks
) -> None:
    written = sent(tmp_path / "out", crowded(), format=kind, masks=masks)
    found = back(tmp_path / "out", crowded()).dataset.annotations
    if kind == "results":
        (said,) = written.left_out
        assert said.annotation_id == HOLED
        assert "a results list can't say" in said.sentence
        assert len(found) == 1
    else:
        assert [a.iscrowd for a in found] == [True, False]


def test_yolo_leaves_crowds_out_and_says_so(tmp_path: Path) -> None:
    written = sent(tmp_path / "out", crowded(), format="yolo")
    assert [said.annotation_id for said in written.left_out] == [HOLED]
    assert len(back(tmp_path / "out", crowded()).dataset.annotations) == 1


def test_ids_with_gaps_are_kept(tmp_path: Path) -> None:
    dataset = zoo.dataset()
    for kind in ("coco", "labelme"):
        sent(tmp_path / "out", dataset, format=kind)
        found = back(tmp_path / "out", dataset).dataset
        assert [a.id for a in found.annotations] == [a.id for a in dataset.annotations]
    sent(tmp_path / "out.zip", dataset, format="yolo")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        about = archive.read("data.yaml").decode()
    assert "category_ids: [3, 7, 90]" in about
    assert '  1: "two words"' in about


STRANGE = (
    "été.png",
    "日本/ラベル 😀.png",
    "‏שלום.png",
    "a#b% c.png",
    "x/a.png",
    "y/a.png",
    "z/a.png",
)


@pytest.mark.parametrize("kind", FORMATS)
def test_strange_names_and_namesakes_come_back(tmp_path: Path, kind: Format) -> None:
    images = tuple(ImageRecord(n, name, 7 + n, 9) for n, name in enumerate(STRANGE, start=1))
    rows = []
    for image in images:
        mask = np.zeros((9, image.width), bool)
        mask[image.id, image.id] = True
        rows.append(coco.annotate(100 + image.id, image.id, 3, rle.encode(mask), score=0.5))
    dataset = Dataset(images, tuple(rows), zoo.CATEGORIES)
    sent(tmp_path / "out", dataset, format=kind)
    found = back(tmp_path / "out", dataset)
    assert found.skipped == 0
    assert [(a.image_id, a.rle) for a in found.dataset.annotations] == [
        (a.image_id, a.rle) for a in rows
    ]


def test_a_name_in_composed_or_decomposed_letters_is_the_same(tmp_path: Path) -> None:
    dataset = Dataset((ImageRecord(1, "e\u0301.png", 5, 5),), (), zoo.CATEGORIES)
    sent(tmp_path / "out", dataset)
    known = Known((ImageRecord(4, "\u00e9.png", 5, 5),), zoo.CATEGORIES)
    assert [i.id for i in formats.read(tmp_path / "out", known).dataset.images] == [4]


def test_classes_of_any_name_come_back_from_yolo(tmp_path: Path) -> None:
    names = ('a "b"', "c: d # e", "f, g]", "naïve 😀", "it's", "-", "[x]")
    classes = tuple(Category(10 * n, name) for n, name in enumerate(names, start=1))
    images = (ImageRecord(1, "a.png", 2, 1),)
    dot = rle.encode(np.array([[True, False]]))
    rows = tuple(coco.annotate(c.id, 1, c.id, dot) for c in classes)
    sent(tmp_path / "out", Dataset(images, rows, classes), format="yolo")
    found = formats.read(tmp_path / "out", Known(images, tuple(reversed(classes))))
    assert [a.category_id for a in found.dataset.annotations] == [c.id for c in classes]


def test_names_that_yolo_would_confuse_are_refused(tmp_path: Path) -> None:
    images = (ImageRecord(1, "a/x.png", 5, 5), ImageRecord(2, "a/x.jpg", 5, 5))
    with pytest.raises(AnnotationError, match=r"'a/x\.png' and 'a/x\.jpg' would share"):
        sent(tmp_path / "out", Dataset(images, (), zoo.CATEGORIES), format="yolo")
    assert not list(tmp_path.iterdir())
    sent(tmp_path / "out", Dataset(images, (), zoo.CATEGORIES), format="labelme")
    assert len(back(tmp_path / "out", Dataset(images)).dataset.images) == 2


def test_classes_that_labelme_would_confuse_are_refused(tmp_path: Path) -> None:
    classes = (Category(1, "cell"), Category(2, "cell"))
    with pytest.raises(AnnotationError, match="two are called 'cell'"):
        sent(tmp_path / "out", Dataset((), (), classes), format="labelme")


def test_scores_go_into_results_and_certain_ones_where_there_are_none(tmp_path: Path) -> None:
    first, second, *_ = zoo.dataset().annotations
    rows: tuple[Annotation, ...] = (replace(first, score=1.2, class_score=0.9), second)
    sent(tmp_path / "out", replace(zoo.dataset(), annotations=rows), format="results")
    found = back(tmp_path / "out", zoo.dataset())
    assert [a.score for a in found.dataset.annotations] == [1.2, 1.0]
    assert found.proposed


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "voc"},
        {"masks": "bitmap"},
        {"bar": 1.5},
        {"bar": float("nan")},
        {"tolerance": -1.0},
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        WriteSettings(**settings)  # type: ignore[arg-type]
