"""Files of strangers: the published fixture, and what must be refused in one sentence."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from comask.annotation import coco, formats, rle
from comask.annotation.formats import Known
from comask.annotation.formats.archive import MAX_ENTRY
from comask.annotation.records import Category, ImageRecord
from comask.errors import AnnotationError

CLASSES = (Category(1, "cell"), Category(4, "two words"))
IMAGES = (ImageRecord(1, "a/x.png", 10, 8), ImageRecord(2, "b/x.png", 10, 8))
KNOWN = Known(IMAGES, CLASSES)
SQUARE = [[1, 1], [5, 1], [5, 4], [1, 4]]  # 4 x 3 px


def zipped(path: Path, files: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def labelme(*shapes: dict[str, Any], **changed: object) -> str:
    """Write one file of labelme about a/x.png."""
    content = {
        "version": "5.0.1",
        "imagePath": "x.png",
        "imageData": None,
        "imageHeight": 8,
        "imageWidth": 10,
        "shapes": [
            {"label": "cell", "points": SQUARE, "shape_type": "polygon"} | s for s in shapes
        ],
    }
    return json.dumps(content | changed)


def fixture(shared_data: Path) -> Path:
    return shared_data / "convert-fixture/example/convert/coco_tiny"


@pytest.mark.parametrize(("kind", "count"), [("labelme", 18), ("yolo", 61)])
def test_the_published_files_are_read_whole(
    shared_data: Path, tmp_path: Path, kind: str, count: int
) -> None:
    folder = fixture(shared_data)
    truth = coco.read(folder / "coco_tiny.json")
    files = {f"{kind}/{file.name}": file.read_bytes() for file in (folder / kind).iterdir()}
    found = formats.read(zipped(tmp_path / "a.zip", files), Known(truth.images, truth.categories))
    assert (len(found.dataset.annotations), len(found.dataset.images)) == (count, 5)
    assert (found.skipped, found.sentences) == (0, ())


def test_published_yolo_lines_are_the_masks_of_the_published_coco_file(
    shared_data: Path, tmp_path: Path
) -> None:
    """The lines leave crowds out, join parts by slits, and round to six digits."""
    folder = fixture(shared_data)
    truth = coco.read(folder / "coco_tiny.json")
    files = {f"yolo/{file.name}": file.read_bytes() for file in (folder / "yolo").iterdir()}
    known = Known(truth.images, truth.categories)
    found = formats.read(zipped(tmp_path / "a.zip", files), known).dataset
    for image in truth.images:
        meant = [a for a in truth.annotations if a.image_id == image.id and not a.iscrowd]
        ours = [a for a in found.annotations if a.image_id == image.id]
        assert sorted(a.category_id for a in meant) == sorted(a.category_id for a in ours)
        table = rle.iou([a.rle for a in meant], [a.rle for a in ours])
        assert table.max(axis=1).min() >= 0.95


def test_the_published_coco_file_comes_in_as_it_is(shared_data: Path) -> None:
    path = fixture(shared_data) / "coco_tiny.json"
    truth = coco.read(path)
    found = formats.read(path, Known(truth.images, truth.categories)).dataset
    assert [a.rle for a in found.annotations] == [a.rle for a in truth.annotations]
    assert sum(a.iscrowd for a in found.annotations) == 2


def test_labelme_shapes_of_one_group_are_one_instance(tmp_path: Path) -> None:
    other = [[6, 5], [8, 5], [8, 7], [6, 7]]
    text = labelme({"group_id": 3}, {"group_id": 3, "points": other}, {}, {"label": "two_words"})
    found = formats.read(zipped(tmp_path / "a.zip", {"a/x.json": text}), KNOWN).dataset
    assert [(a.id, a.category_id, a.area) for a in found.annotations] == [
        (3, 1, 12 + 4),
        (1, 1, 12),
        (2, 4, 12),
    ]
    assert {a.image_id for a in found.annotations} == {1}


def test_labelme_rectangles_circles_and_masks_are_read(tmp_path: Path) -> None:
    crop = np.array([[255, 0, 255], [255, 255, 255]], np.uint8)
    png = base64.b64encode(cv2.imencode(".png", crop)[1].tobytes()).decode()
    text = labelme(
        {"shape_type": "rectangle", "points": [[5, 4], [1, 1]]},
        {"shape_type": "circle", "points": [[4, 4], [6, 4]]},
        {"shape_type": "mask", "points": [[2, 3], [4, 4]], "mask": png},
        {"shape_type": "line", "points": [[2, 3], [4, 4]]},
    )
    found = formats.read(zipped(tmp_path / "a.zip", {"a/x.json": text}), KNOWN)
    square, circle, mask = found.dataset.annotations
    assert (square.area, square.bbox) == (12, (1, 1, 4, 3))
    assert circle.area == 12  # the 12 pixel centres within 2 px of the corner at (4, 4)
    assert (mask.area, mask.bbox) == (5, (2, 3, 3, 2))
    assert found.skipped == 1
    assert "encloses nothing" in found.sentences[0]


def test_a_single_file_of_labelme_comes_alone(tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    path.write_text(labelme({}, imagePath="..\\a\\x.png"))
    assert len(formats.read(path, KNOWN).dataset.annotations) == 1


def test_an_image_name_that_two_images_have_is_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    path.write_text(labelme({}))  # x.png: of a, or of b?
    with pytest.raises(AnnotationError, match="speaks of none of the 2 images"):
        formats.read(path, KNOWN)


def test_another_folders_namesake_is_another_image(tmp_path: Path) -> None:
    known = Known((ImageRecord(1, "a/x.png", 10, 8),), CLASSES)
    with pytest.raises(AnnotationError, match="speaks of none"):
        formats.read(zipped(tmp_path / "a.zip", {"c/x.json": labelme({})}), known)


def test_unknown_classes_and_images_and_other_sizes_are_said(tmp_path: Path) -> None:
    files = {
        "a/x.json": labelme({"label": "dog"}, {}),
        "b/x.json": labelme({}, imageHeight=10, imageWidth=8),
        "c/x.json": labelme({}, {}),
    }
    found = formats.read(zipped(tmp_path / "a.zip", files), KNOWN)
    assert len(found.dataset.annotations) == 1
    assert found.skipped == 1 + 1 + 2
    said = " ".join(found.sentences)
    assert "no class 'dog'" in said
    assert "'b/x.png' is 10 x 8 pixels when upright, and the file was made for 8 x 10" in said
    assert "no image 'c/x.png'" in said or "no image 'x.png'" in said


def test_yolo_names_say_which_class_is_meant(tmp_path: Path) -> None:
    line = "1 0.1 0.125 0.5 0.125 0.5 0.5 0.1 0.5\n"
    for number, about in enumerate(
        (
            {"data.yaml": "nc: 2\nnames: ['two words', \"cell\"]  # two\n"},
            {"d/data.yaml": "names:\n  0: two words\n  1: cell # round\ntrain: x\n"},
            {"d/data.yaml": "names:\n- two_words\n- Cell\n"},
            {"labels/classes.txt": "two words\ncell\n"},
        )
    ):
        path = zipped(tmp_path / f"{number}.zip", {**about, "labels/a/x.txt": line})
        (found,) = formats.read(path, KNOWN).dataset.annotations
        assert (found.category_id, found.bbox, found.image_id) == (1, (1, 1, 4, 3), 1)


def test_yolo_without_names_counts_the_known_classes(tmp_path: Path) -> None:
    line = "1 0.1 0.125 0.5 0.125 0.5 0.5 0.1 0.5\n0 0.5 0.5 0.1 0.1\n"
    found = formats.read(zipped(tmp_path / "a.zip", {"labels/a/x.txt": line}), KNOWN)
    assert [a.category_id for a in found.dataset.annotations] == [4]
    assert found.skipped == 1
    assert "a box and no polygon" in found.sentences[0]


BAD_LINES = {
    "nan": "0 nan 0.1 0.5 0.1 0.5 0.5",
    "far": "0 7 0.1 0.5 0.1 0.5 0.5",
    "odd": "0 0.1 0.1 0.5 0.1 0.5 0.5 0.2",
    "class": "2 0.1 0.1 0.5 0.1 0.5 0.5",
    "endless class": "9" * 5000 + " 0.1 0.1 0.5 0.1 0.5 0.5",
    "words": "0 a b c d e f",
    "two points": "0 0.1 0.1",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_lines_of_yolo_are_refused_by_file_and_line(tmp_path: Path, line: str) -> None:
    path = zipped(tmp_path / "a.zip", {"labels/a/x.txt": f"0 0 0 1 0 1 1\n{line}\n"})
    with pytest.raises(AnnotationError, match=r"^a\.zip: labels/a/x\.txt, line 2: ") as refused:
        formats.read(path, KNOWN)
    assert len(str(refused.value)) < 300


BAD_SHAPES: dict[str, dict[str, Any]] = {
    "nan": {"points": [[float("nan"), 1], [5, 1], [5, 4]]},
    "far": {"points": [[1e9, 1], [5, 1], [5, 4]]},
    "two points": {"points": [[1, 1], [5, 1]]},
    "no list": {"points": "x"},
    "no label": {"label": ""},
    "a text for a group": {"group_id": "one"},
    "a mask outside": {"shape_type": "mask", "points": [[8, 1], [12, 2]], "mask": "AA=="},
    "a mask that is no PNG": {"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "AA=="},
    "a mask that is no base64": {"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "é"},
}


@pytest.mark.parametrize("shape", BAD_SHAPES.values(), ids=BAD_SHAPES.keys())
def test_bad_shapes_of_labelme_are_refused_by_file_and_place(
    tmp_path: Path, shape: dict[str, Any]
) -> None:
    path = zipped(tmp_path / "a.zip", {"a/x.json": labelme({}, shape)})
    with pytest.raises(AnnotationError, match=r"^a\.zip: .*a/x\.json") as refused:
        formats.read(path, KNOWN)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_mask_of_labelme_is_not_unpacked_before_its_size_is_seen(tmp_path: Path) -> None:
    bomb = cv2.imencode(".png", np.zeros((20_000, 20_000), np.uint8))[1].tobytes()
    shape = {
        "shape_type": "mask",
        "points": [[1, 1], [2, 2]],
        "mask": base64.b64encode(bomb).decode(),
    }
    path = zipped(tmp_path / "a.zip", {"a/x.json": labelme(shape)})
    with pytest.raises(AnnotationError, match="no PNG image of the size"):
        formats.read(path, KNOWN)


def test_a_zip_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comask.annotation.formats.archive.MAX_ENTRY", 1000)
    path = zipped(tmp_path / "a.zip", {"labels/a/x.txt": b"0" * 1001})
    with pytest.raises(AnnotationError, match=r"unpacks to more than is allowed"):
        formats.read(path, KNOWN)
    monkeypatch.setattr("comask.annotation.formats.archive.MAX_ENTRY", MAX_ENTRY)
    monkeypatch.setattr("comask.annotation.formats.archive.MAX_TOTAL", 1000)
    with pytest.raises(AnnotationError, match=r"unpacks to more than is allowed"):
        formats.read(path, KNOWN)


@pytest.mark.parametrize("name", ["../x.txt", "/etc/x.txt", "a/../../x.txt", "C:\\x.txt"])
def test_paths_that_lead_out_of_a_zip_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnnotationError, match=r"file_name .* (leads out|must be relative)"):
        formats.read(zipped(tmp_path / "a.zip", {name: "0 0 0 1 0 1 1"}), KNOWN)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comask.annotation.formats.archive.MAX_ENTRIES", 1)
    path = zipped(tmp_path / "a.zip", {"a.txt": "", "b.txt": ""})
    with pytest.raises(AnnotationError, match="holds 2 files; at most 1 go"):
        formats.read(path, KNOWN)


def test_damaged_zips_are_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels/a/x.txt", "0 0 0 1 0 1 1\n" * 50)
    content = bytearray(whole.getvalue())
    for damaged in (content[:40], content[:-30], content[:45] + b"\xff" * 8 + content[53:]):
        (tmp_path / "a.zip").write_bytes(bytes(damaged))
        with pytest.raises(AnnotationError, match=r"^a\.zip"):
            formats.read(tmp_path / "a.zip", KNOWN)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"7", b"{}", b'{"shapes": 3}', b"\x00\xff", b"[" * 100_000, b'[{"a":1}]']
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError) as refused:
        formats.read(path, KNOWN)
    assert "\n" not in str(refused.value)


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="holds neither"):
        formats.read(zipped(tmp_path / "a.zip", {"a/x.png": b"x"}), KNOWN)


def test_an_image_that_a_file_names_twice_counts_once(tmp_path: Path) -> None:
    files = {"a/x.json": labelme({}), "a/more.json": labelme({})}
    found = formats.read(zipped(tmp_path / "a.zip", files), KNOWN)
    assert len(found.dataset.annotations) == 1
    assert found.skipped == 1
    assert "there twice" in found.sentences[0]
