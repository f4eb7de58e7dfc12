"""COCO files: what comes in, what is refused, what goes out."""

import contextlib
import errno
import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.errors import AnnotationError
from tests.factories import SQUARE, coco_content, write_json

DELETE = object()


def by_pycocotools(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def changed(where: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Build the sample content with one value set or deleted."""
    content = coco_content()
    place: Any = content
    for key in where[:-1]:
        place = place[key]
    if value is DELETE:
        del place[where[-1]]
    else:
        place[where[-1]] = value
    return content


def test_polygons_runs_codes_and_crowds_are_read(tmp_path: Path) -> None:
    dataset = coco.read(write_json(tmp_path / "a.json", coco_content()))
    assert [rle.area(a.rle) for a in dataset.annotations] == [12, 8, 25]
    assert [a.iscrowd for a in dataset.annotations] == [False, False, True]
    assert [c.id for c in dataset.categories] == [1, 90]
    assert [i.file_name for i in dataset.images] == ["a/x.png", "b/x.png"]
    assert dataset.images[0] == ImageRecord(7, "a/x.png", 10, 8, {"license": 3})


def test_masks_equal_those_of_pycocotools(shared_data: Path) -> None:
    path = shared_data / "coco-mini/instances_val2017.json"
    judge, dataset = by_pycocotools(path), coco.read(path)
    assert len(dataset.annotations) == len(judge.anns) > 0
    for annotation in dataset.annotations:
        theirs = judge.annToRLE(judge.anns[annotation.id])
        assert annotation.rle.counts == theirs["counts"].decode()


def test_what_the_file_says_of_area_and_box_is_kept(tmp_path: Path) -> None:
    content = changed(("annotations", 0, "area"), 11.5)
    content["annotations"][0]["bbox"] = [0.9, 1.1, 4.2, 2.7]
    first, ring, _ = coco.read(write_json(tmp_path / "a.json", content)).annotations
    assert (first.area, first.bbox) == (11.5, (0.9, 1.1, 4.2, 2.7))
    assert (ring.area, ring.bbox) == (8, (1, 1, 3, 3))  # the file is silent, the mask is not


def test_a_byte_order_mark_is_no_reason_to_refuse() -> None:
    data = json.dumps(coco_content()).encode("utf-8-sig")
    assert len(coco.parse(data).annotations) == 3


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("images",), DELETE, "images is missing"),
        (("annotations",), {}, "annotations must be a list"),
        (("categories",), None, "categories is missing"),
        (("info",), [1], "info must be an object"),
        (("images", 1), 5, r"images\[1\]: it must be an object"),
        (("images", 1, "id"), 7, r"images\[1\]: id 7 is already that of images\[0\]"),
        (("images", 0, "id"), "7", r"images\[0\]: id must be a whole number"),
        (("images", 0, "width"), True, r"images\[0\] \(id 7\): width .* not True"),
        (("images", 0, "width"), 0, "width must be"),
        (("images", 0, "height"), 10**400, "height must be .* endless"),
        (("images", 0, "height"), math.nan, "height must be .* nan"),
        (("images", 0, "file_name"), "", "file_name must be a text"),
        (("categories", 1, "id"), 1, r"categories\[1\]: id 1 is already"),
        (("categories", 1, "name"), 5, r"categories\[1\] \(id 90\): name must be"),
        (("annotations", 2, "id"), 11, r"annotations\[2\]: id 11 is already"),
        (("annotations", 0, "id"), -1, r"annotations\[0\]: id must be"),
        (("annotations", 0, "id"), 1.0, "id must be a whole number"),
        (("annotations", 0, "image_id"), 8, r"annotations\[0\] \(id 11\): image_id 8 is no image"),
        (("annotations", 0, "category_id"), 2, "category_id 2 is no category"),
        (("annotations", 0, "area"), -1, "area must be"),
        (("annotations", 0, "area"), math.inf, "area must be"),
        (("annotations", 0, "area"), 1e300, "area must be"),
        (("annotations", 0, "bbox"), [1, 2, 3], "bbox must be four"),
        (("annotations", 0, "bbox"), [1, 2, -3, 4], "no negative"),
        (("annotations", 0, "bbox"), [1, 2, 3, math.nan], "bbox must be four"),
        (("annotations", 0, "iscrowd"), 2, "iscrowd must be"),
        (("annotations", 0, "iscrowd"), False, "iscrowd must be"),
        (("annotations", 0, "score"), "0.5", "score must be"),
        (("annotations", 0, "segmentation"), DELETE, "segmentation must be"),
        (("annotations", 0, "segmentation"), [], "segmentation is an empty list"),
        (("annotations", 0, "segmentation"), [[]], "3 or more"),
        (("annotations", 0, "segmentation"), list(SQUARE), "list of lists"),
        (("annotations", 0, "segmentation", 0, 3), math.nan, "finite numbers"),
        (("annotations", 0, "segmentation", 0, 3), 10**400, "finite numbers"),
        (("annotations", 0, "segmentation", 0, 3), True, "finite numbers"),
        (("annotations", 1, "segmentation", "size"), [5, 6], "segmentation.size"),
        (("annotations", 1, "segmentation", "counts"), [1, 2], "fill the image's 5 x 5"),
        (("annotations", 1, "segmentation", "counts"), 5, "segmentation.counts"),
        (("annotations", 2, "segmentation", "counts"), "0U2", "fill the image's 5 x 5"),
        (("annotations", 0, "note"), math.nan, "not JSON"),
    ],
)
def test_a_fault_is_named_by_file_record_and_field(
    tmp_path: Path, where: tuple[str | int, ...], value: object, said: str
) -> None:
    path = write_json(tmp_path / "truth.json", changed(where, value))
    with pytest.raises(AnnotationError, match=said) as refusal:
        coco.read(path)
    assert str(refusal.value).startswith("truth.json")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"3", b"null", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"images": 1e999}']
)
def test_what_is_no_coco_file_is_refused(data: bytes) -> None:
    with pytest.raises(AnnotationError, match=r"^photo\.json"):
        coco.parse(data, "photo.json")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="No such file"):
        coco.read(tmp_path / "none.json")
    with pytest.raises(AnnotationError, match="not a file"):
        coco.read(tmp_path)


def test_a_file_survives_reading_and_writing_with_its_foreign_keys(tmp_path: Path) -> None:
    content = coco_content() | {"videos": [{"id": 1}]}
    dataset = coco.read(write_json(tmp_path / "in.json", content))
    coco.write(tmp_path / "out.json", dataset)
    assert coco.read(tmp_path / "out.json") == dataset
    written = json.loads((tmp_path / "out.json").read_bytes())
    assert written["videos"] == [{"id": 1}]
    assert written["images"][0]["license"] == 3
    assert written["annotations"][0]["note"] == "kept"
    assert written["categories"][0]["keypoints"] == ["centre"]
    assert written["info"]["year"] == 2026


def test_area_and_box_are_written_from_the_mask(tmp_path: Path) -> None:
    content = changed(("annotations", 0, "area"), 999.0)
    content["annotations"][0]["bbox"] = [0.0, 0.0, 9.0, 9.0]
    coco.write(tmp_path / "out.json", coco.read(write_json(tmp_path / "in.json", content)))
    first = json.loads((tmp_path / "out.json").read_bytes())["annotations"][0]
    assert (first["area"], first["bbox"]) == (12, [1, 1, 4, 3])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # its decoder
def test_written_numbers_equal_those_of_pycocotools(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    masks = [rle.encode(rng.random((9, 13)) < share) for share in (0.02, 0.3, 0.9)]
    instances = tuple(coco.annotate(n, 1, 5, mask) for n, mask in enumerate(masks, 1))
    image = ImageRecord(1, "i.png", 13, 9)
    coco.write(tmp_path / "o.json", Dataset((image,), instances, (Category(5, "cell"),)))
    judge = by_pycocotools(tmp_path / "o.json")
    for record, mask in zip(judge.anns.values(), masks, strict=True):
        drawn = judge.annToMask(record)
        np.testing.assert_array_equal(drawn, rle.decode(mask))
        rows, columns = np.nonzero(drawn)
        assert record["area"] == drawn.sum()
        assert record["bbox"][:2] == [columns.min(), rows.min()]
        assert record["bbox"][2:] == [np.ptp(columns) + 1, np.ptp(rows) + 1]


def test_a_ring_and_two_parts_stay_one_instance_each(tmp_path: Path) -> None:
    ring = rle.from_uncompressed([6, 3, 2, 1, 1, 1, 2, 3, 6], 5, 5)
    parts = rle.from_uncompressed([0, 2, 21, 2], 5, 5)
    instances = (coco.annotate(1, 1, 1, ring), coco.annotate(2, 1, 1, parts))
    image = ImageRecord(1, "i.png", 5, 5)
    coco.write(tmp_path / "o.json", Dataset((image,), instances, (Category(1, "cell"),)))
    records = json.loads((tmp_path / "o.json").read_bytes())["annotations"]
    assert [(r["iscrowd"], r["area"]) for r in records] == [(0, 8), (0, 4)]
    assert coco.read(tmp_path / "o.json").annotations == instances


def test_a_prediction_keeps_its_three_scores(tmp_path: Path) -> None:
    mask = rle.from_uncompressed([6, 3, 16], 5, 5)
    found = coco.annotate(
        1, 4, 2, mask, score=np.float32(1.25), class_score=np.float32(1.0), mask_iou=0.5
    )
    image = ImageRecord(4, "häß/雪 #1.png", 5, 5)
    coco.write(tmp_path / "o.json", Dataset((image,), (found,), (Category(2, "cell"),)))
    (read,) = coco.read(tmp_path / "o.json").annotations
    assert (read.score, read.class_score, read.mask_iou) == (1.25, 1.0, 0.5)


def test_the_empty_dataset_is_written_and_read(tmp_path: Path) -> None:
    coco.write(tmp_path / "o.json", Dataset())
    assert coco.read(tmp_path / "o.json") == Dataset()


def annotation(**values: Any) -> Annotation:
    mask = rle.from_uncompressed([6, 3, 16], 5, 5)
    return replace(coco.annotate(1, 1, 1, mask), **values)


@pytest.mark.parametrize(
    "bad",
    [
        annotation(image_id=2),
        annotation(score=math.nan),
        annotation(extra={"x": math.nan}),
        annotation(extra={"x": {1, 2}}),
        annotation(extra={"bbox": [0, 0, 1, 1]}),
        annotation(rle=rle.encode(np.ones((2, 2), bool))),
        annotation(id=2**70),
    ],
)
def test_what_does_not_read_back_is_not_written(tmp_path: Path, bad: Annotation) -> None:
    path = tmp_path / "o.json"
    path.write_text("old")
    image = ImageRecord(1, "i.png", 5, 5)
    with pytest.raises(AnnotationError):
        coco.write(path, Dataset((image,), (bad,), (Category(1, "cell"),)))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "o.json"
    path.write_text("old")

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space"):
        coco.write(path, Dataset())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    coco.write(tmp_path / "link.json", Dataset())
    assert (tmp_path / "link.json").is_symlink()
    assert coco.read(tmp_path / "real.json") == Dataset()


def test_results_clip_the_box_and_keep_the_mask() -> None:
    mask = rle.from_uncompressed([6, 3, 16], 5, 5)
    boxes = [[-2.0, 1.5, 7.0, 3.0], [6.0, 0.0, 9.0, 2.0], [4.0, 1.0, 3.0, 2.0]]
    first, beyond, inverted = coco.results(3, [90, 1, 1], boxes, [mask] * 3, [1.2, 0.3, 0.2])
    assert first == {
        "image_id": 3,
        "category_id": 90,
        "bbox": [0.0, 1.5, 5.0, 1.5],
        "segmentation": {"size": [5, 5], "counts": mask.counts},
        "score": 1.2,
    }
    assert beyond["bbox"] == [5.0, 0.0, 0.0, 2.0]
    assert inverted["bbox"] == [4.0, 1.0, 0.0, 1.0]
    assert coco.results(3, [], np.zeros((0, 4), np.float32), [], []) == []


def result(**values: Any) -> dict[str, Any]:
    record = {"image_id": 9, "category_id": 1, "score": 0.5, "bbox": [0, 0, 2, 2]} | values
    return {key: value for key, value in record.items() if value is not DELETE}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "holds a list"),
        ([5], r"results\[0\]: it must be an object"),
        ([result(), result(image_id=8)], r"results\[1\]: image_id 8 is no image"),
        ([result(category_id=2)], "category_id 2 is no category"),
        ([result(score=DELETE)], "score is missing"),
        ([result(score=math.nan)], "score must be"),
        ([result(score=True)], "score must be"),
        ([result(bbox=DELETE)], "neither bbox nor segmentation"),
        ([result(bbox=[0, 0, math.inf, 1])], "bbox must be"),
        ([result(segmentation={"size": [4, 4], "counts": "0`0"})], "segmentation.size"),
        ([result(), result(segmentation=[SQUARE])], r"results\[1\] has segmentation, unlike"),
        ([result(segmentation=[SQUARE], bbox=DELETE), result()], r"results\[1\] has bbox, unlike"),
    ],
)
def test_bad_results_are_refused_in_one_sentence(
    tmp_path: Path, content: object, said: str
) -> None:
    truth = coco.parse(json.dumps(coco_content()).encode())
    with pytest.raises(AnnotationError, match=said) as refusal:
        coco.read_results(write_json(tmp_path / "r.json", content), truth)
    assert str(refusal.value).startswith("r.json")
    assert "\n" not in str(refusal.value)


def test_a_long_list_is_written_in_pieces_without_a_seam() -> None:
    dot = rle.encode(np.ones((1, 1), bool))
    rows = tuple(coco.annotate(number, 1, 1, dot) for number in range(1, 2502))
    dataset = Dataset((ImageRecord(1, "a.png", 1, 1),), rows, (Category(1, "dot"),))
    content = coco.dump(dataset)
    assert b"".join(coco.pieces(dataset)) == content
    assert coco.parse(content) == dataset


def test_an_annotation_may_be_written_as_polygons(tmp_path: Path) -> None:
    mask = rle.from_polygons([SQUARE], 8, 10)
    drawn = replace(coco.annotate(1, 7, 1, mask), polygons=(tuple(SQUARE),))
    images, classes = (ImageRecord(7, "a.png", 10, 8),), (Category(1, "cell"),)
    coco.write(tmp_path / "a.json", Dataset(images, (drawn,), classes))
    (row,) = json.loads((tmp_path / "a.json").read_bytes())["annotations"]
    assert row["segmentation"] == [SQUARE]
    assert (row["area"], row["bbox"], row["iscrowd"]) == (12, [1, 1, 4, 3], 0)
    assert coco.read(tmp_path / "a.json").annotations == (drawn,)
