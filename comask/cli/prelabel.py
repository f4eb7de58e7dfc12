"""``comask prelabel``: a run over many images that is kept, and the COCO file of what it found.

The same command, started again, goes on where the last one ended. The model runs at a low
threshold whatever the file is to hold, so another ``--min-score`` costs no second run.
"""

import argparse
import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comask.annotation import coco
from comask.annotation.index import DatasetIndex
from comask.annotation.records import ImageRecord
from comask.cli.shared import (
    add_settings,
    check_writable,
    open_predictor,
    read_settings,
    refuse_none,
    report_skipped,
    say,
    share,
    warn,
)
from comask.errors import InputError

if TYPE_CHECKING:
    from comask.annotation.store import Store
    from comask.predict import Predictor

SCORE = 0.05  # what a run keeps; ``comask.run.RUN_SCORE``, which brings torch


@dataclass(frozen=True)
class Source:
    """Where images come from.

    dataset  what the store knows them as
    files    (path, name) each; names may occur twice in a COCO file
    records  of the COCO file, with its ids; None: those that can be read are counted from 1
    faults   what was wrong with the COCO file's own records
    """

    dataset: str
    files: Sequence[tuple[Path, str]]
    records: Sequence[ImageRecord] | None
    faults: Sequence[str] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="images, or folders of them; or else:"
    )
    parser.add_argument(
        "--annotations", type=Path, metavar="COCO.json", help="a COCO file: its images, its ids"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="the folder of its images")
    parser.add_argument("--checkpoint", required=True, type=Path, help="a .safetensors file")
    parser.add_argument(
        "--output", required=True, type=Path, help="the COCO dataset of what was found"
    )
    parser.add_argument(
        "--store",
        metavar="FILE|URL",
        help="where everything is kept, so that a stopped run goes on: a file, or a database's "
        "URL (by default beside the output, ending in .sqlite)",
    )
    parser.add_argument(
        "--min-score",
        type=share,
        default=SCORE,
        metavar="S",
        help=f"class score to be above in the output, {SCORE} .. 1, by default {SCORE}; the run "
        f"itself keeps all above {SCORE}",
    )
    add_settings(parser)


def run(given: argparse.Namespace) -> int:
    """Run as the command line says; returns the exit code."""
    if given.min_score < SCORE:
        raise InputError(f"--min-score must be in {SCORE} .. 1: a run keeps nothing below {SCORE}")
    check_writable(given.output)
    place = given.store or given.output.with_suffix(".sqlite")
    if Path(place) == given.output:
        raise InputError(f"--store and --output must be two files, not both {given.output}")
    source = _source(given)

    from comask.annotation.store import Store
    from comask.run import run_settings

    predictor = open_predictor(given, run_settings(read_settings(given)))
    with Store.open(place) as store:
        return _run(given, source, predictor, store)


def _run(given: argparse.Namespace, source: Source, predictor: "Predictor", store: "Store") -> int:
    from comask.run import Run, identify

    kept = Run.open(
        store,
        dataset=source.dataset,
        checkpoint=identify(given.checkpoint),
        settings=read_settings(given),
    )
    try:
        outcomes = list(kept.work(predictor, source.files, progress=True))
    except KeyboardInterrupt:
        warn("what was found is kept; the same command goes on from here")
        raise
    records = source.records
    if records is None:  # counted as ``comask predict`` counts
        done = [row.name for row in outcomes if row.state == "done"]
        names = [name for _, name in source.files if name in set(done)]
        records = [ImageRecord(number, name, 1, 1) for number, name in enumerate(names, start=1)]
    dataset = kept.export(records, given.min_score, predictor.info.categories)
    coco.write(given.output, dataset)
    say(
        f"{given.output}: {len(dataset.annotations)} instances in {len(dataset.images)} of "
        f"{len(source.records or outcomes)} images; all that was found is kept in {store.name}"
    )
    _warn_of_sizes(given, source, dataset.images)
    for fault in source.faults:
        warn(fault)
    failures = [row.reason for row in outcomes if row.state == "failed"]
    return report_skipped(failures, len(outcomes)) or int(bool(source.faults))


def _warn_of_sizes(
    given: argparse.Namespace, source: Source, images: Sequence[ImageRecord]
) -> None:
    said = {record.id: (record.width, record.height) for record in source.records or ()}
    wrong = [one for one in images if said.get(one.id, ()) not in ((), (one.width, one.height))]
    if wrong:
        first = wrong[0]
        warn(
            f"{len(wrong)} images are not of the size that {given.annotations} says, for example "
            f"{first.file_name}, which is {first.width} x {first.height} pixels when upright; "
            f"{given.output} says what they are"
        )


def _source(given: argparse.Namespace) -> Source:
    if given.paths and (given.annotations or given.images):
        raise InputError("give either PATHs, or --annotations and --images, and not both")
    if given.paths:
        return _of_paths(given.paths)
    if given.annotations is None or given.images is None:
        raise InputError("give images or folders, or --annotations and --images together")
    return _of_coco_file(given.annotations, given.images)


def _of_paths(paths: Sequence[Path]) -> Source:
    """List plain image files; one folder is the dataset that the Studio knows it as."""
    from comask.data import images

    found = images.list_images(paths)
    refuse_none(paths, found)
    if len(paths) == 1 and paths[0].is_dir():
        with tempfile.TemporaryDirectory() as cache:
            index = DatasetIndex.open(None, paths[0], Path(cache))
            index.close()
        return Source(index.fingerprint, found, None)
    places = "\n".join(sorted(os.path.realpath(path) for path in paths))
    digest = hashlib.sha256(f"comask files 1\n{places}".encode("utf-8", "surrogateescape"))
    return Source(digest.hexdigest(), found, None)


def _of_coco_file(annotations: Path, folder: Path) -> Source:
    """List a COCO file's images; what was drawn on them is not read."""
    if not annotations.is_file():
        raise InputError(f"there is no file {annotations}")
    with tempfile.TemporaryDirectory() as cache:
        index = DatasetIndex.open(annotations, folder, Path(cache))
        try:
            records = index.images(range(len(index)))
            found = [(_place(folder, one.file_name), one.file_name) for one in records]
            faults = [fault.sentence for fault in index.faults if fault.list == "images"]
        finally:
            index.close()
    return Source(index.fingerprint, found, records, faults)


def _place(folder: Path, name: str) -> Path:
    place = folder / name
    # written on Windows
    return folder / name.replace("\\", "/") if "\\" in name and not place.exists() else place
