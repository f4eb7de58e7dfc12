"""Objects beside the receptive fields that speak for them, over a dataset: found or missed."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app.actions import judge
from app.canvas.packet import Packer
from app.services import CheckpointFile, Services
from app.services.pairs import JudgedSet, Question
from app.services.tasks import Report
from comask.annotation.index import DatasetIndex
from comask.errors import InputError
from comask.evaluate.matching import State

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis.field_fit import Fit

SCHEMA = 1
MOST_IMAGES = 200  # of a set, in one question

Sizes = tuple[float, float, float, float]  # object from, to, field from, to; image pixels


@dataclass(frozen=True)
class Measured:
    """Fits of some images: fit i is of the dataset's row ``rows[i]``."""

    rows: tuple[int, ...]
    fits: tuple["Fit", ...]
    images: int


def key_of(
    services: Services, found: DatasetIndex, file: CheckpointFile, most: int
) -> tuple[object, ...]:
    """Name what was measured: a checkpoint, a dataset's content, a number of images."""
    return "fits", services.checkpoints.identity(file), found.fingerprint, found.content, most


def packet(
    services: Services,
    file: CheckpointFile,
    dataset: tuple[str, DatasetIndex],
    asked: Question,
    most: int,
    report: Report,
) -> bytes:
    """Pack every object's size and field, and whether the run found it."""
    kept = judge.open_set(services, dataset[0], dataset[1], file)
    if not kept.rows:
        raise InputError("the checkpoint has seen none of this dataset's images; run it over them")
    measured = measure(services, file, dataset, most, report)
    rows = _joined(services, kept, measured, asked)
    fits = [one for _, one, _ in rows]
    packer = Packer()
    names = sorted({(one.level, one.branch) for one in fits})
    head = {
        "schema": SCHEMA,
        "images": measured.images,
        "of": len(dataset[1]),
        "speakers": [f"P{level} {branch}" for level, branch in names],
        "speaker": packer.array([names.index((one.level, one.branch)) for one in fits]),
        "size": packer.array([one.size for one in fits]),
        "field": packer.array([one.field for one in fits]),
        "found": packer.array([float(found) for _, _, found in rows]),
        "share": packer.array([one.share for one in fits]),
        "ids": [one.id for one in fits],
        "rows": [row for row, _, _ in rows],
    }
    return packer.pack(head)


def table(
    services: Services,
    file: CheckpointFile,
    dataset: tuple[str, DatasetIndex],
    asked: Question,
    most: int,
) -> bytes:
    """Write the same as CSV; raises InputError before it was measured."""
    kept = judge.open_set(services, dataset[0], dataset[1], file)
    measured = services.inspections.kept(key_of(services, dataset[1], file, most))
    if not isinstance(measured, Measured):
        raise InputError("the objects were not measured yet; open Field fit on the page Inspect")
    text = io.StringIO()
    lines = csv.writer(text)
    columns = ("level", "branch", "share", "object_px", "field_px", "ratio", "found")
    lines.writerow(("image", "object", *columns))
    names = dict(zip(kept.rows, kept.names, strict=True))
    for row, one, found in _joined(services, kept, measured, asked):
        ratio = "" if one.ratio is None else f"{one.ratio:.6g}"
        numbers = (f"{one.share:.6g}", f"{one.size:.6g}", f"{one.field:.6g}", ratio)
        lines.writerow((names[row], one.id, f"P{one.level}", one.branch, *numbers, int(found)))
    return text.getvalue().encode()


def measure(
    services: Services,
    file: CheckpointFile,
    dataset: tuple[str, DatasetIndex],
    most: int,
    report: Report,
) -> Measured:
    """Measure the objects of a dataset's first images, or give back what was measured."""
    key = key_of(services, dataset[1], file, most)
    known = services.inspections.kept(key)
    if not isinstance(known, Measured):
        known = _measure(services, file, dataset, most, report)
        services.inspections.keep(key, known, 200 * len(known.fits))
    return known


def rows_with(
    services: Services, found: DatasetIndex, file: CheckpointFile, sizes: Sizes
) -> frozenset[int]:
    """List the dataset's rows with an object whose size and field lie in ``sizes``.

    Raises InputError before anything was measured.
    """
    key = key_of(services, found, file, min(MOST_IMAGES, len(found)))
    known = services.inspections.kept(key)
    if not isinstance(known, Measured):
        raise InputError("the objects were not measured yet; open Field fit on the page Inspect")
    return frozenset(
        row for row, one in zip(known.rows, known.fits, strict=True) if lies_in(one, sizes)
    )


def lies_in(one: "Fit", sizes: Sizes) -> bool:
    """Say whether an object's size and field are between those given, both ends included."""
    low, high, narrow, wide = sizes
    return low <= one.size <= high and narrow <= one.field <= wide


def _measure(
    services: Services,
    file: CheckpointFile,
    dataset: tuple[str, DatasetIndex],
    most: int,
    report: Report,
) -> Measured:
    from comask.analysis.field_fit import fits  # brings torch

    found = dataset[1]
    count = min(most, len(found))
    predictor = services.inspections.predictor(file)
    rows: list[int] = []
    made: list[Fit] = []
    for row in range(count):
        report(row, count)
        drawn = [one for one in found.annotations(row) if not one.iscrowd]
        key = services.datasets.key(dataset[0], row)
        pixels = services.inspections.pixels(key) if drawn else None
        if pixels is None:
            continue
        # what was drawn on a picture of another size lies nowhere in this one
        objects = [(one.id, one.rle) for one in drawn if one.rle.size == pixels.shape[:2]]
        # between two fields, a stop is heeded too
        some = fits(
            predictor,
            pixels,
            objects,
            progress=lambda _, __, at=row: report(at, count),  # type: ignore[misc]
        )
        made += some
        rows += [row] * len(some)
    return Measured(tuple(rows), tuple(made), count)


def _joined(
    services: Services, kept: JudgedSet, measured: Measured, asked: Question
) -> Sequence[tuple[int, "Fit", bool]]:
    """Put fits and verdicts together: (row, fit, found) of images that the run has seen."""
    judgement = services.pairs.judge(kept, asked)
    pairs = judgement.pairs
    right = np.asarray(judgement.match.truth == State.RIGHT)
    rows = [kept.rows[image] for image in pairs.truth_images.tolist()]
    known: dict[tuple[int, int], Any] = dict(
        zip(zip(rows, pairs.truth_ids.tolist(), strict=True), right.tolist(), strict=True)
    )
    return [
        (row, one, bool(known[row, one.id]))
        for row, one in zip(measured.rows, measured.fits, strict=True)
        if (row, one.id) in known
    ]
