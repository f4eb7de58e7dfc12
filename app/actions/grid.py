"""The grid of a dataset: which images are meant, in what order, and what to say of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from app.actions import fit, judge
from app.actions.fit import Sizes
from app.services import CheckpointFile, Services
from app.services.pairs import JudgedSet, PairShelf
from app.services.pairs import Question as Sliders
from comask.annotation.index import DatasetIndex, Filter, ObjectSize
from comask.evaluate import metrics
from comask.evaluate.matching import Doubles, Integers

Sort = Literal["file", "errors", "fp", "fn", "lowest_iou", "gap", "duplicates", "score"]
SORTS: tuple[Sort, ...] = get_args(Sort)

_COUNTS = ("found", "tp", "fp", "fn", "duplicates")
_COLUMNS = (*_COUNTS, "lowest_iou", "gap")
_RISING = ("lowest_iou", "score")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the grid is asked for.

    sliders               score, IoU and its kind
    name, category, size  as ``index.Filter`` has them
    error                 an error kind that must occur in the image
    cell                  truth and found category of an instance that must occur; None is "none"
    scores                class scores, both included, between which an instance must lie, of the
                          category if one is asked for; the sliders hide none of them here
    fit                   object sizes and field sizes between which a true object must lie, as
                          ``fit.rows_with`` has them
    find                  key of an image whose place in the list is asked for as well
    sort                  the worst first; images that were not judged come last
    """

    sliders: Sliders
    name: str = ""
    category: int | None = None
    size: ObjectSize | None = None
    error: str | None = None
    cell: tuple[int | None, int | None] | None = None
    scores: tuple[float, float] | None = None
    fit: Sizes | None = None
    find: str | None = None
    sort: Sort = "file"
    offset: int = 0
    limit: int = 100

    @property
    def judged_only(self) -> bool:
        """Say whether only images that a checkpoint has seen can be meant."""
        return any(one is not None for one in (self.error, self.cell, self.scores, self.fit))


@dataclass(frozen=True)
class _Judged:
    """What a run made of images: image i of all columns is row ``rows[i]``.

    columns  (I,) each, by name; nan where there is nothing to say. Where nothing can be right or
             wrong, what says so is not there
    """

    rows: Integers
    columns: Mapping[str, Doubles]

    def places(self, rows: Sequence[int]) -> Integers:
        """Find rows among the judged ones: (N,), -1 for those that are not."""
        wanted = np.asarray(rows, np.int64)
        if not self.rows.size:
            return np.full(wanted.shape, -1)
        places = np.searchsorted(self.rows, wanted).clip(max=self.rows.size - 1)
        return np.where(self.rows[places] == wanted, places, -1)

    def value(self, name: str, place: int) -> int | float | None:
        """Say one number as the page reads it."""
        value = self.columns[name][place].item() if name in self.columns else np.nan
        if value != value:
            return None
        return int(value) if name in _COUNTS else float(value)


def answer(
    services: Services,
    dataset: str,
    found: DatasetIndex,
    file: CheckpointFile | None,
    asked: Question,
) -> dict[str, Any]:
    """Answer with one page of the grid; raises InputError for a cell that there is not."""
    rows = found.rows(Filter(name=asked.name, category=asked.category, size=asked.size))
    judged = None
    if file is not None:
        shelf = services.pairs
        kept = shelf.get(dataset, found, services.checkpoints.identity(file))
        judged = _judged(shelf, kept, asked.sliders)
        rows = _passing(shelf, kept, asked, rows)
        if asked.fit is not None:
            there = fit.rows_with(services, found, file, asked.fit) & set(kept.rows)
            rows = [row for row in rows if row in there]
        rows = _sorted(rows, judged, asked.sort)
    elif asked.judged_only:
        rows = []
    shown = [int(row) for row in rows[asked.offset : asked.offset + asked.limit]]
    cells = _cells(services, dataset, found, file, shown)
    if judged is not None:
        for cell, place in zip(cells, judged.places(shown).tolist(), strict=True):
            if place >= 0:
                cell |= {name: judged.value(name, place) for name in _COLUMNS}
    content = {"total": len(rows), "offset": asked.offset, "rows": cells}
    if asked.find is not None:
        content["at"] = _place_of(services.datasets.place(asked.find), dataset, rows)
    return content


