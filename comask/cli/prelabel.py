"""``comask prelabel``: a run over many images that is kept, and the COCO file of what it found.

The same command, started again, goes on where the last one ended. The model runs at a low
threshold whatever the file is to hold, so another ``--min-score`` costs no second run.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comask.annotation import coco
from comask.annotation.records import ImageRecord
from comask.cli import prelabel_labels, sources
from comask.cli.processes import Processes
from comask.cli.shared import (
    add_settings,
    check_writable,
    open_predictor,
    read_settings,
    report_skipped,
    say,
    share,
    warn,
)
from comask.cli.sources import Source
from comask.errors import InputError

if TYPE_CHECKING:
    from comask.annotation.store import OutcomeRow, Store
    from comask.predict import Predictor
    from comask.run import Labelled, Run

SCORE = 0.05  # what a run keeps; ``comask.run.RUN_SCORE``, which brings torch


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
    prelabel_labels.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Run as the command line says; returns the exit code."""
    if given.min_score < SCORE:
        raise InputError(f"--min-score must be in {SCORE} .. 1: a run keeps nothing below {SCORE}")
    check_writable(given.output)
    place = given.store or given.output.with_suffix(".sqlite")
    if Path(place) == given.output:
        raise InputError(f"--store and --output must be two files, not both {given.output}")
    processes = Processes.of()
    with sources.opened(given) as source:
        prelabel_labels.check(given, source)

        from comask.annotation.store import Store
        from comask.run import run_settings

        _take_device(processes)
        predictor = open_predictor(given, run_settings(read_settings(given)))
        with Store.open(place) as store:
            return _run(given, source, (predictor, store), processes)


def _run(
    given: argparse.Namespace,
    source: Source,
    tools: "tuple[Predictor, Store]",
    processes: Processes,
) -> int:
    from comask.run import Run, identify

    predictor, store = tools
    kept = Run.open(
        store,
        dataset=source.dataset,
        checkpoint=identify(given.checkpoint),
        settings=read_settings(given),
    )
    try:
        outcomes, labelled = _work(given, source, (kept, predictor), processes)
    except KeyboardInterrupt:
        if processes.is_first:
            warn("what was found is kept; the same command goes on from here")
        raise
    if not processes.is_first:  # the first one writes, and says what is wrong
        return 0
    records = source.records
    if records is None:  # counted as ``comask predict`` counts
        done = {name for name, row in outcomes.items() if row.state == "done"}
        names = [name for _, name in source.files if name in done]
        records = [ImageRecord(number, name, 1, 1) for number, name in enumerate(names, start=1)]
    dataset = kept.export(records, given.min_score, predictor.info.categories)
    coco.write(given.output, dataset)
    say(
        f"{given.output}: {len(dataset.annotations)} instances in {len(dataset.images)} of "
        f"{len(source.records or outcomes)} images; all that was found is kept in {store.name}"
    )
    if given.labels:
        say(prelabel_labels.told(labelled, store.name))
    _warn_of_sizes(given, source, dataset.images)
    for fault in source.faults:
        warn(fault)
    failures = {row.name: row.reason for row in outcomes.values() if row.state == "failed"}
    failures |= {one.image: one.failure for one in labelled if one.failure}
    return report_skipped(list(failures.values()), len(outcomes)) or int(bool(source.faults))


def _work(
    given: argparse.Namespace,
    source: Source,
    tools: "tuple[Run, Predictor]",
    processes: Processes,
) -> "tuple[dict[str, OutcomeRow], list[Labelled]]":
    """Run over all images, and label them as they come; the first process labels every one."""
    run, predictor = tools
    labeller = None
    if given.labels:
        labeller = prelabel_labels.begin(given, source, run, predictor.categories)
    own = {name for _, name in processes.own(source.files)}
    outcomes: dict[str, OutcomeRow] = {}
    labelled: list[Labelled] = []
    files = processes.ordered(source.files)
    for row in run.work(predictor, files, progress=processes.is_first):
        outcomes[row.name] = row
        if labeller is not None and (processes.is_first or row.name in own):
            labelled.append(labeller.label(row))
    return outcomes, labelled


def _take_device(processes: Processes) -> None:
    """Take the GPU of this process' number, where there are several."""
    import torch

    if processes.local is not None and torch.cuda.is_available():
        torch.cuda.set_device(processes.local % torch.cuda.device_count())


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
