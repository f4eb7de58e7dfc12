"""A run that is kept: one checkpoint over one dataset, every image computed once.

It runs at a low threshold and keeps everything, so that whoever shows or exports it filters and
never asks the model again. It goes on where it was stopped or killed, and several processes may
work on one run.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from comask import __version__
from comask.annotation.claims import new_worker
from comask.annotation.files import uncollected
from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.annotation.store import OutcomeRow, RunRow, Store
from comask.data import images
from comask.errors import StoreError
from comask.predict import Prediction, PredictionSettings
from comask.run.files import Detector, Looked, look, seen, to_annotations
from comask.run.packing import pack, unpack

RUN_SCORE = 0.05

Claimed = dict[str, tuple[Path, str]]  # images taken on: the file, and what it was like then

_LOG = logging.getLogger(__name__)
_PAUSE = 0.5  # seconds between looks at what other processes are at


def run_settings(settings: PredictionSettings | None = None) -> PredictionSettings:
    """Give the settings that a kept run has: those given, at the run's own threshold."""
    return replace(settings or PredictionSettings(), min_score=RUN_SCORE)


def identify(checkpoint: Path) -> str:
    """Name a checkpoint by its content."""
    with checkpoint.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def stamp(path: Path) -> str:
    """Say what a file is like: size, time of its last change, content; "" for none."""
    try:
        status = path.stat()
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
    except OSError:
        return ""
    return f"{status.st_size}|{status.st_mtime_ns}|{digest}"


