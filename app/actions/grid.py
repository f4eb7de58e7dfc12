"""The grid of a dataset: which images are meant, in what order, and what to say of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from app.actions import judge
from app.services import CheckpointFile, Services
from app.services.pairs import JudgedSet, PairShelf
from app.services.pairs import Question as Sliders
from comask.annotation.index import DatasetIndex, Filter, ObjectSize
from comask.evaluate import metrics
from comask.evaluate.metrics import ImageColumns

Sort = Literal["file", "errors", "fp", "fn", "lowest_iou", "gap", "duplicates", "score"]
SORTS: tuple[Sort, ...] = get_args(Sort)

_COLUMNS = ("found", "tp", "fp", "fn", "lowest_iou", "gap", "duplicates")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the grid is asked for.

    sliders               score, IoU and its kind
    name, category, size  as ``index.Filter`` has them
    error                 an error kind that must occur in the image
    cell                  truth and found category of an instance that must occur; None is "none"
    sort                  the worst first; images that were not judged come last
    """

    sliders: Sliders
    name: str = ""
    category: int | None = None
    size: ObjectSize | None = None
    error: str | None = None
    cell: tuple[int | None, int | None] | None = None
    sort: Sort = "file"
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True)
class _Judged:
    """What a run got right and wrong: image i of all columns is row ``rows[i]``."""

    rows: NDArray[np.int64]
    columns: ImageColumns
    score: NDArray[np.float64]  # mean class score of the instances that count; nan without any

    def places(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """Find rows among the judged ones: (N,), -1 for those that are not."""
        wanted = np.asarray(rows, np.int64)
        if not self.rows.size:
            return np.full(wanted.shape, -1)
        places = np.searchsorted(self.rows, wanted).clip(max=self.rows.size - 1)
        return np.where(self.rows[places] == wanted, places, -1)


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
    if file is not None and found.has_truth:
        shelf, kept = services.pairs, judge.open_set(services, dataset, found, file)
        judged = _judged(shelf, kept, asked.sliders)
        if asked.error is not None or asked.cell is not None:
            there = judge.rows_with(shelf, kept, asked.sliders, error=asked.error, cell=asked.cell)
            rows = [row for row in rows if row in there]
        rows = _sorted(rows, judged, asked.sort)
    elif asked.error is not None or asked.cell is not None:
        rows = []
    shown = [int(row) for row in rows[asked.offset : asked.offset + asked.limit]]
    cells = _cells(services, dataset, found, file, shown)
    if judged is not None:
        for cell, place in zip(cells, judged.places(shown).tolist(), strict=True):
            if place >= 0:
                cell |= {name: _value(judged.columns, name, place) for name in _COLUMNS}
    return {"total": len(rows), "offset": asked.offset, "rows": cells}


def _judged(shelf: PairShelf, kept: JudgedSet, sliders: Sliders) -> _Judged:
    def work() -> _Judged:
        judgement = shelf.judge(kept, sliders)
        counted, images = judgement.match.counted, len(judgement.pairs)
        places = judgement.pairs.found_images[counted]
        scores = judgement.pairs.class_scores[counted].astype(np.float64)
        with np.errstate(invalid="ignore"):
            mean = np.bincount(places, scores, images) / np.bincount(places, minlength=images)
        return _Judged(np.array(kept.rows, np.int64), metrics.images(judgement), mean)

    return shelf.remember(("grid", kept.token, sliders), work)


def _sorted(rows: Sequence[int], judged: _Judged, sort: Sort) -> Sequence[int]:
    """Put the worst first; equal ones stay in the file's order."""
    if sort == "file" or not len(rows):
        return rows
    columns = judged.columns
    falling = {
        "errors": columns.fp + columns.fn,
        "fp": columns.fp,
        "fn": columns.fn,
        "gap": columns.gap,
        "duplicates": columns.duplicates,
    }
    rising = {"lowest_iou": columns.lowest_iou, "score": judged.score}
    values = rising[sort] if sort in rising else -falling[sort].astype(np.float64)
    places = judged.places(rows)
    known = np.append(values, np.nan)[places]  # nan, also at -1, comes last
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


def _value(columns: ImageColumns, name: str, place: int) -> int | float | None:
    value: int | float = getattr(columns, name)[place].item()
    return None if value != value else value
