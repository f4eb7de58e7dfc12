"""The browser's matching against pycocotools', over planted overlaps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page
from pycocotools.cocoeval import COCOeval

from comask.annotation import rle
from comask.annotation.records import Annotation, Category
from tests.canvas import documents

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

SIZE = (48, 64)
LINES = np.linspace(0.5, 0.95, 10)
CATEGORIES = (Category(1, "cell"), Category(2, "nucleus"))

JUDGE = """([document, asked]) => {
  const opened = studioParts.document.open(document);
  return asked.map((line) => {
    const { byId, totals } = studioParts.judge({ document: opened, ...line });
    return [Object.fromEntries(byId), totals];
  });
}"""


def planted(seed: int, found: int = 14) -> tuple[documents.Found, list[Annotation]]:
    """Scatter rectangles on a coarse grid, so that overlaps and scores are often equal."""
    random = np.random.default_rng(seed)

    def some(count: int) -> list[documents.Mask]:
        corners = 4 * random.integers(0, 9, (count, 2))
        sides = 4 * random.integers(2, 5, (count, 2))
        return [
            documents.rectangle(SIZE, *map(int, (*corner, *side)))
            for corner, side in zip(corners, sides, strict=True)
        ]

    scores = sorted((random.integers(1, 10, found) / 10).tolist(), reverse=True)
    prediction = documents.found(some(found), scores, random.integers(0, 2, found).tolist())
    truth = documents.drawn(some(9))
    return prediction, [
        replace(one, category_id=int(random.integers(1, 3)), iscrowd=bool(random.random() < 0.25))
        for one in truth
    ]


def judged(
    scripts: Page,
    prediction: documents.Found,
    truth: Sequence[Annotation],
    asked: Sequence[dict[str, Any]],
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    document = documents.compared("a", SIZE, prediction, truth, CATEGORIES)
    found: list[tuple[dict[str, Any], dict[str, Any]]] = scripts.evaluate(
        JUDGE, [document, list(asked)]
    )
    return found


def expected(
    prediction: documents.Found, truth: Sequence[Annotation], kind: str, score: float
) -> list[dict[str, str]]:
    """Ask pycocotools: for every line, what became of each instance that counts."""
    evaluation = COCOeval(iouType={"mask": "segm", "box": "bbox"}[kind])
    evaluation.params.imgIds, evaluation.params.catIds = [1], [1, 2]
    found = [
        {
            "id": row + 1,
            "image_id": 1,
            "category_id": int(prediction.labels[row]) + 1,
            "score": float(prediction.scores[row]),
            "segmentation": {"size": list(mask.size), "counts": mask.counts},
            "bbox": list(rle.bbox(mask)),
            "area": rle.area(mask),
            "iscrowd": 0,
        }
        for row, mask in enumerate(prediction.masks)
        if prediction.class_scores[row] > np.float32(score)
    ]
    drawn = [
        {
            "id": one.id,
            "image_id": 1,
            "category_id": one.category_id,
            "segmentation": {"size": list(one.rle.size), "counts": one.rle.counts},
            "bbox": list(one.bbox),
            "area": one.area,
            "iscrowd": int(one.iscrowd),
            "ignore": int(one.iscrowd),
        }
        for one in truth
    ]
    results: list[dict[str, str]] = [{} for _ in LINES]
    for category in (1, 2):
        evaluation._gts = {(1, category): [o for o in drawn if o["category_id"] == category]}
        evaluation._dts = {(1, category): [o for o in found if o["category_id"] == category]}
        evaluation.ious = {(1, category): evaluation.computeIoU(1, category)}
        answer = evaluation.evaluateImg(1, category, [0, 1e10], 100)
        for row in range(len(LINES) if answer else 0):
            for at, one in enumerate(answer["dtIds"]):
                ignored = answer["dtIgnore"][row, at]
                taken = answer["dtMatches"][row, at]
                word = "ignored" if ignored else "tp" if taken else "fp"
                results[row][f"p{one}"] = f"{word} t{int(taken)}" if taken else word
            for at, one in enumerate(answer["gtIds"]):
                if answer["gtIgnore"][at]:
                    results[row][f"t{one}"] = "ignored"
                else:
                    taken = answer["gtMatches"][row, at]
                    results[row][f"t{one}"] = f"tp p{int(taken)}" if taken else "fn"
    return results


def words(byid: dict[str, Any]) -> dict[str, str]:
    """Say what the browser found in the same words."""
    said = {}
    for one, judged in byid.items():
        crowd = one.startswith("t") and judged["verdict"] == "ignored"
        partner = "" if crowd or judged["with"] is None else f" {judged['with']}"
        if judged["verdict"] is not None:
            said[one] = judged["verdict"] + partner
    return said


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_it_matches_as_pycocotools_at_all_ten_lines(scripts: Page, kind: str) -> None:
    seen = set()
    for seed in range(12):
        prediction, truth = planted(seed)
        for score in (0.0, 0.4):
            asked = [{"iou": line, "threshold": score, "kind": kind} for line in LINES.tolist()]
            answers = judged(scripts, prediction, truth, asked)
            wanted = expected(prediction, truth, kind, score)
            for (byid, _), correct in zip(answers, wanted, strict=True):
                assert words(byid) == correct
                seen.update(word.split()[0] for word in correct.values())
    assert seen == {"tp", "fp", "fn", "ignored"}


def test_rates_by_hand(scripts: Page) -> None:
    square = documents.rectangle(SIZE, 0, 0, 10, 10)
    near = documents.rectangle(SIZE, 0, 0, 10, 8)  # IoU 0.8
    far = documents.rectangle(SIZE, 40, 20, 10, 10)
    prediction = documents.found([near, far], [0.9, 0.5])
    truth = documents.drawn([square, documents.rectangle(SIZE, 20, 30, 5, 5)])
    low, high, sure = judged(
        scripts,
        prediction,
        truth,
        [
            {"iou": 0.8, "threshold": 0.1, "kind": "mask"},
            {"iou": 0.81, "threshold": 0.1, "kind": "mask"},
            {"iou": 0.8, "threshold": 0.5, "kind": "mask"},
        ],
    )
    assert low[1] == {"tp": 1, "fp": 1, "fn": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert (low[0]["p1"]["with"], low[0]["t1"]["with"], low[0]["p1"]["iou"]) == ("t1", "p1", 0.8)
    assert [high[1][name] for name in ("tp", "fp", "fn")] == [0, 2, 2]
    assert sure[1]["precision"] == 1.0
    assert sure[0]["p2"]["verdict"] is None  # 0.5 is not above 0.5


def test_a_limit_counts_the_best_of_each_class(scripts: Page) -> None:
    squares = [documents.rectangle(SIZE, 12 * at, 0, 10, 10) for at in range(4)]
    prediction = documents.found(squares, [0.9, 0.8, 0.7, 0.6], [0, 0, 0, 1])
    truth = documents.drawn(squares)
    document = documents.compared("a", SIZE, prediction, truth, CATEGORIES)
    document["limit"] = 2
    line = {"iou": 0.5, "threshold": 0.1, "kind": "mask"}
    [(byid, _)] = scripts.evaluate(JUDGE, [document, [line]])
    assert [byid[f"p{at}"]["verdict"] for at in (1, 2, 3, 4)] == ["tp", "tp", None, "fp"]


def test_a_class_that_the_truth_does_not_have_counts_for_nothing(scripts: Page) -> None:
    square = documents.rectangle(SIZE, 0, 0, 10, 10)
    prediction = documents.found([square], [0.9], [1])
    document = documents.compared("a", SIZE, prediction, documents.drawn([square]), CATEGORIES[:1])
    [(byid, totals)] = scripts.evaluate(
        JUDGE, [document, [{"iou": 0.5, "threshold": 0.1, "kind": "mask"}]]
    )
    assert byid["p1"]["verdict"] is None
    assert (totals["fp"], totals["fn"]) == (0, 1)


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        ((0, 0, 10, 6), 0, "localisation"),  # IoU 0.6 with the right class
        ((0, 0, 10, 9), 1, "class"),
        ((0, 0, 10, 6), 1, "both"),
        ((0, 0, 10, 9), 0, "duplicate"),
        ((30, 30, 5, 5), 0, "background"),
    ],
)
def test_error_kinds_by_hand(
    scripts: Page, box: tuple[int, int, int, int], label: int, kind: str
) -> None:
    square = documents.rectangle(SIZE, 0, 0, 10, 10)
    prediction = documents.found([square, documents.rectangle(SIZE, *box)], [0.9, 0.8], [0, label])
    line = {"iou": 0.7, "threshold": 0.1, "kind": "mask"}
    [(byid, _)] = judged(scripts, prediction, documents.drawn([square]), [line])
    assert (byid["p2"]["verdict"], byid["p2"]["error"]) == ("fp", kind)
