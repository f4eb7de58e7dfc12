"""What a run got right and wrong, as plain values for the page; nothing here calls a model."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from app.services import CheckpointFile, Services
from app.services.pairs import JudgedSet, PairShelf, Question
from comask.annotation.index import DatasetIndex
from comask.annotation.records import Annotation, Category
from comask.errors import InputError
from comask.evaluate import compare as comparing
from comask.evaluate import matching, metrics
from comask.evaluate.categories import match_categories
from comask.evaluate.compare import Comparison, Difference
from comask.evaluate.error_kinds import KINDS, ErrorKind
from comask.evaluate.matching import Integers, Kind, State
from comask.evaluate.metrics import Judgement

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction

Cell = tuple[int | None, int | None]  # truth's and found one's category; None is nobody
Order = Literal["change", "file", "score"]
ERRORS = tuple(kind.name.lower() for kind in KINDS)


@dataclass(frozen=True)
class Listing:
    """Which differences of two runs are listed: one of ``compare.HAPPENINGS``, or all."""

    sort: Order = "change"
    only: str | None = None
    offset: int = 0
    limit: int = 100


def open_set(
    services: Services, dataset: str, found: DatasetIndex, file: CheckpointFile
) -> JudgedSet:
    """Find what a checkpoint's run over a dataset has so far.

    Raises InputError where nothing of it can be right or wrong.
    """
    kept = services.pairs.get(dataset, found, services.checkpoints.identity(file))
    if kept.complaint:
        raise InputError(kept.complaint)
    return kept


def shown_categories(kept: JudgedSet) -> list[Category]:
    """List the categories that occur in a set, true or found; always the same for one run."""
    seen = {*kept.pairs.truth_categories.tolist(), *kept.pairs.found_categories.tolist()}
    return [one for one in kept.categories if one.id in seen]


# -- whole sets ---------------------------------------------------------------------------------


def numbers(shelf: PairShelf, kept: JudgedSet, asked: Question) -> dict[str, Any]:
    """Work out everything that follows the sliders."""
    start = time.perf_counter()
    judgement = shelf.judge(kept, asked)
    categories = shown_categories(kept)
    ids = [one.id for one in categories]
    score = metrics.total(judgement)
    content = {
        "images": len(kept.pairs),
        "counts": {"tp": score.tp, "fp": score.fp, "fn": score.fn},
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "errors": judgement.errors.count(),
        "confusion": {
            "labels": [{"id": one.id, "name": one.name} for one in categories],
            "cells": metrics.confusion(judgement, ids).tolist(),
        },
        "by_size": _by_size(shelf, kept, ids, asked),
        "by_category": _by_category(judgement, categories),
    }
    return content | {"milliseconds": round((time.perf_counter() - start) * 1000, 1)}


def curves(shelf: PairShelf, kept: JudgedSet, iou: float, kind: Kind) -> dict[str, Any]:
    """Draw precision over recall for each category with truth, over all scores.

    All instances count, as for the numbers beside it; COCO's own takes the best 100 of an image.
    """
    categories = shown_categories(kept)
    ids = [one.id for one in categories]
    drawn = shelf.remember(
        ("curves", kept.token, iou, kind),
        lambda: metrics.curves(kept.pairs, ids, iou=iou, kind=kind, limit=None),
    )
    recall = metrics.RECALLS.round(2).tolist()
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "recall": recall,
            "precision": precision.tolist(),
            "ap": float(ap),
        }
        for one, precision, ap in zip(categories, drawn.precision, drawn.ap, strict=True)
        if ap > -1
    ]
    return {"categories": rows, "mean": drawn.mean if rows else None}


def rows_with(
    shelf: PairShelf,
    kept: JudgedSet,
    asked: Question,
    *,
    error: str | None = None,
    cell: Cell | None = None,
) -> frozenset[int]:
    """List the dataset's rows in which an error kind or a cell of the confusion matrix occurs."""
    judgement = shelf.judge(kept, asked)
    found, truth = _chosen(kept, judgement, error, cell)
    pairs = judgement.pairs
    images = {*pairs.found_images[found[found >= 0]].tolist()}
    images |= {*pairs.truth_images[truth[truth >= 0]].tolist()}
    return frozenset(kept.rows[image] for image in images)


