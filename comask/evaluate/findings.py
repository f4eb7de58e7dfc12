"""All that is to say of one run over one dataset, in one value: what a report is made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comask import __version__
from comask.annotation import files
from comask.annotation.records import Category
from comask.errors import InputError
from comask.evaluate import metrics
from comask.evaluate.coco_ap import COCO_LIMITS
from comask.evaluate.matching import Kind, PairSet
from comask.evaluate.metrics import Curves

SCHEMA = 1
DRAWN = (0.5, 0.75, 0.9)  # IoU thresholds of the curves
PAPER = Path(__file__).with_name("paper.json")

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """What is judged: names for people, and which run it was; ``planned`` images are in the set."""

    dataset: str
    checkpoint: str
    identity: str
    planned: int


def gather(
    pairs: PairSet,
    categories: Sequence[Category],
    subject: Subject,
    *,
    score: float,
    iou: float,
    kind: Kind,
) -> dict[str, Any]:
    """Measure everything: COCO's numbers over all scores, counts at one setting of the sliders."""
    if not len(pairs):
        raise InputError("the checkpoint has not seen any image of the dataset yet")
    ids = [one.id for one in categories]
    kinds: dict[str, Kind] = {"segm": "mask", "bbox": "box"}
    verdicts = {name: metrics.twelve(pairs, ids, one) for name, one in kinds.items()}
    objects = metrics.spread(pairs.truth_categories[~pairs.crowd], ids).tolist()
    return {
        "schema": SCHEMA,
        "made_by": f"comask {__version__}",
        "dataset": subject.dataset,
        "checkpoint": subject.checkpoint,
        "checkpoint_identity": subject.identity,
        "images": len(pairs),
        "images_of_the_dataset": subject.planned,
        "objects": sum(objects),
        "instances": len(pairs.scores),
        "limits": list(COCO_LIMITS),
        "numbers": {name: dict(verdict.numbers) for name, verdict in verdicts.items()},
        "by_category": [
            {
                "id": one.id,
                "name": one.name,
                "truth": count,
                **{name: verdict.by_category[one.id] for name, verdict in verdicts.items()},
            }
            for one, count in zip(categories, objects, strict=True)
            if count
        ],
        "at": _counts(pairs, categories, score=score, iou=iou, kind=kind),
        "curves": _curves(pairs, categories, kind),
        "paper": paper(),
    }


def to_json(content: Content) -> bytes:
    """Write a report for programs."""
    return files.dump_json(content)


def paper(place: Path = PAPER) -> dict[str, Any]:
    """Read the paper's own tables; one without rows is not at hand."""
    content: dict[str, Any] = json.loads(place.read_bytes())
    for table in content["tables"]:
        if any(len(row) != len(table["columns"]) for row in table["rows"]):
            raise InputError(f"{place.name}: a row of {table['key']} has not the table's columns")
    return content


def _counts(
    pairs: PairSet, categories: Sequence[Category], *, score: float, iou: float, kind: Kind
) -> dict[str, Any]:
    judgement = metrics.judge(pairs, iou=iou, min_score=score, kind=kind)
    ids = [one.id for one in categories]
    seen = {*pairs.truth_categories.tolist(), *pairs.found_categories.tolist()}
    shown = [one for one in categories if one.id in seen]
    by_size = metrics.by_size(pairs, iou=iou, min_score=score, kind=kind)
    by_category = metrics.by_category(judgement, ids)
    return {
        "score": score,
        "iou": iou,
        "kind": kind,
        **metrics.to_plain(metrics.total(judgement)),
        "errors": judgement.errors.count(),
        "confusion": {
            "labels": [{"id": one.id, "name": one.name} for one in shown],
            "cells": metrics.confusion(judgement, [one.id for one in shown]).tolist(),
        },
        "by_size": {name: metrics.to_plain(one) for name, one in by_size.items()},
        "by_category": [
            {"id": one.id, "name": one.name, **metrics.to_plain(by_category[one.id])}
            for one in shown
        ],
    }


def _curves(pairs: PairSet, categories: Sequence[Category], kind: Kind) -> dict[str, Any]:
    ids = [one.id for one in categories]
    drawn = {iou: metrics.curves(pairs, ids, iou=iou, kind=kind) for iou in DRAWN}
    return {
        "kind": kind,
        "recall": metrics.RECALLS.round(2).tolist(),
        "mean": [
            {"iou": iou, "ap": one.mean, "precision": _mean(one)} for iou, one in drawn.items()
        ],
        "by_category": [
            {
                "id": one.id,
                "name": one.name,
                "precision": {
                    f"{iou:.2f}": curve.precision[row].round(6).tolist()
                    for iou, curve in drawn.items()
                },
            }
            for row, one in enumerate(categories)
            if drawn[DRAWN[0]].ap[row] > -1
        ],
    }


def _mean(drawn: Curves) -> list[float]:
    """Average the curves of all categories that have truth."""
    measured = drawn.precision[drawn.ap > -1]
    if not len(measured):
        return []
    mean: list[float] = np.mean(measured, axis=0).round(6).tolist()
    return mean