class Run:
    """One run in a store; names of images are those that a COCO file has.

    Where methods take a detector, it is one with the run's checkpoint and ``run_settings``.
    """

    def __init__(self, store: Store, row: RunRow) -> None:
        """Take a run that is there; ``open`` begins one where it is needed."""
        self.store, self.row = store, row
        self._worker = new_worker()
        self._latest: tuple[str, Prediction] | None = None

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        dataset: str,
        checkpoint: str,
        settings: PredictionSettings | None = None,
    ) -> "Run":
        """Begin a run, or go on with the one that has the same parts."""
        every = vars(run_settings(settings)).items()
        told = {key: value for key, value in every if value is not None}
        return cls(store, store.start_or_resume(dataset, checkpoint, __version__, told))

    def pending(self, names: Iterable[str]) -> list[str]:
        """Name the images that have no outcome yet, in their order."""
        seen = self.store.outcomes(self.row.id)
        return [name for name in dict.fromkeys(names) if name not in seen]

    def failures(self) -> dict[str, str]:
        """Say why images failed: {name: sentence}."""
        found = self.store.outcomes(self.row.id).values()
        return {outcome.name: outcome.reason for outcome in found if outcome.state == "failed"}

    def retry(self, names: Iterable[str] | None = None) -> list[str]:
        """Make failed images pending again, all or some; returns their names."""
        failed = self.store.names(self.row.id, "failed")
        again = sorted(failed if names is None else failed & set(names))
        self.store.forget(self.row.id, again)
        return again

    def prediction(self, name: str) -> Prediction | None:
        """Find what the model made of an image; raises StoreError where that is damaged."""
        kept = self.store.payload(self.row.id, name)
        return None if kept is None else _unpacked(name, kept)

    def latest(self, name: str) -> Prediction | None:
        """Give what was put last, where that is of this image: it need not be read again."""
        known = self._latest
        return known[1] if known is not None and known[0] == name else None

    def step(self, detector: Detector, name: str, path: Path) -> OutcomeRow | None:
        """Run over one image and keep what becomes of it; None where it is somebody else's."""
        return next(self._steps(detector, [(path, name)]), None)

    def put(self, name: str, prediction: Prediction, stamp: str = "") -> OutcomeRow:
        """Keep what the model made of an image."""
        height, width = prediction.size
        row = OutcomeRow(
            name, "done", width=width, height=height, instances=len(prediction), stamp=stamp
        )
        self.store.put(self.row.id, row, pack(prediction))
        self._latest = name, prediction
        return row

    def fail(self, name: str, sentence: str, stamp: str = "") -> OutcomeRow:
        """Keep why the model made nothing of an image."""
        row = OutcomeRow(name, "failed", sentence, stamp=stamp)
        self.store.put(self.row.id, row)
        return row

    def work(
        self, detector: Detector, files: Sequence[tuple[Path, str]], *, progress: bool = False
    ) -> Iterator[OutcomeRow]:
        """Run over all files, (path, name) each, that are not done; yields every outcome once.

        What is done already comes first. Files that have changed since are run over again, images
        that failed are tried again, and what other processes are at is waited for. Progress goes
        to stderr.
        """
        self._latest = None  # somebody else may have run over it since
        waiting = {name: path for path, name in files}
        known = self.store.outcomes(self.row.id)
        done = [
            known[name]
            for name, path in waiting.items()
            if name in known and known[name].state == "done" and _is_same(known[name], path)
        ]
        total = len(waiting)
        for row in done:
            del waiting[row.name]
        self.store.forget(self.row.id, [name for name in waiting if name in known])
        yield from done
        with tqdm(
            total=total, initial=len(done), unit="image", smoothing=0.1, disable=not progress
        ) as bar:
            for row in self._rest(detector, waiting):
                yield row
                bar.update()

    @uncollected()
    def export(
        self,
        records: Sequence[ImageRecord],
        min_score: float = RUN_SCORE,
        categories: Sequence[Category] | None = None,
    ) -> Dataset:
        """Make a COCO dataset of what was found, class scores above ``min_score``.

        Images keep their ids and their order and get their true size; those without a prediction
        are left out. Without ``categories``, the checkpoint's are those of the first prediction.
        """
        kept: list[ImageRecord] = []
        found: list[Annotation] = []
        payloads = self.store.payloads(self.row.id, [record.file_name for record in records])
        for record, prediction in _matched(records, payloads):
            height, width = prediction.size
            kept.append(replace(record, height=height, width=width))
            found += to_annotations(prediction, record.id, len(found) + 1, min_score)
            categories = prediction.categories if categories is None else categories
        return Dataset(tuple(kept), tuple(found), tuple(categories or ()))

    def _rest(self, detector: Detector, waiting: dict[str, Path]) -> Iterator[OutcomeRow]:
        """Run over images until all have an outcome, whoever found it."""
        while waiting:
            for row in self._steps(detector, [(path, name) for name, path in waiting.items()]):
                del waiting[row.name]
                yield row
            others = self.store.outcomes(self.row.id) if waiting else {}
            for name in [name for name in waiting if name in others]:
                del waiting[name]
                yield others[name]
            if waiting:
                time.sleep(_PAUSE)

    def _steps(self, detector: Detector, files: Sequence[tuple[Path, str]]) -> Iterator[OutcomeRow]:
        """Run over those files that nobody else has taken."""
        claimed: Claimed = {}
        try:
            with closing(seen(detector, self._claimed(files, claimed), candidates=True)) as found:
                for name, waiting in found:
                    row = self._keep(detector, name, claimed[name], waiting)
                    del claimed[name]
                    yield row
        finally:
            for name in claimed:
                self.store.release(self.row.id, name, self._worker)

    def _claimed(
        self, files: Iterable[tuple[Path, str]], claimed: Claimed
    ) -> Iterator[tuple[Path, str]]:
        for path, name in files:
            if self.store.claim(self.row.id, name, self._worker):
                claimed[name] = path, stamp(path)
                yield path, name

    def _keep(
        self, detector: Detector, name: str, taken: tuple[Path, str], waiting: Future[Looked]
    ) -> OutcomeRow:
        path, stamp = taken
        try:
            outcome = look(detector, name, waiting)
        except Exception as error:  # a fault of ours must not take the other images with it
            _LOG.exception("The model failed on image %s", name)
            kind = type(error).__name__
            return self.fail(name, f"the model failed on {name} ({kind}: {error})"[:300], stamp)
        if outcome.prediction is None:
            # by its name: what a store says is the same on every machine
            sentence = outcome.failure.replace(images.printable(path), name)
            return self.fail(name, sentence, stamp)
        return self.put(name, outcome.prediction, stamp)


def _matched(
    records: Sequence[ImageRecord], payloads: Iterator[tuple[str, bytes]]
) -> Iterator[tuple[ImageRecord, Prediction]]:
    """Bring together what comes in the order of the records, some of them left out."""
    waiting = iter(records)
    for name, kept in payloads:
        record = next(record for record in waiting if record.file_name == name)
        yield record, _unpacked(name, kept)


def _unpacked(name: str, kept: bytes) -> Prediction:
    try:
        return unpack(kept)
    except StoreError as error:
        raise StoreError(f"{name}: {error}") from error


def _is_same(outcome: OutcomeRow, path: Path) -> bool:
    """Say whether a file is what it was; one that is gone is taken to be."""
    try:
        status = path.stat()
    except OSError:
        return True
    size, changed, digest = (*outcome.stamp.split("|"), "", "", "")[:3]
    if not digest or (size, changed) == (str(status.st_size), str(status.st_mtime_ns)):
        return True
    return size == str(status.st_size) and stamp(path).endswith(f"|{digest}")
