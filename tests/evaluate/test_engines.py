"""The fast engine before its judge, pycocotools: the same tables to the last bit."""

import copy
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comask.annotation import coco, rle
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord, Rle
from comask.errors import InputError
from comask.evaluate import coco_ap, engines
from comask.evaluate.engines import Engine, Kind, Limits, Tables
from tests.factories import write_json

SIZE = (160, 200)
LIMITS: tuple[Limits, ...] = ((1, 10, 100), (1, 2, 3), (5, 50, 500))
KINDS: tuple[Kind, ...] = ("segm", "bbox")
ENGINES: tuple[Engine, ...] = ("pycocotools", "hotcoco")


def assert_same(truth: Dataset, results: list[dict[str, Any]], *limits: Limits) -> list[Tables]:
    """Compare everything that is accumulated; returns pycocotools' tables."""
    found = coco.read_results(copy.deepcopy(results), truth)
    records = coco_ap.to_truth(truth), coco_ap.to_found(truth, found)
    kinds = KINDS if not found or found[0].rle else KINDS[1:]
    told: list[Tables] = []
    for kind in kinds:
        for limit in limits or LIMITS[:1]:
            slow, fast = (engines.Judge(one, *copy.deepcopy(records)) for one in ENGINES)
            expected, tables = slow.tables(kind, limit), fast.tables(kind, limit)
            np.testing.assert_array_equal(tables.precision, expected.precision)
            np.testing.assert_array_equal(tables.recall, expected.recall)
            assert tables.categories == expected.categories
            told.append(expected)
    left, right = (coco_ap.judge(truth, results, engine=one) for one in ENGINES)
    assert left == right
    return told


def blob(random: np.random.Generator, at: tuple[int, int], side: int) -> Rle:
    """Draw a rectangle with a hole, or in two parts."""
    crop = np.ones((side, max(1, side // 2)), bool)
    crop[random.integers(side), :] = False
    return rle.encode_crop(crop, *at, SIZE)


def scene(seed: int) -> tuple[Dataset, list[dict[str, Any]]]:
    """Plant crowds, ties, empty images, classes without truth or without results, all sizes.

    Ids have gaps, are not in order, and those of the truth begin at 0.
    """
    random = np.random.default_rng(seed)
    images = tuple(ImageRecord(n, f"{n}.png", 200, 160) for n in (900, 7, 12345678901, 30, 31))
    classes = tuple(Category(n, f"kind {n}") for n in (90, 1, 5, 17))
    truth: list[Annotation] = []
    results: list[dict[str, Any]] = []
    for image in images[:4]:  # one has neither
        for _ in range(random.integers(0, 12) if image.id != 30 else 0):  # one has results only
            side = int(random.choice([6, 30, 40, 96, 140]))
            x, y = random.integers(-3, 60, 2).tolist()
            kind = int(random.choice([90, 1, 5]))
            one = coco.annotate(len(truth), image.id, kind, blob(random, (x, y), side))
            crowd = bool(random.random() < 0.2)
            truth.append(replace(one, iscrowd=crowd, area=one.area * random.choice([1.0, 0.99])))
            for _ in range(random.integers(0, 4)):
                moved = (x + int(random.integers(-2, 3)), y + int(random.integers(-2, 3)))
                named = int(random.choice([kind, kind, kind, 17, 1]))
                mask = blob(random, moved, side)
                score = float(random.choice([0.25, 0.5, 0.5, 0.75, random.random()]))
                box = np.array([rle.bbox(mask)], np.float64)
                box[:, 2:] += box[:, :2]
                box += random.choice([0.0, 0.3], 4)
                results += coco.results(image.id, [named], box, [mask], [score])
        for _ in range(random.integers(0, 5)):
            mask = blob(random, (int(random.integers(0, 90)), 10), 25)
            box = np.array([[10, 10, 30, 30]])
            results += coco.results(image.id, [5], box, [mask], [0.5])
    return Dataset(images, tuple(truth), classes), results


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("keys", [("bbox", "segmentation"), ("segmentation",), ("bbox",)])
def test_the_same_tables_whatever_is_planted(seed: int, keys: tuple[str, ...]) -> None:
    truth, results = scene(seed)
    for record in results:
        for key in {"bbox", "segmentation"} - set(keys):
            del record[key]
    tables = assert_same(truth, results, *LIMITS)
    assert any((one.precision > 0).any() for one in tables)


def test_the_same_tables_of_nothing() -> None:
    truth, results = scene(1)
    assert_same(truth, [])
    assert_same(replace(truth, annotations=()), results)
    assert_same(replace(truth, annotations=()), [])
    assert_same(replace(truth, annotations=(), categories=()), [])


def test_crowds_take_any_number_and_the_limit_is_counted_by_class() -> None:
    truth, results = scene(3)
    crowds = tuple(replace(one, iscrowd=True) for one in truth.annotations)
    assert_same(replace(truth, annotations=crowds), results, *LIMITS)
    many = [dict(one, score=0.5) for one in results * 9]  # all tied, far past the limit
    assert_same(truth, many, *LIMITS)


def test_the_same_tables_of_published_results(shared_data: Path) -> None:
    folder = shared_data / "eval-fixtures"
    truth = coco.read(folder / "gt_subset_for_fake100.json")
    for kind in KINDS:
        path = folder / f"fake{kind}_results_subset.json"
        judged = [coco_ap.judge(truth, path, engine=one)[kind] for one in ENGINES]
        assert judged[0].numbers == judged[1].numbers
        assert judged[0].by_category == judged[1].by_category
        assert [one.engine for one in judged] == list(ENGINES)


@pytest.mark.slow
def test_the_same_tables_of_photographs(shared_data: Path) -> None:
    truth = coco.read(shared_data / "coco-mini/instances_val2017.json")
    random = np.random.default_rng(5)
    results: list[dict[str, Any]] = []
    for one in truth.annotations:
        crop, x, y = rle.decode_crop(one.rle)
        moved = rle.encode_crop(crop, x + int(random.integers(-4, 5)), y, one.rle.size)
        x, y, width, height = rle.bbox(moved)
        box = np.array([[x, y, x + width, y + height]])
        score = round(random.random(), 1)
        results += coco.results(one.image_id, [one.category_id], box, [moved], [score])
    assert_same(truth, results, *LIMITS)


def test_the_fast_one_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert engines.choose("auto") == "hotcoco"
    assert engines.choose("pycocotools") == "pycocotools"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert engines.choose("auto") == "pycocotools"
    truth, results = scene(1)
    path = write_json(tmp_path / "r.json", results)
    assert coco_ap.judge(truth, path)["segm"].engine == "pycocotools"
    with pytest.raises(InputError, match=r"comask\[fast-eval\]"):
        coco_ap.judge(truth, path, engine="hotcoco")
    with pytest.raises(InputError, match="an engine is one of"):
        engines.choose("matlab")  # type: ignore[arg-type]


def test_it_says_nothing_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    truth, results = scene(2)
    coco_ap.judge(truth, results, engine="hotcoco", max_detections=(1, 2, 300))
    assert capfd.readouterr() == ("", "")