def rows_scored(
    kept: JudgedSet, low: float, high: float, *, category: int | None = None
) -> frozenset[int]:
    """List the dataset's rows with an instance of a class score in ``low`` .. ``high``."""
    pairs = kept.pairs
    scores = pairs.class_scores.astype(np.float64).round(6)  # 0.3 is not below 0.3 in float32
    there = (scores >= low) & (scores <= high)
    if category is not None:
        there &= pairs.found_categories == category
    return frozenset(kept.rows[image] for image in set(pairs.found_images[there].tolist()))


# -- single instances ---------------------------------------------------------------------------


def instances(
    shelf: PairShelf,
    kept: JudgedSet,
    asked: Question,
    *,
    error: str | None = None,
    cell: Cell | None = None,
    offset: int = 0,
    limit: int = 100,
) -> dict[str, Any]:
    """List the instances of an error kind or of a cell of the confusion matrix."""
    judgement = shelf.judge(kept, asked)
    found, truth = _chosen(kept, judgement, error, cell)
    page = slice(offset, offset + limit)
    rows = [
        _instance(kept, judgement, one, other)
        for one, other in zip(found[page].tolist(), truth[page].tolist(), strict=True)
    ]
    return {"total": len(found), "offset": offset, "rows": rows}


def autopsy(
    prediction: "Prediction",
    truth: Sequence[Annotation],
    categories: Sequence[Category],
    number: int,
    asked: Question,
) -> dict[str, Any]:
    """Explain why the object of an id was missed; raises InputError where it was not."""
    from comask.evaluate import autopsy as explaining  # brings torch

    row = next((row for row, one in enumerate(truth) if one.id == number), None)
    if row is None:
        raise InputError("The image has no such object")
    ids = match_categories(prediction.categories, categories)
    pairs = matching.pair_prediction(truth, prediction, ids)
    judgement = metrics.judge(pairs, iou=asked.iou, min_score=asked.score, kind=asked.kind)
    taker = int(judgement.match.truth_found[row])
    if judgement.match.truth[row] == State.RIGHT:
        raise InputError(f"This object was found by p{taker + 1}, so there is nothing to explain")
    told = asdict(explaining.explain(judgement, row, truth, prediction, ids))
    for name in ("instance", "suppressor"):
        told[name] = None if told[name] is None else f"p{told[name] + 1}"
    return told


# -- two runs -----------------------------------------------------------------------------------


def compare(
    shelf: PairShelf,
    first: JudgedSet,
    second: JudgedSet,
    asked: Question,
    listed: Listing,
) -> dict[str, Any]:
    """List what the second run gained, lost and changed, over images that both have seen."""
    both = set(first.rows) & set(second.rows)
    key = ("compare", first.token, second.token, asked)
    a, b = first.part(sorted(both)), second.part(sorted(both))
    found = shelf.remember(
        key, lambda: comparing.compare(shelf.judge(a, asked), shelf.judge(b, asked))
    )
    rows = [row for row in _sorted(found, listed.sort) if listed.only in (None, row.name)]
    return {
        **found.count(),
        "images": len(both),
        "total": len(rows),
        "offset": listed.offset,
        "rows": [_difference(a, row) for row in rows[listed.offset :][: listed.limit]],
    }


# -- how ----------------------------------------------------------------------------------------


def _by_size(
    shelf: PairShelf, kept: JudgedSet, ids: Sequence[int], asked: Question
) -> dict[str, Any]:
    scores = metrics.by_size(kept.pairs, iou=asked.iou, min_score=asked.score, kind=asked.kind)
    ap = shelf.remember(
        ("sizes", kept.token, asked.iou, asked.kind),
        lambda: {
            name: metrics.curves(
                kept.pairs, ids, iou=asked.iou, kind=asked.kind, limit=None, area=area
            ).mean
            for name, area in metrics.SIZES.items()
        },
    )
    return {
        name: {
            "precision": score.precision,
            "recall": score.recall,
            "truth": score.tp + score.fn,
            "ap": None if ap[name] < 0 else ap[name],
        }
        for name, score in scores.items()
    }


