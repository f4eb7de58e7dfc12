"""The twelve numbers against pycocotools' own, and by hand."""

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.errors import AnnotationError, InputError
from comask.evaluate import coco_ap, report
from comask.evaluate.coco_ap import Kind
from tests.factories import write_json

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
KINDS: tuple[Kind, ...] = ("segm", "bbox")


def square(number: int, x: int, *, image: int = 1, category: int = 1, side: int = 10) -> Annotation:
    mask = rle.encode_crop(np.ones((side, side), bool), x, 5, (40, 200))
    return coco.annotate(number, image, category, mask)


def dataset(*annotations: Annotation, categories: tuple[int, ...] = (1,)) -> Dataset:
    images = tuple(ImageRecord(i, f"{i}.png", 200, 40) for i in (1, 2))
    return Dataset(images, annotations, tuple(Category(c, f"c{c}") for c in categories))


def found(annotation: Annotation, score: float, *, box: bool = True) -> dict[str, Any]:
    record = {
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "segmentation": annotation.rle.to_coco(),
        "score": score,
    }
    return record | ({"bbox": list(annotation.bbox)} if box else {})


def by_pycocotools(truth: Path, results: Path, kind: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCO(str(truth))
        run = COCOeval(judge, judge.loadRes(str(results)), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(number) for number in run.stats]


@pytest.mark.parametrize("kind", KINDS)
def test_published_results_give_the_published_numbers(shared_data: Path, kind: Kind) -> None:
    folder = shared_data / "eval-fixtures"
    expected = json.loads((folder / f"expected_stats_{kind}.json").read_bytes())
    numbers = coco_ap.evaluate(
        folder / "gt_subset_for_fake100.json", folder / f"fake{kind}_results_subset.json"
    )[kind]
    assert list(numbers) == NAMES
    assert list(numbers.values()) == expected


def some_of_coco(source: Path, path: Path, count: int = 12) -> Path:
    """Write the first images of a COCO file, with the categories that they show."""
    content = json.loads(source.read_bytes())
    content["images"] = content["images"][:count]
    shown = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in shown]
    kinds = {a["category_id"] for a in content["annotations"]}
    content["categories"] = [c for c in content["categories"] if c["id"] in kinds]
    return write_json(path, content)


@pytest.mark.parametrize("box", [True, False])
def test_equal_to_pycocotools_on_noisy_results(
    shared_data: Path, tmp_path: Path, box: bool
) -> None:
    source = shared_data / "coco-mini/instances_val2017.json"
    path, rng = some_of_coco(source, tmp_path / "t.json"), np.random.default_rng(3)
    records = []
    for annotation in coco.read(path).annotations:
        x, y, width, height = annotation.bbox
        corners = np.array([[x, y, x + width, y + height]]) + rng.normal(0, 3, 4)
        moved = np.roll(rle.decode(annotation.rle), rng.integers(-3, 4, 2), (0, 1))
        of_image = annotation.image_id, [annotation.category_id]
        score = round(rng.random(), 2)
        records += coco.results(*of_image, corners, [rle.encode(moved)], [score])
    records = [r for r in records if box or r.pop("bbox")]
    found = write_json(tmp_path / "r.json", records)
    numbers = coco_ap.evaluate(path, found)
    for kind in KINDS:
        assert list(numbers[kind].values()) == by_pycocotools(path, found, kind)
        assert 0.05 < numbers[kind]["AP"] < 0.95


@pytest.mark.parametrize("box", [True, False])
def test_the_perfect_prediction_scores_one(box: bool) -> None:
    """Also where truth ids start at 0, which pycocotools alone would take for a miss."""
    truth = dataset(square(0, 0), square(1, 50), square(2, 90, image=2))
    numbers = coco_ap.evaluate(truth, [found(a, 0.9, box=box) for a in truth.annotations])
    for kind in KINDS:
        assert [numbers[kind][name] for name in ("AP", "AP50", "APs", "AR100")] == [1.0] * 4
        assert numbers[kind]["AR1"] == pytest.approx(2 / 3)  # image 1 holds two of the three
        assert [numbers[kind][name] for name in ("APm", "APl", "ARm", "ARl")] == [-1.0] * 4


def test_the_empty_prediction_scores_nought() -> None:
    numbers = coco_ap.evaluate(dataset(square(1, 0)), [])
    assert [numbers[kind]["AP"] for kind in KINDS] == [0.0, 0.0]
    assert numbers["segm"]["AR100"] == 0.0


def test_truth_without_objects_gives_no_numbers() -> None:
    for truth in (dataset(), dataset(categories=())):
        assert set(coco_ap.evaluate(truth, [])["segm"].values()) == {-1.0}