def _place_of(place: tuple[str, int] | None, dataset: str, rows: Sequence[int]) -> int | None:
    """Find where an image is in the list; None where it is not in it."""
    if place is None or place[0] != dataset:
        return None
    found = np.flatnonzero(np.asarray(rows, np.int64) == place[1])
    return int(found[0]) if found.size else None


def _judged(shelf: PairShelf, kept: JudgedSet, sliders: Sliders) -> _Judged:
    def work() -> _Judged:
        judgement = shelf.judge(kept, sliders)
        pairs, images = judgement.pairs, len(judgement.pairs)
        # where nothing can be right or wrong, nothing counts either
        shown = judgement.match.counted
        if kept.complaint:
            shown = pairs.class_scores > sliders.score
        places = pairs.found_images[shown]
        count = np.bincount(places, minlength=images).astype(np.float64)
        total = np.bincount(places, pairs.class_scores[shown].astype(np.float64), images)
        columns = {
            "found": count,
            "score": np.where(count > 0, total / np.maximum(count, 1), np.nan),
        }
        if not kept.complaint:
            known = vars(metrics.images(judgement)).items()
            columns |= {name: values.astype(np.float64) for name, values in known}
            columns["errors"] = columns["fp"] + columns["fn"]
        return _Judged(np.array(kept.rows, np.int64), columns)

    return shelf.remember(("grid", kept.token, sliders), work)


def _passing(
    shelf: PairShelf, kept: JudgedSet, asked: Question, rows: Sequence[int]
) -> Sequence[int]:
    """Keep the rows whose instances are what was asked for."""
    if asked.error is not None or asked.cell is not None:
        if kept.complaint:
            return []
        there = judge.rows_with(shelf, kept, asked.sliders, error=asked.error, cell=asked.cell)
        rows = [row for row in rows if row in there]
    if asked.scores is not None:
        there = judge.rows_scored(kept, *asked.scores, category=asked.category)
        rows = [row for row in rows if row in there]
    return rows


def _sorted(rows: Sequence[int], judged: _Judged, sort: Sort) -> Sequence[int]:
    """Put the worst first; equal ones stay in the file's order."""
    if sort not in judged.columns or not len(rows):
        return rows
    values = judged.columns[sort] * (1 if sort in _RISING else -1)
    known = np.append(values, np.nan)[judged.places(rows)]  # nan, also at -1, comes last
    order: Sequence[int] = np.asarray(rows, np.int64)[np.argsort(known, kind="stable")].tolist()
    return order


def _cells(
    services: Services,
    dataset: str,
    found: DatasetIndex,
    file: CheckpointFile | None,
    rows: Sequence[int],
) -> list[dict[str, Any]]:
    keys = [services.datasets.key(dataset, row) for row in rows]
    done: frozenset[str] = frozenset()
    if file is not None:
        identity = services.checkpoints.identity(file)
        done = services.predictions.ready(identity, keys)
    truth = found.truth_counts_of(rows)
    cells = []
    for row, key, record in zip(rows, keys, found.images(rows), strict=True):
        state, note = ("done", "") if key in done else _state(services, found, file, row, key)
        cells.append(
            {
                "key": key,
                "file_name": record.file_name,
                "width": record.width or None,
                "height": record.height or None,
                "state": state,
                "note": note,
                "truth": truth[row] if found.has_truth else None,
                **dict.fromkeys(_COLUMNS),
            }
        )
    return cells


def _state(
    services: Services, found: DatasetIndex, file: CheckpointFile | None, row: int, key: str
) -> tuple[str, str]:
    if found.is_missing(row):
        return "missing", "There is no such file."
    sentence = "" if file is None else services.complaint(file, key)
    return ("failed", sentence) if sentence else ("waiting", "")
