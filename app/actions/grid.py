"""The grid of a dataset: which images are meant, in what order, and what to say of each."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from app.services import CheckpointFile, Services
from comask.annotation.index import DatasetIndex, Filter, ObjectSize

Sort = Literal["file", "errors", "fp", "fn", "lowest_iou", "gap", "duplicates", "score"]
Kind = Literal["mask", "box"]
SORTS: tuple[Sort, ...] = get_args(Sort)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the grid is asked for.

    score, iou, kind      as the sliders stand
    name, category, size  as ``index.Filter`` has them
    error                 an error kind that must occur in the image
    cell                  truth and found category of an instance that must occur; None is "none"
    """

    score: float = 0.05
    iou: float = 0.5
    kind: Kind = "mask"
    name: str = ""
    category: int | None = None
    size: ObjectSize | None = None
    error: str | None = None
    cell: tuple[int | None, int | None] | None = None
    sort: Sort = "file"
    offset: int = 0
    limit: int = 100


def answer(
    services: Services,
    dataset: str,
    found: DatasetIndex,
    file: CheckpointFile | None,
    asked: Question,
) -> dict[str, Any]:
    """Answer with one page of the grid."""
    rows = found.rows(Filter(name=asked.name, category=asked.category, size=asked.size))
    total = len(rows)
    shown = rows[asked.offset : asked.offset + asked.limit]
    done = frozenset() if file is None else services.rows_done(file, dataset)
    truth = found.truth_counts_of(shown)
    cells = []
    for row, record in zip(shown, found.images(shown), strict=True):
        state, note = _state(services, found, file, dataset, row, done)
        cells.append(
            {
                "key": services.datasets.key(dataset, row),
                "file_name": record.file_name,
                "width": record.width or None,
                "height": record.height or None,
                "state": state,
                "note": note,
                "truth": truth[row] if found.has_truth else None,
                **_columns(None, row),
            }
        )
    return {"total": total, "offset": asked.offset, "rows": cells}


def _state(
    services: Services,
    found: DatasetIndex,
    file: CheckpointFile | None,
    dataset: str,
    row: int,
    done: frozenset[int],
) -> tuple[str, str]:
    if row in done:
        return "done", ""
    if found.is_missing(row):
        return "missing", "There is no such file."
    if file is not None and (
        sentence := services.complaint(file, services.datasets.key(dataset, row))
    ):
        return "failed", sentence
    return "waiting", ""


def _columns(judged: NDArray[Any] | None, row: int) -> dict[str, Any]:
    names = ("found", "tp", "fp", "fn", "lowest_iou", "gap", "duplicates")
    return dict.fromkeys(names) if judged is None else {name: judged[row] for name in names}