def test_boxes_alone_have_no_masks_to_judge() -> None:
    truth = dataset(square(1, 0))
    record = found(truth.annotations[0], 1.0)
    del record["segmentation"]
    assert list(coco_ap.evaluate(truth, [record])) == ["bbox"]


def test_ap_by_hand() -> None:
    """Best score wrong, second right: precision 1/2 at each recall, for one of two objects.

    51 of the 101 recall points lie within 0 .. 0.5, each with precision 1/2.
    """
    truth = dataset(square(1, 0), square(2, 50))
    results = [found(square(0, 100), 0.9), found(square(0, 0), 0.8)]
    numbers = coco_ap.evaluate(truth, results)["segm"]
    assert numbers["AP"] == pytest.approx(51 / 101 / 2)
    assert numbers["AR100"] == pytest.approx(0.5)


def test_a_shift_counts_up_to_its_iou() -> None:
    """10 x 10 px moved by 2: IoU 80 / 120 = 0.667, right at 0.50 .. 0.65, four of ten."""
    truth = dataset(square(1, 0))
    numbers = coco_ap.evaluate(truth, [found(square(0, 2), 0.9)])["segm"]
    assert (numbers["AP50"], numbers["AP75"]) == (pytest.approx(1.0), 0.0)
    assert numbers["AP"] == pytest.approx(0.4)


def test_crowds_are_neither_found_nor_missed() -> None:
    crowd = replace(square(2, 50, side=30), iscrowd=True)
    truth = dataset(square(1, 0), crowd)
    results = [found(square(0, 0), 0.5), found(square(0, 55), 0.9)]  # the second is in the crowd
    assert coco_ap.evaluate(truth, results)["segm"]["AP"] == pytest.approx(1)


def test_dense_images_need_a_higher_limit() -> None:
    """120 objects, all found: 100 count by default, recall 5/6."""
    truth = dataset(*(square(n, n, side=1) for n in range(120)))
    results = [found(a, 1 - n / 1000) for n, a in enumerate(truth.annotations)]
    for result in results:
        del result["segmentation"]
    assert coco_ap.evaluate(truth, results)["bbox"]["AR100"] == pytest.approx(100 / 120)
    dense = coco_ap.evaluate(truth, results, max_detections=(10, 100, 500))["bbox"]
    assert [dense[name] for name in ("AP", "AP50", "APs", "AR500", "ARs")] == [1.0] * 5
    assert dense["AR100"] == pytest.approx(100 / 120)


def test_each_category_has_its_own_ap() -> None:
    truth = dataset(square(1, 0), square(2, 50, category=90), categories=(90, 1, 5))
    verdict = coco_ap.judge(truth, [found(truth.annotations[1], 1.0)])["segm"]
    assert verdict.by_category == {1: 0.0, 5: -1.0, 90: pytest.approx(1.0)}
    assert verdict.numbers["AP"] == pytest.approx(0.5)


@pytest.mark.parametrize("limits", [(1, 10), (10, 1, 100), (0, 1, 2), (1, 10, True), (1, 5, 5)])
def test_odd_limits_are_refused(limits: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="max_detections"):
        coco_ap.evaluate(dataset(), [], max_detections=limits)


def test_refusals_name_the_record() -> None:
    truth = dataset(square(1, 0))
    with pytest.raises(AnnotationError, match=r"^the results: results\[0\]: image_id 3"):
        coco_ap.evaluate(truth, [found(square(0, 0, image=3), 1.0)])
    with pytest.raises(InputError, match="no images"):
        coco_ap.evaluate(Dataset(), [])


def test_arguments_are_left_alone_and_nothing_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = dataset(square(1, 0))
    results = [found(truth.annotations[0], 1.0, box=False)]
    before = json.dumps(results)
    coco_ap.evaluate(truth, results)
    assert json.dumps(results) == before
    assert capsys.readouterr().out == ""


def test_the_table_shows_a_dash_where_nothing_was_to_be_found() -> None:
    numbers = {kind: dict.fromkeys(NAMES, 0.5) | {"APl": -1.0} for kind in KINDS}
    lines = report.table(numbers).splitlines()
    assert lines[0].split() == ["segm", "bbox"]
    assert [line.split()[0] for line in lines[1:]] == NAMES
    assert lines[1].split()[1:3] == ["0.500", "0.500"]
    assert lines[6].split()[:3] == ["APl", "-", "-"]
    assert json.loads(report.to_json(numbers)) == numbers


def test_the_category_table_leaves_out_what_has_no_truth() -> None:
    ap = {"segm": {1: 0.25, 5: -1.0}, "bbox": {1: 1.0, 5: -1.0}}
    table = report.category_table(ap, {1: "cell", 5: "ghost"})
    assert table.splitlines()[1].split() == ["cell", "0.250", "1.000"]
    assert "ghost" not in table