def _by_category(judgement: Judgement, categories: Sequence[Category]) -> list[dict[str, Any]]:
    scores = metrics.by_category(judgement, [one.id for one in categories])
    return [
        {
            "id": one.id,
            "name": one.name,
            "truth": scores[one.id].tp + scores[one.id].fn,
            "found": scores[one.id].tp + scores[one.id].fp,
            **metrics.to_plain(scores[one.id]),
        }
        for one in categories
    ]


def _chosen(
    kept: JudgedSet, judgement: Judgement, error: str | None, cell: Cell | None
) -> tuple[Integers, Integers]:
    """List found instances and true objects, -1 for nobody; both conditions must hold."""
    if error is None and cell is None:
        raise InputError("Say which cell of the confusion matrix or which error kind is meant")
    chosen = None
    if error is not None:
        if error not in ERRORS:
            raise InputError(f"An error kind is one of {', '.join(ERRORS)}")
        chosen = metrics.of_error(judgement, ErrorKind[error.upper()])
    if cell is not None:
        ids = [one.id for one in shown_categories(kept)]
        places = [len(ids) if one is None else _place(ids, one) for one in cell]
        listed = metrics.cell(judgement, ids, places[0], places[1])
        if chosen is None:
            return listed
        both = np.isin(chosen[0], listed[0]) & (chosen[0] >= 0)
        both |= np.isin(chosen[1], listed[1][listed[0] < 0]) & (chosen[0] < 0)
        return chosen[0][both], chosen[1][both]
    assert chosen is not None
    return chosen


def _place(ids: Sequence[int], category: int) -> int:
    if category not in ids:
        raise InputError(f"No instance of this run has a category with the id {category}")
    return list(ids).index(category)


def _instance(kept: JudgedSet, judgement: Judgement, found: int, truth: int) -> dict[str, Any]:
    pairs = judgement.pairs
    image = int(pairs.found_images[found] if found >= 0 else pairs.truth_images[truth])
    if found >= 0:
        error = ErrorKind(int(judgement.errors.found[found]))
    else:
        error = ErrorKind(int(judgement.errors.truth[truth]))
    start = int(pairs.found_starts[image])
    return {
        "key": kept.key(image),
        "file_name": kept.names[image],
        "instance": f"p{found - start + 1}" if found >= 0 else None,
        "truth": f"t{int(pairs.truth_ids[truth])}" if truth >= 0 else None,
        "class_score": float(pairs.class_scores[found]) if found >= 0 else None,
        "score": float(pairs.scores[found]) if found >= 0 else None,
        "iou": matching.overlap(pairs, judgement.kind, found, truth) if found >= 0 else None,
        "error": None if error == ErrorKind.NONE else error.name.lower(),
    }


def _sorted(found: Comparison, sort: Order) -> list[Difference]:
    rows = list(found.rows)  # by change
    if sort == "file":
        rows.sort(key=lambda row: row.image)
    if sort == "score":
        rows.sort(key=lambda row: -max(row.score_a or 0.0, row.score_b or 0.0))
    return rows


def _difference(kept: JudgedSet, row: Difference) -> dict[str, Any]:
    truth = None
    if row.truth is not None:
        start = int(kept.pairs.truth_starts[row.image])
        truth = f"t{int(kept.pairs.truth_ids[start + row.truth])}"
    return {
        "key": kept.key(row.image),
        "file_name": kept.names[row.image],
        "kind": row.name,
        "truth": truth,
        "a": None if row.a is None else f"p{row.a + 1}",
        "b": None if row.b is None else f"p{row.b + 1}",
        "iou_a": row.iou_a,
        "iou_b": row.iou_b,
        "score_a": row.score_a,
        "score_b": row.score_b,
        "change": row.change,
    }
